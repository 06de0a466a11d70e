"""One pass over accounts: the requests to send, and their outcomes."""

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
    """Yield the account ids of a caller; raise `TypeError` if one is not a `str`."""
    if isinstance(account_ids, str) or not isinstance(account_ids, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"`account_ids` must be an iterable of str, not {type(account_ids).__name__}"
        )
    for account_id in account_ids:
        if not isinstance(account_id, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"`account_ids` must hold str, not {type(account_id).__name__}")
        yield account_id


class Sweep(Generic[A]):
    """One pass over accounts, with the result `A`. It sends nothing itself."""

    def __init__(
        self,
        result: type[A],
        account_ids: Iterable[str] | None,
        requests_of: Callable[[str], _Requests],
        combine: Callable[..., Any] = _only,
    ) -> None:
        """Take the accounts and the requests for each.

        Args:
            result: The class of the result.
            account_ids: The accounts, each asked once; `None`: all that the credentials can see.
            requests_of: Returns the requests about an account; they must differ.
            combine: Makes one value from the answers, in the order of the requests. If one of its
                requests fails, an account fails.
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
        """The requests about the given accounts, checked; `None`: accounts come from the list."""
        self.pages = PageTurner(types.AccountListParams(per_page=50), ACCOUNTS)
        """The pages of the list of accounts."""
        if account_ids is not None:
            self.requests = self.ask(checked_ids(account_ids))

    @property
    def total(self) -> int | None:
        """The number of accounts; `None` if not known before the end."""
        return None if self.requests is None else len(self._requests)

    @property
    def done(self) -> int:
        """The number of accounts that have answered or failed."""
        return len(self._found) + len(self._failed)

    def _ask(self, account_id: str) -> _Requests:
        """Return the requests about an account; none if it was asked already."""
        if account_id in self._requests:
            return ()
        self._requests[account_id] = requests = self._requests_of(account_id)
        return requests

    def ask(self, account_ids: Iterable[str]) -> list[Params[Any]]:
        """Return the requests about accounts; raise if an id is not valid."""
        return [request for name in account_ids for request in self._ask(name)]

    def ask_page(self, page: types.AccountListResponse) -> list[Params[Any]]:
        """Return the requests about the accounts of a page."""
        accounts = self.pages.new(page)
        self._names |= {account.id: account.name for account in accounts}
        return [request for account in accounts for request in self._ask_listed(account.id)]

    def _ask_listed(self, account_id: str) -> _Requests:
        """Return the requests about a listed account; if its id is not valid, keep the error."""
        try:
            return self._ask(account_id)
        except ValueError as error:
            self._requests[account_id] = ()
            self._failed[account_id] = error
            return ()

    def take(self, outcome: Outcome[Any]) -> bool:
        """Keep an outcome. Return whether its account is done."""
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
        """Add the answers so far, also the unread ones, to an error that ends the sweep."""
        try:
            yield
        except BaseException as error:
            for outcome in unread():
                self.take(outcome)
            # An error that contains itself could not be pickled.
            self._failed = {k: v for k, v in self._failed.items() if v is not error}
            with suppress(AttributeError):  # the caller's exception may have slots
                error.partial = self.result()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
            if not isinstance(error, Exception):
                answered = f"{len(self._found):,} of {len(self._requests):,} accounts"
                error.add_note(f"the answers about {answered} are in `.partial` of this exception")
            raise
