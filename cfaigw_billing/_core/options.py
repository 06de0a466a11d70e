"""The options of a client and of a call: their types, defaults and checks."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from math import inf
from typing import Any, TypeAlias, TypedDict, cast

from aiohttp import ClientSession, ClientTimeout, TraceConfig

from .._wire.secrets import kind
from ..types import Money
from .journal import Journal

DEFAULT_TIMEOUT = 60.0
"""Seconds for one attempt, as in the official SDK."""
DEFAULT_MAX_RETRIES = 2
DEFAULT_MAX_RETRY_WAIT = 60.0
"""Seconds. The service may ask for five minutes: few callers want to sleep that long."""
DEFAULT_MAX_REQUESTS_PER_SECOND = 150.0
"""The service accepts 200 from one address; the difference is a margin for bursts."""

_LONGEST = 1_000_000_000
"""Seconds. Event loops cannot handle more."""
_DAY = 86_400
"""Seconds. The oldest answer that a call may accept."""

Timeout: TypeAlias = float | ClientTimeout | None
"""Seconds for one attempt, an `aiohttp.ClientTimeout`, or `None` for no limit."""

APITokens: TypeAlias = Mapping[str, str] | Callable[[str], str | Awaitable[str | None] | None]
"""API tokens by account id: a mapping, or a function that returns one (`None`: it has none)."""


class RequestOptions(TypedDict, total=False):
    """The options of every method, in addition to its parameters."""

    extra_headers: Mapping[str, str | None]
    """Headers to add; `None` omits a default header."""
    extra_query: Mapping[str, object]
    """Query parameters to add."""
    extra_body: Mapping[str, object]
    """Properties to add to the JSON body."""
    timeout: Timeout
    """Replaces the client's `timeout`."""


class ReadOptions(RequestOptions, total=False):
    """The options of methods that only read: also `max_age`."""

    max_age: float | None
    """Seconds, at most 86,400 (a day): accept an answer of this client that is not older, and share
    the request of an equal call in flight. `None` or 0: ask the service.

    Calls are equal if they send the same. To share a request, they must also have the same
    `timeout` and event loop. Errors are not kept. A top-up or another change through this client,
    or a copy with the same credentials and `base_url`, drops the answers of the account. Changes by
    the service or another client show when the answer is too old. The client keeps the 1,000
    answers (at most 64 MiB) that were used last, until it is closed. Not for streaming responses.
    """


class ConstructorOptions(TypedDict, total=False):
    """The arguments of the sync client's constructor."""

    api_token: str | None
    api_tokens: APITokens | None
    api_email: str | None
    api_key: str | None
    user_service_key: str | None
    account_id: str | None
    base_url: str | None
    timeout: Timeout
    total_timeout: float | None
    max_retries: int
    max_retry_wait: float
    max_requests_per_second: float | None
    max_charge: int | Money | None
    default_headers: Mapping[str, str | None] | None
    """Headers to add to those of the client; `None` as a value omits a header."""
    default_query: Mapping[str, object] | None
    """Query parameters to add to those of the client; `None` as a value omits a parameter."""
    trace_configs: Sequence[TraceConfig]
    journal: Journal | None
    """Where top-ups are recorded."""


class AsyncConstructorOptions(ConstructorOptions, total=False):
    """The arguments of the async client's constructor."""

    http_client: ClientSession | None


class ClientOptions(ConstructorOptions, total=False):
    """The arguments of `with_options`: those of the constructor, and two more."""

    set_default_headers: Mapping[str, str | None] | None
    """Headers that replace those of the client."""
    set_default_query: Mapping[str, object] | None
    """Query parameters that replace those of the client."""


class AsyncClientOptions(ClientOptions, total=False):
    """The arguments of `with_options`: those of the constructor, and two more."""

    http_client: ClientSession | None


CONNECTION_OPTIONS = ("trace_configs", "http_client")
"""A client with other values of these options needs new connections."""


