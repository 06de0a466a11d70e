"""Answers in a notebook: tables, data frames and plots."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import attrs
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from cfaigw_billing import Cloudflare, CreditBalances, Money, types
from cfaigw_billing._wire.secrets import Secret
from cfaigw_billing.testing import Emulator, Fault
from cfaigw_billing.types import (
    BillingCreditBalanceResponse,
    BillingInvoiceHistoryResponse,
    BillingUsageHistoryResponse,
    History,
    Invoice,
    Pagination,
    Response,
    TopupConfig,
    TopupCreateResponse,
)

DAY, HOUR = 86_400_000, 3_600_000
HOSTILE = '<img src=x onerror="alert(1)"> & $x$'


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    pyplot.switch_backend("agg")
    yield
    pyplot.close("all")


@pytest.fixture
def client(billing_emulator: Emulator) -> Iterator[Cloudflare]:
    with Cloudflare(
        base_url=billing_emulator.base_url, api_token=billing_emulator.api_token, account_id="a"
    ) as client:
        yield client


class Parsed(HTMLParser):
    """HTML as a reader sees it: the texts of the cells by row, and those that are marked."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.marked: list[str] = []
        self.rest = ""
        self.tags: set[str] = set()
        self._in_cell = self._is_marked = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell, self._is_marked = True, "bold" in (dict(attrs)["style"] or "")

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if not self._in_cell:
            self.rest += data + "\n"
            return
        self.rows[-1][-1] += data
        if self._is_marked:
            self.marked.append(data)


def shown(value: Any) -> Parsed:
    return Parsed(value._repr_html_())


def usage(*cents: float, width: int = DAY, start: int = 0) -> BillingUsageHistoryResponse:
    rows = (
        History(id=str(n), aggregated_value=c, start_time=start + n * width, end_time=end)
        for n, c in enumerate(cents)
        for end in [start + (n + 1) * width]
    )
    return BillingUsageHistoryResponse(history=tuple(rows))


def balance(cents: float, **fields: Any) -> BillingCreditBalanceResponse:
    return BillingCreditBalanceResponse(balance=cents, has_default_payment_method=False, **fields)


def invoice(*, created: float | None = 1.8e9, currency: str = "usd", **fields: Any) -> Invoice:
    amounts: dict[str, Any] = dict.fromkeys(("amount_due", "amount_paid"), 1000.0) | fields
    return Invoice(amount_remaining=0, created=created, currency=currency, **amounts)


def invoices(*found: Invoice, total: int = 0) -> BillingInvoiceHistoryResponse:
    place = Pagination(has_more=False, page=1, per_page=50, total_count=total or len(found))
    return BillingInvoiceHistoryResponse(invoices=found, pagination=place)


# Tables.


def test_a_balance_is_shown_in_dollars_with_what_is_wrong() -> None:
    config = TopupConfig(
        amount=5000, threshold=1000, disabled_reason="payment_failed", last_failed_at=1.8e9
    )
    page = shown(balance(640.19, payment_method=types.PaymentMethod(), topup_config=config))
    assert page.rest.strip() == "Credit balance"
    assert page.rows == [
        ["Balance", "$6.40"],
        ["Card", "on file"],
        ["Automatic top-up", "disabled"],
        ["Disabled reason", "payment_failed"],
        ["Last failed at", "2027-01-15 08:00:00 UTC"],
    ]
    assert page.marked == ["$6.40", "disabled"]
    assert shown(balance(1000)).marked == []


