"""Make the answers of this package from decoded JSON, with a compiled function for each type.

By default, cattrs turns `"12"` into 12.0, `"false"` into True and None into "None". The hooks below
accept a value only if it has the JSON type of the field.

The function for an attrs class is generated as source and compiled, because cattrs is slow for the
35,000 fields in a year of hourly usage: it calls a hook for each field, and then the class's frozen
`__init__`. The compiled function calls a hook only if the value would change. It fills a twin of
the class, which has the same slots but is mutable, and changes its class at the end.

For invalid JSON it raises any error. The caller finds the faults (see `codec`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from math import isfinite
from typing import Any

import attrs

from .._wire.secrets import Secret, conceal_client_secrets
from .._wire.strict_json import EMPTY
from ..types._annotations import member_of, wire_fields, wire_name

Hook = Callable[[Any, Any], Any]

JSON_NAMES: dict[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def _number(value: Any, _: object) -> float:
    if type(value) is float and isfinite(value):
        return value
    if type(value) is int:
        return float(value)
    raise mismatch("a finite number", value)


def _integer(value: Any, _: object) -> int:
    if type(value) is int or (type(value) is float and value.is_integer()):
        return int(value)
    raise mismatch("a whole number", value)


def _string(value: Any, _: object) -> str:
    if type(value) is str:
        return value
    raise mismatch("a string", value)


def _boolean(value: Any, _: object) -> bool:
    if type(value) is bool:
        return value
    raise mismatch("a boolean", value)


def _secret(value: Any, _: object) -> Secret:
    return Secret(_string(value, _))


def _moment(value: Any, _: object) -> datetime:
    return datetime.fromisoformat(_string(value, _))


def mismatch(expected: str, value: object) -> TypeError:
    if type(value) is float:
        return TypeError(f"expected {expected}, got {value}")
    return TypeError(f"expected {expected}, got {JSON_NAMES.get(type(value), 'something else')}")


HOOKS: dict[Any, Hook] = {
    float: _number,
    int: _integer,
    str: _string,
    bool: _boolean,
    Secret: _secret,
    datetime: _moment,
    object: lambda value, _: value,
}
"""The functions that check and convert the values of fields, by type."""

_NEEDS_HOOK = {
    str: "kind is not str",
    bool: "kind is not bool",
    int: "kind is not int",
    float: "kind is not float or x - x != 0.0",  # the difference is NaN if x is not finite
}
"""By the type of a field: the condition that the hook must be called for a value."""

# All names are bound as parameters: to look them up as globals took a sixth of the time.
_ONE = """
def structure(value, _, {names}):
    {body}
    return self
"""
# Each element is dropped once it is structured, so that its memory can be reused: otherwise a long
# array makes the garbage collector go through all objects of the program.
_ARRAY = """
def structure(values, _, {names}):
    values.reverse()
    structured = []
    append = structured.append
    while values:
        value = values.pop()
        {body}
        append(self)
    return tuple(structured)
"""


def structure_function(
    cls: type, hook_for: Callable[[Any], Hook], *, array: bool = False
) -> Hook | None:
    """Return a function that makes a `cls` from a dictionary; unknown entries go to `extra`.

    Args:
        cls: The class. If its fields have validators, converters or a default other than `None`,
            the result is `None`.
        hook_for: Returns the hook of a type.
        array: Return a function that makes a tuple from a list of dictionaries, and empties the
            list. This saves a call for each, a tenth of the time.
    """
    fields = wire_fields(cls)
    if hasattr(cls, "__attrs_post_init__") or not all(map(_is_plain, fields)):
        return None
    wire = [wire_name(field) for field in fields]
    scope: dict[str, Any] = {
        "cls": cls,
        "twin": _twin(cls),
        "wire": frozenset(wire),
        "empty": EMPTY,
        "unknown": _unknown,
        **{builtin.__name__: builtin for builtin in (type, dict, str, bool, int, float, len)},
    }
    lines = ["if type(value) is not dict: raise TypeError", "self = twin()"]
    for index, (field, name) in enumerate(zip(fields, wire, strict=True)):
        member, optional = member_of(field.type)
        scope |= {f"hook{index}": hook_for(member), f"type{index}": member}
        needs_hook = _NEEDS_HOOK.get(member, "True")
        given = "x is not None and " if optional else ""
        check = f"if {given}({needs_hook}): x = hook{index}(x, type{index})"
        lines += [
            f"x = value.get({name!r})" if optional else f"x = value[{name!r}]",
            "kind = type(x)",
            *(("if kind is int: x = float(x)", f"el{check}") if member is float else (check,)),
            f"self.{field.name} = x",
        ]
    required = sum(field.default is attrs.NOTHING for field in fields)
    lines += ["self.account_id = None" if hasattr(cls, "account_id") else ""]
    lines += [
        f"if len(value) == {required} or value.keys() <= wire: self.extra = empty",
        "else: self.extra = unknown(value, wire)",
        "self.__class__ = cls",
    ]
    names = ", ".join(f"{name}={name}" for name in scope)
    source = (
        _ARRAY.format(names=names, body="\n        ".join(lines))
        if array
        else _ONE.format(names=names, body="\n    ".join(lines))
    )
    exec(compile(source, f"<structure {cls.__qualname__}>", "exec"), scope)  # noqa: S102
    structure: Hook = scope["structure"]
    return structure


def _unknown(value: dict[str, Any], names: frozenset[str]) -> Mapping[str, object]:
    """Return the entries that the class has no field for."""
    return conceal_client_secrets({name: value[name] for name in value if name not in names})


def _is_plain(field: Any) -> bool:
    default = None if member_of(field.type)[1] else attrs.NOTHING
    return field.default is default and field.validator is None and field.converter is None


def _twin(cls: type) -> type:
    """Return a mutable class with the same slots, whose instances start empty."""
    writable = {name: getattr(object, name) for name in ("__init__", "__setattr__", "__delattr__")}
    return type(cls.__name__, cls.__bases__, {"__slots__": cls.__dict__["__slots__"], **writable})