def check_names(options: Mapping[str, object], known: type) -> None:
    """Raise if there is an option with an unknown name."""
    names = known.__annotations__.keys()
    if unknown := options.keys() - names:
        raise TypeError(f"unknown option `{min(unknown)}`; there are {', '.join(sorted(names))}")


def check_timeout(name: str, value: Any) -> None:
    """Raise if it is not a positive number of seconds, an `aiohttp.ClientTimeout` or `None`."""
    if isinstance(value, ClientTimeout):
        for part in (value.total, value.connect, value.sock_connect, value.sock_read):
            if part:
                check_timeout(name, part)
        return
    check_seconds(name, value)


def check_seconds(name: str, value: Any) -> None:
    """Raise if it is not a positive number of seconds or `None`."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"`{name}` must be a number of seconds, not {type(value).__name__}")
    if not 0 < value <= _LONGEST:
        raise ValueError(
            f"`{name}` must be more than 0 and at most {_LONGEST:,} seconds (`None`: no limit), "
            f"got {value!r:.40}"
        )


def seconds_of(timeout: Timeout) -> float:
    """Return the seconds of a time limit; `inf` if there is none."""
    if isinstance(timeout, ClientTimeout):
        return timeout.total or inf
    return inf if timeout is None else timeout


def patience_of(timeout: Timeout, remaining: float) -> float:
    """Return for how many seconds a call may wait for its token: for as long as for an answer."""
    check_timeout("timeout", timeout)
    return min(seconds_of(timeout), remaining)


def check_max_age(value: Any) -> None:
    """Raise if it is not a number of seconds up to a day, 0 or `None`."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"`max_age` must be a number of seconds, not {type(value).__name__}")
    if not 0 <= value <= _DAY:
        raise ValueError(
            f"`max_age` must be at least 0 and at most {_DAY:,} seconds (0: ask the service), "
            f"got {value!r:.40}"
        )


def check_span(
    name: str, value: object, bounds: tuple[timedelta, timedelta], range_text: str
) -> None:
    """Raise if `value` is not a `timedelta` within the bounds."""
    if not isinstance(value, timedelta):
        raise TypeError(f"`{name}` must be a timedelta, not {type(value).__name__}")
    if not bounds[0] <= value <= bounds[1]:
        raise ValueError(f"`{name}` must be {range_text}, got {value}")


def check_reserve(reserve: object) -> None:
    """Raise if `reserve` is not a number from 0 to below 1."""
    if isinstance(reserve, bool) or not isinstance(reserve, (int, float)):
        raise TypeError(f"`reserve` must be a number, not {type(reserve).__name__}")
    if not 0 <= reserve < 1:
        raise ValueError(f"`reserve` must be at least 0 and below 1, got {reserve!r}")


def check_headers(name: str, headers: Any) -> None:
    """Raise if it is not a mapping of header names to `None` or values that can be sent."""
    if not isinstance(headers, Mapping):
        raise TypeError(f"`{name}` must be a mapping, not {kind(headers)}")
    for key, value in cast("Mapping[object, object]", headers).items():
        if not isinstance(key, str) or not (value is None or isinstance(value, str)):
            raise TypeError(f"`{name}` must map str to str or None; see {key!r}")
        if not re.fullmatch(_HEADER_NAME, key):
            raise ValueError(f"`{name}` has an invalid header name: {key!r}")
        if key.lower() in _FRAMING:
            raise ValueError(f"`{name}` must not set {key}: it would not fit the body")
        if value is not None and not re.fullmatch(_HEADER_VALUE, value):
            raise ValueError(
                f"`{name}[{key!r}]` must be printable ASCII, without control characters"
            )


_FRAMING = {"content-length", "transfer-encoding", "connection", "host", "content-encoding"}
_HEADER_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_HEADER_VALUE = r"[\x20-\x7e\t]*"
