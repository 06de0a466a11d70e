"""A snapshot of many accounts, as samples for a monitoring system. Nothing here is sent.

- An account that fails is down at once. Its values stay for three refreshes, because one failure
  says little. Then they are absent. They never become 0: that would be a balance.
- An account that has left the list has no samples.
- Usage is a counter. If a counter falls, Prometheus assumes a restart at 0, and counts the whole
  sum as new usage. So the counter is the sum of all days of an account, which is the same after a
  restart of the process. Late rows add to it. If the sum falls, the counter stays until the sum is
  higher again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal

from attrs import evolve, field, frozen

from ..._show.exposition import Family
from ...types import BillingCreditBalanceResponse, Money, Runway, TopupConfig
from ..ratelimit import RateLimit
from ..runway import topup_state
from .schedule import Look

KEPT = 3
"""For how many failed refreshes the values of an account stay."""
_DIGITS = 9
"""The digits of usage in dollars: a change in the last bit of a sum must not count as a fall."""


@frozen(kw_only=True)
class AccountState:
    """The last known state of an account."""

    name: str | None = None
    seen_at: datetime
    """When it was last looked at, an aware `datetime`."""
    failures: int = 0
    """How many looks have failed since the last success."""
    succeeded_at: datetime | None = None
    """When a look last succeeded, an aware `datetime`."""
    balance: BillingCreditBalanceResponse | None = None
    """`None`, here and in `runway`: too old, or never read."""
    runway: Runway | None = None
    used: Money | None = None
    """The largest sum of its usage so far; `None`: not known yet."""

    def after(self, look: Look) -> AccountState:
        """Return the state after a look at the account."""
        state = evolve(self, name=look.name or self.name, seen_at=look.at)
        if look.balance is None:
            state = evolve(state, failures=self.failures + 1)
            return state if state.failures <= KEPT else evolve(state, balance=None, runway=None)
        sums = [self.used, round(look.days.total, _DIGITS) if look.days else None]
        return evolve(
            state,
            failures=0,
            succeeded_at=look.at,
            balance=look.balance,
            runway=look.runway,
            used=max((each for each in sums if each is not None), default=None),
        )


@frozen
class Snapshot:
    """The last known states of all accounts. It is immutable, so any thread may read it."""

    accounts: Mapping[str, AccountState] = field(factory=dict[str, AccountState])
    listed: frozenset[str] = frozenset()
    """All accounts, also those that were not looked at yet."""

    @property
    def is_complete(self) -> bool:
        """Whether each account has been looked at."""
        return self.listed <= self.accounts.keys()

    def after(self, look: Look) -> Snapshot:
        """Return the snapshot after a look at an account, or at the list of accounts."""
        key = look.account_id
        if key is None:
            listed = frozenset(look.accounts)
            return Snapshot({k: v for k, v in self.accounts.items() if k in listed}, listed)
        before = self.accounts.get(key) or AccountState(seen_at=look.at)
        return evolve(self, accounts={**self.accounts, key: before.after(look)})

    def families(self, limits: Mapping[str | None, RateLimit]) -> list[Family]:
        """Return all families of samples, also empty ones.

        Args:
            limits: The rate limits by account; `None`: the limit of accounts without their own
                token.
        """
        moments = [state.seen_at for state in self.accounts.values()]
        took = (max(moments) - min(moments)).total_seconds() if moments else None
        return [
            *(series.family(self.accounts) for series in SERIES),
            Family(
                "cfaigw_account",
                "The name of an account, or its id if the name is not known.",
                [
                    ({"account_id": key, "name": state.name or key}, 1)
                    for key, state in self.accounts.items()
                ],
                "info",
            ),
            Family(
                "cfaigw_refresh_duration_seconds",
                "Time that it last took to check all accounts.",
                [] if took is None else [({}, took)],
            ),
            _of_limits(
                "cfaigw_api_requests_remaining",
                "Requests left in this window of the rate limit, for all users of the credentials; "
                "with `account_id`: of the token of the account.",
                {key: limit.remaining for key, limit in limits.items()},
            ),
            _of_limits(
                "cfaigw_api_requests_quota",
                "Requests allowed in a window of the rate limit.",
                {key: limit.quota for key, limit in limits.items()},
            ),
        ]


def _of_limits(name: str, text: str, values: Mapping[str | None, float | None]) -> Family:
    samples = [
        ({} if key is None else {"account_id": key}, value)
        for key, value in values.items()
        if value is not None
    ]
    return Family(name, text, samples)


# The families with a sample for each account, unless the function returns `None`.


@frozen
class _Series:
    name: str
    help: str
    value: Callable[[AccountState], float | None]
    kind: Literal["gauge", "counter"] = "gauge"

    def family(self, accounts: Mapping[str, AccountState]) -> Family:
        values = ((key, self.value(state)) for key, state in accounts.items())
        samples = [
            ({"account_id": key}, float(value)) for key, value in values if value is not None
        ]
        return Family(self.name, self.help, samples, self.kind)


def _usd(money: Money | None) -> float | None:
    return float(money.major) if money is not None else None


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment is not None else None


def _topup(value: Callable[[TopupConfig], float | None]) -> Callable[[AccountState], float | None]:
    """Return a function that skips accounts without `topup_config`."""

    def of_state(state: AccountState) -> float | None:
        config = state.balance.topup_config if state.balance else None
        return value(config) if config else None

    return of_state


def _amount(value: Callable[[TopupConfig], Money | None]) -> Callable[[AccountState], float | None]:
    """Return a function that skips accounts without an automatic top-up: they have zeros."""
    return _topup(lambda config: _usd(value(config)) if topup_state(config) != "off" else None)


SERIES = (
    _Series(
        "cfaigw_balance_usd",
        "Prepaid credit left; it may be negative.",
        lambda state: _usd(state.balance.balance_money) if state.balance else None,
    ),
    _Series(
        "cfaigw_automatic_topup_enabled",
        "Whether an automatic top-up is set up.",
        _topup(lambda config: topup_state(config) != "off"),
    ),
    _Series(
        "cfaigw_automatic_topup_failed",
        "Whether the automatic top-up was disabled by the service, or its last charge failed.",
        _topup(lambda config: topup_state(config) == "failed"),
    ),
    _Series(
        "cfaigw_automatic_topup_threshold_usd",
        "The balance below which the automatic top-up charges.",
        _amount(lambda config: config.threshold_money),
    ),
    _Series(
        "cfaigw_automatic_topup_amount_usd",
        "The credit that an automatic top-up buys; fee and tax come on top.",
        _amount(lambda config: config.amount_money),
    ),
    _Series(
        "cfaigw_empties_timestamp_seconds",
        "When the credit is expected to run out, without automatic top-ups.",
        lambda state: _seconds(state.runway.empties_at) if state.runway else None,
    ),
    _Series(
        "cfaigw_empties_earliest_timestamp_seconds",
        "The time that the credit lasts beyond in 9 of 10 cases.",
        lambda state: _seconds(state.runway.empties_after) if state.runway else None,
    ),
    _Series(
        "cfaigw_usage_usd",
        "Usage since the account began.",
        lambda state: _usd(state.used) if state.balance else None,
        "counter",
    ),
    _Series(
        "cfaigw_account_up",
        "Whether the last look at the account succeeded.",
        lambda state: not state.failures,
    ),
    _Series(
        "cfaigw_account_last_success_timestamp_seconds",
        "When a look at the account last succeeded.",
        lambda state: _seconds(state.succeeded_at),
    ),
)
