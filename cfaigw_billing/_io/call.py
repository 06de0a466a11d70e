"""The state of one call in the executor, and of the sweep that it may belong to."""

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
from typing import TYPE_CHECKING, Any

from attrs import define, field
from multidict import CIMultiDict

from .._core.answer import Answer, refuses_credentials
from .._core.config import authenticating, with_credentials_of
from .._core.operations import Operation
from .._core.options import Timeout
from .._wire.messages import HTTPRequest
from .limiter import Login

if TYPE_CHECKING:
    from anyio import CancelScope

AHEAD = 1000
"""How many calls of a sweep may wait for the rate limits of their tokens, besides those in flight.
Up to that number, an exhausted token does not hold up the others."""


class NotSentError(Exception):
    """The sweep ended before this call was sent."""


@define(eq=False)
class _Share:
    """The calls of a sweep with the same credentials."""

    waiting: dict[CancelScope, None] = field(factory=dict["CancelScope", None])
    in_flight: int = 0
    refusals: int = 0
    """How many times in a row the service has refused all of them."""
    blocked_until: float = -inf
    blocked: bool = False
    """Whether sending has stopped: the service refused all calls, even after the full wait."""

    def end(self) -> None:
        for scope in self.waiting:
            scope.cancel()


class Slots(asyncio.Semaphore):
    """Limits how many calls of a sweep run at a time."""

    _overdrawn = 0

    def take_at_once(self) -> None:
        """Take a place without waiting; the next `release` then frees none."""
        self._overdrawn += 1

    def release(self) -> None:
        """Give a place back."""
        if self._overdrawn:
            self._overdrawn -= 1
        else:
            super().release()


@define(eq=False)
class Batch:
    """The state that all calls of a sweep share."""

    reserve: float
    """The part of the rate limit to leave to others, from 0 to 1."""
    slots: Slots
    """The places of its calls."""
    several: bool = False
    """Whether accounts may have their own tokens. Then a call that waits for the rate limit gives
    its place to another call meanwhile, and a block ends only the calls with that token."""
    ended: bool = False
    """Whether sending has stopped. Calls that were already sent still complete."""
    blocked: bool = False
    """Whether it ended because the service refused all calls, even after the full wait."""
    pace_lock: asyncio.Lock = field(factory=asyncio.Lock)
    """Lets only one call of the sweep wait for the pace, so that other calls of the program wait
    behind one call and not behind the whole sweep."""
    _shares: dict[Login | None, _Share] = field(factory=dict["Login | None", _Share])
    _without_slot: int = 0

    def end(self) -> None:
        """Send nothing more, and cancel the calls that wait to be sent."""
        self.ended = True
        for share in self._shares.values():
            share.end()

    def sends(self, login: Login | None) -> bool:
        """Return whether calls with these credentials may still be sent."""
        return not (self.ended or self._share(login).blocked)

    @contextmanager
    def waiting(self, login: Login | None) -> Generator[None]:
        """Wrap the wait of a call that has not been sent: `end` cancels the wait.

        Args:
            login: Its credentials; `None` while they are not known yet.
        """
        from anyio import CancelScope  # single calls do without anyio

        if not self.sends(login):
            raise NotSentError
        waiting = self._share(login).waiting
        with CancelScope() as scope:
            waiting[scope] = None
            try:
                yield
            finally:
                del waiting[scope]
        if scope.cancelled_caught:
            raise NotSentError

    @asynccontextmanager
    async def without_slot(self) -> AsyncGenerator[None]:
        """Wrap a wait for the rate limit of a token: it frees the place of the call meanwhile."""
        if not self.several or self._without_slot >= AHEAD:
            yield
            return
        self._without_slot += 1
        self.slots.release()
        has_place = False
        try:
            try:
                yield
            finally:
                self._without_slot -= 1
            await self.slots.acquire()
            has_place = True
        finally:
            if not has_place:  # an error ended the call, whose end will `release` a place
                self.slots.take_at_once()

    def call_began(self, login: Login) -> None:
        """Count a call that is about to be sent."""
        self._share(login).in_flight += 1

    def call_ended(
        self, login: Login, now: float, sent_at: float, status: int | None, blocked: float
    ) -> None:
        """Count a call that has ended.

        Args:
            login: Its credentials.
            now: The current time.
            sent_at: When it was sent.
            status: The status of the answer; `None` if none came.
            blocked: For how many seconds a 429 blocks all calls; 0 if it does not.
        """
        share = self._share(login)
        share.in_flight -= 1
        if blocked > 0:
            share.refusals += sent_at >= share.blocked_until  # else it is the same block
            share.blocked_until = max(share.blocked_until, now + blocked)
        elif status not in (None, 429):
            share.refusals = 0
        if share.refusals > 1 and not share.in_flight:
            share.blocked = True
            if self.several:
                share.end()
            else:
                self.blocked = True
                self.end()

    def _share(self, login: Login | None) -> _Share:
        share = self._shares.get(login)
        if share is None:
            self._shares[login] = share = _Share()
        return share


@define(eq=False)
class BatchMember:
    """One call of a sweep."""

    batch: Batch
    sent: bool = False
    """Whether it has been sent, for the last time so far."""

    def begin(self, login: Login) -> None:
        """Mark the call as sent."""
        if not self.batch.sends(login):
            raise NotSentError
        self.sent = True
        self.batch.call_began(login)

    def end(
        self, login: Login, now: float, sent_at: float, status: int | None, blocked: float
    ) -> None:
        """Mark the call as ended, if it was sent; see `Batch.call_ended`."""
        if self.sent:
            self.batch.call_ended(login, now, sent_at, status, blocked)


@define(kw_only=True, eq=False)
class Call:
    """One call: its request, and its limits."""

    operation: Operation[Any]
    params: Any
    request: HTTPRequest
    login: Login
    """Its credentials."""
    timeout: Timeout
    """The timeout of one attempt."""
    deadline: float
    """When the call must have ended, by the monotonic clock."""
    member: BatchMember | None
    """Its state in a sweep, if any. In a sweep it waits for the rate limit as long as needed, and
    that wait extends the deadline."""
    stream: bool
    """Whether the caller reads the body of a good answer."""
    has_renewed: bool = False
    """Whether its token was refused and replaced."""

    @property
    def has_own_credentials(self) -> bool:
        """Whether `extra_headers` have replaced the credentials of its login."""
        return authenticating(self.request.headers) != authenticating(self.login.headers)

    def learn(self, answer: Answer[Any]) -> None:
        """Record from an answer whether the service accepts the credentials."""
        if answer.http_response.status_code < 300:
            self.login.accepted, self.login.refused = True, False
        elif not self.login.accepted:
            self.login.refused = refuses_credentials(answer.error())

    def renew(self, login: Login) -> bool:
        """Use another token after a refusal; return false if it is the same token."""
        if login is self.login:
            return False
        self.login, self.has_renewed = login, True
        headers = with_credentials_of(self.request.headers, login.headers)
        self.request.headers = CIMultiDict(headers)
        return True

    def reset_for_retry(self) -> None:
        """Mark the call as not sent, before a retry."""
        self.request.may_have_arrived = False
        if self.member is not None:
            self.member.sent = False

    def waiting(self) -> AbstractContextManager[None]:
        """Wrap a wait before the call is sent."""
        return nullcontext() if self.member is None else self.member.batch.waiting(self.login)

    def without_slot(self) -> AbstractAsyncContextManager[None]:
        """Wrap a wait for the rate limit."""
        return nullcontext() if self.member is None else self.member.batch.without_slot()
