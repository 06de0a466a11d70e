"""An emulator of Cloudflare AI Gateway billing, to test an application against.

It is a real HTTP server on the loopback interface. It keeps the state of its accounts as the real
service does, records every request and every charge, and simulates faults. Amounts are in cents:
640.19 is $6.40.

**Fixtures.** The package installs three pytest fixtures, new for each test: `billing_emulator` (a
running emulator without accounts), `billing_client` (its `Cloudflare` client) and
`async_billing_client` (its `AsyncCloudflare` client, for pytest-asyncio or anyio's plugin).

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

Without fixtures, use `with Emulator() as emulator` or `async with`. Make clients with
`emulator.client(**options)` or `emulator.async_client(**options)`, or use `emulator.base_url` and
`emulator.api_token` in any client.

**Set-up.** `emulator.add_account(…)` takes the balance, the card (`payment_method`), whether it
`declines`, whether the payer must confirm (`needs_confirmation`, 3-D Secure; confirm with
`account.confirm(…)`), and `topup_seconds`. You can change all attributes of an account at any time.
`account.spend(cents)` uses up credit and may start an automatic top-up;
`account.spend_hourly(profile, days=…)` spends automatically as the clock moves.
`account.fill_usage(days)` and `account.add_invoice(cents)` add past usage and invoices.
`Emulator(limit=…)` emulates the rate limit of a token, see `RequestLimit`;
`Emulator(address_limit=…)` the rate limit of an address, see `AddressLimit`. Without it, clients
that the emulator makes have no `max_requests_per_second`.

**Tokens.** `emulator.api_token` opens every account. `add_account("a", api_token="…")` gives an
account its own token: it opens only this account (403 for others) and cannot list accounts (400).
Each token has its own rate limit, with the settings of `emulator.limit` unless you pass
`limit=RequestLimit(…)`; `account.limit.refused` counts the refused requests.
`account.api_token = None` revokes the token (401). To make a client with all these tokens, use
`emulator.client(api_tokens=emulator.api_tokens)`. `request.api_token` is the token of a recorded
request.

**Prices.** A top-up costs more than its amount: the service adds a fee of 5 %.
`Emulator(fee=…, tax=…)` sets fee and tax as fractions (0.05 is 5 %). `account.customer_credit`
(cents) is deducted from the price.

**Time.** `emulator.advance(seconds)` moves the clock ahead. With a large `topup_seconds`, of the
emulator or of an account, top-ups stay pending for long. `Emulator(at=datetime(…))` has a clock
that only `advance` moves, for tests that check dates. It is only the service's clock: clients wait
in real time.

**Faults.** `emulator.inject(fault, times=…, method=…, path=…)` selects the requests that fail, and
`Fault` says how: an error or an HTML page, a reset connection, no answer in time, an answer lost
after the charge was made, an answer that is cut off, slow or not HTTP. Each constructor documents
the reaction of the SDK. To emulate a server that is down, use the `base_url` of a stopped emulator.

**Afterwards.** `emulator.charges` and `emulator.charged(account_id)` show the credit that was
charged for; `paid` of a charge is the amount that the card paid. `emulator.requests` are the
requests as they arrived. `emulator.reset()` clears both.

**Journals.** `await check_journal(make)` checks your own implementation of
`cfaigw_billing.journal.Journal`: whether a top-up is charged only once with it.

**Other languages.** `python -m cfaigw_billing emulator` serves the same on port 8787, with a JSON
API below `/_emulator` to control it, only for this machine and without credentials.
`GET /_emulator/` lists the endpoints.

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
