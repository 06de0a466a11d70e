"""The watch that users see: a context manager and an iterator.

@generated from `_async/watch.py` by `python .ci/codegen.py`; do not edit.
"""

from __future__ import annotations

from typing import Any, Self

from .._core.watch.event import Event
from .executor import BlockingExecutor
from .._async.watching import Watching


class Watch:
    """The events of a watch over accounts: `billing.watch` returns it.

    A context manager, and inside its block an iterator. Leaving the block ends all requests.
    """

    def __init__(self, executor: BlockingExecutor, watching: Watching) -> None:
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

    def __enter__(self) -> Self:
        self._executor.run(self._watching.enter)
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.finish(self._watching.leave)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        event = self._executor.run(self._watching.show)
        if event is None:
            raise StopIteration
        self._watching.take()
        return event
