"""The result of a sweep over accounts: a mapping by account, with a table and plots."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, overload

from ..._show.plots import BARS, Bar, plot_bars
from ..._show.table import LONGEST, Alert, Column, Table, counted, first
from ...types._records import Entry, entries, record, to_frame

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

T = TypeVar("T")
D = TypeVar("D")

FAILURES = 10
"""How many failed accounts a table shows."""


class AccountAnswers(Mapping[str, T]):
    """The answers about many accounts, by account, in the order of the requests.

    `answers[account_id]` raises the error of an account that failed; `failed` has it too. `in`,
    `get` and loops only see the accounts that answered. `a | b` has the accounts of both.
    """

    failed: Mapping[str, Exception]
    """The accounts that did not answer, and why."""
    names: Mapping[str, str]
    """The names of the accounts, if the sweep read the list of accounts; else empty."""
    missing: tuple[str, ...]
    """The accounts without an answer or error, because the sweep ended early: ask them next."""
    listed: bool
    """Whether the list of accounts was read to its end. If not, there may be more accounts: see
    `client.accounts.list()`."""

    def __init__(
        self,
        found: Mapping[str, T],
        failed: Mapping[str, Exception],
        names: Mapping[str, str] | None = None,
        *,
        missing: Iterable[str] = (),
        listed: bool = True,
    ) -> None:
        self._found = dict(found)
        self.failed = dict(failed)
        self.names = dict(names or {})
        self.missing = tuple(missing)
        self.listed = listed

    def __getitem__(self, account_id: str) -> T:
        if account_id in self._found:
            return self._found[account_id]
        if account_id in self.failed:
            # Without the traceback: each raise would make it longer.
            raise self.failed[account_id].with_traceback(None)
        if account_id in self.missing:
            raise KeyError(f"{account_id} was not asked, because the sweep ended early")
        raise KeyError(f"{account_id} is not one of the accounts of this sweep")

    # `Mapping` would call `__getitem__` for these, and expect only `KeyError`.

    def __contains__(self, account_id: object) -> bool:
        return account_id in self._found

    @overload
    def get(self, account_id: str, /) -> T | None: ...
    @overload
    def get(self, account_id: str, /, default: T | D) -> T | D: ...
    def get(self, account_id: str, /, default: T | D | None = None) -> T | D | None:
        """Return the answer about an account; `default` if it failed or was not asked."""
        return self._found.get(account_id, default)

    def items(self) -> ItemsView[str, T]:
        """Return the accounts that answered, each with its answer."""
        return self._found.items()

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __or__(self, other: Self) -> Self:
        """Return a new value with the accounts of both, for example from two machines.

        If an account is in both, its answer or error in `other` counts.
        """
        if type(other) is not type(self):
            return NotImplemented
        found = {k: v for k, v in self._found.items() if k not in other.failed} | other._found
        failed = {k: v for k, v in self.failed.items() if k not in other._found}
        failed |= other.failed
        missing = dict.fromkeys((*self.missing, *other.missing))
        merged = type(self)(
            found,
            failed,
            {**self.names, **other.names},
            missing=[name for name in missing if name not in found and name not in failed],
            listed=self.listed and other.listed,
        )
        for name, value in {**vars(self), **vars(other)}.items():
            if name in self._settings:
                setattr(merged, name, value)
        return merged

    def __repr__(self) -> str:
        counts = [f"{len(self)} accounts", *self._without_answer(), self._figure()]
        return f"<{type(self).__name__}: {', '.join(counts)}>"

    @abstractmethod
    def to_records(self) -> list[dict[str, object]]:
        """Return flat mappings, each with the `account_id` and the `account_name`."""

    def to_pandas(self, *, exact: bool = False) -> pd.DataFrame:
        """Return the records as a data frame, by account or by time; needs the extra `notebook`.

        Args:
            exact: Return dollars (columns `…_usd`) as exact `Decimal`s, not as floats.
        """
        return to_frame(self.to_records(), self._entries(), index=self._index, exact=exact)

    def _repr_html_(self) -> str:
        """Return the HTML for a notebook: failed accounts, then the first others."""
        return self._table(LONGEST).html()

    # What depends on the result:

    _row_type: ClassVar[Any]
    """The class whose entries a record has."""
    _own: ClassVar[Sequence[str]] = ("account_id", "account_name")
    """The other entries of a record."""
    _index: ClassVar[str]
    """The entry of the records that becomes the index of the data frame."""
    _columns: ClassVar[Sequence[Column]]
    """The columns of the table after the account and its name. Marks have no heading."""
    _rest: ClassVar[str]
    """Describes the accounts that a table omits, such as "none of them lower"."""
    _settings: ClassVar[Sequence[str]] = ()
    """The attributes that a user sets."""

    @abstractmethod
    def _ranked(self) -> list[str]:
        """Return the accounts that answered, the most important first."""

    @abstractmethod
    def _cells(self, account_id: str) -> Sequence[str]:
        """Return the texts of an account that answered, one for each of `_columns`."""

    @abstractmethod
    def _figure(self) -> str:
        """Return the one figure that the repr shows."""

    @abstractmethod
    def _facts(self) -> str:
        """Return the part of the table's title about the accounts that answered."""

    # What all results share:

    @classmethod
    def _entries(cls) -> dict[str, Entry]:
        """Return the entries of a record."""
        return dict.fromkeys(cls._own, Entry(lambda _: None)) | entries(cls._row_type)

    def _table(self, limit: int | None, *, failed: bool = True) -> Table:
        """Return the table: a few failed accounts, and at most `limit` others."""
        shown, notes = first(self._ranked(), limit, self._rest)
        rows = [self._row(account_id, self._cells(account_id)) for account_id in shown]
        if failed:
            broken, more = first(list(self.failed), FAILURES, "which failed too: see `.failed`")
            cells = ["" if column.heading else Alert("FAILED") for column in self._columns]
            rows = [self._row(account_id, cells) for account_id in broken] + rows
            reasons = [f"{self._name(name)} failed: {self.failed[name]}" for name in broken]
            notes = reasons + more + notes
        columns = (Column("Account"), Column("Name", least=8), *self._columns)
        count = counted(len(self) + len(self.failed), "account")
        title = f"{count}: {', '.join([self._facts(), *self._without_answer()])}"
        return Table(title=title, columns=columns, rows=rows, notes=notes).filled()

    def _draw(
        self,
        ax: Axes | None,
        bars: Sequence[Bar],
        *,
        order: str,
        what: str,
        xlabel: str,
        threshold: float | None = None,
    ) -> Axes:
        """Draw the first bars; the title says how they were chosen."""
        shown = bars[:BARS]
        which = f"The {len(shown):,} {order} of {len(bars):,} {what}"
        return plot_bars(
            ax,
            shown,
            threshold=threshold,
            title=which if len(shown) < len(bars) else what.capitalize(),
            xlabel=xlabel,
            ylabel="Account",
        )

    def _record_each(self) -> list[dict[str, object]]:
        """Return a record of each account; failed accounts come last, with their `error`."""
        answers: dict[str, T | None] = {**self._found, **dict.fromkeys(self.failed)}
        records: list[dict[str, object]] = []
        for account_id, answer in answers.items():
            error = str(self.failed[account_id]) if account_id in self.failed else None
            own = {"account_id": account_id, "account_name": self.names.get(account_id)}
            records.append({**own, "error": error, **record(answer, self._row_type), **own})
        return records

    def _row(self, account_id: str, cells: Sequence[str]) -> Sequence[str]:
        return account_id, self.names.get(account_id, ""), *cells

    def _without_answer(self) -> list[str]:
        """Count the accounts that failed, and those that were not asked."""
        counts = [f"{len(self.failed):,} failed"]
        if self.missing:
            counts.append(f"{len(self.missing):,} missing")
        return counts if self.listed else [*counts, "the list of accounts incomplete"]

    def _name(self, account_id: str) -> str:
        return self.names.get(account_id) or account_id
