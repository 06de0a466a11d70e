"""Strings that are sent but never shown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from inspect import isawaitable, iscoroutinefunction
from typing import Any, Self, cast
from urllib.parse import quote

from attrs import define

REDACTED = "[redacted]"

_SECRET_HEADERS = re.compile(
    "authorization|x-auth-|^(x-)?auth$|cookie|key|token|secret|passw|credential|session|jwt",
    re.IGNORECASE,
)
"""A header is masked if its name contains one of these."""
_SHORTEST = 8
"""The shortest secret to mask in a text, in characters. A shorter one would match parts of usual
words and make errors unreadable. All credentials of the service are longer."""


class Secret(str):
    """A `str` whose repr is masked and whose pickle holds no secret.

    It works like any other string (`str(secret)` is the value), but debuggers, error trackers that
    capture local variables, and logs of a mapping that contains it show `[redacted]`.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(REDACTED)

    def __copy__(self) -> Self:
        return self  # unlike a pickle, a copy stays in this process

    def __deepcopy__(self, _: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return Secret, (REDACTED,)


class WrongType:
    """Replaces a value of the wrong type that may be a secret."""

    def __init__(self, value: object) -> None:
        self.kind = kind(value)  # options are concealed more than once


def conceal(*values: Any) -> tuple[Any, ...]:
    """Return strings as `Secret`s; a later check refuses values of other types."""
    return tuple(_conceal(value) for value in values)


def _conceal(value: object) -> object:
    if isinstance(value, str):
        return Secret(value)
    return value if value is None else WrongType(value)


def conceal_headers(headers: Any) -> Any:
    """Return the headers; values with secrets are `Secret`s."""
    if not isinstance(headers, Mapping):
        return headers if headers is None else WrongType(headers)
    given = cast("Mapping[object, object]", headers)
    return {name: _conceal(value) if _is_secret(name) else value for name, value in given.items()}


@define(repr=False)
class TokenFunction:
    """Hides a function of tokens: it may be a method of an object that has all tokens."""

    function: Callable[[str], Any]

    def __call__(self, account_id: str) -> Any:
        """Return the token as a `Secret`; an awaitable is returned unchanged."""
        found = self.function(account_id)
        return found if isawaitable(found) else _conceal(found)

    @property
    def is_async(self) -> bool:
        """Whether it is `async`, or an object with an async `__call__`, and so does not block."""
        call = getattr(type(self.function), "__call__", None)  # noqa: B004
        return iscoroutinefunction(self.function) or iscoroutinefunction(call)


def conceal_tokens(tokens: Any) -> Any:
    """Return tokens by account as `Secret`s, and a function as a `TokenFunction`."""
    if tokens is None or isinstance(tokens, TokenFunction):
        return tokens
    if callable(tokens):
        return TokenFunction(tokens)
    if not isinstance(tokens, Mapping):
        return WrongType(tokens)
    given = cast("Mapping[object, object]", tokens)
    return {account_id: _conceal(token) for account_id, token in given.items()}


def conceal_client_secrets(value: dict[str, Any]) -> dict[str, Any]:
    """Replace every `client_secret` in decoded JSON by a `Secret`, at any depth and in place."""
    rest: list[tuple[Any, bool]] = [(value, False)]
    while rest:  # a loop, because JSON can be deeper than the recursion limit
        container, secret = rest.pop()
        items: Any = container.items() if hasattr(container, "items") else enumerate(container)
        for key, item in items:
            within = secret or is_client_secret(key)
            if type(item) in (dict, list):
                rest.append((item, within))
            elif within and type(item) is str:
                container[key] = Secret(item)
    return value


def is_client_secret(name: object) -> bool:
    """Return whether it is the name of a payment's secret."""
    if not isinstance(name, str):
        return False
    return re.search("client[_-]?secret", name, re.IGNORECASE) is not None


def shown_header(name: str, value: str) -> str:
    """Return the value of a header, masked if it is secret."""
    return REDACTED if isinstance(value, Secret) or _is_secret(name) else value


class Mask:
    """Masks the secrets of a request in its response: a proxy may repeat them.

    It is slow, so it is only used for errors.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        found = {form for value in headers.values() for form in _forms(value)}
        self._forms = sorted(map(Secret, found), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return the text without the secrets."""
        for form in self._forms:
            text = text.replace(form, REDACTED)
        return text

    def cut_off(self, text: str) -> str:
        """Do the same for a text that may end within a secret."""
        text = self(text)
        for form in self._forms:
            for length in range(len(form) - 1, _SHORTEST - 1, -1):
                if text.endswith(form[:length]):
                    return text[:-length] + REDACTED
        return text


def _forms(value: str) -> Iterator[str]:
    """Yield the forms of a secret in a text: plain, in a URL, in JSON, in HTML; whole and parts."""
    from html import escape  # only for errors: it loads all entities of HTML

    if not isinstance(value, Secret):
        return
    for part in (value.strip(), *re.split(r"[\s,;=]+", value)):  # `Bearer …`, `name=…; name=…`
        if len(part) >= _SHORTEST:
            quoted = json.dumps(part)[1:-1]
            yield from (part, quote(part), quote(part, safe=""), escape(part))
            yield from (quoted, quoted.replace("/", "\\/"))


def conceal_options(options: Any) -> None:
    """Replace the secrets in the options of a call or of a client, in place.

    In place, so that other frames of a traceback with the same options do not show them.
    """
    for name in _SECRET_OPTIONS & options.keys():
        options[name] = _conceal(options[name])
    for name in _HEADER_OPTIONS & options.keys():
        options[name] = conceal_headers(options[name])
    if "api_tokens" in options:
        options["api_tokens"] = conceal_tokens(options["api_tokens"])


_SECRET_OPTIONS = {"api_token", "api_key", "user_service_key"}
_HEADER_OPTIONS = {"extra_headers", "default_headers", "set_default_headers"}


def _is_secret(name: object) -> bool:
    return isinstance(name, str) and _SECRET_HEADERS.search(name) is not None


def kind(value: object) -> str:
    """Return the name of a value's type, for a message that must not show the value."""
    return value.kind if isinstance(value, WrongType) else type(value).__name__
