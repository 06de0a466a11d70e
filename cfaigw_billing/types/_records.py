"""Values as data: dictionaries, records, data frames. The same rules hold for every type.

- **JSON**: texts, numbers, booleans, `None`, and in dictionaries mappings and lists.
- **An amount** has the service's name and is a number in cents. Its exact US dollars follow as text
  (`balance`: 640.19, `balance_usd`: "6.4019"; `None` in another currency).
- **A time** is ISO 8601 text, in UTC if the service sent a number; `None` if that is not valid.
- **Secrets** are omitted.
- **A dictionary** (`to_dict`) has the form of the answer: the service's names, nested values and
  lists. A time follows the number that the service sent (`start_time`: 1767225600000,
  `start_time_datetime`: "2026-01-01T00:00:00+00:00"). `extra` has unknown fields, if any.
- **A record** (`to_records`) is a row of a table: flat, with the same entries for all values of a
  type. A nested value adds its own entries (`payment_method_brand`). A time replaces the number.
  Lists and `extra` are omitted.
- **A data frame** (`to_pandas`) has the records as rows. Exact texts become floats, or `Decimal`s
  with `exact=True`; times become timestamps in UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, cast, get_args, get_origin

import attrs

from .._show.extras import needed
from .._wire.secrets import REDACTED, Secret
from ._annotations import member_of, wire_fields, wire_name
from ._data import Data, Property, descriptions, plain_digits
from ._derived import Derived

if TYPE_CHECKING:
    import pandas as pd


class Kind(Enum):
    """The kinds of entries."""

    CENTS = "cents"
    """An amount in cents, a number."""
    EXACT = "exact"
    """An exact number, as text."""
    MOMENT = "moment"
    """A moment, as text."""
    OTHER = "other"
    """A value with the same form everywhere."""


@attrs.frozen
class Entry:
    """One entry of a record."""

    read: Callable[[Any], object]
    """Returns the entry for a value; `None` for `None`."""
    kind: Kind = Kind.OTHER
    """Its kind."""


@attrs.frozen
class Part:
    """One field of a type, with its other form."""

    name: str
    """The attribute."""
    key: str
    """The name on the wire, and in a dictionary."""
    kind: Kind
    """Its kind."""
    type: Any
    """The type of its value, if not `None`."""
    optional: bool = True
    """Whether it may be `None`."""
    sibling: str | None = None
    """The attribute of the other form: dollars or a time."""
    sibling_key: str = ""
    """The name of the other form in a dictionary."""

    def other(self, value: object) -> object:
        """Return the other form, as in a record or a dictionary."""
        return None if self.sibling is None else _derived(value, self.sibling)


@cache
def parts(cls: Any) -> tuple[Part, ...]:
    """Return the fields of a type to show: all except `extra` and secrets."""
    siblings = _siblings(cls)
    fields = [field for field in wire_fields(cls) if member_of(field.type)[0] is not Secret]
    own = [Part("account_id", "account_id", Kind.OTHER, str)] if hasattr(cls, "account_id") else []
    return (*own, *(_part(field, siblings.get(field.name)) for field in fields))


def _part(field: Any, sibling: str | None) -> Part:
    kind, optional = member_of(field.type)
    name, key = field.name, wire_name(field)
    if sibling is None:
        moment_or_not = Kind.MOMENT if kind is datetime else Kind.OTHER
        return Part(name, key, moment_or_not, kind, optional)
    if sibling.endswith("_money"):
        dollars = sibling.removesuffix("_money") + "_usd"
        return Part(name, key, Kind.CENTS, kind, optional, sibling, dollars)
    if sibling.endswith("_datetime"):
        return Part(name, key, Kind.MOMENT, kind, optional, sibling, sibling)
    # Text alone is enough: its Python attribute is the same number.
    return Part(name, key, Kind.EXACT, kind, optional)


def as_dict(value: object) -> dict[str, object]:
    """Return a value as a dictionary."""
    found: dict[str, object] = {}
    for part in parts(cast("Any", type(value))):
        found[part.key] = _json(getattr(value, part.name))
        if part.sibling is not None:
            found[part.sibling_key] = _json(part.other(value))
    if extra := getattr(value, "extra", None):
        found["extra"] = _json(extra)
    return found


def properties(cls: Any) -> Iterator[Property]:
    """Return the properties of `as_dict` for a type."""
    told = descriptions(cls)
    for part in parts(cls):
        schema = {"description": told[part.name]} if part.name in told else {}
        written = part.type
        if written is datetime:
            written, schema["format"] = str, "date-time"
        elif get_origin(written) is tuple:
            written = list.__class_getitem__(get_args(written)[:1])
        yield Property(
            name=part.key,
            written=written | None if part.optional else written,
            read=part.type | None if part.optional else part.type,
            required=not part.optional,
            schema=schema,
        )
        if part.kind is Kind.CENTS:
            schema = {
                "description": f"`{part.key}` in US dollars, exact; null in other currencies."
            }
            yield Property(name=part.sibling_key, written=str | None, schema=schema)
        elif part.sibling:
            schema = {"description": f"`{part.key}` in ISO 8601, UTC.", "format": "date-time"}
            yield Property(name=part.sibling_key, written=str | None, schema=schema)


def record(value: object, cls: Any = None) -> dict[str, object]:
    """Return a value as a record; for `None`, a record of a `cls` with `None` everywhere."""
    own: Any = type(value)
    return {name: _json(entry.read(value)) for name, entry in entries(cls or own).items()}


@cache
def entries(cls: Any) -> dict[str, Entry]:
    """Return the entries of the record of a `cls`; times are `datetime`s here."""
    found: dict[str, Entry] = {}
    for part in parts(cls):
        if attrs.has(part.type):
            inner = entries(part.type).items()
            found |= {f"{part.name}_{name}": _within(part.name, entry) for name, entry in inner}
        elif part.kind is Kind.MOMENT:
            found[part.name] = Entry(_reader(part.sibling or part.name), Kind.MOMENT)
        elif get_origin(part.type) is not tuple:
            found[part.name] = Entry(_reader(part.name), part.kind)
            if part.kind is Kind.CENTS:
                found[part.sibling_key] = Entry(part.other, Kind.EXACT)
    return found


def to_frame(
    records: Sequence[Mapping[str, object]],
    entries: Mapping[str, Entry],
    index: str | None,
    *,
    exact: bool = False,
) -> pd.DataFrame:
    """Return records as a data frame, with the same columns and types if there are none."""
    with needed("`to_pandas()`", "notebook"):
        import pandas as pd

    frame = pd.DataFrame(records, columns=list(entries))
    for name, entry in entries.items():
        make, dtype = _columns(exact=exact)[entry.kind]
        if dtype is not None:
            values: Any = [None if row[name] is None else make(row[name]) for row in records]
            frame[name] = pd.Series(values, dtype=dtype)
    return frame if index is None else frame.set_index(index)


def _columns(*, exact: bool) -> dict[Kind, tuple[Callable[[Any], object], str | None]]:
    """Return by kind: how to convert a value for a data frame, and the type of the column."""
    return {
        Kind.CENTS: (float, "float64"),
        Kind.EXACT: (_number, "object")
        if exact
        else (lambda text: _number(text, float), "float64"),
        # In microseconds: nanoseconds end in the year 2262.
        Kind.MOMENT: (datetime.fromisoformat, "datetime64[us, UTC]"),
        Kind.OTHER: (str, None),
    }


def _number(text: str, kind: Callable[[str], object] = Decimal) -> object:
    try:
        return kind(text)
    except (ArithmeticError, ValueError):  # not a number
        return None


def moment(value: object, field: str, form: str = "%Y-%m-%d %H:%M") -> str:
    """Return a time as readable text; a number that is not a valid time, as it came."""
    cls: Any = type(value)
    found = entries(cls)[field].read(value)
    if isinstance(found, datetime):
        return format(found, form)
    number = getattr(value, field)
    return "" if number is None else str(number)


_PLAIN = (str, float, bool, int)


def _json(value: Any) -> object:
    """Return a value of a field as JSON."""
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Secret):
        return REDACTED
    if isinstance(value, Mapping):
        return {name: _json(item) for name, item in cast("Mapping[str, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in cast("Sequence[object]", value)]
    return value.to_dict() if isinstance(value, Data) else value


def _siblings(cls: Any) -> dict[str, str]:
    """Return by field name: the attribute that shows the field in another form."""
    attributes = {name: getattr(cls, name) for name in dir(cls)}
    return {a.field_name: name for name, a in attributes.items() if isinstance(a, Derived)}


def _reader(attribute: str) -> Callable[[Any], object]:
    return lambda value: _derived(value, attribute)


def _derived(value: object, attribute: str) -> object:
    try:
        found = getattr(value, attribute, None)
    except ArithmeticError:  # too large for a time
        return None
    if not attribute.endswith("_money") or found is None:
        return found
    return plain_digits(found.major) if found.currency == "USD" else None


def _within(field: str, entry: Entry) -> Entry:
    return Entry(lambda value: entry.read(getattr(value, field, None)), entry.kind)
