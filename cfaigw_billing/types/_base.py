"""The base classes of requests, answers and values computed from answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, get_args

from attrs import evolve, field, fields_dict, frozen, resolve_types

from .._wire.secrets import conceal_client_secrets
from .._wire.strict_json import EMPTY
from ._annotations import NOT_ON_THE_WIRE
from ._data import Data, Property
from ._validators import account

if TYPE_CHECKING:
    import pandas as pd

    from .._show.table import Table
    from ._records import Entry

T_co = TypeVar("T_co", covariant=True)

# Modules that show values are imported when a value is shown.


@frozen(kw_only=True)
class Params(Generic[T_co]):
    """The parameters of one call, checked when they are made; `T_co` is the type of the answer.

    An optional parameter that is `None` is not sent.
    """


@frozen(kw_only=True)
class AccountParams(Params[T_co]):
    """The parameters of a call on one account."""

    account_id: str | None = field(default=None, validator=account)
    """The account's identifier; `None`: the client's `account_id`."""


class Shown(Data):
    """A value with forms for people and programs: JSON, a data frame, a table in a notebook."""

    __slots__ = ()

    def to_dict(self) -> dict[str, object]:
        """Return the answer as nested JSON data, with the names and numbers of the service.

        Each amount in cents also comes in exact US dollars (`balance`: 640.19, `balance_usd`:
        "6.4019"; `None` in another currency), each time also as ISO 8601 text
        (`start_time_datetime`). `extra` is there only if it is not empty. Secrets are omitted.
        """
        from ._records import as_dict

        return as_dict(self)

    def to_records(self) -> list[dict[str, object]]:
        """Return flat mappings: one for each row of a list, or one for the value itself.

        They are JSON. Each amount comes in cents and in exact US dollars (`balance`: 640.19,
        `balance_usd`: "6.4019"; `None` in another currency). A time is ISO 8601 text; `None` if
        the service's number is not a valid time.
        """
        from ._records import record

        return [record(row) for row in self._rows()]

    def to_pandas(self, *, exact: bool = False) -> pd.DataFrame:
        """Return the records as a data frame; needs the extra `notebook`.

        Times are timestamps in UTC. If rows have a time, it is the index.

        Args:
            exact: Return dollars (columns `…_usd`) as exact `Decimal`s, not as floats.
        """
        from ._records import to_frame

        return to_frame(self.to_records(), self._columns(), self._index, exact=exact)

    def _repr_html_(self) -> str:
        """Return the HTML for a notebook: dollars, UTC times, and the first rows of a list."""
        from .._show.table import LONGEST

        return self._table(LONGEST).html()

    # For subclasses to set:

    _list: ClassVar[str | None] = None
    """The field with the values for the records; `None`: one record of the value itself."""
    _index: ClassVar[str | None] = None
    """The entry of the records that becomes the index of the data frame."""

    def _table(self, limit: int | None) -> Table:
        """Return the table to show: at most `limit` rows of a list."""
        from .._show.table import Column, Table, first, text
        from ._records import entries

        def cell(entry: Entry) -> Callable[[object], str]:
            return lambda row: text(entry.read(row))

        name = type(self).__name__.removeprefix("Billing").removesuffix("Response")
        title = re.sub("(?<=[a-z])(?=[A-Z])", " ", name).capitalize()
        if self._list is None:
            pair = Column(), Column(wraps=True)
            return Table(title=title, columns=pair, rows=self._details())
        shown, notes = first(self._rows(), limit, "in the same order")
        columns = [Column(name, cell(entry)) for name, entry in entries(self._row_type()).items()]
        return Table.of(shown, columns, title=title, notes=notes)

    def _details(self) -> Sequence[tuple[str, str]]:
        """Return the names and texts to show of a value that is not a list."""
        from .._show.table import text
        from ._records import entries

        cls: Any = type(self)
        shown = entries(cls).items()
        return [(name, text(entry.read(self))) for name, entry in shown if name != "account_id"]

    def _rows(self) -> Sequence[Shown]:
        return (self,) if self._list is None else getattr(self, self._list)

    @classmethod
    def _columns(cls) -> dict[str, Entry]:
        """Return the entries of the records."""
        from ._records import entries

        return entries(cls._row_type())

    @classmethod
    def _row_type(cls) -> Any:
        if cls._list is None:
            return cls
        own: Any = cls
        return get_args(fields_dict(resolve_types(own))[cls._list].type)[0]

    @classmethod
    def _from_dict(cls, data: Mapping[str, Any]) -> Self:
        from ._records import parts

        own: Any = cls
        fields = {part.name: data[part.key] for part in parts(own) if part.key in data}
        return cls(**fields)

    @classmethod
    def _properties(cls) -> Iterable[Property]:
        from ._records import properties

        return properties(cls)


@frozen(kw_only=True)
class Response(Shown):
    """A value in an answer of the service."""

    extra: Mapping[str, object] = field(
        default=EMPTY, repr=False, hash=False, metadata=NOT_ON_THE_WIRE
    )
    """The fields that this version does not know, as decoded JSON by name.

    A `client_secret` in it, at any depth, is masked in reprs and not pickled.
    """

    @classmethod
    def _from_dict(cls, data: Mapping[str, Any]) -> Self:
        extra = data.get("extra")
        concealed = conceal_client_secrets(deepcopy(extra)) if extra else EMPTY
        return evolve(super()._from_dict(data), extra=concealed)

    @classmethod
    def _properties(cls) -> Iterable[Property]:
        schema = {"description": "The fields that this version does not know."}
        kind = dict[str, object]
        extra = Property(
            name="extra", written=kind, read=kind, required=False, always=False, schema=schema
        )
        return (*super()._properties(), extra)


def of_account() -> Any:
    """Return the field `account_id` of an answer about one account."""
    return field(default=None, eq=False, metadata=NOT_ON_THE_WIRE)


@frozen(kw_only=True)
class AccountResponse(Response):
    """An answer about one account.

    Attributes:
        account_id: The account of the call; `None` if the value does not come from a call.
    """

    account_id: str | None = of_account()
    """The account of the call; `None` if the value does not come from a call.

    The service does not send it. Comparing values ignores it.
    """

    def to_records(self) -> list[dict[str, object]]:
        """Return flat mappings like other answers; each has the `account_id`."""
        return [{"account_id": self.account_id, **row} for row in super().to_records()]

    @classmethod
    def _columns(cls) -> dict[str, Entry]:
        from ._records import entries

        own: Any = AccountResponse
        return entries(own) | super()._columns()
