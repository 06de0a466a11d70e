"""The annotation of a field, and its name on the wire."""

from __future__ import annotations

from types import UnionType
from typing import Any, Union, get_args, get_origin

import attrs

NOT_ON_THE_WIRE = {"wire": None}
"""The metadata of a field that the service does not send."""


def member_of(cls: Any) -> tuple[Any, bool]:
    """Return the type of a value that is not `None`, and whether it may be `None`.

    An open enumeration, `Literal[…] | str`, accepts any string.
    """
    if get_origin(cls) not in (Union, UnionType):
        return cls, False
    members = [member for member in get_args(cls) if member is not type(None)]
    return str if str in members else members[0], len(members) < len(get_args(cls))


def is_array(cls: Any) -> bool:
    """Return whether it is the type of a list on the wire, `tuple[T, ...]`."""
    return get_origin(cls) is tuple and get_args(cls)[-1] is Ellipsis


def wire_fields(cls: Any) -> list[Any]:
    """Return the fields of an attrs class that the service sends, with their types resolved."""
    fields = attrs.fields(attrs.resolve_types(cls))
    return [field for field in fields if field.metadata.get("wire", field.name) is not None]


def wire_name(field: Any) -> str:
    """Return the name of a field in JSON: its own, unless its metadata has another."""
    name: str = field.metadata.get("wire", field.name)
    return name
