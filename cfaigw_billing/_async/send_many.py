"""The outcomes of many calls, as a context manager and an iterator."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from .._io.executor import Executor
from ..types import Params

if TYPE_CHECKING:
    from .._core.sweeps.outcome import Outcome

T = TypeVar("T")


class AsyncOutcomes(Generic[T]):
    """The outcomes of many calls, in the order in which they end.

    A context manager, and inside its block an async iterator. Leaving the block cancels the calls
    in flight. At most `concurrency` calls are in flight or waiting to be read.
    """

    def __init__(
        self,
        executor: Executor,
        requests: Iterable[Params[T]] | AsyncIterable[Params[T]],
        *,
        concurrency: int = 50,
        reserve: float = 0.1,
        allow_charges: bool = False,
    ) -> None:
        from .._io.many_calls import ManyCalls  # not needed for single calls

        self._calls = ManyCalls(
            executor,
            requests,
            concurrency=concurrency,
            reserve=reserve,
            allow_charges=allow_charges,
        )

    @property
    def unread(self) -> tuple[Outcome[T], ...]:
        """After the block: the outcomes that were not read, and the charges that were cut off."""
        return self._calls.unread

    @property
    def unsent(self) -> tuple[Params[T], ...]:
        """After the block: the requests that were read from the input but never sent."""
        return self._calls.unsent

    async def __aenter__(self) -> Self:
        await self._calls.enter()
        return self

    async def __aexit__(
        self,
        cls: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._calls.leave(error)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome[T]:
        return await self._calls.next()
