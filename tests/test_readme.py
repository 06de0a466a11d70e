"""The code in the README runs unchanged, on the emulator."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
from aioresponses import aioresponses

from cfaigw_billing import Cloudflare, InternalServerError, Money
from cfaigw_billing.testing import Emulator, Fault, RequestLimit

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(
    r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)
CALL, AWAIT, CHARGE, KEYED, WEB_APP, NOTEBOOK, SWEEP, USAGE, MANY, TOKENS, *REST = BLOCKS
RUNWAY, WATCH, METRICS, OWN_TEST, MOCKED, IMPORTS, SURFACE = REST


@pytest.fixture
def service(billing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator with three accounts, as the service of the environment."""
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", billing_emulator.base_url)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", billing_emulator.api_token)
    monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", "a")
    for account_id, balance in {"a": 640.19, "b": -1250, "c": 123456}.items():
        billing_emulator.add_account(account_id, balance=balance).fill_usage(days=3)
    return billing_emulator


def run(block: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "readme"}
    exec(block, namespace)  # noqa: S102
    if isinstance(client := namespace.get("client"), Cloudflare):
        client.close()
    return namespace


@pytest.mark.parametrize("block", [CALL, AWAIT], ids=["sync", "async"])
def test_the_first_call_shows_the_balance(
    block: str, service: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    run(block)
    assert capsys.readouterr().out == "$6.40\n"


def test_a_charge_is_made_once(service: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    run(CHARGE)
    assert capsys.readouterr().out == f"charged: {service.charges[0].payment_intent_id}\n"
    assert service.charged("a") == Money.dollars(50)


def test_a_lost_answer_to_a_charge_is_found_out_about(
    service: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    service.inject(Fault(silence="close", after=True), path="/topup")
    run(CHARGE)
    assert capsys.readouterr().out == "not_found_yet None\n"
    assert len(service.charges) == 1


def test_a_key_is_charged_once(
    service: Emulator,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    run(KEYED)
    run(KEYED)
    assert capsys.readouterr().out == f"charged: {service.charges[0].payment_intent_id}\n" * 2
    assert service.charged("a") == Money.dollars(50)


async def test_the_web_app_answers_from_one_client(service: Emulator) -> None:
    names = run(WEB_APP)
    app, balance = names["app"], names["balance"]
    async with app.router.lifespan_context(app):
        answers = [await balance(name) for name in "abca"]
    shown = ["$6.40", "-$12.50", "$1,234.56", "$6.40"]
    assert [str(answer.balance_money) for answer in answers] == shown
    assert len(service.requests) == 3  # the last answer is less than 30 seconds old
    with pytest.raises(RuntimeError, match="closed"):
        await balance("a")
    assert "BillingCreditBalanceResponse" in app.openapi()["components"]["schemas"]


def test_the_notebook_shows_dollars_and_days(
    service: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    run(NOTEBOOK)
    first, *days = capsys.readouterr().out.splitlines()
    assert first == "640.19 $6.40"
    assert [re.sub(r"^\d{4}-\d\d-\d\d ", "", day) for day in days] == ["$2.40"] * 3


def test_the_sweep_keeps_every_answer(
    service: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    service.inject(Fault(status=404), path="/accounts/b/ai-gateway/billing/credit-balance")
    run(SWEEP)
    summary, low, failed = capsys.readouterr().out.splitlines()
    assert summary == "<CreditBalances: 2 accounts, 1 failed, $1,240.96>"
    assert low == "a $6.40 is low"
    assert failed.startswith("b 404 GET ")


def test_the_usage_of_many_accounts_is_one_table(
    service: Emulator,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service.accounts["b"].fill_usage(days=4)
    service.inject(Fault(status=404), path="/accounts/c/ai-gateway/billing/usage-history")
    monkeypatch.chdir(tmp_path)
    run(USAGE)
    largest, next_one, failed = capsys.readouterr().out.splitlines()
    assert (largest, next_one) == ("b $9.60", "a $7.20")
    assert failed.startswith("{'c': NotFoundError(")
    _, *rows = (tmp_path / "usage.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 3 + 4


def test_many_calls_give_their_outcomes_as_they_come(
    service: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    service.inject(Fault(status=404), path="/accounts/b/ai-gateway/billing/usage-history")
    run(MANY)
    a, b, c = sorted(capsys.readouterr().out.splitlines())
    assert (a, c) == ("a 3", "c 3")
    assert b.startswith("b 404 GET ")


def test_each_account_is_asked_with_its_own_token(
    service: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    service.limit = RequestLimit(quota=100, window=300)
    service.advance(-service.now.timestamp() % 300)  # no window ends meanwhile
    service.add_account("account-a", balance=640.19, api_token="the-token-of-a")
    service.add_account("account-b", balance=1, api_token="another")
    run(TOKENS)
    shown, failed = capsys.readouterr().out.splitlines()
    assert shown == "account-a $6.40 99"
    assert failed.startswith("{'account-b': AuthenticationError(")


def test_the_forecast_names_dates_and_accounts(
    service: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    service.accounts["a"].spend_hourly([20.0] * 24, days=70)  # the balance lasts for 32 hours
    service.inject(Fault(status=404), path="/accounts/c/ai-gateway/billing/credit-balance")
    run(RUNWAY)
    dates, spending, *soon, failed = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"forecast( 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\S*){3}", dates)
    assert re.fullmatch(r"\$[4-6]\.\d\d off None", spending)
    assert sorted(line[:8] for line in soon) == ["a $6.40 ", "b -$12.5"]
    assert failed.startswith("{'c': NotFoundError(")


def test_what_the_official_sdk_has_is_here(
    service: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    run(IMPORTS)
    run(SURFACE)
    assert re.fullmatch(r"200 \w+-EMU \$6.40\nTrue\nTrue\n", capsys.readouterr().out)
    assert service.requests[-1].path == "/accounts"


def test_the_test_passes(billing_emulator: Emulator, billing_client: Cloudflare) -> None:
    run(OWN_TEST)["test_a_top_up_is_charged_once"](billing_emulator, billing_client)


async def test_the_test_with_aioresponses_passes() -> None:
    await run(MOCKED)["test_the_balance_is_shown_in_dollars"]()


def test_aioresponses_answers_the_sync_client_and_its_charges_too() -> None:
    names = run(MOCKED)
    url, response = names["BALANCE"].removesuffix("credit-balance"), names["Response"]
    charged = {"success": True, "result": {"onboarding": True, "payment_intent_id": "in_1"}}
    mocked: Any  # it has no whole types
    with aioresponses() as mocked, Cloudflare(api_token="made-up") as client:
        billing = client.ai_gateway.billing
        mocked.get(f"{url}credit-balance", payload=names["ANSWER"], response_class=response)
        assert str(billing.credit_balance(account_id="a").balance_money) == "$6.40"
        mocked.post(f"{url}topup", payload=charged, response_class=response)
        made = billing.topup.create(account_id="a", amount=5000)
        assert made.payment_intent_id == "in_1"
        mocked.get(f"{url}credit-balance", status=503, response_class=response)
        once = client.with_options(max_retries=0).ai_gateway.billing
        with pytest.raises(InternalServerError):
            once.credit_balance(account_id="a")


def test_a_change_is_told_once(
    service: Emulator,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    run(WATCH)
    first = capsys.readouterr().out
    assert "a: low, balance $6.40" in first.replace("Account a (a)", "a")
    assert "empty, balance -$12.50" in first
    run(WATCH)
    assert capsys.readouterr().out == ""
    service.accounts["c"].balance = 500.0
    run(WATCH)
    assert "low, balance $5.00" in capsys.readouterr().out


def test_a_scrape_shows_the_balances(service: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Any] = []

    def serve(port: int, address: str, registry: Any) -> None:
        assert (port, address) == (9188, "127.0.0.1")
        served.append(registry)

    def enter(_: str) -> str:
        text, deadline = "", time.monotonic() + 10
        while time.monotonic() < deadline:
            text = prometheus_client.generate_latest(served[0]).decode()
            if 'cfaigw_balance_usd{account_id="a"} 6.4019' in text:
                return ""
            time.sleep(0.02)
        raise TimeoutError(text)

    monkeypatch.setattr(prometheus_client, "start_http_server", serve)
    monkeypatch.setattr("builtins.input", enter)
    run(METRICS)
    assert len(served) == 1


def test_what_it_links_to_is_there() -> None:
    links = re.findall(r"(?:\]\(|src(?:set)?=\")([^)\"]+)", README.read_text(encoding="utf-8"))
    files = [link for link in links if not link.startswith(("http", "#"))]
    assert len(files) > 5
    assert [name for name in files if not (README.parent / name).exists()] == []


def test_its_links_within_the_page_lead_to_a_heading() -> None:
    text = README.read_text(encoding="utf-8")
    headings = re.findall(r"^(##+) (.+)$", text, re.MULTILINE)
    anchors = {
        re.sub(r"[^\w ]", "", name.lower()).replace(" ", "-"): level for level, name in headings
    }
    links = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert links <= anchors.keys()
    assert {anchor for anchor, level in anchors.items() if level == "##"} <= links
