"""The `…_datetime` beside every epoch number of an answer, and the times of a question."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from cfaigw_billing import types
from cfaigw_billing._core.codec import decode
from cfaigw_billing.types._base import Response
from cfaigw_billing.types._derived import Derived

SECONDS = 1_700_000_000
MOMENT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
LATER = MOMENT + timedelta(seconds=0.5)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

INVOICE = {"amount_due": 0, "amount_paid": 0, "amount_remaining": 0, "currency": "usd"}
PREVIEW: dict[str, Any] = {**INVOICE, "id": "in_1", "invoice_lines": [], "status": "draft"}
ROW = {"id": "1", "aggregated_value": 0}

SIBLINGS: list[tuple[type[Response], dict[str, Any], dict[str, datetime | None]]] = [
    # the class, what was answered, its times
    (
        types.History,
        {**ROW, "start_time": SECONDS * 1000, "end_time": SECONDS * 1000 + 500},
        {"start_time_datetime": MOMENT, "end_time_datetime": LATER},
    ),
    (types.Invoice, {**INVOICE, "created": SECONDS}, {"created_datetime": MOMENT}),
    (types.Invoice, {**INVOICE, "created": 0}, {"created_datetime": EPOCH}),
    (types.Invoice, {**INVOICE, "created": None}, {"created_datetime": None}),
    (
        types.BillingInvoicePreviewResponse,
        {**PREVIEW, "period_start": SECONDS, "period_end": SECONDS + 0.5},
        {"period_start_datetime": MOMENT, "period_end_datetime": LATER},
    ),
    (
        types.InvoiceLinePeriod,
        {"start": SECONDS, "end": SECONDS + 0.5},
        {"start_datetime": MOMENT, "end_datetime": LATER},
    ),
    # The one whose unit the service does not tell: above 10^11 it is milliseconds.
    (types.TopupConfig, {"lastFailedAt": SECONDS}, {"last_failed_at_datetime": MOMENT}),
    (types.TopupConfig, {"lastFailedAt": SECONDS * 1000}, {"last_failed_at_datetime": MOMENT}),
    (
        types.TopupConfig,
        {"lastFailedAt": 1e11},
        {"last_failed_at_datetime": EPOCH + timedelta(seconds=1e11)},
    ),
    (
        types.TopupConfig,
        {"lastFailedAt": 1e11 + 1},
        {"last_failed_at_datetime": EPOCH + timedelta(milliseconds=1e11 + 1)},
    ),
    (types.TopupConfig, {"lastFailedAt": None}, {"last_failed_at_datetime": None}),
    (types.ConfigGetResponse, {}, {"last_failed_at_datetime": None}),
]


@pytest.mark.parametrize(("cls", "answered", "expected"), SIBLINGS)
def test_the_datetime_beside_an_epoch_number(
    cls: type[Response], answered: dict[str, Any], expected: dict[str, datetime | None]
) -> None:
    value = decode(answered, cls, "result", lambda: answered)
    found = {name: getattr(value, name) for name in expected}
    assert found == expected
    assert [moment.tzinfo for moment in found.values() if moment is not None] == [
        UTC for moment in expected.values() if moment is not None
    ]


def test_every_datetime_of_every_class_is_in_the_table_above() -> None:
    exported = (getattr(types, name) for name in types.__all__)
    present = {
        (cls, name)
        for cls in exported
        if isinstance(cls, type) and issubclass(cls, Response)
        for base in cls.__mro__
        for name, value in vars(base).items()
        if isinstance(value, Derived) and name.endswith("_datetime")
    }
    assert present == {(cls, name) for cls, _, expected in SIBLINGS for name in expected}


ASKED: list[tuple[datetime | float | None, float | None]] = [
    # what was given, the milliseconds that are sent
    (None, None),
    (SECONDS * 1000, SECONDS * 1000),
    (SECONDS * 1000.0, SECONDS * 1000),
    (SECONDS * 1000 + 0.5, SECONDS * 1000 + 0.5),
    (1e11, 10**11),  # March 1973
    (0, 0),
    (-1, -1),
    (datetime(1971, 1, 1, tzinfo=UTC), 365 * 86_400_000),  # there is no doubt about its unit
    (MOMENT, SECONDS * 1000),
    (LATER, SECONDS * 1000 + 500),
    (MOMENT.astimezone(timezone(timedelta(hours=-7))), SECONDS * 1000),
    (EPOCH - timedelta(milliseconds=1), -1),
]


@pytest.mark.parametrize(("given", "sent"), ASKED)
def test_a_time_is_asked_for_in_milliseconds(
    given: datetime | float | None, sent: float | None
) -> None:
    params = types.BillingUsageHistoryParams(
        value_grouping_window="day", start_time=given, end_time=given
    )
    assert (params.start_time, params.end_time) == (sent, sent)
    assert type(params.start_time) is type(sent)


NO_TIMES: list[tuple[Any, type[Exception], str]] = [
    (datetime(2023, 11, 14), ValueError, "aware"),
    (True, TypeError, "bool"),
    ("2023-11-14", TypeError, "str"),
    (MOMENT.date(), TypeError, "date"),
    (float("nan"), ValueError, "finite"),
    (float("inf"), ValueError, "finite"),
    (SECONDS, ValueError, f"is {SECONDS}, which looks like seconds.*multiply by 1000"),
    (1e11 - 1, ValueError, "looks like seconds"),
    (0.5, ValueError, "looks like seconds"),
]


@pytest.mark.parametrize("name", ["start_time", "end_time"])
@pytest.mark.parametrize(("value", "error", "reason"), NO_TIMES)
def test_what_is_no_time_is_refused_by_name(
    name: str, value: Any, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=f"`{name}`.*{reason}"):
        types.BillingUsageHistoryParams(value_grouping_window="day", **{name: value})
