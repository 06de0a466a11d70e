"""A string that is sent but never shown."""

from __future__ import annotations

from typing import Any, Self

REDACTED = "[redacted]"


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


def conceal(*values: Any) -> tuple[Any, ...]:
    """The strings as secrets; what is no string is left for a check."""
    return tuple(Secret(value) if isinstance(value, str) else value for value in values)
