"""A sweep that makes two calls an account: it has both answers, or the account failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from cfaigw_billing import AsyncCloudflare, AuthenticationError, NotFoundError
from cfaigw_billing._async import sweeps as async_sweeps
from cfaigw_billing._core.sweeps.answers import AccountAnswers
from cfaigw_billing._core.sweeps.sweep import Sweep
from cfaigw_billing._show.progress import Progress
from cfaigw_billing._sync import sweeps as sync_sweeps
from cfaigw_billing.testing import Emulator, Fault
from cfaigw_billing.types import (
    BillingCreditBalanceParams,
    BillingCreditBalanceResponse,
    Params,
    TopupLimitsParams,
    TopupLimitsResponse,
)

if TYPE_CHECKING:
    from conftest import Run

PATHS = ("/ai-gateway/billing/credit-balance", "/ai-gateway/billing/topup/limits")


class Room(AccountAnswers[float]):
    """How far the balance of each account is below the largest top-up, in cents."""

    _columns = ()

    def to_records(self) -> list[dict[str, object]]:
        return [{"account_id": name, "room": room} for name, room in self.items()]

    def _ranked(self) -> list[str]:
        return list(self)

    def _cells(self, account_id: str) -> Sequence[str]:
        return ()

    def _figure(self) -> str:
        return "room"

    def _facts(self) -> str:
        return "room"


def requests_of(account_id: str) -> Sequence[Params[Any]]:
    return (
        BillingCreditBalanceParams(account_id=account_id),
        TopupLimitsParams(account_id=account_id),
    )


def room(balance: BillingCreditBalanceResponse, limits: TopupLimitsResponse) -> float:
    return limits.max_cents - balance.balance


def swept(
    run: Run, emulator: Emulator, account_ids: list[str] | None, progress: Progress = False
) -> Any:
    """The result of such a sweep with either client."""
    given: dict[str, Any] = {"concurrency": 4, "reserve": 0.1, "progress": progress}

    def call(client: Any) -> Any:
        sweep = Sweep(Room, account_ids, requests_of, room)
        if isinstance(client, AsyncCloudflare):
            return async_sweeps.run_sweep(client._executor, sweep, **given)
        return sync_sweeps.run_sweep(client._executor, sweep, **given)

    return run(call, base_url=emulator.base_url, api_token=emulator.api_token)


@pytest.fixture
def names(billing_emulator: Emulator) -> list[str]:
    found = [f"{number:02}" for number in range(12)]
    for number, name in enumerate(found):
        billing_emulator.add_account(name, balance=float(number))
    return found


def test_both_answers_of_an_account_make_one_value(
    run: Run, billing_emulator: Emulator, names: list[str]
) -> None:
    # The first call of an account ends after the second: their order is that of the requests.
    billing_emulator.inject(Fault(delay=0.05), path=f"/03{PATHS[0]}")
    found = swept(run, billing_emulator, [*names, names[0]])
    assert dict(found) == {name: 100_000 - number for number, name in enumerate(names)}
    assert list(found) == names
    assert len(billing_emulator.requests) == 2 * len(names)


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("broken", [PATHS[:1], PATHS[1:], PATHS])
def test_an_account_fails_if_either_call_does(
    broken: tuple[str, ...],
    listed: bool,
    run: Run,
    billing_emulator: Emulator,
    names: list[str],
) -> None:
    for path in broken:
        billing_emulator.inject(Fault(status=404), path=f"/05{path}")
    seen: list[tuple[int, int | None]] = []
    found = swept(
        run,
        billing_emulator,
        names if listed else None,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert list(found.failed) == ["05"]
    with pytest.raises(NotFoundError):
        found["05"]
    assert len(found) == len(names) - 1
    assert seen == [(done, 12 if listed else None) for done in range(1, 13)]


def test_an_account_with_one_answer_of_two_is_missing(
    run: Run, billing_emulator: Emulator, names: list[str]
) -> None:
    def stop(*_: object) -> None:
        raise LookupError

    billing_emulator.inject(Fault(silence="hang"), times=None, path=f"/00{PATHS[1]}")
    with pytest.raises(LookupError) as caught:
        swept(run, billing_emulator, names, progress=stop)
    partial: Any = getattr(caught.value, "partial")  # noqa: B009  # it was put there
    assert "00" in partial.missing
    assert sorted([*partial, *partial.missing]) == names


def test_credentials_that_are_refused_end_it_with_every_account_missing(
    run: Run, billing_emulator: Emulator, names: list[str]
) -> None:
    billing_emulator.inject(Fault(status=401, code=10000), times=None)
    with pytest.raises(AuthenticationError) as caught:
        swept(run, billing_emulator, names)
    assert caught.value.partial.missing == tuple(names)
    assert caught.value.partial.failed == {}
