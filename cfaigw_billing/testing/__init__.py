"""An emulator of Cloudflare AI Gateway billing, to test an application against.

It is a real HTTP server on the loopback interface. It keeps the state of its accounts as the real
service does, records every request and every charge, and fails when it is told to. Amounts are in
cents: 640.19 is $6.40.

**Fixtures.** pytest has three as soon as the package is installed: `billing_emulator`, which is
running and has no accounts, `billing_client` (a `Cloudflare` on it) and `async_billing_client` (an
`AsyncCloudflare`; for tests run by pytest-asyncio or by anyio's plugin), all new for each test.

    import pytest

    from cfaigw_billing import Money, PaymentRequiredError, TopupOutcomeUnknownError
    from cfaigw_billing.testing import Fault


    def test_a_topup_takes_its_time(billing_emulator, billing_client):
        account = billing_emulator.add_account("a", balance=640.19)
        billing_emulator.topup_seconds = 3600
        billing_client.ai_gateway.billing.topup.create(account_id="a", amount=5000)
        assert account.balance == 640.19
        billing_emulator.advance(seconds=3600)
        assert account.balance == 5640.19
        assert billing_emulator.charged("a") == Money.dollars(50)


    def test_a_declined_card_is_not_charged(billing_emulator, billing_client):
        billing_emulator.add_account("a", declines=True)
        with pytest.raises(PaymentRequiredError):
            billing_client.ai_gateway.billing.topup.create(account_id="a", amount=5000)
        assert billing_emulator.charges == []


    async def test_a_lost_answer_is_not_charged_twice(billing_emulator, async_billing_client):
        billing_emulator.add_account("a")
        billing_emulator.inject(Fault.lost_answer(), path="/topup")
        with pytest.raises(TopupOutcomeUnknownError):
            await async_billing_client.ai_gateway.billing.topup.create(account_id="a", amount=5000)
        assert billing_emulator.charged() == Money.dollars(50)

Without them: `with Emulator() as emulator` or `async with`, and `emulator.client(**options)`,
`emulator.async_client(**options)`, or any client at `emulator.base_url` with `emulator.api_token`.

**Set-up.** `emulator.add_account(…)` takes the balance, the card (`payment_method`), whether it
`declines`, whether the payer must confirm (`needs_confirmation`, 3-D Secure; `account.confirm(…)`
does so), and `topup_seconds`. All of these, and the other attributes of an account, may be set at
any time. `account.spend(cents)` uses up credit and sets off the automatic top-up, and
`account.spend_hourly(profile, days=…)` goes on doing so as the clock moves.
`account.fill_usage(days)` and `account.add_invoice(cents)` make up a past. `Emulator(limit=…)` has
the service's rate limit, see `RequestLimit`; `Emulator(address_limit=…)`, that of an address, see
`AddressLimit`. Clients that the emulator makes keep no pace (`max_requests_per_second`) without it.

**Tokens.** `emulator.api_token` opens every account. `add_account("a", api_token="…")` gives an
account a token that belongs to it: it opens this account alone (403 for another one) and lists no
accounts (400). Each token has a rate limit of its own, with the settings of `emulator.limit` unless
the account is given one (`limit=RequestLimit(…)`); `account.limit.refused` tells how many requests
were refused. `account.api_token = None` revokes the token (401). A client with all of these tokens
is `emulator.client(api_tokens=emulator.api_tokens)`. `request.api_token` tells with which token a
request came.

**Prices.** A top-up costs more than its amount: the service's fee of 5 %. `Emulator(fee=…, tax=…)`
sets what is billed, as parts (0.05 is 5 %), and `account.customer_credit` (cents) pays some of it.

**Time.** `emulator.advance(seconds)` moves the clock ahead. A large `topup_seconds`, of the
emulator or of an account, books top-ups late. `Emulator(at=datetime(…))` has a clock that stands
still but for `advance`, for tests that look at dates. It is the service's clock only: clients wait
in real time.

**Faults.** `emulator.inject(fault, times=…, method=…, path=…)` says which requests meet one, and
`Fault` what goes wrong: an error or a page instead of the answer, a reset, no answer in time, one
that is lost after the charge was made, cut off, slow, or no HTTP at all. Each constructor says what
the SDK does then. No server at all is the `base_url` of an emulator that has stopped.

**Afterwards.** `emulator.charges` and `emulator.charged(account_id)` say what credit was charged
for (each charge knows what the card `paid` for it),
`emulator.requests` what was sent, as it arrived; `emulator.reset()` forgets both.

**Journals.** `await check_journal(make)` checks a journal of your own
(`cfaigw_billing.journal.Journal`): what clients rely on so that a top-up is charged once.

**Other languages.** `python -m cfaigw_billing emulator` serves the same on port 8787, with a JSON
API to control it below `/_emulator`, for this machine alone and without credentials;
`GET /_emulator/` lists what there is.

    E=http://127.0.0.1:8787/_emulator
    J="Content-Type: application/json"
    curl -X PUT $E/accounts/a -H "$J" -d '{"balance": 640.19, "declines": false}'
    curl -X POST $E/faults -H "$J" -d '{"silence": "close", "after": true, "path": "/topup"}'
    curl -X POST $E/advance -H "$J" -d '{"seconds": 3600}'
    curl $E/charges
    curl $E/requests
    curl -X POST $E/reset -H "$J" -d '{"accounts": true}'
"""

from ._faults import Fault
from ._journals import check_journal
from ._limit import AddressLimit, RequestLimit
from ._messages import RecordedRequest
from ._processor import Charge
from ._server import Emulator
from ._state import EmulatedAccount, EmulatedInvoice

__all__ = [
    "AddressLimit",
    "Charge",
    "EmulatedAccount",
    "EmulatedInvoice",
    "Emulator",
    "Fault",
    "RecordedRequest",
    "RequestLimit",
    "check_journal",
]
