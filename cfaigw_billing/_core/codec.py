"""Convert values to JSON and back, strictly by their types.

Functions compiled for each type decode the answers of this package (see `structure`). cattrs
decodes all other types, and finds the faults of invalid answers (see `conversion`). It is only
imported then, because its import takes half as long as the package's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast, get_args

import attrs

from ..types import Params, Response
from ..types._annotations import is_array
from .structure import HOOKS, Hook, structure_function

T = TypeVar("T")


class DecodeError(ValueError):
    """The answer does not match the type; the message begins with the path to the fault."""


def decode(value: object, cls: type[T], path: str, again: Callable[[], object]) -> T:
    """Make a `cls` from decoded JSON, or raise `DecodeError` with the path to every fault.

    Args:
        value: The decoded JSON. It is changed.
        cls: The type to make.
        path: The path of the value in the answer.
        again: Returns the value again, unchanged, to find the faults.
    """
    try:
        return cast("T", _hook_for(cls)(value, cls))
    except Exception:  # any error; the second pass finds the faults
        from . import conversion

        try:
            return conversion.structure(again(), cls)
        except Exception as error:
            raise DecodeError("; ".join(conversion.faults(error, path))) from None


def can_decode(cls: object) -> bool:
    """Return whether a `cls` can be made from decoded JSON."""
    from . import conversion

    return conversion.has_hook(cls)


def encode(params: Params[Any]) -> dict[str, Any]:
    """Return the parameters to send: all that differ from their default."""
    return attrs.asdict(params, filter=lambda field, value: value != field.default)


def _find_hook(cls: Any) -> Hook:
    if cls in HOOKS:
        return HOOKS[cls]
    member = get_args(cls)[0] if is_array(cls) else cls
    if isinstance(member, type) and issubclass(member, Response):
        own = structure_function(member, _hook_for, array=is_array(cls))
        if own is not None:
            return own
    from . import conversion

    return conversion.hook_for(cls)


_hook_for: Callable[[Any], Hook] = cache(_find_hook)
"""Returns the function that makes a type from decoded JSON."""
