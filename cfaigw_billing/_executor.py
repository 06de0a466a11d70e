"""The one way a call takes: build the request, send it, repeat it if that is safe, answer."""

from __future__ import annotations

import logging
from math import inf
from typing import Any, TypeVar

from ._clock import Clock
from ._config import Config, RequestOptions, Timeout
from ._http import HTTPRequest
from ._operations import Operation, Safety
from ._request import RequestBuilder, operation_of
from ._response import APIResponse
from ._retry import Failure, Verdict, decide, retry_after, wait_before_repeat
from ._transport import Transport, TransportError
from .errors import APIConnectionError, APITimeoutError, TopupOutcomeUnknownError
from .types import Params

T = TypeVar("T")

_log = logging.getLogger("cfaigw_billing")
_log.addHandler(logging.NullHandler())

Outcome = APIResponse[Any] | APIConnectionError
"""What an attempt ends in: an answer, or the error to raise where none came."""


class Executor:
    """Runs calls for one client."""

    def __init__(self, config: Config, transport: Transport) -> None:
        self._config = config
        self._transport = transport
        self._requests = RequestBuilder(config)
        self.clock = Clock()
        """Where the time comes from."""

    async def execute(self, params: Params[T], options: RequestOptions) -> APIResponse[T]:
        """Run one call and return its answer, which may be a refusal.

        Raises:
            ValueError: An argument is wrong; nothing has been sent.
            TypeError: An argument is of the wrong type; nothing has been sent.
            APIConnectionError: No answer came.
            APITimeoutError: No answer came in time.
            TopupOutcomeUnknownError: A charge was sent and no understandable answer came.
        """
        operation = operation_of(params)
        request = self._requests.build(operation, params, options)
        self._transport.check_open()
        timeout = options.get("timeout", self._config.timeout)
        if operation.safety is Safety.CHARGES:
            outcome = await self._charge(operation, request, params, timeout)
        else:
            outcome, _ = await self._send(operation, request, timeout)
        if isinstance(outcome, APIConnectionError):
            raise outcome
        return outcome

    async def _charge(
        self, operation: Operation[Any], request: HTTPRequest, params: Any, timeout: Timeout
    ) -> Outcome:
        """Send what charges a card, and say so where nobody knows whether it did."""

        def unknown(reason: str) -> TopupOutcomeUnknownError:
            return TopupOutcomeUnknownError(
                reason,
                request=request,
                account_id=self._requests.account_id(params),
                amount=params.amount,
                sent_at=request.sent_at or self.clock.now(),
            )

        try:
            outcome, verdict = await self._send(operation, request, timeout)
        except Exception as fault:
            if request.may_have_arrived:
                raise unknown(f"{type(fault).__name__}: {fault}") from _without_frames(fault)
            raise
        except BaseException as interrupt:  # a cancellation, which must go on being one
            if request.may_have_arrived:
                error = unknown(f"interrupted by {type(interrupt).__name__}")
                interrupt.add_note(str(error))
                interrupt.__cause__ = error
                _log.warning("%s", error)  # what awaits a cancelled task may never see its error
            raise
        if verdict is not Verdict.OUTCOME_UNKNOWN:
            return outcome
        cause = outcome.error() if isinstance(outcome, APIResponse) else outcome
        error = unknown(str(cause))
        error.__cause__ = cause
        if cause is not None:
            error.cf_ray, error.errors = cause.cf_ray, cause.errors
        return error

    async def _send(
        self, operation: Operation[Any], request: HTTPRequest, timeout: Timeout
    ) -> tuple[Outcome, Verdict | None]:
        """Send until there is an answer or no point in trying; what came of it, and why it ended.

        No verdict: nothing is wrong with the answer.
        """
        deadline = self.clock.monotonic() + (self._config.total_timeout or inf)
        while True:
            remaining = deadline - self.clock.monotonic()
            outcome = await self._attempt(operation, request, timeout, remaining)
            failure = _failure(request, outcome)
            if failure is None:
                return outcome, None
            verdict = decide(operation.safety, failure)
            wait = self._wait(request, outcome, deadline) if verdict is Verdict.AGAIN else None
            if wait is None:
                return outcome, verdict
            request.may_have_arrived = False
            await self.clock.sleep(wait)

    async def _attempt(
        self, operation: Operation[Any], request: HTTPRequest, timeout: Timeout, remaining: float
    ) -> Outcome:
        charges = operation.safety is Safety.CHARGES
        if charges:
            request.sent_at = self.clock.now()
        try:
            response = await self._transport.send(
                request, timeout, remaining=remaining, fresh=charges
            )
        except TransportError as error:
            return _connection_error(request, error)
        return APIResponse(operation, request, response, request.attempts - 1)

    def _wait(self, request: HTTPRequest, outcome: Outcome, deadline: float) -> float | None:
        asked = None
        if isinstance(outcome, APIResponse):
            asked = retry_after(outcome.http_response.headers, self.clock.now())
        return wait_before_repeat(
            request.attempts - 1,
            max_retries=self._config.max_retries,
            max_retry_wait=self._config.max_retry_wait,
            remaining=deadline - self.clock.monotonic(),
            retry_after=asked,
            jitter=self.clock.jitter(),
        )


def _failure(request: HTTPRequest, outcome: Outcome) -> Failure | None:
    if isinstance(outcome, APIResponse):
        return outcome.failure()
    return Failure.NO_ANSWER if request.may_have_arrived else Failure.NOT_SENT


def _connection_error(request: HTTPRequest, error: TransportError) -> APIConnectionError:
    cls = APITimeoutError if error.timed_out else APIConnectionError
    result = cls(
        f"{request.method} {request.path}: {error}",
        request=request,
        retries_taken=max(request.attempts - 1, 0),
    )
    result.__cause__ = _without_frames(error.__cause__)
    return result


def _without_frames(error: BaseException | None) -> BaseException | None:
    """The error, and what led to it, without the tracebacks.

    Their frames are aiohttp's own, whose local variables hold the request as it went over the
    wire, with the token in it; what reports an error with its local variables must not see them.
    """
    seen = error
    while seen is not None:
        seen.__traceback__ = None
        seen = seen.__cause__ or seen.__context__
    return error
