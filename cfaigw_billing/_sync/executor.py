"""The executor of the sync client: the async one, run on the event loop of a portal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from .._core.answer import Answer
from .._core.config import Config
from .._core.options import AsyncClientOptions, ClientOptions, RequestOptions
from .._core.ratelimit import RateLimit
from .._io.executor import Executor
from .._io.portal import Portal
from .._io.transport import CLOSED
from .._wire.messages import Unread
from .._wire.secrets import conceal_options
from ..types import Params

P = ParamSpec("P")
T = TypeVar("T")


class BlockingExecutor:
    """Runs calls for one sync client. Each method blocks its thread until it has an answer.

    Args:
        executor: The one that does the work, on the loop of `portal`.
        portal: The loop of the client that this one's is a copy of; `None`: a loop of its own.
    """

    def __init__(self, executor: Executor, portal: Portal | None = None) -> None:
        self.inner = executor
        """The executor on the loop."""
        self.portal: Portal = portal or Portal(on_close=executor.close)
        """The way to the loop."""
        self._owns_portal = portal is None

    def with_options(self, options: ClientOptions) -> BlockingExecutor:
        """Make one with other settings, on the same loop; see `Executor.with_options`."""
        return BlockingExecutor(
            self.inner.with_options(cast("AsyncClientOptions", options)), self.portal
        )

    @property
    def config(self) -> Config:
        """The settings of the client."""
        return self.inner.config

    @property
    def closed(self) -> bool:
        """Whether the client, or the one whose loop it runs on, has been closed."""
        return self.portal.closed or self.inner.closed

    def check_ready(self) -> None:
        """Raise as `Executor.check_ready` does."""
        if self.closed:
            raise RuntimeError(CLOSED)
        self.inner.check_ready()

    def send(self, params: Params[T], options: RequestOptions) -> T:
        """Run one call and return the value that it answers; see `Executor.send`."""
        conceal_options(options)  # the loop may refuse the call
        return self.portal.call(lambda: self.inner.send(params, options))

    def execute(
        self, params: Params[T], options: RequestOptions, *, stream: bool = False
    ) -> Answer[T]:
        """Run one call and return its answer; see `Executor.execute`."""
        conceal_options(options)
        return self.portal.call(lambda: self.inner.execute(params, options, stream=stream))

    def unread(self, answer: Answer[Any]) -> BlockingUnread | None:
        """Return the body that an answer has left to be read."""
        unread = answer.http_response.unread
        return None if unread is None else BlockingUnread(unread, self.portal)

    def run(
        self,
        function: Callable[Concatenate[Executor, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a function that makes several calls, on the loop."""
        return self.portal.call(lambda: function(self.inner, *args, **kwargs))

    def now(self) -> datetime:
        """Return the moment by the clock of the service; see `Executor.now`."""
        return self.inner.now()

    def finish(self, function: Callable[[Executor], Awaitable[None]]) -> None:
        """Run a function that ends what `run` has begun, unless the loop has ended it."""
        if not self.portal.closed:
            self.run(function)

    def account_id(self, params: Any) -> str:
        """Return the account of a call: its own, or else the client's."""
        return self.inner.account_id(params)

    @property
    def rate_limit(self) -> RateLimit:
        """The state of the rate limit; see `Executor.rate_limit`."""
        return self.inner.rate_limit

    def rate_limits(self) -> dict[str | None, RateLimit]:
        """Return the state of each rate limit; see `Executor.rate_limits`."""
        return self.inner.rate_limits()

    def close(self) -> None:
        """Close the connections. A second close does nothing."""
        if self._owns_portal:
            self.portal.close()
        elif not self.portal.closed:
            self.portal.call(self.inner.close)


class BlockingUnread:
    """A body that is still to come; each method blocks its thread while it is read."""

    def __init__(self, unread: Unread, portal: Portal) -> None:
        self._unread = unread
        self._portal = portal

    def chunks(self, size: int | None) -> Generator[bytes]:
        """Yield its parts as they come, or of `size` bytes each."""
        chunks = self._unread.chunks(size)
        try:
            while True:
                try:
                    chunk = self._portal.call(chunks.__anext__)
                except StopAsyncIteration:
                    return
                yield chunk
                del chunk  # an error that comes next must not show it
        finally:
            self._finish(chunks.aclose)

    def read(self) -> tuple[bytes, str | None]:
        """Return the rest of it, and why that is not all of it, if it is not."""
        return self._portal.call(self._unread.read)

    def close(self) -> None:
        """Let go of the connection."""

        async def close() -> None:
            self._unread.close()

        self._finish(close)

    def _finish(self, function: Callable[[], Awaitable[None]]) -> None:
        if not self._portal.closed:  # with the loop, its connections have been closed
            self._portal.call(function)