def test_usage_is_shown_newest_first_with_its_total() -> None:
    page = shown(usage(100, 2.5, 0, start=1_800_000_000_000 // DAY * DAY))
    assert page.rest.strip() == "Usage: $1.02 in 3 days"
    assert page.rows == [
        ["Day (UTC)", "Used"],
        ["2027-01-17", "$0.00"],
        ["2027-01-16", "$0.02"],
        ["2027-01-15", "$1.00"],
    ]


def test_an_hour_that_cost_less_than_a_cent_is_not_shown_as_nothing() -> None:
    page = shown(usage(0.31, 12, width=HOUR))
    assert page.rows == [
        ["Hour (UTC)", "Used"],
        ["1970-01-01 01:00", "$0.1200"],
        ["1970-01-01 00:00", "$0.0031"],
    ]


def test_a_long_table_is_cut_and_says_by_how_much() -> None:
    page = shown(usage(*range(365 * 24), width=HOUR))
    assert len(page.rows) == 1 + 40
    assert page.rest.splitlines()[-1] == "and 8,720 more, all earlier"


def test_invoices_are_shown_with_what_is_not_paid_marked() -> None:
    page = shown(
        invoices(
            invoice(id="in_1", description="Credits", status="paid"),
            invoice(id="in_2", amount_paid=0.0, status="open"),
            invoice(currency="eur", created=None, status="a new one"),
            total=10,
        )
    )
    assert page.rows == [
        ["Created (UTC)", "Invoice", "Description", "Due", "Paid", "Status"],
        ["2027-01-15 08:00", "in_1", "Credits", "$10.00", "$10.00", "paid"],
        ["2027-01-15 08:00", "in_2", "", "$10.00", "$0.00", "open"],
        ["", "", "", "EUR 10.00", "EUR 10.00", "a new one"],
    ]
    assert page.marked == ["open"]
    assert "7 on other pages" in page.rest


def test_the_newest_usage_is_shown_first_however_it_came() -> None:
    mixed = BillingUsageHistoryResponse(history=usage(100, 200, 300).history[::-1])
    assert [row[1] for row in shown(mixed).rows[1:]] == ["$3.00", "$2.00", "$1.00"]


@pytest.mark.parametrize(
    ("quantity", "text"), [(1_234_567.0, "1,234,567"), (0.25, "0.25"), (1e9, "1,000,000,000")]
)
def test_a_quantity_is_shown_in_full(quantity: float, text: str) -> None:
    line = types.InvoiceLine(
        amount=1,
        currency="usd",
        period=types.InvoiceLinePeriod(start=0, end=1),
        pricing=types.InvoiceLinePricing(),
        quantity=quantity,
    )
    amounts: Any = dict.fromkeys(("amount_due", "amount_paid", "amount_remaining"), 1)
    preview = types.BillingInvoicePreviewResponse(
        id="",
        currency="usd",
        invoice_lines=(line,),
        period_start=0,
        period_end=1,
        status="draft",
        **amounts,
    )
    assert shown(preview).rows[1][3] == text


def test_the_preview_is_shown_line_by_line() -> None:
    with Emulator(at=datetime(2026, 11, 21, tzinfo=UTC)) as emulator:
        emulator.add_account("a").spend(1234)
        with emulator.client(account_id="a") as client:
            page = shown(client.ai_gateway.billing.invoice_preview())
    assert page.rest.startswith("Invoice preview: $12.34 due (draft)")
    headings, line = page.rows
    assert headings == ["Description", "From (UTC)", "Until (UTC)", "Quantity", "Amount"]
    assert line == ["AI Gateway usage", "2026-11-01", "2026-12-01", "1", "$12.34"]


def test_what_has_no_table_of_its_own_is_shown_by_name() -> None:
    page = shown(invoice(id="in_1", attempted=True))
    assert ["id", "in_1"] in page.rows
    assert ["attempted", "yes"] in page.rows
    assert ["amount_due_usd", "10"] in page.rows
    assert ["created", "2027-01-15 08:00:00 UTC"] in page.rows


@pytest.fixture
def sweep() -> CreditBalances:
    found = {
        "rich": balance(1e7),
        "low": balance(999.99),
        "over": balance(-5),
        "ten": balance(1000),
    }
    return CreditBalances(found, {"x": ValueError(HOSTILE)}, {"low": HOSTILE, "x": "X <1>"})


def test_a_sweep_is_shown_with_its_failures_and_its_lowest_first(sweep: CreditBalances) -> None:
    page = shown(sweep)
    assert "".join(page.rest.split("\n")) == (
        f"5 accounts: $100,019.95 in all, 2 low (below $10.00), 1 failedX <1> failed: {HOSTILE}"
    )
    headings, *rows = page.rows
    assert headings == ["Account", "Name", "Balance", "", "Card", "Automatic top-up"]
    assert [row[:4] for row in rows] == [
        ["x", "X <1>", "", "FAILED"],
        ["over", "", "-$0.05", "LOW"],
        ["low", HOSTILE, "$9.9999", "LOW"],  # and not $10.00, which is not below $10.00
        ["ten", "", "$10.00", ""],
        ["rich", "", "$100,000.00", ""],
    ]
    assert page.marked == ["FAILED", "-$0.05", "LOW", "$9.9999", "LOW"]


def test_what_counts_as_low_can_be_set(sweep: CreditBalances) -> None:
    wrong: Any = 25
    with pytest.raises(TypeError, match="`low` must be Money, not int"):
        sweep.low = wrong
    sweep.low = Money.dollars(0)
    assert shown(sweep).marked == ["FAILED", "-$0.05", "LOW"]


def test_a_sweep_without_failures_or_names_has_no_columns_for_them() -> None:
    page = shown(CreditBalances({"a": balance(1000)}, {}))
    assert page.rows == [
        ["Account", "Balance", "Card", "Automatic top-up"],
        ["a", "$10.00", "none", "off"],
    ]


def test_many_failures_do_not_push_the_balances_out() -> None:
    found = {f"a{n}": balance(n) for n in range(100)}
    failed = {f"x{n}": ValueError("no") for n in range(100)}
    page = shown(CreditBalances(found, failed))
    assert len(page.rows) == 1 + 10 + 40
    assert page.rows[11][1] == "$0.00"
    assert page.rest.splitlines()[10:] == [
        "x9 failed: no",
        "and 90 more, which failed too: see `.failed`",
        "and 60 more, none of them lower",
    ]


def test_nothing_is_shown_as_a_table_without_rows() -> None:
    for empty in (CreditBalances({}, {}), usage(), invoices()):
        assert len(shown(empty).rows) <= 1


@pytest.mark.parametrize(
    "value",
    [
        invoices(invoice(id=HOSTILE, description=HOSTILE, status=HOSTILE, currency=HOSTILE)),
        invoice(id=HOSTILE, created_by=HOSTILE),
        balance(1, payment_method=types.PaymentMethod(brand=HOSTILE, last4=HOSTILE)),
        balance(1, topup_config=TopupConfig(error=HOSTILE)),
        CreditBalances({HOSTILE: balance(1)}, {"x": ValueError(HOSTILE)}, {"x": HOSTILE}),
    ],
)
def test_what_the_service_wrote_is_text_and_not_markup(value: Any) -> None:
    page = shown(value)
    assert page.tags <= {"div", "b", "table", "tr", "th", "td"}
    assert HOSTILE.lower() in str(page.rows).lower()
    # Else a notebook would set what stands between two dollar signs as a formula.
    assert 'class="tex2jax_ignore mathjax_ignore"' in value._repr_html_()


def test_the_colours_are_those_of_the_page(sweep: CreditBalances) -> None:
    html = sweep._repr_html_()
    assert "<style" not in html
    assert "background:none" in html
    assert "color:black" not in html


def test_no_secret_is_shown_or_exported() -> None:
    answer = TopupCreateResponse(
        client_secret=Secret("pi_1_secret_2"), onboarding=False, payment_intent_id="in_1"
    )
    for text in (answer._repr_html_(), str(answer.to_records()), answer.to_pandas().to_csv()):
        assert "in_1" in text
        assert "secret" not in text


# Records.


def test_a_record_has_cents_dollars_and_moments() -> None:
    (record,) = usage(64019.5, start=1_800_000_000_000).to_records()
    assert record == {
        "account_id": None,
        "id": "0",
        "aggregated_value": 64019.5,
        "aggregated_value_usd": "640.195",
        "start_time": "2027-01-15T08:00:00+00:00",
        "end_time": "2027-01-16T08:00:00+00:00",
    }


def test_a_record_has_the_same_entries_whatever_is_absent() -> None:
    (bare,) = balance(1).to_records()
    (full,) = balance(
        1, payment_method=types.PaymentMethod(brand="visa"), topup_config=TopupConfig(amount=1)
    ).to_records()
    assert bare.keys() == full.keys()
    assert full["payment_method_brand"] == "visa"
    assert (full["topup_config_amount"], full["topup_config_amount_usd"]) == (1, "0.01")
    assert bare["topup_config_amount_usd"] is None


def test_another_currency_is_never_called_dollars() -> None:
    (record,) = invoices(invoice(currency="eur")).to_records()
    assert (record["amount_due"], record["amount_due_usd"]) == (1000, None)
    assert record["currency"] == "eur"


def test_a_number_that_is_no_moment_does_not_hide_the_rest() -> None:
    answer = invoices(invoice(id="in_1", created=1e300))
    assert answer.to_records()[0]["created"] is None
    assert answer.to_pandas().id.tolist() == ["in_1"]
    assert shown(answer).rows[1][:2] == ["1e+300", "in_1"]


def test_every_answer_makes_records(client: Cloudflare, billing_emulator: Emulator) -> None:
    billing_emulator.add_account("a").add_invoice(1000)
    billing = client.ai_gateway.billing
    answers: list[Response] = [
        billing.topup.eligibility(),
        billing.topup.limits(),
        billing.topup.config.get(),
        billing.spending_limit.get(),
        billing.invoice_history(),
        client.accounts.list().pages().__next__(),
    ]
    for answer in answers:
        records = answer.to_records()
        assert json.loads(json.dumps(records)) == records
        assert len(records) == 1
        assert records[0].get("account_id", "a") == "a"
        assert {*answer.to_pandas().reset_index()} - {"index"} == {*records[0]}
        assert len(shown(answer).rows) >= 1


# Data frames.


def test_a_data_frame_of_usage_is_indexed_by_time_in_utc() -> None:
    frame = usage(100, 250).to_pandas()
    assert isinstance(frame.index, pd.DatetimeIndex)
    assert (str(frame.index.tz), frame.index.name) == ("UTC", "start_time")
    assert frame.aggregated_value.tolist() == [100, 250]
    assert frame.aggregated_value_usd.tolist() == [1, 2.5]
    assert frame.resample("YE").aggregated_value.sum().tolist() == [350]


def test_dollars_in_a_data_frame_are_floats_that_can_be_described_and_drawn() -> None:
    frame = usage(100, 250).to_pandas()
    assert frame.dtypes["aggregated_value_usd"] == "float64"
    assert frame.describe().loc["mean", "aggregated_value_usd"] == 1.75
    axes: Any = frame.aggregated_value_usd.plot()
    assert axes.get_lines()[0].get_ydata().tolist() == [1, 2.5]


def test_dollars_in_a_data_frame_are_exact_on_request(sweep: CreditBalances) -> None:
    frame = usage(0.1, 0.2).to_pandas(exact=True)
    assert frame.aggregated_value_usd.tolist() == [Decimal("0.001"), Decimal("0.002")]
    assert frame.aggregated_value_usd.sum() == Decimal("0.003")
    assert frame.dtypes["aggregated_value"] == "float64"
    balances = sweep.to_pandas(exact=True)
    assert balances.loc["low", "balance_usd"] == Decimal("9.9999")
    assert balances.loc["x", "balance_usd"] is None


@pytest.mark.parametrize("text", ["0.25", "a price", "NaN", None])
def test_a_unit_price_is_a_number_in_a_data_frame_if_it_is_one(text: str | None) -> None:
    pricing = types.InvoiceLinePricing(unit_amount_decimal=text)
    assert pricing.to_records() == [{"unit_amount_decimal": text}]
    ((exact,),) = pricing.to_pandas(exact=True).to_numpy().tolist()
    ((about,),) = pricing.to_pandas().to_numpy().tolist()
    assert (exact, about) == (Decimal("0.25"), 0.25) if text == "0.25" else about != about


def test_the_data_of_one_account_names_it(client: Cloudflare, billing_emulator: Emulator) -> None:
    account = billing_emulator.add_account("a")
    account.fill_usage(2)
    account.add_invoice(1000)
    billing = client.ai_gateway.billing
    answers: list[Response] = [
        billing.credit_balance(),
        billing.usage_history(value_grouping_window="day"),
        billing.iter_invoices().collect(),
        billing.invoice_preview(),
        billing.topup.config.get(),
    ]
    for answer in answers:
        assert {record["account_id"] for record in answer.to_records()} <= {"a"}
        assert answer.to_dict()["account_id"] == "a"
        assert list(answer.to_pandas().reset_index().account_id.unique()) in (["a"], [])
    frames = [answers[1].to_pandas(), usage(1).to_pandas()]
    assert [*frames[0]] == [*frames[1]]
    assert len(pd.concat(frames)) == 3


def test_an_empty_data_frame_has_the_same_columns_and_times() -> None:
    for full, empty in ((usage(1), usage()), (invoices(invoice()), invoices())):
        assert [*full.to_pandas()] == [*empty.to_pandas()]
        assert isinstance(empty.to_pandas().index, pd.DatetimeIndex)


def test_a_data_frame_of_a_sweep_has_a_row_for_every_account(sweep: CreditBalances) -> None:
    frame = sweep.to_pandas()
    assert frame.index.tolist() == ["rich", "low", "over", "ten", "x"]
    assert frame.loc["low", "balance_usd"] == 9.9999
    assert frame.loc["x", "error"] == HOSTILE
    assert frame.balance.isna().tolist() == [False, False, False, False, True]
    assert frame.loc["low", "account_name"] == HOSTILE
    assert [*CreditBalances({}, {}).to_pandas()] == [*frame]


# Plots.


def test_the_plot_of_usage_has_units_and_leaves_gaps_empty() -> None:
    first, second = usage(100).history[0], usage(300, start=5 * DAY).history[0]
    axes: Any = BillingUsageHistoryResponse(history=(second, first)).plot()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Time (UTC)", "US dollars per day")
    (steps,) = axes.patches
    values, edges, _ = steps.get_data()
    assert list(values) == [1.0, 0.0, 3.0]
    assert [edge - edges[0] for edge in edges] == [0, 1, 5, 6]
    axes.figure.canvas.draw()


def drawn(*rows: tuple[float, float, float]) -> tuple[list[float], list[float]]:
    """The values and their edges, in days, of a plot of rows: cents, from when, until when."""
    history = [
        History(id="", aggregated_value=cents, start_time=start * DAY, end_time=end * DAY)
        for cents, start, end in rows
    ]
    axes: Any = BillingUsageHistoryResponse(history=tuple(history)).plot()
    axes.figure.canvas.draw()
    if not axes.patches:
        return [], []
    values, edges, _ = axes.patches[0].get_data()
    return list(values), [edge - edges[0] for edge in edges]


def test_the_plot_of_usage_adds_what_overlaps_and_leaves_out_what_has_no_time() -> None:
    assert drawn((100, 0, 1), (200, 0, 1)) == ([3], [0, 1])
    assert drawn((100, 0, 2), (200, 1, 3)) == ([1, 3, 2], [0, 1, 2, 3])
    assert drawn((10, 0, 1), (20, 0, 1), (100, 2, 3))[0] == [0.3, 0, 1]
    assert drawn((100, 0, 1), (200, 1e18, 1e18 + 1)) == ([1], [0, 1])
    assert drawn((200, 1e18, 1e18 + 1)) == ([], [])


def test_hours_are_said_to_be_hours() -> None:
    assert usage(1, 2, width=HOUR).plot().get_ylabel() == "US dollars per hour"


def test_a_plot_draws_where_it_is_told(sweep: CreditBalances) -> None:
    for value in (usage(1), usage(), sweep, CreditBalances({}, {})):
        axes: Any = Figure().subplots()
        assert value.plot(axes) is axes
        axes.figure.canvas.draw()
    assert pyplot.get_fignums() == []


def test_the_plot_of_a_sweep_shows_the_lowest_in_dollars(sweep: CreditBalances) -> None:
    axes: Any = sweep.plot()
    assert [bar.get_width() for bar in axes.patches] == [-0.05, 9.9999, 10, 100_000]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "over",
        HOSTILE,
        "ten",
        "rich",
    ]
    assert "US dollars" in axes.get_xlabel()
    assert axes.get_title() == "Credit balances"
    red, blue = {bar.get_facecolor() for bar in axes.patches[:2]}, axes.patches[2].get_facecolor()
    assert len(red) == 1
    assert red != {blue}
    axes.figure.canvas.draw()  # a name with dollar signs is no formula


def test_the_plot_of_many_accounts_is_cut_and_says_so() -> None:
    axes = CreditBalances({f"a{n}": balance(n) for n in range(500)}, {}).plot()
    assert len(axes.patches) == 30
    assert axes.get_title() == "The 30 lowest of 500 credit balances"


# The rest.


def test_all_invoices_of_many_pages_make_one_table(
    client: Cloudflare, billing_emulator: Emulator
) -> None:
    account = billing_emulator.add_account("a")
    for number in range(5):
        account.add_invoice(1000 + number)
    answer = client.ai_gateway.billing.iter_invoices(per_page=2).collect()
    assert [row.amount_due for row in answer.invoices] == [1004, 1003, 1002, 1001, 1000]
    assert answer.pagination == Pagination(has_more=False, page=1, per_page=5, total_count=5)
    assert len(billing_emulator.requests) == 3


async def test_all_invoices_are_collected_with_await(billing_emulator: Emulator) -> None:
    from cfaigw_billing import AsyncCloudflare

    billing_emulator.add_account("a").add_invoice(1000)
    async with AsyncCloudflare(
        base_url=billing_emulator.base_url, api_token=billing_emulator.api_token, account_id="a"
    ) as client:
        answer = await client.ai_gateway.billing.iter_invoices().collect()
    assert answer.to_records()[0]["amount_due_usd"] == "10"
    assert answer.account_id == "a"


def test_a_sweep_of_all_accounts_knows_their_names(
    client: Cloudflare, billing_emulator: Emulator
) -> None:
    for name in ("a", "b"):
        billing_emulator.add_account(name, name=f"The account {name}")
    billing_emulator.inject(Fault(status=404), path="/b/ai-gateway/billing/credit-balance")
    balances = client.ai_gateway.billing.credit_balances()
    assert balances.names == {"a": "The account a", "b": "The account b"}
    assert [row[1] for row in shown(balances).rows[1:]] == ["The account b", "The account a"]
    assert client.ai_gateway.billing.credit_balances(["a"]).names == {}


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("pandas", usage(1).to_pandas),
        ("pandas", CreditBalances({}, {}).to_pandas),
        ("matplotlib", usage(1).plot),
        ("matplotlib", CreditBalances({}, {}).plot),
    ],
)
def test_a_missing_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, module: str, call: Any
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'cfaigw_billing\[notebook\]'"):
        call()


