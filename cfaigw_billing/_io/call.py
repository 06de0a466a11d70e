"""One call on its way through the executor."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from attrs import define

from .._core.operations import Operation
from .._core.options import Timeout
from .._wire.messages import HTTPRequest
from .batch import Turn


@define(kw_only=True, eq=False)
class Call:
    """One call on its way: what is sent, and on what terms."""

    operation: Operation[Any]
    params: Any
    request: HTTPRequest
    timeout: Timeout
    """For one attempt."""
    deadline: float
    """When the call must have ended, by the monotonic clock."""
    turn: Turn | None
    """Its part in a sweep, if it has one: it then waits for the rate limit, outside its own time,
    rather than failing."""
    stream: bool
    """Whether to leave the body of a good answer to be read by the caller."""

    def to_come_again(self) -> None:
        """Nothing has come of what was sent: it is as if it had not been."""
        self.request.may_have_arrived = False
        if self.turn is not None:
            self.turn.sent = False

    def waiting(self) -> AbstractContextManager[None]:
        """Around a wait before it is sent."""
        return nullcontext() if self.turn is None else self.turn.batch.waiting()
