"""Values to JSON and back, and nothing but what the types say.

Left to itself, cattrs turns `"12"` into 12.0, `"false"` into True and None into "None". The hooks
below take a value only if it has the JSON type that the field declares. Two converters share them:
a fast one that stops at the first fault and takes apart what it is given, and one that is used only
after the fast one has failed, to say where the fault is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from datetime import datetime
from functools import cache
from math import isfinite
from typing import Any, TypeVar, cast, get_args, get_origin

import attrs
from cattrs import (
    AttributeValidationNote,
    BaseConverter,
    BaseValidationError,
    Converter,
    IterableValidationNote,
)
from cattrs.cols import (
    homogenous_tuple_structure_factory,
    list_structure_factory,
    mapping_structure_factory,  # pyright: ignore[reportUnknownVariableType]
)
from cattrs.errors import StructureHandlerNotFoundError
from cattrs.gen import make_dict_structure_fn, override

from .._wire.secrets import Secret, conceal_client_secrets
from ..types._annotations import member_of, wire_fields, wire_name
from ..types._base import Params, Response
from .structure import Hook, structure_function

T = TypeVar("T")

_JSON_NAMES: dict[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


class DecodeError(ValueError):
    """The answer does not fit the type; the message begins with the path to the fault."""


def decode(value: object, cls: type[T], path: str, again: Callable[[], object]) -> T:
    """Make a `cls` of decoded JSON, or raise `DecodeError` with the path to every fault.

    Args:
        value: Is taken apart.
        path: Where it stands in the answer.
        again: Gives it anew, to look for the faults.
    """
    try:
        return _fast_hook(cls)(value, cls)  # type: ignore[no-any-return]
    except Exception:  # cattrs and the hooks raise what they like; the second pass explains it
        try:
            return _thorough.structure(again(), cls)
        except Exception as error:
            raise DecodeError("; ".join(_faults(error, path))) from None


def can_decode(cls: object) -> bool:
    """Whether there is a way to make a `cls` of decoded JSON."""
    try:
        _fast.get_structure_hook(cls)
    except (StructureHandlerNotFoundError, TypeError):
        return False
    return True


def encode(params: Params[Any]) -> dict[str, Any]:
    """The parameters that are to be sent: those that are not at their default."""
    encoded: dict[str, Any] = _fast.unstructure(params)
    return encoded


def _number(value: Any, _: object) -> float:
    if type(value) is float and isfinite(value):
        return value
    if type(value) is int:
        return float(value)
    raise _mismatch("a finite number", value)


def _integer(value: Any, _: object) -> int:
    if type(value) is int or (type(value) is float and value.is_integer()):
        return int(value)
    raise _mismatch("a whole number", value)


def _string(value: Any, _: object) -> str:
    if type(value) is str:
        return value
    raise _mismatch("a string", value)


def _boolean(value: Any, _: object) -> bool:
    if type(value) is bool:
        return value
    raise _mismatch("a boolean", value)


def _secret(value: Any, _: object) -> Secret:
    return Secret(_string(value, _))


def _moment(value: Any, _: object) -> datetime:
    return datetime.fromisoformat(_string(value, _))


def _mismatch(expected: str, value: object) -> TypeError:
    if type(value) is float:
        return TypeError(f"expected {expected}, got {value}")
    return TypeError(f"expected {expected}, got {_JSON_NAMES.get(type(value), 'something else')}")


def _is_union(cls: Any) -> bool:
    return member_of(cls)[0] is not cls


def _union(cls: Any, converter: BaseConverter) -> Hook:
    member, optional = member_of(cls)
    structure = converter.get_structure_hook(member)
    if not optional:
        return structure
    return lambda value, _: None if value is None else structure(value, member)


def _is_a(*containers: type) -> Callable[[Any], bool]:
    return lambda cls: (get_origin(cls) or cls) in containers


def _is_array(cls: Any) -> bool:
    return get_origin(cls) is tuple and get_args(cls)[-1] is Ellipsis


def _is_a_record(cls: Any) -> bool:
    return attrs.has(cls) or is_dataclass(cls)


def _only(json_type: type, factory: Callable[..., Hook]) -> Callable[..., Hook]:
    """Check the JSON type before the hook of cattrs, which iterates over anything it is given."""

    def checked(cls: Any, converter: BaseConverter) -> Hook:
        structure = factory(cls, converter)

        def hook(value: Any, _: object) -> Any:
            if type(value) is not json_type:
                raise _mismatch(_JSON_NAMES[json_type], value)
            return structure(value, cls)

        return hook

    return checked


def _array(cls: Any, converter: BaseConverter) -> Hook:
    if converter.detailed_validation:
        return homogenous_tuple_structure_factory(cls, converter)
    return _fast_array(cls, converter)


def _fast_array(cls: Any, converter: BaseConverter) -> Hook:
    member = get_args(cls)[0]
    if _is_response(member):
        fast = structure_function(member, converter.get_structure_hook, array=True)
        if fast is not None:
            return fast
    structure = converter.get_structure_hook(member)
    return lambda elements, _: tuple([structure(element, member) for element in elements])


def _is_response(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Response)


def _response(cls: Any, converter: BaseConverter) -> Hook:
    """cattrs' generated code for the fields, and whatever else came kept in `extra`."""
    if not converter.detailed_validation:
        fast = structure_function(cls, converter.get_structure_hook)
        if fast is not None:
            return fast
    fields = wire_fields(cls)
    names = {wire_name(field) for field in fields}
    required = sum(field.default is attrs.NOTHING for field in fields)
    overrides: dict[str, Any] = {
        field.name: override(omit=True) for field in attrs.fields(cls) if field not in fields
    }
    overrides |= {
        field.name: override(rename=wire_name(field))
        for field in fields
        if wire_name(field) != field.name
    }
    structure = make_dict_structure_fn(cls, converter, **overrides)

    def hook(value: Any, _: object) -> Any:
        if type(value) is not dict:
            raise _mismatch("an object", value)
        given = cast("dict[str, Any]", value)
        result = structure(given, cls)
        # The required ones are there, so a value with no more entries has nothing unknown.
        if len(given) > required and not given.keys() <= names:
            unknown = {name: given[name] for name in given if name not in names}
            return attrs.evolve(result, extra=conceal_client_secrets(unknown))
        return result

    return hook


