"""The executor of the sync client: it runs the async executor on the event loop of a portal."""

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
        executor: The async executor, which runs on the loop of `portal`.
        portal: The portal of the client that this client is a copy of; `None`: a new portal.
    """

    def __init__(self, executor: Executor, portal: Portal | None = None) -> None:
        self.inner = executor
        """The executor on the loop."""
        self.portal: Portal = portal or Portal(on_close=executor.close)
        """The event loop."""
        self._owns_portal = portal is None

    def with_options(self, options: ClientOptions) -> BlockingExecutor:
        """Return an executor with other settings, on the same loop; see `Executor.with_options`."""
        return BlockingExecutor(
            self.inner.with_options(cast("AsyncClientOptions", options)), self.portal
        )

    @property
    def config(self) -> Config:
        """The settings of the client."""
        return self.inner.config

    @property
    def closed(self) -> bool:
        """Whether the client, or the client whose loop it uses, has been closed."""
        return self.portal.closed or self.inner.closed

    def check_ready(self) -> None:
        """Raise as `Executor.check_ready` does."""
        if self.closed:
            raise RuntimeError(CLOSED)
        self.inner.check_ready()

    def send(self, params: Params[T], options: RequestOptions) -> T:
        """Run one call and return its value; see `Executor.send`."""
        conceal_options(options)  # the loop may refuse the call
        return self.portal.call(lambda: self.inner.send(params, options))

    def execute(
        self, params: Params[T], options: RequestOptions, *, stream: bool = False
    ) -> Answer[T]:
        """Run one call and return its answer; see `Executor.execute`."""
        conceal_options(options)
        return self.portal.call(lambda: self.inner.execute(params, options, stream=stream))

    def unread(self, answer: Answer[Any]) -> BlockingUnread | None:
        """Return the body of an answer if the caller must read it, else `None`."""
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
        """Return the time of the service's clock; see `Executor.now`."""
        return self.inner.now()

    def finish(self, function: Callable[[Executor], Awaitable[None]]) -> None:
        """Run a function that ends something started with `run`, unless the loop has ended."""
        if not self.portal.closed:
            self.run(function)

    def account_id(self, params: Any) -> str:
        """Return the account of a call, or the default account of the client."""
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
    """A body that has not been read yet; each method blocks its thread while it reads."""

    def __init__(self, unread: Unread, portal: Portal) -> None:
        self._unread = unread
        self._portal = portal

    def chunks(self, size: int | None) -> Generator[bytes]:
        """Yield its parts as they arrive, or of `size` bytes each."""
        chunks = self._unread.chunks(size)
        try:
            while True:
                try:
                    chunk = self._portal.call(chunks.__anext__)
                except StopAsyncIteration:
                    return
                yield chunk
                del chunk  # the traceback of a later error must not show it
        finally:
            self._finish(chunks.aclose)

    def read(self) -> tuple[bytes, str | None]:
        """Return the rest, and why it is incomplete, if it is."""
        return self._portal.call(self._unread.read)

    def close(self) -> None:
        """Release the connection."""

        async def close() -> None:
            self._unread.close()

        self._finish(close)

    def _finish(self, function: Callable[[], Awaitable[None]]) -> None:
        if not self._portal.closed:  # closing the loop has closed its connections
            self._portal.call(function)
