"""One pass over accounts: the requests to send, and how they ended."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

from ... import types
from ...types import Params
from ..pages import ACCOUNTS, PageTurner
from .answers import AccountAnswers
from .outcome import Outcome

A = TypeVar("A", bound=AccountAnswers[Any])

_Requests = Sequence[Params[Any]]


def _only(answer: Any) -> Any:
    return answer


def checked_ids(account_ids: Iterable[str]) -> Generator[str]:
    """Yield the ids of accounts that a caller gave; raise `TypeError` if they are no texts."""
    if isinstance(account_ids, str):
        raise TypeError("`account_ids` must be an iterable of str, not a str")
    for account_id in account_ids:
        if not isinstance(account_id, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"`account_ids` must hold str, not {type(account_id).__name__}")
        yield account_id


class Sweep(Generic[A]):
    """One pass over accounts that leads to an `A`. It sends nothing itself."""

    def __init__(
        self,
        result: type[A],
        account_ids: Iterable[str] | None,
        requests_of: Callable[[str], _Requests],
        combine: Callable[..., Any] = _only,
    ) -> None:
        """Take the accounts and what to ask each of them.

        Args:
            result: The class of the result.
            account_ids: The accounts, each asked once; `None`: all that the credentials can see.
            requests_of: Returns the requests about an account, each of them different.
            combine: Makes one value of the answers to them, which are its arguments in that order.
                An account fails if any of its requests does.
        """
        self._result = result
        self._requests_of = requests_of
        self._combine = combine
        self._requests: dict[str, _Requests] = {}
        self._answers: dict[str, dict[Params[Any], Any]] = {}
        self._names: dict[str, str] = {}
        self._found: dict[str, Any] = {}
        self._failed: dict[str, Exception] = {}
        self.requests: list[Params[Any]] | None = None
        """Those about the accounts that were given, checked; `None` for all that can be seen."""
        self.pages = PageTurner(types.AccountListParams(per_page=50), ACCOUNTS)
        """The list of those."""
        if account_ids is not None:
            self.requests = self.ask(checked_ids(account_ids))

    @property
    def total(self) -> int | None:
        """The number of accounts, where it is known before the end."""
        return None if self.requests is None else len(self._requests)

    @property
    def done(self) -> int:
        """The number of accounts that have answered or failed."""
        return len(self._found) + len(self._failed)

    def _ask(self, account_id: str) -> _Requests:
        """Return the requests about an account; none if there were some already."""
        if account_id in self._requests:
            return ()
        self._requests[account_id] = requests = self._requests_of(account_id)
        return requests

    def ask(self, account_ids: Iterable[str]) -> list[Params[Any]]:
        """Return the requests about accounts; raise if one of them cannot be an id."""
        return [request for name in account_ids for request in self._ask(name)]

    def ask_page(self, page: types.AccountListResponse) -> list[Params[Any]]:
        """Return the requests about the accounts of a page."""
        accounts = self.pages.new(page)
        self._names |= {account.id: account.name for account in accounts}
        return [request for account in accounts for request in self._ask_listed(account.id)]

    def _ask_listed(self, account_id: str) -> _Requests:
        """Return the requests about a listed account; keep the error if its id cannot be one."""
        try:
            return self._ask(account_id)
        except ValueError as error:
            self._requests[account_id] = ()
            self._failed[account_id] = error
            return ()

    def take(self, outcome: Outcome[Any]) -> bool:
        """Keep how a request ended; whether that was all about its account."""
        account_id = str(outcome.account_id)
        if account_id in self._failed:
            return False
        if outcome.error is not None:
            self._failed[account_id] = outcome.error
            return True
        answers = self._answers.setdefault(account_id, {})
        answers[outcome.request] = outcome.unwrap()
        requests = self._requests[account_id]
        if len(answers) < len(requests):
            return False
        self._found[account_id] = self._combine(*(answers[request] for request in requests))
        del self._answers[account_id]
        return True

    def result(self) -> A:
        """Return the answers so far, in the order of the requests."""
        ids, found, failed = self._requests, self._found, self._failed
        return self._result(
            {name: found[name] for name in ids if name in found},
            {name: failed[name] for name in ids if name in failed},
            self._names,
            missing=[name for name in ids if name not in found and name not in failed],
            listed=self.requests is not None or self.pages.params is None,
        )

    @contextmanager
    def kept(self, unread: Callable[[], Iterable[Outcome[Any]]]) -> Generator[None]:
        """Give an error that ends the sweep the answers so far, the unread ones among them."""
        try:
            yield
        except BaseException as error:
            for outcome in unread():
                self.take(outcome)
            # What is raised must not be part of what it carries: it could not be pickled.
            self._failed = {k: v for k, v in self._failed.items() if v is not error}
            with suppress(AttributeError):  # an exception of the caller's may have slots
                error.partial = self.result()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
            if not isinstance(error, Exception):
                answered = f"{len(self._found):,} of {len(self._requests):,} accounts"
                error.add_note(f"what {answered} answered is in `.partial` of this exception")
            raise
