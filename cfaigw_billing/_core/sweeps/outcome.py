"""The end of one of many calls."""

from __future__ import annotations

from typing import Generic, TypeVar, cast

from attrs import frozen

from ...types import AccountParams, Params

T = TypeVar("T")


@frozen
class Outcome(Generic[T]):
    """The result of one of many calls: a response or an error."""

    request: Params[T]
    """The parameters of the call."""
    response: T | None = None
    """The response; `None` if there is an error."""
    error: Exception | None = None
    """The error: an `APIError`, or a `ValueError` or `TypeError` if nothing was sent; `None` if the
    call has a response."""

    @property
    def account_id(self) -> str | None:
        """The account of the call; `None` stands for the client's `account_id`."""
        return self.request.account_id if isinstance(self.request, AccountParams) else None

    def unwrap(self) -> T:
        """Return the response, or raise the error."""
        if self.error is not None:
            raise self.error
        return cast("T", self.response)  # never `None` without an error
