"""Strings that are sent but never shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Self, cast

REDACTED = "[redacted]"

_SECRET_HEADERS = re.compile(".*authorization|cookie|.*-key|.*-token|.*secret.*", re.IGNORECASE)
"""The headers whose values are masked wherever they are shown."""


class Secret(str):
    """A `str` whose repr is masked and whose pickle holds no secret.

    It goes wherever a string goes (`str(secret)` is the value), but a debugger, an error tracker
    that captures local variables, or a log of a mapping that holds it shows `[redacted]`.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(REDACTED)

    def __copy__(self) -> Self:
        return self  # a copy stays in this process; what pickles does not

    def __deepcopy__(self, _: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return Secret, (REDACTED,)


class Unfit:
    """In the place of a value that may be a secret and is of the wrong type."""

    def __init__(self, value: object) -> None:
        self.kind = type(value).__name__


def conceal(*values: Any) -> tuple[Any, ...]:
    """The strings as secrets; what is of another type is left for a check to complain of."""
    return tuple(_conceal(value) for value in values)


def _conceal(value: object) -> object:
    if isinstance(value, str):
        return Secret(value)
    return value if value is None else Unfit(value)


def conceal_headers(headers: Any) -> Any:
    """The headers with those that hold secrets as `Secret`s."""
    if not isinstance(headers, Mapping):
        return headers if headers is None else Unfit(headers)
    given = cast("Mapping[object, object]", headers)
    return {name: _conceal(value) if _is_secret(name) else value for name, value in given.items()}


def conceal_options(options: Any) -> None:
    """Replace the secrets in the options of a call or of a client, in place.

    In place, so that no frame of a traceback that holds the same options shows them.
    """
    for name in _SECRET_OPTIONS & options.keys():
        options[name] = _conceal(options[name])
    for name in _HEADER_OPTIONS & options.keys():
        options[name] = conceal_headers(options[name])


_SECRET_OPTIONS = {"api_token", "api_key", "user_service_key"}
_HEADER_OPTIONS = {"extra_headers", "default_headers", "set_default_headers"}


def _is_secret(name: object) -> bool:
    return isinstance(name, str) and _SECRET_HEADERS.fullmatch(name) is not None


def kind(value: object) -> str:
    """The name of a value's type, for a message that must not show the value."""
    return value.kind if isinstance(value, Unfit) else type(value).__name__