def _faults(error: BaseException, path: str) -> Iterator[str]:
    """One line for each fault in what cattrs raised, with the path by the names on the wire."""
    if not isinstance(error, BaseValidationError):
        reason = "missing" if isinstance(error, KeyError) else str(error)
        path = path.removeprefix(".")
        yield f"{path}: {reason}" if path else reason
        return
    for fault in error.exceptions:
        yield from _faults(fault, path + _step(fault, error.cl))


def _step(fault: BaseException, cls: Any) -> str:
    for note in getattr(fault, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return (
                f".{wire_name(attrs.fields_dict(cls)[note.name])}"
                if attrs.has(cls)
                else f".{note.name}"
            )
        if isinstance(note, IterableValidationNote):
            return f"[{note.index}]"
    return ""


def _converter(*, detailed_validation: bool) -> Converter:
    converter = Converter(detailed_validation=detailed_validation, omit_if_default=True)
    for cls, hook in {
        float: _number,
        int: _integer,
        str: _string,
        bool: _boolean,
        Secret: _secret,
        datetime: _moment,
    }.items():
        converter.register_structure_hook(cls, hook)
    converter.register_structure_hook_func(lambda cls: cls is object, lambda value, _: value)
    converter.register_structure_hook_factory(_is_union, _union)
    for predicate, checked in (
        (_is_array, _only(list, _array)),
        (_is_a(list), _only(list, list_structure_factory)),
        (_is_a(dict, Mapping), _only(dict, mapping_structure_factory)),  # pyright: ignore[reportUnknownArgumentType]
        (_is_a_record, _only(dict, make_dict_structure_fn)),
    ):
        converter.register_structure_hook_factory(predicate, checked)
    converter.register_structure_hook_factory(_is_response, _response)
    return converter


_fast = _converter(detailed_validation=False)
_fast_hook: Callable[[Any], Hook] = cache(_fast.get_structure_hook)
_thorough = _converter(detailed_validation=True)
