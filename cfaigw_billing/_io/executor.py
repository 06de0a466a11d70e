"""Execute a call: build the request, send it, retry if that is safe, return the answer."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import partial
from math import inf
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

from aiohttp import ClientSession, TraceConfig

from .._core.answer import Answer
from .._core.config import Config
from .._core.operations import Operation, Safety
from .._core.options import CONNECTION_OPTIONS, AsyncClientOptions, RequestOptions, patience_of
from .._core.ratelimit import LONGEST_RESET_WAIT, RateLimit
from .._core.request import RequestBuilder
from .._core.retry import Failure, Verdict, decide, retry_after, wait_before_retry
from .._core.untyped import operation_of
from .._wire.messages import Unread
from .._wire.secrets import conceal_options
from ..errors import APIError
from ..types import Params
from .call import BatchMember, Call, NotSentError
from .clock import Clock, ServiceClock
from .exchange import TransportError, connection_error
from .limiter import Limiters, Login
from .logins import Logins
from .pace import NEVER_LIFTED, RateLimitedError, pace_of
from .recent import AnswerCache, Outcome, max_age_of
from .transport import BorrowedTransport, Transport

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger("cfaigw_billing")
# No `NullHandler`, so that warnings about charges also appear if logging is not configured.


class Executor(ABC):
    """Runs calls for one client."""

    def __init__(
        self,
        config: Config,
        transport: Transport | BorrowedTransport,
        limiters: Limiters | None = None,
    ) -> None:
        self.config = config
        """The settings of the client."""
        self._transport = transport
        self._requests = RequestBuilder(config)
        self._limiters = limiters or Limiters(pace_of(config.base_url))
        self.logins: Logins = Logins(config, self._requests, self._limiters)
        """The credentials, each with its rate limit."""
        self.clock: Clock = Clock()
        """Time and randomness; tests replace them."""
        self.service_clock: ServiceClock = ServiceClock()
        """The service's clock, from the `Date` of its responses."""
        rate = config.max_requests_per_second
        self._interval = 0.0 if rate is None else 1 / rate
        self.recent: AnswerCache = AnswerCache(config.base_url)
        """The cache of recent answers, for calls with `max_age`."""

    @classmethod
    def connect(
        cls,
        config: Config,
        *,
        trace_configs: Sequence[TraceConfig] = (),
        http_client: ClientSession | None = None,
    ) -> Self:
        """Return an executor with its own connections, which open when needed."""
        return cls(config, Transport(config.base_url, http_client, trace_configs))

    def with_options(self, options: AsyncClientOptions) -> Self:
        """Return an executor with other settings, if possible on the same connections.

        With the same credentials, it shares the rate limit and the recent answers.
        """
        config = self.config.with_options(options)
        connections = {name: value for name, value in options.items() if name in CONNECTION_OPTIONS}
        same = config.base_url == self.config.base_url
        lent = self._transport.lend(config.base_url, connections)
        other = type(self)(config, lent, self._limiters if same else None)
        other.clock = self.clock
        if same:
            other.service_clock = self.service_clock
            if config.authentication == self.config.authentication:
                other.recent = self.recent
                if config.default_headers == self.config.default_headers:
                    other.logins = self.logins
        return other

    def __reduce__(self) -> str:
        raise TypeError("a client does not pickle, nor do its parts: make a client in each process")

    @property
    def closed(self) -> bool:
        """Whether the client has been closed."""
        return self._transport.closed

    def check_ready(self) -> None:
        """Raise `CloudflareError` without credentials, and `RuntimeError` when closed."""
        self._transport.check_open()
        if self.config.credentials.is_given or self.config.api_tokens is None:
            self.config.credentials.headers()

    async def close(self) -> None:
        """Close the connections. A second close does nothing."""
        self.recent = AnswerCache(self.config.base_url)  # open copies keep the old one
        await self._transport.close()

    @property
    def is_copy(self) -> bool:
        """Whether it uses the connections of another client."""
        return isinstance(self._transport, BorrowedTransport)

    async def run(
        self,
        function: Callable[Concatenate[Executor, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a function that makes several calls."""
        return await function(self, *args, **kwargs)

    async def finish(self, function: Callable[[Executor], Awaitable[None]]) -> None:
        """Run a function that ends something started with `run`."""
        await function(self)

    async def send(self, params: Params[T], options: RequestOptions) -> T:
        """Run one call and return its value. Raise as `execute` and `Answer.parse` do."""
        answer = await self.execute(params, options)
        return answer.parse()

    async def execute(
        self,
        params: Params[T],
        options: RequestOptions,
        *,
        member: BatchMember | None = None,
        stream: bool = False,
    ) -> Answer[T]:
        """Run one call and return its answer, which may be a refusal.

        Args:
            params: The parameters; their class determines the call.
            options: The options that every method takes.
            member: For a call of a sweep: it waits for the rate limit as long as needed.
            stream: Let the caller read the body of a good answer; not that of a charge.

        Raises:
            ValueError: An argument is wrong; nothing was sent.
            TypeError: An argument has the wrong type; nothing was sent.
            APIConnectionError: No answer came.
            APITimeoutError: No answer came in time.
            RateLimitError: The call would have to wait too long; it was not sent.
            TopupOutcomeUnknownError: A charge was sent and no understandable answer came.
            NotSentError: The sweep has ended; nothing was sent.
        """
        if options:
            conceal_options(options)
        operation, total = operation_of(params), self.config.total_timeout
        deadline = inf if total is None else self.clock.monotonic() + total
        login = self.logins.only or await self._login(operation, params, options, deadline, member)
        call = Call(
            operation=operation,
            params=params,
            request=self._requests.build(operation, params, options, login.headers),
            login=login,
            timeout=options.get("timeout", self.config.timeout),
            deadline=deadline,
            member=member,
            stream=stream,
        )
        self._transport.check_open()
        if operation.safety is not Safety.READS:
            with self.recent.changing(call.request):
                charges = operation.charges
                outcome = await self.charge(call) if charges else (await self._send(call))[0]
        elif options and (max_age := max_age_of(options)):
            terms = call.timeout, self.config.max_retries, self.config.max_retry_wait
            send = partial(self._send, call)
            outcome = await self.recent.ask(call, max_age, terms, self.clock, send)
        else:
            outcome, _ = await self._send(call)
        try:
            if isinstance(outcome, APIError):
                raise outcome
            return outcome
        finally:
            del outcome  # the raised error refers to this frame, so the frame must not refer to it

    def widened(self, concurrency: int) -> AbstractContextManager[None]:
        """Allow `concurrency` more connections during the block."""
        return self._transport.widened(concurrency)

    def unread(self, answer: Answer[Any]) -> Unread | None:
        """Return the body of an answer if the caller must read it, else `None`."""
        return answer.http_response.unread

    @property
    def rate_limit(self) -> RateLimit:
        """The state of the rate limit of all calls without a token of a single account."""
        return self.logins.rate_limit(self.clock.monotonic())

    def rate_limits(self) -> dict[str | None, RateLimit]:
        """The state of each rate limit by account; see `Logins.rate_limits`."""
        return self.logins.rate_limits(self.clock.monotonic())

    def now(self) -> datetime:
        """Return the time of the service's clock if known, else of this machine."""
        return self.service_clock.corrected(self.clock.now(), self.clock)

    def account_id(self, params: Any) -> str:
        """Return the account of a call, or the default account of the client."""
        return self._requests.account_id(params)

    def asks(self, url: str) -> bool:
        """Return whether the URL belongs to the service of this client."""
        return url.startswith(f"{self.config.base_url}/")

    @abstractmethod
    async def charge(self, call: Call) -> Outcome:
        """Send a charge."""

    async def _send(self, call: Call) -> tuple[Outcome, Verdict | None]:
        """Send a call, with retries. Return the last outcome, and why it was not retried.

        The verdict is `None` for a good answer.
        """
        so_far: tuple[Outcome, Verdict] | None = None
        wait: float | None = 0.0
        while True:
            try:
                if wait:
                    with call.waiting():
                        await self.clock.sleep(wait)
                outcome = await self._attempt(call)
            except NotSentError:
                if so_far is not None:
                    return so_far
                if call.member is None or call.member.batch.ended:
                    raise
                raise NEVER_LIFTED.about(call.request) from None
            if isinstance(outcome, Answer):
                failure = outcome.failure()
            else:
                sent = call.request.may_have_arrived
                failure = Failure.NO_ANSWER if sent else Failure.NOT_SENT
            if failure is None:
                return outcome, None
            verdict = decide(call.operation.safety, failure)
            so_far = outcome, verdict
            if await self._renewed(call, outcome):
                call.reset_for_retry()
                continue
            wait = self._wait(call, outcome, failure) if verdict is Verdict.RETRY else None
            if wait is None:
                return so_far
            call.reset_for_retry()

    async def _attempt(self, call: Call) -> Outcome:
        """Send once, as soon as the rate limit and the pace allow it."""
        sent_at, operation, member = self.clock.monotonic(), call.operation, call.member
        login, reserve = call.login, None if member is None else member.batch.reserve
        if not login.limiter.admit(sent_at, reserve, self._interval):
            sent_at = await self._enter(call, sent_at, reserve)
        headers: Mapping[str, str] | None = None
        blocked_for: float | None = None
        status: int | None = None
        try:
            if member is not None:
                member.begin(login)
            if operation.charges:
                call.request.sent_at = self.clock.now()
            response = await self._transport.send(
                call.request,
                call.timeout,
                remaining=inf if call.deadline == inf else self._remaining(call),
                fresh=operation.fresh,
                stream=call.stream and not operation.fresh,
            )
            headers, status = response.headers, response.status_code
            self.service_clock.store_date(headers.get("Date"), self.clock)
            if status == 429:
                blocked_for = retry_after(headers, self.clock.now())
        except TransportError as error:
            self._note(call, sent_at, str(error))
            return connection_error(call.request, error)
        finally:
            now = self.clock.monotonic()
            login.limiter.leave(now, sent_at, headers, blocked_for)
            if member is not None:
                blocked = login.limiter.state(now).resets_in if status == 429 else 0.0
                member.end(login, now, sent_at, status, blocked)
        if _log.isEnabledFor(logging.DEBUG):
            self._note(call, sent_at, response.status_code, response.cf_ray)
        account_id = self.account_id(call.params) if operation.names_account else None
        answer = Answer(operation, call.request, response, call.request.attempts - 1, account_id)
        if not login.accepted:
            call.learn(answer)
        return answer

    def _note(self, call: Call, sent_at: float, *ended: object) -> None:
        request, milliseconds = call.request, (self.clock.monotonic() - sent_at) * 1000
        _log.debug(
            "%s %s: %s, attempt %d, %.0f ms",
            request.method,
            request.path,
            " ".join(f"{part}" for part in ended if part is not None),
            request.attempts,
            milliseconds,
        )

    async def _enter(self, call: Call, began: float, reserve: float | None) -> float:
        """Wait until the rate limit and the pace allow the call; return the time."""
        longest = self.config.max_retry_wait
        try:
            with call.waiting():
                sent_at = await call.login.limiter.enter(
                    self.clock,
                    reserve=reserve,
                    patience=LONGEST_RESET_WAIT if call.member else longest,
                    deadline=inf if call.member else min(began + longest, call.deadline),
                    interval=self._interval,
                    total=inf if call.member else call.deadline,
                    pace_lock=call.member.batch.pace_lock if call.member else None,
                    without_slot=call.without_slot,
                )
        except RateLimitedError as error:
            raise error.about(call.request) from None
        if call.member is not None:
            call.deadline += sent_at - began
        return sent_at

    def _wait(self, call: Call, outcome: Outcome, failure: Failure) -> float | None:
        """Return the seconds to wait before the next attempt; `None` to give up."""
        longest, remaining, asked = self.config.max_retry_wait, self._remaining(call), None
        if isinstance(outcome, Answer):
            asked = retry_after(outcome.http_response.headers, self.clock.now())
        is_block = failure is Failure.RATE_LIMITED and asked is not None
        if is_block and call.member is not None:
            longest, remaining = LONGEST_RESET_WAIT, inf
        wait = wait_before_retry(
            call.request.attempts - 1,
            max_retries=self.config.max_retries,
            max_retry_wait=longest,
            remaining=remaining,
            retry_after=asked,
            jitter=self.clock.jitter(),
        )
        # The limiter holds back all calls until then, so the call need not wait here, too.
        return 0.0 if is_block and wait == asked else wait

    def _remaining(self, call: Call) -> float:
        return inf if call.deadline == inf else call.deadline - self.clock.monotonic()

    async def _login(
        self,
        operation: Operation[Any],
        params: Any,
        options: RequestOptions,
        deadline: float,
        member: BatchMember | None,
    ) -> Login:
        account_id = self._requests.account_named(operation, params)
        login = self.logins.known(account_id)
        if login is not None:
            return login
        with nullcontext() if member is None else member.batch.waiting(None):
            timeout = options.get("timeout", self.config.timeout)
            patience = patience_of(timeout, deadline - self.clock.monotonic())
            return await self.logins.ask(cast("str", account_id), patience)

    async def _renewed(self, call: Call, outcome: Outcome) -> bool:
        """Replace a refused token; return whether to retry the call with the new one.

        A charge is not retried; only later calls use the new token.
        """
        refused = isinstance(outcome, Answer) and outcome.http_response.status_code == 401
        if not refused or call.has_own_credentials:
            return False
        account_id = self._requests.account_named(call.operation, call.params)
        if account_id is None or not self.logins.forget(account_id, call.login):
            return False
        if call.operation.charges or call.has_renewed:
            return False
        try:
            with call.waiting():
                patience = patience_of(call.timeout, self._remaining(call))
                login = await self.logins.ask(account_id, patience)
        except NotSentError:
            return False
        return call.renew(login)
