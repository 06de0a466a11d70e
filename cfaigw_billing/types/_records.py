"""Values as flat mappings, for tables of data: JSON, CSV and pandas.

The rule, for every type: an amount stands under the wire's name in cents, and beside it, exact, in
dollars (`balance`: 640.19, `balance_usd`: 6.4019); what is in another currency has no dollars. A
moment is an aware UTC `datetime` under the wire's name. A value within the value adds its own
entries (`payment_method_brand`). Lists within it, what this version does not know (`extra`), and
secrets are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, get_origin

import attrs

from .._show.extras import needed
from .._wire.secrets import Secret
from ._annotations import member_of
from ._derived import Derived

if TYPE_CHECKING:
    import pandas as pd


_MOMENT = "datetime64[us, UTC]"
"""In microseconds: nanoseconds end in the year 2262."""


@attrs.frozen
class Entry:
    """One entry of a record."""

    read: Callable[[Any], object]
    """Gives it for a value; `None` for `None`."""
    dtype: str | None = None
    """Its type in a data frame, where that must not depend on what the values happen to be."""


def record(value: object) -> dict[str, object]:
    """The entries of a value by name."""
    cls: Any = type(value)
    return {name: entry.read(value) for name, entry in entries(cls).items()}


@cache
def entries(cls: Any) -> dict[str, Entry]:
    """Return the entries of the record of a `cls`."""
    siblings = _siblings(cls)
    found: dict[str, Entry] = {}
    for field in attrs.fields(attrs.resolve_types(cls)):
        kind, _ = member_of(field.type)
        sibling = siblings.get(field.name) or field.name
        if kind is Secret or field.name == "extra" or get_origin(kind) is tuple:
            continue
        if attrs.has(kind):
            inner = entries(kind).items()
            found |= {f"{field.name}_{name}": _within(field.name, entry) for name, entry in inner}
        elif sibling.endswith("_money"):
            found[field.name] = Entry(_reader(field.name), "float64")
            found[sibling.removesuffix("_money") + "_usd"] = Entry(_dollars(sibling))
        else:
            is_moment = sibling.endswith("_datetime") or kind is datetime
            found[field.name] = Entry(_reader(sibling), _MOMENT if is_moment else None)
    return found


def to_frame(
    records: Sequence[Mapping[str, object]], entries: Mapping[str, Entry], index: str | None
) -> pd.DataFrame:
    """The records as a data frame, with the same columns if there are none.

    Cents and moments have the same types then, too, and where all of them are missing.
    """
    with needed("`to_pandas()`", "notebook"):
        import pandas as pd

    frame = pd.DataFrame(records, columns=list(entries))
    for name, entry in entries.items():
        if entry.dtype is not None:
            values: Any = [row[name] for row in records]
            frame[name] = pd.Series(values, dtype=entry.dtype)
    return frame if index is None else frame.set_index(index)


def moment(value: object, field: str, form: str = "%Y-%m-%d %H:%M") -> str:
    """A moment of a value as a person reads it; a number that is none, as it came."""
    cls: Any = type(value)
    found = entries(cls)[field].read(value)
    if isinstance(found, datetime):
        return format(found, form)
    number = getattr(value, field)
    return "" if number is None else str(number)


def _siblings(cls: Any) -> dict[str, str]:
    """By the name of a field, the attribute that shows it in another form."""
    attributes = {name: getattr(cls, name) for name in dir(cls)}
    return {a.field_name: name for name, a in attributes.items() if isinstance(a, Derived)}


def _reader(attribute: str) -> Callable[[Any], object]:
    def read(value: Any) -> object:
        try:
            return getattr(value, attribute, None)
        except ArithmeticError:  # a number that is no moment, a text that is no number
            return None

    return read


def _dollars(attribute: str) -> Callable[[Any], object]:
    def read(value: Any) -> object:
        money = getattr(value, attribute, None)
        return None if money is None or money.currency != "USD" else money.major

    return read


def _within(field: str, entry: Entry) -> Entry:
    return Entry(lambda value: entry.read(getattr(value, field, None)), entry.dtype)
