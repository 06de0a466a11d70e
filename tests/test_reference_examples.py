"""The examples of the official SDK's reference run with nothing but the import line changed."""

from __future__ import annotations

import ast
import asyncio
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from attrs import frozen
from cases import BILLING, FAILED_TOPUP, LIMIT, MIDNIGHT, PREVIEW, TOPUP_ID

from cfaigw_billing._core.operations import ALL
from cfaigw_billing.testing import EmulatedAccount, Emulator

SYNC = """\
import os
from cfaigw_billing import Cloudflare

client = Cloudflare(
    api_token=os.environ.get("CLOUDFLARE_API_TOKEN"),  # This is the default and can be omitted
)
"""
ASYNC = SYNC.replace("Cloudflare", "AsyncCloudflare")


@frozen
class Example:
    """The code of an example below the making of the client, and what it prints."""

    call: str
    code: str
    prints: str


EXAMPLES = [
    Example(
        "accounts.list",
        """\
page = client.accounts.list()
page = page.result[0]
print(page.id)
""",
        "account_id",
    ),
    Example(
        f"{BILLING}.credit_balance",
        """\
billing_credit_balance_response = client.ai_gateway.billing.credit_balance(
    account_id="account_id",
)
print(billing_credit_balance_response.balance)
""",
        "640.19",
    ),
    Example(
        f"{BILLING}.usage_history",
        """\
billing_usage_history_response = client.ai_gateway.billing.usage_history(
    account_id="account_id",
    value_grouping_window="day",
)
print(billing_usage_history_response.history)
""",
        f"(History(id='mtrusg_day_{MIDNIGHT}', aggregated_value=12.5, "
        f"start_time={MIDNIGHT}.0, end_time={MIDNIGHT + 86_400_000}.0),)",
    ),
    Example(
        f"{BILLING}.invoice_history",
        """\
billing_invoice_history_response = client.ai_gateway.billing.invoice_history(
    account_id="account_id",
)
print(billing_invoice_history_response.invoices)
""",
        "()",
    ),
    Example(
        f"{BILLING}.invoice_preview",
        """\
billing_invoice_preview_response = client.ai_gateway.billing.invoice_preview(
    account_id="account_id",
)
print(billing_invoice_preview_response.id)
""",
        "upcoming_in_1",
    ),
    Example(
        f"{BILLING}.topup.create",
        """\
topup = client.ai_gateway.billing.topup.create(
    account_id="account_id",
    amount=1000,
)
print(topup.payment_intent_id)
""",
        "in_emulated000002",
    ),
    Example(
        f"{BILLING}.topup.status",
        f"""\
response = client.ai_gateway.billing.topup.status(
    account_id="account_id",
    payment_intent_id="{TOPUP_ID}",
)
print(response.payment_intent_id)
""",
        TOPUP_ID,
    ),
    Example(
        f"{BILLING}.topup.limits",
        """\
response = client.ai_gateway.billing.topup.limits(
    account_id="account_id",
)
print(response.currency)
""",
        "usd",
    ),
    Example(
        f"{BILLING}.topup.eligibility",
        """\
response = client.ai_gateway.billing.topup.eligibility(
    account_id="account_id",
    payment_methods=[{
        "default": True,
        "last_four": "4242",
        "type": "CREDIT_CARD",
    }],
)
print(response.account_payment_method_state)
""",
        "SUPPORTED_PRESENT",
    ),
    Example(
        f"{BILLING}.topup.config.get",
        """\
config = client.ai_gateway.billing.topup.config.get(
    account_id="account_id",
)
print(config.amount)
""",
        "2500.0",
    ),
    Example(
        f"{BILLING}.topup.config.create",
        """\
config = client.ai_gateway.billing.topup.config.create(
    account_id="account_id",
    amount=5000,
    threshold=500,
)
print(config.amount)
""",
        "5000.0",
    ),
    Example(
        f"{BILLING}.topup.config.delete",
        """\
config = client.ai_gateway.billing.topup.config.delete(
    account_id="account_id",
)
print(config)
""",
        "{}",
    ),
    Example(
        f"{BILLING}.spending_limit.get",
        """\
spending_limit = client.ai_gateway.billing.spending_limit.get(
    account_id="account_id",
)
print(spending_limit.config)
""",
        "Config(amount=10000.0, duration='weekly', strategy='sliding')",
    ),
    Example(
        f"{BILLING}.spending_limit.create",
        """\
spending_limit = client.ai_gateway.billing.spending_limit.create(
    account_id="account_id",
    amount=100,
    duration="daily",
    strategy="fixed",
)
print(spending_limit)
""",
        "{}",
    ),
    Example(
        f"{BILLING}.spending_limit.delete",
        """\
spending_limit = client.ai_gateway.billing.spending_limit.delete(
    account_id="account_id",
)
print(spending_limit)
""",
        "{}",
    ),
]


def run_as_program(code: str) -> None:
    """Run a program as `python -m asyncio` would: `await` may stand at its top level."""
    program = compile(code, "example.py", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    namespace: dict[str, Any] = {}
    is_async = bool(program.co_flags & inspect.CO_COROUTINE)

    async def main() -> None:
        await eval(program, namespace)  # noqa: S307  # code of this file
        await namespace["client"].close()

    if is_async:
        asyncio.run(main())
    else:
        eval(program, namespace)  # noqa: S307  # code of this file
        namespace["client"].close()


@pytest.fixture
def account(billing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> EmulatedAccount:
    """An account to print, on a service that the environment leads to."""
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", billing_emulator.base_url)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", billing_emulator.api_token)
    account = billing_emulator.add_account(
        "account_id", balance=640.19, first_topup_success=True, topup_seconds=3600
    )
    account.usage = {MIDNIGHT: 12.5}
    account.invoice_preview = PREVIEW
    account.topup_config = FAILED_TOPUP
    account.spending_limit = LIMIT
    assert account.start_topup(1000).payment_intent_id == TOPUP_ID
    return account


def awaiting(code: str) -> str:
    """The example as the reference has it for the async client."""
    return code.replace("= client.", "= await client.", 1)


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.call)
@pytest.mark.parametrize(
    ("client", "written"), [(SYNC, str), (ASYNC, awaiting)], ids=["sync", "async"]
)
def test_the_official_example_prints_what_it_should(
    client: str,
    written: Callable[[str], str],
    example: Example,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with warnings.catch_warnings():
        if example.call.endswith("spending_limit.create"):
            warnings.simplefilter("ignore", DeprecationWarning)
        run_as_program(client + written(example.code))
    assert capsys.readouterr().out == f"{example.prints}\n"


def test_every_call_has_an_example() -> None:
    assert {operation.name for operation in ALL} == {example.call for example in EXAMPLES}
