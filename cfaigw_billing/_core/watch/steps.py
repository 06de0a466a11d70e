"""Decide which events to report after a look, given the state of the watch."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import evolve, field, frozen

from ...errors import (
    APIConnectionError,
    APIResponseValidationError,
    InternalServerError,
    RateLimitError,
)
from ...types import Money, TopupConfig
from .event import EpisodeKind, Event, EventKind
from .schedule import NOISE, Look
from .state import Subject, WatchState

GRACE = timedelta(minutes=15)
"""How long looks must fail, or an automatic top-up be due, before that is reported."""
FAILURES = 3
"""How many looks must fail before that is reported."""
MARGIN = 1.1
"""A low account has recovered at its thresholds times this."""
_OUTAGE = APIConnectionError, APIResponseValidationError, InternalServerError, RateLimitError
"""The errors of an outage. They count as one kind, because one outage may cause several."""


@frozen(kw_only=True)
class Thresholds:
    """An account below one of these is low."""

    low: Money | None
    """The balance."""
    runway: timedelta | None
    """The time to `empties_after`."""


@frozen
class Step:
    """An event, and the new state of its subject."""

    event: Event | None
    """The event to report; `None`: only the state changes."""
    account_id: str | None
    """The account; `None`: the service."""
    subject: Subject
    """The state once the event has been reported."""


def steps_after(state: WatchState, look: Look, thresholds: Thresholds) -> list[Step]:
    """Return the steps after a look, in order, without changing `state`.

    When the event of a step has been reported, store its state with `WatchState.put`.
    """
    if look.account_id is None:
        return list(_after_listing(state, look))
    subject = state.of(look.account_id)
    collector = _StepCollector(look, subject)
    if look.balance is None:
        _check_failure(collector, state)
    else:
        _check_balance(collector, thresholds)
    return [*collector.ended(), *_check_service(state, look, collector.subject.failing)]


@frozen
class _StepCollector:
    """Collects the steps after one look."""

    look: Look
    first: Subject
    steps: list[Step] = field(factory=list[Step])
    _now: list[Subject] = field(factory=list[Subject])

    @property
    def subject(self) -> Subject:
        """The state after the steps so far."""
        return self._now[-1] if self._now else self.first

    @property
    def at(self) -> float:
        """The time of the look, in Unix seconds."""
        return self.look.at.timestamp()

    def note(self, **changes: Any) -> None:
        """Change the state without an event."""
        self._now.append(evolve(self.subject, **changes))

    def ended(self) -> list[Step]:
        """Return the steps, and a last one with the state after all events."""
        return [*self.steps, Step(None, self.look.account_id, self.subject)]

    def key(self, kind: str) -> str:
        """Return the key of the newest event of a kind."""
        return f"{self.look.account_id or 'service'}:{kind}:{self.subject.told.get(kind, 0)}"

    def open(self, kind: EpisodeKind, instead: EpisodeKind | None = None, **facts: Any) -> None:
        """Open an episode. It ends the episode `instead`, if given."""
        self._count(kind)
        closes = None if instead is None else self.key(instead)
        self._end(instead)
        self.note(open={**self.subject.open, kind: self.at})
        self._report(kind, self.key(kind), self.at, closes=closes, **facts)

    def close(self, kind: EpisodeKind, by: EventKind) -> None:
        """End an episode, if it is open."""
        if kind in self.subject.open:
            since, closes = self.subject.open[kind], self.key(kind)
            self._end(kind)
            self._report(by, f"{closes}:{by}", since, closes=closes)

    def topped_up(self, amount: float) -> None:
        """Report a rise of the balance."""
        self._count("topped_up")
        since = self.at if self.first.at is None else self.first.at
        self._report("topped_up", self.key("topped_up"), since, amount=amount)

    def _count(self, kind: str) -> None:
        told = self.subject.told
        self.note(told={**told, kind: told.get(kind, 0) + 1})

    def _end(self, kind: EpisodeKind | None) -> None:
        self.note(open={name: since for name, since in self.subject.open.items() if name != kind})

    def _report(self, kind: EventKind, key: str, since: float, **facts: Any) -> None:
        look = self.look
        event = Event(
            kind=kind,
            account_id=look.account_id,
            name=look.name,
            at=look.at,
            since=datetime.fromtimestamp(since, UTC),
            key=key,
            balance=look.balance.balance if look.balance else None,
            runway=look.runway,
            **facts,
        )
        self.steps.append(Step(event, look.account_id, self.subject))


def _check_failure(collector: _StepCollector, state: WatchState) -> None:
    """Count a failed look. It changes no other episode."""
    _count_failure(collector)
    subject = collector.subject
    reported_already = (
        "unreadable" in state.service.open and state.service.failing == subject.failing
    )
    if "unreadable" not in subject.open and not reported_already and _fails_for_long(collector):
        collector.open("unreadable", error=str(collector.look.error))


def _count_failure(collector: _StepCollector) -> None:
    error, since = collector.look.error, collector.subject.failing_since
    collector.note(
        failures=collector.subject.failures + 1,
        failing_since=collector.at if since is None else min(since, collector.at),
        failing="outage" if isinstance(error, _OUTAGE) else type(error).__name__,
    )


def _fails_for_long(collector: _StepCollector) -> bool:
    subject = collector.subject
    long = collector.at - (subject.failing_since or collector.at) >= GRACE.total_seconds()
    return long and subject.failures >= FAILURES


def _check_balance(collector: _StepCollector, thresholds: Thresholds) -> None:
    """Compare a balance with the last state."""
    look, before = collector.look, collector.first
    assert look.balance is not None  # noqa: S101  # for the type checker
    balance, config = look.balance.balance, look.balance.topup_config or TopupConfig()
    rise = 0.0 if before.balance is None else balance - before.balance
    below_since = None
    if config.amount and config.threshold and balance < config.threshold:
        waited = before.below_since is not None and rise <= NOISE
        below_since = before.below_since if waited else collector.at
    collector.note(failures=0, failing_since=None, failing=None, below_since=below_since)
    collector.close("unreadable", "readable")
    collector.note(balance=balance, at=collector.at)
    if rise > NOISE:
        collector.topped_up(rise)
    if why := _why_failed(collector, config):
        if "auto_topup_failed" not in collector.subject.open:
            collector.open("auto_topup_failed", error=why)
    else:
        collector.close("auto_topup_failed", "auto_topup_restored")
    _level(collector, balance, config, thresholds)


def _why_failed(collector: _StepCollector, config: TopupConfig) -> str | None:
    """Return why the automatic top-up counts as failed; `None` if it does not."""
    since, was_failed = collector.subject.below_since, "auto_topup_failed" in collector.subject.open
    if config.disabled_reason:
        return config.disabled_reason
    if since is None or not (was_failed or collector.at - since >= GRACE.total_seconds()):
        return None
    return config.error or f"below {config.threshold_money} for {GRACE.seconds // 60} minutes"


def _level(
    collector: _StepCollector, balance: float, config: TopupConfig, thresholds: Thresholds
) -> None:
    """Open, change or close the episode of the balance: `low` or `empty`."""
    is_open = collector.subject.open
    was: EpisodeKind | None = "empty" if "empty" in is_open else "low" if "low" in is_open else None
    collector.note(near=_is_near(collector, was, thresholds))
    level: EpisodeKind | None = "low" if _is_low(collector, was, config, thresholds) else None
    if balance <= 0:
        level = "empty"
    if level is not None and level != was:
        collector.open(level, was)
    elif level is None and was is not None:
        collector.close(was, "recovered")


def _is_low(
    collector: _StepCollector, was: EpisodeKind | None, config: TopupConfig, thresholds: Thresholds
) -> bool:
    look, margin = collector.look, MARGIN if was else 1.0
    assert look.balance is not None  # noqa: S101  # for the type checker
    balance = look.balance.balance
    if config.amount and config.threshold and "auto_topup_failed" not in collector.subject.open:
        # The automatic top-up works: it will charge when the balance is below its threshold.
        return was is not None and balance < config.threshold
    low = thresholds.low is not None and balance < float(thresholds.low.cents) * margin
    return low or collector.subject.near


def _is_near(collector: _StepCollector, was: EpisodeKind | None, thresholds: Thresholds) -> bool:
    """Return whether the credit may run out too soon. Without a forecast nothing changes."""
    if thresholds.runway is None:
        return False
    runway, margin = collector.look.runway, MARGIN if was else 1.0
    if runway is None:
        return was is not None and collector.subject.near
    empties = runway.empties_after
    return empties is not None and empties - collector.look.at < thresholds.runway * margin


# The service.


def _after_listing(state: WatchState, look: Look) -> Iterator[Step]:
    collector = _StepCollector(look, state.service)
    if look.error is None:
        collector.note(failures=0, failing_since=None)
    else:
        _count_failure(collector)
        if "unreadable" in collector.first.open:  # for another reason, which stays
            collector.note(failing=collector.first.failing)
        elif _fails_for_long(collector):
            collector.open("unreadable", error=f"the list of accounts: {look.error}")
    yield from collector.ended()


def _check_service(state: WatchState, look: Look, failing: str | None) -> Iterator[Step]:
    """Report that most accounts fail in the same way, or that this is over."""
    account_id = str(look.account_id)
    counts = state.failing.copy()
    for kind, change in ((state.of(account_id).failing, -1), (failing, 1)):
        if kind is not None:
            counts[kind] += change
    accounts = len(state.accounts.keys() | {account_id})
    collector = _StepCollector(Look(account_id=None, at=look.at), state.service)
    if "unreadable" in state.service.open:
        alike = counts[state.service.failing or ""]
        if not state.service.failures and alike <= accounts / 4:
            collector.note(failing=None)
            collector.close("unreadable", "readable")
    elif failing is not None and 1 < accounts < 2 * counts[failing]:
        collector.note(failing=failing)
        text = f"{counts[failing]:,} of {accounts:,} accounts: {look.error}"
        collector.open("unreadable", error=text)
    yield from collector.steps
