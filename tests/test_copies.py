"""What goes from one machine to another pickles and copies, without secrets, and merges there.

Single values, their parameters and single errors are in `test_errors.py`, the rules of `a | b` in
`sweeps/test_answers.py`.
"""

from __future__ import annotations

import asyncio
import copy
import json
import operator
import pickle
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import reduce, singledispatch
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from test_errors import COPIES, PROTOCOLS, facts

from cfaigw_billing import (
    Cloudflare,
    CloudflareError,
    CreditBalances,
    Outcome,
    PermissionDeniedError,
    TopupOutcomeUnknownError,
    TopupPendingError,
)
from cfaigw_billing._core.sweeps.answers import AccountAnswers
from cfaigw_billing.journal import SQLiteJournal
from cfaigw_billing.testing import Emulator, Fault
from cfaigw_billing.types import BillingCreditBalanceParams, TopupCreateParams

DENIED = "denied"
IDS = ["a", "b", DENIED, "c"]
SWEEPS: dict[str, dict[str, Any]] = {
    "credit_balances": {},
    "runways": {},
    "usage_histories": {"value_grouping_window": "day"},
}


def sweep(client: Cloudflare, name: str, account_ids: list[str]) -> Any:
    """A result that was shown to a callable, which does not pickle, as it went."""
    method = getattr(client.ai_gateway.billing, name)
    return method(account_ids, progress=lambda *_: None, **SWEEPS[name])  # pyright: ignore[reportUnknownLambdaType]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(at=datetime(2026, 11, 28, 9, 20, tzinfo=UTC)) as emulator:
        for number, name in enumerate(IDS):
            account = emulator.add_account(name, name=f"Shop {name}", balance=640.19 * number)
            account.spend_hourly([10.0] * 24, days=7)
        emulator.add_account("confirm", needs_confirmation=True)
        for call in ("credit-balance", "usage-history"):
            path = f"/{DENIED}/ai-gateway/billing/{call}"
            emulator.inject(Fault(status=403), times=None, path=path)
        yield emulator


