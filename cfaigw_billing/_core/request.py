"""Build the HTTP request of a call. Nothing here is sent."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast
from urllib.parse import parse_qs, quote, urlencode

import aiohttp
from multidict import CIMultiDict

from .._version import __version__
from .._wire import strict_json as _json
from .._wire.messages import HTTPRequest
from .._wire.secrets import conceal_headers
from ..types import Params
from ..types._validators import shown_cents
from .codec import can_decode, encode
from .config import Config, Credentials
from .operations import Operation, Safety
from .options import (
    ReadOptions,
    RequestOptions,
    check_headers,
    check_max_age,
    check_names,
    check_timeout,
)
from .untyped import UntypedParams, account_named, check_charges_nothing

T = TypeVar("T")

USER_AGENT = (
    f"cfaigw-billing/{__version__} python/{platform.python_version()} aiohttp/{aiohttp.__version__}"
)


class RequestBuilder:
    """Builds the requests of one client."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def headers(self, credentials: Credentials) -> CIMultiDict[str]:
        """Return the headers for these credentials; raise `CloudflareError` if they are missing.

        Requests share the headers: do not change them.
        """
        return _merged(
            {"Accept": "application/json", "User-Agent": USER_AGENT},
            credentials.headers(),
            self._config.default_headers,
        )

    def build(
        self,
        operation: Operation[Any],
        params: Params[Any],
        options: RequestOptions,
        headers: CIMultiDict[str],
    ) -> HTTPRequest:
        """Return the request of a call; raise `ValueError` or `TypeError` for a wrong argument.

        Args:
            operation: The call.
            params: Its parameters.
            options: The options that every method takes.
            headers: The headers of the credentials, see `headers`.
        """
        if options:
            _check(operation, options)
        elif operation.plain:
            url = self._url(self._path(operation, params), {})
            return HTTPRequest(method="GET", url=url, headers=headers)
        if isinstance(params, UntypedParams):
            return self._build_untyped(params, options, headers)
        payload = encode(params) if operation.payload else {}
        payload = {name: payload[name] for name in operation.payload if name in payload}
        if operation.charges or operation.charges_later:
            self._check_charge(payload, options)
        posts = operation.method == "POST"
        extra_query, extra_body = options.get("extra_query"), options.get("extra_body")
        query = {**({} if posts else payload), **(extra_query or {})}
        body = {**payload, **(extra_body or {})} if posts else extra_body
        path = self._path(operation, params)
        return self._request(operation.method, path, query, body, options, headers)

    def _build_untyped(
        self, params: UntypedParams[Any], options: RequestOptions, headers: CIMultiDict[str]
    ) -> HTTPRequest:
        if not can_decode(params.cast_to):
            raise TypeError(
                f"`cast_to` must be a type that can be made from JSON, such as dict, list, object, "
                f"an attrs class or a dataclass (or str or bytes), not {params.cast_to!r:.80}"
            )
        check_charges_nothing(params.method, self._config.base_url + params.path)
        path, _, text = params.path.partition("?")
        query: dict[str, object] = {**parse_qs(text, keep_blank_values=True)}
        query |= options.get("extra_query") or {}
        body, extra_body = params.body, options.get("extra_body")
        if extra_body is not None:
            if not isinstance(body, Mapping | None):
                raise TypeError("`extra_body` needs a `body` that is a mapping")
            body = {**cast("Mapping[str, object]", body or {}), **extra_body}
        path = quote(path, safe="/%:@!$&'()*+,;=~")
        return self._request(params.method, path, query, body, options, headers)

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, object],
        body: object,
        options: RequestOptions,
        headers: CIMultiDict[str],
    ) -> HTTPRequest:
        extra = options.get("extra_headers")
        if extra or body is not None:
            content = {} if body is None else {"Content-Type": "application/json"}
            headers = _merged(headers, content, extra or {})
        return HTTPRequest(
            method=method,
            url=self._url(path, query),
            headers=headers,
            body=None if body is None else _encoded("extra_body", _json.dumps, body),
        )

    def account_named(self, operation: Operation[Any], params: Any) -> str | None:
        """Return the account in the path of a call; `None` if it has none."""
        if isinstance(params, UntypedParams):
            return account_named(params.path)
        return self.account_id(params) if "{account_id}" in operation.path else None

    def account_id(self, params: Any) -> str:
        """Return the account of a call, or the default account of the client."""
        account_id: str | None = params.account_id or self._config.account_id
        if account_id is None:
            raise ValueError(
                "Expected a non-empty value for `account_id` but received None: pass it, or give "
                "the client a default (`account_id=…` or CLOUDFLARE_ACCOUNT_ID)"
            )
        return account_id

    def _check_charge(self, payload: dict[str, Any], options: RequestOptions) -> None:
        # In upper and lower case: some servers read the names in JSON case-insensitively.
        added = {str(name).strip().casefold() for name in options.get("extra_body") or {}}
        if payload.keys() & added:
            raise ValueError("`extra_body` must not replace the parameters of a charge")
        limit, amount = self._config.max_charge, payload["amount"]
        if limit is not None and amount > limit:
            raise ValueError(
                f"`amount` is {shown_cents(amount)}, more than this client's `max_charge` of "
                f"{shown_cents(limit)}; nothing was charged"
            )

    def _path(self, operation: Operation[Any], params: Params[Any]) -> str:
        path = operation.path
        if "{account_id}" in path:
            return path.replace("{account_id}", _quoted(self.account_id(params)))
        return path

    def _url(self, path: str, query: Mapping[str, object]) -> str:
        url = self._config.base_url + path
        if not query and not self._config.default_query:
            return url
        query = {**self._config.default_query, **query}
        return f"{url}?{_encoded('extra_query', urlencode, _query_items(query))}"