def test_tables_need_no_extra(monkeypatch: pytest.MonkeyPatch, sweep: CreditBalances) -> None:
    for module in ("pandas", "matplotlib", "IPython"):
        monkeypatch.setitem(sys.modules, module, None)
    assert "LOW" in sweep._repr_html_()
    assert json.loads(json.dumps(sweep.to_records())) == sweep.to_records()
    assert attrs.asdict(usage(1))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["x" * 400, "a\n" * 40, "\ud800 \u202e", ""])
def test_no_name_breaks_a_plot_or_a_table(name: str) -> None:
    sweep = CreditBalances({"a": balance(1)}, {"b": ValueError("no")}, {"a": name, "b": name})
    axes: Any = sweep.plot()
    axes.figure.canvas.draw()
    (label,) = axes.get_yticklabels()
    assert 0 < len(label.get_text()) <= 40
    assert label.get_text().isprintable()
    assert sweep._repr_html_().encode()
    called = (name or "b").encode(errors="replace").decode()
    assert f"{called} failed: no" in shown(sweep).rest


def test_cents_are_numbers_and_moments_are_moments_although_none_is_there() -> None:
    for sweep in CreditBalances({}, {}), CreditBalances({}, {"a": ValueError("no")}):
        frame = sweep.to_pandas()
        assert frame.dtypes["balance"] == frame.dtypes["topup_config_amount"] == "float64"
        assert frame.dtypes["topup_config_last_failed_at"] == "datetime64[us, UTC]"
    assert usage().to_pandas().dtypes["aggregated_value"] == "float64"


def test_money_takes_a_format() -> None:
    assert (
        f"{Money(cents=64019):.2}|{Money(cents=64019):.0}|{Money(cents=64019):>9.1}"
        == "$640.19|$640|   $640.2"
    )
    assert (
        f"{Money(cents=640.19)}|{Money(cents=640.19):>8}|{Money(cents=640.19):.4f}|{Money(cents=-0.31):<9.3f}|"
        == ("$6.40|   $6.40|$6.4019|-$0.003  |")
    )
    with pytest.raises(ValueError, match="format"):
        format(Money(cents=1), "d")
