"""Decode JSON with cattrs: types that are not of this package, and invalid answers.

It uses the hooks of `structure`, and finds the path of each fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, TypeVar, cast, get_origin

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

from .._wire.secrets import conceal_client_secrets
from ..types import Response
from ..types._annotations import is_array, member_of, wire_fields, wire_name
from .structure import HOOKS, JSON_NAMES, Hook, mismatch

T = TypeVar("T")


def structure(value: object, cls: type[T]) -> T:
    """Make a `cls` from decoded JSON. `faults` explains its errors."""
    return _converter.structure(value, cls)


def hook_for(cls: Any) -> Hook:
    """Return the function that makes a `cls` from decoded JSON."""
    return _converter.get_structure_hook(cls)


def has_hook(cls: object) -> bool:
    """Return whether a `cls` can be made from decoded JSON."""
    try:
        hook_for(cls)
    except (StructureHandlerNotFoundError, TypeError):
        return False
    return True


def faults(error: BaseException, path: str) -> Iterator[str]:
    """Yield a line for each fault in an error of cattrs, with its path on the wire."""
    if not isinstance(error, BaseValidationError):
        reason = "missing" if isinstance(error, KeyError) else str(error)
        path = path.removeprefix(".")
        yield f"{path}: {reason}" if path else reason
        return
    for fault in error.exceptions:
        yield from faults(fault, path + _step(fault, error.cl))


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


def _is_a_record(cls: Any) -> bool:
    return attrs.has(cls) or is_dataclass(cls)


def _only(json_type: type, factory: Callable[..., Hook]) -> Callable[..., Hook]:
    """Check the JSON type first, because the hook of cattrs iterates over any value."""

    def checked(cls: Any, converter: BaseConverter) -> Hook:
        structure = factory(cls, converter)

        def hook(value: Any, _: object) -> Any:
            if type(value) is not json_type:
                raise mismatch(JSON_NAMES[json_type], value)
            return structure(value, cls)

        return hook

    return checked


def _is_response(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Response)


def _response(cls: Any, converter: BaseConverter) -> Hook:
    """Return cattrs' hook for the fields, which also keeps unknown entries in `extra`."""
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
            raise mismatch("an object", value)
        given = cast("dict[str, Any]", value)
        result = structure(given, cls)
        # All required fields are present, so a value without more entries has no unknown ones.
        if len(given) > required and not given.keys() <= names:
            unknown = {name: given[name] for name in given if name not in names}
            return attrs.evolve(result, extra=conceal_client_secrets(unknown))
        return result

    return hook


def _made() -> Converter:
    converter = Converter(detailed_validation=True)
    for cls in HOOKS.keys() - {object}:
        converter.register_structure_hook(cls, HOOKS[cls])
    # Only for `object` itself: `register_structure_hook` would also apply to its subclasses.
    converter.register_structure_hook_func(lambda cls: cls is object, HOOKS[object])
    converter.register_structure_hook_factory(_is_union, _union)
    for predicate, factory in (
        (is_array, _only(list, homogenous_tuple_structure_factory)),
        (_is_a(list), _only(list, list_structure_factory)),
        (_is_a(dict, Mapping), _only(dict, mapping_structure_factory)),  # pyright: ignore[reportUnknownArgumentType]
        (_is_a_record, _only(dict, make_dict_structure_fn)),
    ):
        converter.register_structure_hook_factory(predicate, factory)
    converter.register_structure_hook_factory(_is_response, _response)
    return converter


_converter = _made()