def _quoted(text: str) -> str:
    return text if text.isalnum() and text.isascii() else quote(text, safe="")


def _check(operation: Operation[Any], options: RequestOptions) -> None:
    check_names(options, ReadOptions)
    if "max_age" in options:
        if operation.safety is not Safety.READS:
            name = operation.name or f"{operation.method} {operation.path}"
            raise TypeError(f"`max_age` is for calls that only read; `{name}` may change something")
        check_max_age(cast("ReadOptions", options).get("max_age"))
    check_timeout("timeout", options.get("timeout"))
    extra_headers = options.get("extra_headers")
    if extra_headers is not None:
        check_headers("extra_headers", extra_headers)
    for name in ("extra_query", "extra_body"):
        value = options.get(name)
        if value is not None and not isinstance(value, Mapping):
            raise TypeError(f"`{name}` must be a mapping, not {type(value).__name__}")


def _encoded(name: str, encode: Callable[[Any], T], value: object) -> T:
    """Return the encoded value; raise an error about the option `name` if it cannot be encoded."""
    try:
        return encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"`{name}`, or a parameter, cannot be sent: {error}") from None


def _merged(*layers: Mapping[str, str | None]) -> CIMultiDict[str]:
    """Merge headers; later ones win, and `None` removes a header."""
    headers: CIMultiDict[str] = CIMultiDict()
    for layer in layers:
        for name, value in conceal_headers(layer).items():
            if value is None:
                headers.pop(name, None)
            else:
                headers[name] = value
    return headers


def _query_items(query: Mapping[str, object]) -> list[tuple[str, str]]:
    items: list[tuple[str, str]] = []
    for name, value in query.items():
        values = cast("Sequence[object]", value) if isinstance(value, (list, tuple)) else (value,)
        items += [(name, _query_text(item)) for item in values if item is not None]
    return items


def _query_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    # For a member of an enumeration: its value, not its name.
    return str.__str__(value) if isinstance(value, str) else str(value)
