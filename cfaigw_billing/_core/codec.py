"""Values to JSON and back, and nothing but what the types say.

The answers of this package are made by functions that are compiled for them (see `structure`).
cattrs makes everything else, and says where the fault is in what could not be made (see
`conversion`). Its import takes as long as half of the package's, so it waits until then.
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
    """The answer does not fit the type; the message begins with the path to the fault."""


def decode(value: object, cls: type[T], path: str, again: Callable[[], object]) -> T:
    """Make a `cls` of decoded JSON, or raise `DecodeError` with the path to every fault.

    Args:
        value: Is taken apart.
        path: Where it stands in the answer.
        again: Gives it anew, to look for the faults.
    """
    try:
        return cast("T", _hook_for(cls)(value, cls))
    except Exception:  # the hooks raise what they like; the second pass explains it
        from . import conversion

        try:
            return conversion.structure(again(), cls)
        except Exception as error:
            raise DecodeError("; ".join(conversion.faults(error, path))) from None


def can_decode(cls: object) -> bool:
    """Whether there is a way to make a `cls` of decoded JSON."""
    from . import conversion

    return conversion.has_hook(cls)


def encode(params: Params[Any]) -> dict[str, Any]:
    """The parameters that are to be sent: those that are not at their default."""
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
"""Returns what makes a type of decoded JSON."""
