"""Commands that charge a card, now or later, and those that stop it."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import (
    APIConnectionError,
    CloudflareError,
    InternalServerError,
    TopupOutcomeUnknownError,
)
from ..types import (
    AccountParams,
    BillingCreditBalanceResponse,
    ConfigCreateParams,
    ConfigDeleteParams,
    Money,
    TopupConfig,
    TopupCreateParams,
    TopupCreateResponse,
)
from ..types._validators import FEE
from ..types.balance import card_text, topup_text
from ._errors import ENDINGS, ExitCode, checked_arguments, fail, ignore_endings, say, show_error
from ._inputs import Account, AsCsv, AsJson, Yes, whole_cents
from ._output import Form, show, show_line
from ._session import agree, check_consent, session

if TYPE_CHECKING:
    from .. import Cloudflare

ToCharge: Any = typer.Option(
    parser=whole_cents,
    metavar="DOLLARS",
    show_default=False,
    help="The credit to buy; a fee of 5 % and any tax are charged on top.",
)
PaymentMethod = Annotated[
    str | None, typer.Option(metavar="pm_…", help="The card; without it, the default card.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the credit has arrived.")]
Timeout = Annotated[
    int, typer.Option(min=1, max=86_400, metavar="SECONDS", help="How long to wait at most.")
]
Threshold = Annotated[
    Money | None,
    typer.Option(parser=whole_cents, metavar="DOLLARS", help="Charge when the balance is below."),
]
Off = Annotated[bool, typer.Option("--off", help="Switch it off.")]


def topup(
    amount: Annotated[Money, ToCharge],
    account: Account = "",
    payment_method: PaymentMethod = None,
    yes: Yes = False,
    wait: Wait = False,
    timeout: Timeout = 300,
) -> None:
    """Charge a card for credit, once you have agreed.

    The charge is sent once and never again. If its answer is lost, the command looks whether
    the card was charged, and ends with exit code 4 either way.
    """
    with checked_arguments():
        params = TopupCreateParams(
            account_id=account, amount=int(amount.cents), payment_method_id=payment_method
        )
    check_consent(yes)
    with endings_as_interrupts(), session(max_charge=params.amount) as client:
        balance = client.ai_gateway.billing.credit_balance(account_id=account)
        card = payment_method or card_name(balance)
        plan = f"Charge {card} of account {account} for {price_of(amount)}"
        agree(plan, f"The balance is {balance.balance_money}.", yes=yes)
        created = charge(client, params, card)
        if created.client_secret is not None:
            fail(
                f"the payer must confirm the payment in the Cloudflare dashboard (3-D Secure); "
                f"until then the top-up {created.payment_intent_id} is pending",
                ExitCode.UNKNOWN,
            )
        if wait:
            with once_charged():
                wait_for_credit(client, account, created.payment_intent_id, timeout)


def charge(client: Cloudflare, params: TopupCreateParams, card: str) -> TopupCreateResponse:
    """Send a charge once. If its outcome is unknown, reconcile it and end the command."""
    lost: BaseException | None
    try:
        created = client.send(params)
        if created.client_secret is None:
            charged = " ".join(filter(None, (created.brand, created.last4))) or card
            credit = f"{Money(cents=params.amount)} of credit"
            show_line(f"Charged {charged} for {credit}: {created.payment_intent_id}.")
    except TopupOutcomeUnknownError as error:
        lost = error
    except CloudflareError:  # the service refused, or nothing was sent
        raise
    except BaseException as end:  # Ctrl-C, or stdout takes no more, or whatever else
        lost = end.__cause__
    else:
        return created
    with suppress(BaseException):  # neither the impatient nor a closed stderr change the exit code
        look_for(client, lost)
    ignore_endings()  # nor what comes while the client is closed
    raise typer.Exit(ExitCode.UNKNOWN)


@contextmanager
def endings_as_interrupts() -> Generator[None]:
    """Let signals that end the process raise as Ctrl-C does, so that it says what it was doing."""
    previous = {ending: signal.getsignal(ending) for ending in ENDINGS}
    for ending, handler in previous.items():
        if handler is not signal.SIG_IGN:  # which `nohup` asks for
            signal.signal(ending, signal.default_int_handler)
    try:
        yield
    finally:
        for ending, handler in previous.items():
            signal.signal(ending, handler)


def look_for(client: Cloudflare, error: BaseException | None) -> None:
    """Say on stderr what can be found out about a charge whose answer was lost."""
    if not isinstance(error, TopupOutcomeUnknownError):
        # What ended it came at the edge of the call, and cannot say on which side.
        show_error("stopped: the card may have been charged; see `invoices --type manual`")
        return
    show_error(error)
    try:
        found = client.ai_gateway.billing.topup.reconcile(error)
    except (CloudflareError, ValueError) as failure:
        show_error(f"it could not be looked for: {failure}")
        return
    invoices = ", ".join(invoice.id or "one without an id" for invoice in found.invoices)
    verdict = {
        "charged": f"The card was charged: invoice {invoices}.",
        "not_found_yet": "There is no invoice of it yet. One may take some minutes to appear: look "
        "again with `invoices --type manual` before you make another top-up.",
        "ambiguous": f"These invoices may be of it, and a person has to look: {invoices}.",
    }[found.outcome]
    if found.balance is None:
        say(f"{verdict} The balance could not be read: {found.balance_error}")
    else:
        say(f"{verdict} The balance is {found.balance.balance_money}.")


@contextmanager
def once_charged() -> Generator[None]:
    """End in exit code 4 if something fails after a charge: else people would charge again."""
    try:
        yield
    except (CloudflareError, ValueError, OSError) as error:
        fail(error, ExitCode.UNKNOWN)
    except SystemExit as end:  # what Rich raises where nobody reads stdout
        raise typer.Exit(ExitCode.UNKNOWN) from end


def wait_for_credit(
    client: Cloudflare, account: str, payment_intent_id: str, timeout: float
) -> None:
    """Wait for the credit of a top-up, and show the new balance."""
    billing = client.ai_gateway.billing
    billing.topup.wait(account_id=account, payment_intent_id=payment_intent_id, timeout=timeout)
    show(billing.credit_balance(account_id=account), Form.TABLE, account)


def price_of(credit: Money) -> str:
    """Return the price of credit, as far as it is known before the charge."""
    about = Money(cents=round(float(credit.cents) * (1 + FEE)))
    return f"{credit} of credit; the card is charged about {about}, plus tax where due"


def card_name(balance: BillingCreditBalanceResponse) -> str:
    """The card that is charged where none is named."""
    return card_text(balance) if balance.payment_method else "the default card"


def topup_config(
    account: Account = "",
    amount: Annotated[Money | None, ToCharge] = None,
    threshold: Threshold = None,
    off: Off = False,
    yes: Yes = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show the automatic top-up; set it with --amount and --threshold; --off ends it.

    Once it is set, the service charges the card by itself, whenever the
    balance is below the threshold.
    """
    form = Form.chosen(as_json, as_csv)
    change = config_change(account, amount, threshold, off)
    if change is not None:
        check_consent(yes)
    with session(max_charge=0 if amount is None else int(amount.cents)) as client:
        billing = client.ai_gateway.billing
        if change is not None:
            balance = billing.credit_balance(account_id=account)
            agree(*consequence(account, amount, threshold, balance), yes=yes)
            send_change(client, change)
        answer = billing.topup.config.get(account_id=account)
    show(answer, form, account)


