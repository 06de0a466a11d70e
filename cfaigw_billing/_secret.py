"""A string that is sent but never shown."""

from __future__ import annotations

REDACTED = "[redacted]"


class Secret(str):
    """A `str` whose repr is masked and whose pickle holds no secret.

    It goes wherever a string goes (`str(secret)` is the value), but a debugger, an error tracker
    that captures local variables, or a log of a mapping that holds it shows `[redacted]`.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(REDACTED)

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return Secret, (REDACTED,)
