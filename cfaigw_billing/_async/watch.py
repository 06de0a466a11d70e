"""The watch that users see: a context manager and an iterator."""

from __future__ import annotations

from typing import Any, Self

from .._core.watch.event import Event
from .._io.executor import Executor
from .watching import Watching


class AsyncWatch:
    """The events of a watch over accounts: `billing.watch` returns it.

    A context manager, and inside its block an async iterator. Leaving the block ends all requests.
    """

    def __init__(self, executor: Executor, watching: Watching) -> None:
        self._executor = executor
        self._watching = watching

    @property
    def state(self) -> dict[str, Any]:
        """The state of the watch, as plain JSON; it includes the last event that the loop received.

        Save it when you have delivered an event, and pass it to the next watch over the same
        accounts. That watch reports the changes since then, and no event twice. If you deliver an
        event but do not save the state, the event comes again with the same `key`.

        If two watches have different accounts, `a | b` of their states is a state for a watch over
        all these accounts, or some of them.
        """
        return self._watching.state

    async def __aenter__(self) -> Self:
        await self._executor.run(self._watching.enter)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._executor.finish(self._watching.leave)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = await self._executor.run(self._watching.show)
        if event is None:
            raise StopAsyncIteration
        self._watching.take()
        return event
