"""Commands that show and change the automatic top-up and the spending limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from ..errors import APIConnectionError, InternalServerError
from ..types import (
    AccountParams,
    BillingCreditBalanceResponse,
    ConfigCreateParams,
    ConfigDeleteParams,
    Money,
    TopupConfig,
)
from ..types.balance import topup_text
from ._errors import ExitCode, checked_arguments, command, fail, say
from ._inputs import account, tokens, whole_cents, with_form, yes
from ._output import Form, show
from ._session import ask_consent, card_name, check_consent, price_of, session

if TYPE_CHECKING:
    from .. import Cloudflare

off: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--off", is_flag=True, help="Switch it off."
)


@click.command()
@account
@tokens
@click.option(
    "--amount",
    metavar="DOLLARS",
    callback=whole_cents(least=Money.dollars(10)),
    help="The credit to buy each time; a fee of 5 % and any tax are charged on top.",
)
@click.option(
    "--threshold",
    metavar="DOLLARS",
    callback=whole_cents(least=Money.dollars(5)),
    help="Charge when the balance is below this.",
)
@off
@yes
@with_form
def topup_config(
    account: str,
    amount: Money | None,
    threshold: Money | None,
    off: bool,
    yes: bool,
    form: Form,
) -> None:
    """Show or change the automatic top-up.

    Set it with --amount and --threshold: then the service charges the card automatically, whenever
    the balance is below the threshold. The service may refuse changes with any API token (403):
    then use the dashboard.
    """
    change = config_change(account, amount, threshold, off)
    if change is not None:
        check_consent(yes)
    with session(max_charge=0 if amount is None else int(amount.cents)) as client:
        billing = client.ai_gateway.billing
        if change is not None:
            balance = billing.credit_balance(account_id=account)
            ask_consent(*consequence(account, amount, threshold, balance), yes=yes)
            send_change(client, change, account)
        answer = billing.topup.config.get(account_id=account)
    show(answer, form, account)


def send_change(client: Cloudflare, change: AccountParams[Any], account: str) -> None:
    """Change the automatic top-up, and report that at once: showing it afterwards may fail."""
    try:
        client.send(change)
    except (APIConnectionError, InternalServerError, KeyboardInterrupt):
        say(f"It may have been changed. Check: {command('topup-config', account)}")
        raise
    say("It is changed.")


def config_change(
    account: str, amount: Money | None, threshold: Money | None, off: bool
) -> AccountParams[Any] | None:
    """Return the changes that the options ask for."""
    if off:
        if not (amount is None and threshold is None):
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


@click.command()
@account
@tokens
@off
@yes
@with_form
def spending_limit(account: str, off: bool, yes: bool, form: Form) -> None:
    """Show the spending limit; --off removes it.

    The service has retired setting it (403): set a spend limit in AI Gateway instead.
    """
    if off:
        check_consent(yes)
    with session() as client:
        limit = client.ai_gateway.billing.spending_limit
        if off:
            ask_consent(f"Remove the spending limit of account {account}", yes=yes)
            limit.delete(account_id=account)
        answer = limit.get(account_id=account)
    show(answer, form, account)