@pytest.fixture(scope="module")
def values(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """One of each kind, as the calls give them."""
    folder = tmp_path_factory.mktemp("journal")
    with emulator.client(journal=SQLiteJournal(folder / "topups.sqlite3")) as client:
        return {**_read(client), **_charged(client, emulator), **_entries(client, folder)}


def _read(client: Cloudflare) -> dict[str, Any]:
    billing = client.ai_gateway.billing
    found = {name: sweep(client, name, IDS) for name in SWEEPS}
    found["all balances"] = billing.credit_balances()  # with their names
    asked = [BillingCreditBalanceParams(account_id=name) for name in ("a", DENIED)]
    with client.send_many(asked) as outcomes:
        found |= {f"outcome of {outcome.account_id}": outcome for outcome in outcomes}
    with billing.watch(IDS, once=True) as watch:
        found["events"] = list(watch)
        found["state"] = watch.state
    found["rate limit"] = client.rate_limit
    found["request"] = billing.with_raw_response.credit_balance(account_id="a").http_request
    return found


def _charged(client: Cloudflare, emulator: Emulator) -> dict[str, Any]:
    topup = client.ai_gateway.billing.topup
    found: dict[str, Any] = {}
    asked = [TopupCreateParams(account_id=name, amount=1000) for name in ("a", "confirm")]
    with client.send_many(asked, allow_charges=True) as outcomes:
        found |= {f"charge of {outcome.account_id}": outcome for outcome in outcomes}
    emulator.inject(Fault.lost_answer(), path="/topup")
    with pytest.raises(TopupOutcomeUnknownError) as lost:
        topup.create(account_id="b", amount=1000)
    found["lost"] = lost.value
    emulator.advance(seconds=10)  # then the invoice is there
    found["reconciliation"] = topup.reconcile(lost.value)
    found["group"] = ExceptionGroup("many", [ExceptionGroup("lost", [lost.value]), ValueError("x")])
    emulator.inject(Fault(status=403), path="/topup/status")
    with pytest.raises(TopupPendingError) as pending:
        topup.create_and_wait(account_id="c", amount=1000)
    assert isinstance(pending.value.__cause__, PermissionDeniedError)
    found["pending"] = pending.value
    return found


def _entries(client: Cloudflare, folder: Path) -> dict[str, Any]:
    journal = SQLiteJournal(folder / "topups.sqlite3")
    recoveries = client.ai_gateway.billing.topup.recover()
    return {"entries": asyncio.run(journal.entries()), "recoveries": recoveries}


NAMES = [
    *SWEEPS,
    *("all balances", "outcome of a", f"outcome of {DENIED}", "events", "state", "rate limit"),
    *("request", "charge of a", "charge of confirm", "lost", "reconciliation", "group", "pending"),
    *("entries", "recoveries"),
]


@singledispatch
def known(value: Any) -> object:
    """All that is known of a value, in terms that compare."""
    return repr(value)


@known.register(AccountAnswers)
def _(answers: AccountAnswers[Any]) -> object:
    errors = {name: known(error) for name, error in answers.failed.items()}
    kept = dict(answers), errors, answers.names, answers.missing, answers.listed
    return type(answers), kept, answers.to_records(), answers._repr_html_()


@known.register(Outcome)
def _(outcome: Outcome[Any]) -> object:
    return outcome.request, repr(outcome.response), known(outcome.error)


@known.register(ExceptionGroup)
def _(group: ExceptionGroup[Any]) -> object:
    return group.message, [known(error) for error in group.exceptions]


known.register(CloudflareError, facts)


def test_there_is_one_of_each(values: Mapping[str, Any]) -> None:
    assert sorted(values) == sorted(NAMES)
    assert all(values[name] for name in ("events", "entries", "recoveries"))


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("name", NAMES)
def test_a_copy_is_the_same(
    name: str, copied: Callable[[Any], Any], values: Mapping[str, Any]
) -> None:
    assert known(copied(values[name])) == known(values[name])


def test_a_state_is_plain_json(values: Mapping[str, Any]) -> None:
    assert json.loads(json.dumps(values["state"])) == values["state"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", NAMES)
def test_no_pickle_holds_a_secret(
    name: str, protocol: int, values: Mapping[str, Any], emulator: Emulator
) -> None:
    payment = values["charge of confirm"].unwrap()
    again = pickle.dumps(values[name], protocol)
    for secret in (emulator.api_token, str(payment.client_secret)):
        assert len(secret) > 8
        assert secret.encode() not in again


def test_the_error_of_an_account_is_raised_after_a_pickle_too(values: Mapping[str, Any]) -> None:
    for name in SWEEPS:
        again = pickle.loads(pickle.dumps(values[name]))  # noqa: S301  # our own
        with pytest.raises(PermissionDeniedError) as caught:
            again[DENIED]
        assert f"/accounts/{DENIED}/" in caught.value.request.path
        assert (caught.value.status_code, caught.value.cf_ray) == (
            403,
            values[name].failed[DENIED].cf_ray,
        )


def test_a_lost_charge_is_found_in_a_group_that_came_from_elsewhere(
    values: Mapping[str, Any], emulator: Emulator
) -> None:
    group = pickle.loads(pickle.dumps(values["group"]))  # noqa: S301  # our own
    with emulator.client() as client:
        found = client.ai_gateway.billing.topup.reconcile(group)
    assert found.invoices
    assert known(found) == known(values["reconciliation"])


def test_what_ends_a_sweep_keeps_the_answers_over_a_pickle(emulator: Emulator) -> None:
    def stop(done: int, _: int | None) -> None:
        if done == 2:
            raise LookupError("enough")

    with emulator.client() as client, pytest.raises(LookupError) as caught:
        client.ai_gateway.billing.credit_balances(["a", "b", "c"], concurrency=1, progress=stop)
    again: Any = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # our own
    partial = again.partial
    with emulator.client() as client:
        rest = client.ai_gateway.billing.credit_balances(partial.missing)
    assert [*partial, *rest] == ["a", "b", "c"]
    assert len(rest) > 0
    assert sorted(partial | rest) == ["a", "b", "c"]
    assert (partial | rest).missing == ()


@pytest.mark.parametrize("name", SWEEPS)
def test_the_union_of_the_parts_is_the_whole(
    name: str, values: Mapping[str, Any], emulator: Emulator
) -> None:
    with emulator.client() as client:
        parts = [sweep(client, name, [account_id]) for account_id in IDS]
        whole = sweep(client, name, IDS)
    merged = reduce(lambda one, other: one | other, parts)
    assert type(merged) is type(whole)
    assert list(merged) == list(whole) == ["a", "b", "c"]
    assert list(merged.failed) == [DENIED]
    if name != "runways":  # whose moment is that of each call
        assert repr(merged) == repr(whole)
        assert [*merged.to_pandas().index] == [*whole.to_pandas().index]


def test_processes_give_and_take_them(values: Mapping[str, Any]) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        sent = [values[name] for name in NAMES]
        again = [known(value) for value in other.map(copy.copy, sent)]
        balances = values["credit_balances"]
        merged = other.submit(CreditBalances.__or__, values["all balances"], balances).result()
        with pytest.raises(PermissionDeniedError, match=f"/accounts/{DENIED}/"):
            other.submit(operator.getitem, balances, DENIED).result()
    assert again == [known(value) for value in sent]
    assert known(merged) == known(values["all balances"] | balances)


# What stays in its process.


def test_a_client_and_what_belongs_to_it_say_why_they_do_not_pickle(emulator: Emulator) -> None:
    with emulator.client() as client:
        billing = client.ai_gateway.billing
        for belonging in (client, billing.credit_balances, billing.topup, client.accounts.list()):
            with pytest.raises(TypeError, match="a client does not pickle"):
                pickle.dumps(belonging)
        with billing.watch(["a"], once=True) as watch, pytest.raises(TypeError, match="a client"):
            pickle.dumps(watch)
        with pytest.raises(TypeError, match=r"a raw response does not pickle.*parse\(\)"):
            pickle.dumps(billing.with_raw_response.credit_balance(account_id="a"))
