"""The base classes of values: of requests, of answers, and of what is made of answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, get_args

from attrs import field, fields_dict, frozen, resolve_types

from .._show.table import LONGEST, Column, Table, first, text
from .._wire.strict_json import EMPTY
from ._records import entries, record, to_frame
from ._validators import identifier

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

_WORDS = re.compile("(?<=[a-z])(?=[A-Z])")
"""Between the words of a class's name."""


@frozen(kw_only=True)
class Params(Generic[T]):
    """The parameters of one call, checked when they are made; `T` is what the call answers.

    An optional parameter that is `None` is not sent.
    """


@frozen(kw_only=True)
class AccountParams(Params[T]):
    """The parameters of a call on one account."""

    account_id: str | None = field(default=None, validator=identifier)
    """The account's identifier; `None` stands for the client's `account_id`."""


@frozen(kw_only=True)
class Shown:
    """A value that shows itself: as records, as a data frame, and in a notebook."""

    def to_records(self) -> list[dict[str, object]]:
        """Flat mappings: one for each row of a list, or one for the value itself.

        An amount stands under the wire's name in cents, and beside it in dollars, exact
        (`balance`: 640.19, `balance_usd`: `Decimal("6.4019")`; `None` in another currency). A
        moment is an aware UTC `datetime`; `None` if the service's number is none.
        """
        return [record(row) for row in self._rows()]

    def to_pandas(self) -> pd.DataFrame:
        """The records as a data frame; moments in UTC, and where rows have one, as its index.

        Dollars stay exact: `Decimal`s in columns `…_usd`, to be made floats with `astype(float)`.
        Needs the extra `notebook`.
        """
        return to_frame(self.to_records(), entries(self._row_type()), self._index)

    def _repr_html_(self) -> str:
        """Return the HTML for a notebook: dollars, UTC times, and the first rows of a list."""
        return self._table(LONGEST).html()

    # How a type differs from this:

    _list: ClassVar[str | None] = None
    """The field whose values the records are of; `None`: one record of the value itself."""
    _index: ClassVar[str | None] = None
    """The entry of the records that is the index of the data frame."""

    def _table(self, limit: int | None) -> Table:
        """Return the table to show: at most `limit` rows of a list."""
        name = type(self).__name__.removeprefix("Billing").removesuffix("Response")
        title = _WORDS.sub(" ", name).capitalize()
        if self._list is None:
            pair = Column(), Column(wraps=True)
            return Table(title=title, columns=pair, rows=self._details())
        shown, notes = first(self.to_records(), limit, "in the same order")
        columns = [Column(name, _entry(name)) for name in entries(self._row_type())]
        return Table.of(shown, columns, title=title, notes=notes)

    def _details(self) -> Sequence[tuple[str, str]]:
        """Return the names and texts to show of a value that is not a list."""
        return [(name, text(entry)) for name, entry in record(self).items()]

    def _rows(self) -> Sequence[Shown]:
        return (self,) if self._list is None else getattr(self, self._list)

    @classmethod
    def _row_type(cls) -> Any:
        if cls._list is None:
            return cls
        return get_args(fields_dict(resolve_types(cls))[cls._list].type)[0]


@frozen(kw_only=True)
class Response(Shown):
    """A value that the service answered."""

    extra: Mapping[str, object] = field(default=EMPTY, repr=False, hash=False)
    """The fields that this version does not know, as decoded JSON by their names on the wire.

    A `client_secret` in it, at any depth, is masked in reprs and not kept in pickles.
    """


def _entry(name: str) -> Callable[[Mapping[str, object]], str]:
    return lambda row: text(row[name])
