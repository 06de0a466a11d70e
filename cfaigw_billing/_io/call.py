"""One call on its way, and what charges need of the executor that sends it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

from attrs import define

from .._core.answer import Answer
from .._core.config import Config
from .._core.operations import Operation, Safety
from .._core.options import RequestOptions, Timeout
from .._wire.messages import HTTPRequest
from ..errors import APIConnectionError
from ..types import Params
from .batch import Turn
from .clock import Clock, ServiceClock

T = TypeVar("T")

Outcome = Answer[Any] | APIConnectionError
"""The end of a call: an answer, or the error to raise if none came."""


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

    @property
    def charges(self) -> bool:
        """Whether it charges a card."""
        return self.operation.safety is Safety.CHARGES

    @property
    def fresh(self) -> bool:
        """Whether it needs a connection of its own: one that was idle may be dead."""
        return self.operation.safety in (Safety.CHARGES, Safety.UNKNOWN)

    @property
    def reserve(self) -> float | None:
        """For a call of a sweep, the part of the rate limit to leave to others."""
        return None if self.turn is None else self.turn.batch.reserve

    def to_come_again(self) -> None:
        """Nothing has come of what was sent: it is as if it had not been."""
        self.request.may_have_arrived = False
        if self.turn is not None:
            self.turn.sent = False

    def waiting(self) -> AbstractContextManager[None]:
        """Around a wait before it is sent."""
        return nullcontext() if self.turn is None else self.turn.batch.waiting()


class Caller(Protocol):
    """What makes calls: the executor, as that sees it which it is made of."""

    clock: Clock
    service_clock: ServiceClock

    @property
    def config(self) -> Config:
        """The settings of the client."""
        ...

    async def send(self, params: Params[T], options: RequestOptions) -> T:
        """Run one call and return the value that it answers."""
        ...

    async def charge(self, call: Call) -> Outcome:
        """Send a charge, and report an unknown outcome if it may have been charged."""
        ...

    def account_id(self, params: Any) -> str:
        """The account of a call: its own, or else the client's."""
        ...
