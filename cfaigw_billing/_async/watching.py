"""Watch accounts: turn looks into events."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from .._core.options import check_span
from .._core.watch.event import Event
from .._core.watch.schedule import Aims, check_interval
from .._core.watch.state import WatchState
from .._core.watch.steps import Step, Thresholds, steps_after
from .._io.executor import Executor
from ..types import Money
from .looks import Looks

_RUNWAYS = timedelta(hours=1), timedelta(days=366)


class Watching:
    """The watch behind both clients. `show` returns an event, `take` marks it as reported."""

    def __init__(
        self,
        account_ids: Iterable[str] | None,
        *,
        low: Money | None,
        runway: timedelta | None,
        state: Mapping[str, Any] | None,
        interval: timedelta,
        reserve: float,
        once: bool,
    ) -> None:
        if low is not None and not isinstance(low, Money):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"`low` must be Money, not {type(low).__name__}")
        if low is not None and low.currency != "USD":
            raise ValueError(f"`low` must be in USD, not {low.currency}")
        check_interval("interval", interval)
        if runway is not None:
            check_span("runway", runway, _RUNWAYS, "from 1 hour to 366 days")
        self._thresholds = Thresholds(low=low, runway=runway)
        levels = (0.0,) if low is None else (0.0, float(low.cents))
        aims = Aims(interval=interval.total_seconds(), levels=levels, runway=runway)
        self._watch_state = WatchState.from_state(state)
        self._steps: deque[Step] = deque()
        self._looks = Looks(
            account_ids, aims=aims, reserve=reserve, usage=runway is not None, once=once
        )

    @property
    def state(self) -> dict[str, Any]:
        """The state of the watch, as plain JSON."""
        return self._watch_state.state

    async def enter(self, executor: Executor) -> None:
        """Start the looks."""
        await self._looks.enter(executor)

    async def leave(self, _: Executor) -> None:
        """End all looks."""
        await self._looks.leave()

    async def show(self, _: Executor) -> Event | None:
        """Return the next event; `None` at the end. Return the same one until `take`."""
        while True:
            while self._steps and self._steps[0].event is None:
                self.take()
            if self._steps:
                return self._steps[0].event
            look = await self._looks.next()
            if look is None:
                return None
            if look.account_id is None:
                self._watch_state.keep(look.accounts)
            self._steps.extend(steps_after(self._watch_state, look, self._thresholds))

    def take(self) -> None:
        """Record that the event of `show` has been reported."""
        step = self._steps.popleft()
        self._watch_state.put(step.account_id, step.subject)