def send_change(client: Cloudflare, change: AccountParams[Any]) -> None:
    """Change the automatic top-up, and say so: whether it can be shown afterwards is not known."""
    try:
        client.send(change)
    except (APIConnectionError, InternalServerError, KeyboardInterrupt):
        say("It may have been changed: see `topup-config`.")
        raise
    say("It is changed.")


def config_change(
    account: str, amount: Money | None, threshold: Money | None, off: bool
) -> AccountParams[Any] | None:
    """Return the changes that the options ask for."""
    if off:
        if amount is not None or threshold is not None:
            fail("--off excludes --amount and --threshold", ExitCode.USAGE)
        return ConfigDeleteParams(account_id=account)
    if amount is None and threshold is None:
        return None
    if amount is None or threshold is None:
        fail("--amount and --threshold belong together", ExitCode.USAGE)
    with checked_arguments():
        return ConfigCreateParams(
            account_id=account, amount=int(amount.cents), threshold=int(threshold.cents)
        )


def consequence(
    account: str,
    amount: Money | None,
    threshold: Money | None,
    balance: BillingCreditBalanceResponse,
) -> tuple[str, str]:
    """Describe a change of the automatic top-up, and the current state."""
    now = topup_text(balance.topup_config or TopupConfig())
    facts = f"The balance is {balance.balance_money}; the automatic top-up is now {now}."
    if amount is None:
        return f"Switch off the automatic top-up of account {account}", facts
    plan = f"Charge {card_name(balance)} of account {account} whenever the balance is below"
    return f"{plan} {threshold}, for {price_of(amount)}", facts


def spending_limit(
    account: Account = "",
    off: Off = False,
    yes: Yes = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show the spending limit; --off removes it.

    The service has retired setting one (it answers 403): set a spend limit
    in AI Gateway instead.
    """
    form = Form.chosen(as_json, as_csv)
    if off:
        check_consent(yes)
    with session() as client:
        limit = client.ai_gateway.billing.spending_limit
        if off:
            agree(f"Remove the spending limit of account {account}", yes=yes)
            limit.delete(account_id=account)
        answer = limit.get(account_id=account)
    show(answer, form, account)
