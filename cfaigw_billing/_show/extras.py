"""Packages that are installed only on request."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def needed(what: str, extra: str) -> Generator[None]:
    """Wrap imports from an extra: if one fails, the error says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        message = f"{what} needs {error.name}: pip install 'cfaigw_billing[{extra}]'"
        raise ModuleNotFoundError(message, name=error.name) from None
