"""One call on its way through the executor, and the sweep that it may be part of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from math import inf
from typing import Any

import anyio
from attrs import define, field
from multidict import CIMultiDict

from .._core.operations import Operation
from .._core.options import Timeout
from .._wire.messages import HTTPRequest
from .logins import Login

AHEAD = 1000
"""Calls of a sweep that wait for the rate limits of their tokens beside those in flight, at most:
an exhausted token holds up no other as long as there are no more."""


class NotSentError(Exception):
    """The sweep that a call is part of has ended before the call was sent."""


@define(eq=False)
class _Share:
    """The calls of a sweep with the same credentials."""

    waiting: dict[anyio.CancelScope, None] = field(factory=dict[anyio.CancelScope, None])
    in_flight: int = 0
    refusals: int = 0
    """How often in a row the service has refused all of them, and none since."""
    parked_until: float = -inf
    blocked: bool = False
    """Whether nothing more is sent, because the service refused all again after a full wait."""

    def end(self) -> None:
        for scope in self.waiting:
            scope.cancel()


@define(eq=False)
class Batch:
    """The calls of a sweep: what they have in common, and whether any more are sent."""

    reserve: float
    """The part of the rate limit to leave to others, from 0 to 1."""
    room: asyncio.Semaphore
    """The places of its calls."""
    several: bool = False
    """Whether accounts may have tokens of their own. Then a call that waits for the rate limit
    gives its place to another call meanwhile, and a block ends the calls with that token alone."""
    ended: bool = False
    """Whether nothing more is sent; what has been sent comes to its end."""
    blocked: bool = False
    """Whether it has ended because the service refused every call again after a full wait."""
    line: asyncio.Lock = field(factory=asyncio.Lock)
    """Lets one call at a time wait for its turn at the pace: single calls of the program then wait
    behind that one, and not behind all that the sweep has begun."""
    _shares: dict[Login, _Share] = field(factory=dict[Login, _Share])
    _aside: int = 0

    def end(self) -> None:
        """Send nothing more, and end the waits for that."""
        self.ended = True
        for share in self._shares.values():
            share.end()

    def sends(self, login: Login) -> bool:
        """Whether calls with these credentials may still be sent."""
        return not (self.ended or self._share(login).blocked)

    @contextmanager
    def waiting(self, login: Login) -> Generator[None]:
        """Around a wait of a call that has not been sent: the end of the batch ends it."""
        if not self.sends(login):
            raise NotSentError
        waiting = self._share(login).waiting
        with anyio.CancelScope() as scope:
            waiting[scope] = None
            try:
                yield
            finally:
                del waiting[scope]
        if scope.cancelled_caught:
            raise NotSentError

    @asynccontextmanager
    async def aside(self) -> AsyncGenerator[None]:
        """Around a wait for the rate limit of a token: another call may have the place."""
        if not self.several or self._aside >= AHEAD:
            yield
            return
        self._aside += 1
        self.room.release()
        try:
            yield
        finally:
            self._aside -= 1
        await self.room.acquire()  # not after an error, which ends the call, or all of them

    def call_began(self, login: Login) -> None:
        """A call is sent."""
        self._share(login).in_flight += 1

    def call_ended(
        self, login: Login, now: float, sent_at: float, status: int | None, blocked: float
    ) -> None:
        """A call has ended.

        Args:
            login: Its credentials.
            now: The time.
            sent_at: When it was sent.
            status: That of the answer, or `None` if none came.
            blocked: For how many seconds a 429 keeps all calls waiting; 0 if nothing says so.
        """
        share = self._share(login)
        share.in_flight -= 1
        if blocked > 0:
            share.refusals += sent_at >= share.parked_until  # else it tells of the same block
            share.parked_until = max(share.parked_until, now + blocked)
        elif status not in (None, 429):
            share.refusals = 0
        if share.refusals > 1 and not share.in_flight:
            share.blocked = True
            if self.several:
                share.end()
            else:
                self.blocked = True
                self.end()

    def _share(self, login: Login) -> _Share:
        share = self._shares.get(login)
        if share is None:
            self._shares[login] = share = _Share()
        return share


@define(eq=False)
class Turn:
    """The part of one call in a sweep."""

    batch: Batch
    sent: bool = False
    """Whether it has been sent, and was not just told to come again."""

    def begin(self, login: Login) -> None:
        """The call is sent now."""
        if not self.batch.sends(login):
            raise NotSentError
        self.sent = True
        self.batch.call_began(login)

    def end(
        self, login: Login, now: float, sent_at: float, status: int | None, blocked: float
    ) -> None:
        """The call has ended, if it has begun; see `Batch.call_ended`."""
        if self.sent:
            self.batch.call_ended(login, now, sent_at, status, blocked)


@define(kw_only=True, eq=False)
class Call:
    """One call on its way: what is sent, and on what terms."""

    operation: Operation[Any]
    params: Any
    request: HTTPRequest
    login: Login
    """The credentials that it is sent with."""
    timeout: Timeout
    """For one attempt."""
    deadline: float
    """When the call must have ended, by the monotonic clock."""
    turn: Turn | None
    """Its part in a sweep, if it has one: it then waits for the rate limit, outside its own time,
    rather than failing."""
    stream: bool
    """Whether to leave the body of a good answer to be read by the caller."""
    has_renewed: bool = False
    """Whether its token was refused, and asked for again."""

    def renew(self, login: Login) -> bool:
        """Take another token in the place of one that was refused; false if it is the same."""
        name, sent = "Authorization", self.request.headers
        if login is self.login or sent.get(name) != self.login.headers.get(name):
            return False  # or `extra_headers` have replaced the token
        self.login, self.has_renewed = login, True
        self.request.headers = CIMultiDict({**sent, name: login.headers[name]})
        return True

    def to_come_again(self) -> None:
        """Nothing has come of what was sent: it is as if it had not been."""
        self.request.may_have_arrived = False
        if self.turn is not None:
            self.turn.sent = False

    def waiting(self) -> AbstractContextManager[None]:
        """Around a wait before it is sent."""
        return nullcontext() if self.turn is None else self.turn.batch.waiting(self.login)

    def aside(self) -> AbstractAsyncContextManager[None]:
        """Around a wait for the rate limit."""
        return nullcontext() if self.turn is None else self.turn.batch.aside()
