"""The one way a call takes: build the request, send it, repeat it if that is safe, answer."""

from __future__ import annotations

import platform
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import anyio
from multidict import CIMultiDict

from . import __version__, _json
from ._codec import encode
from ._config import Config, RequestOptions, Timeout
from ._http import HTTPRequest, HTTPResponse
from ._operations import BY_PARAMS, Operation, Safety
from ._response import APIResponse
from ._retry import retry_after, wait_before_repeat
from ._transport import Transport, TransportError
from .errors import APIConnectionError, APITimeoutError
from .types import Params

T = TypeVar("T")

USER_AGENT = (
    f"cfaigw-billing/{__version__} python/{platform.python_version()} aiohttp/{aiohttp.__version__}"
)


class Executor:
    """Runs calls for one client."""

    def __init__(self, config: Config, transport: Transport) -> None:
        self._config = config
        self._transport = transport
        self._headers: CIMultiDict[str] | None = None

    async def execute(self, params: Params[T], options: RequestOptions) -> APIResponse[T]:
        """Run one call and return its answer, which may be a refusal.

        Raises:
            ValueError: An argument is wrong; nothing has been sent.
            TypeError: An argument is of the wrong type; nothing has been sent.
            APIConnectionError: No answer came.
            APITimeoutError: No answer came in time.
        """
        operation = _operation(params)
        request = self._request(operation, params, options)
        timeout = options.get("timeout", self._config.timeout)
        response, retries_taken = await self._send(operation, request, timeout)
        return APIResponse(operation, request, response, retries_taken)

    async def _send(
        self, operation: Operation[Any], request: HTTPRequest, timeout: Timeout
    ) -> tuple[HTTPResponse, int]:
        for retries_taken in count():
            try:
                response = await self._transport.send(request, timeout)
            except TransportError as error:
                wait = self._wait(operation, retries_taken)
                if wait is None:
                    raise _connection_error(request, error, retries_taken) from error.__cause__
            else:
                if response.status_code < 400:
                    return response, retries_taken
                wait = self._wait(operation, retries_taken, response)
                if wait is None:
                    return response, retries_taken
            await anyio.sleep(wait)
        raise AssertionError("unreachable: the attempts end in a return or an error")

    def _wait(
        self,
        operation: Operation[Any],
        retries_taken: int,
        response: HTTPResponse | None = None,
    ) -> float | None:
        asked = retry_after(response.headers, datetime.now(UTC)) if response else None
        return wait_before_repeat(
            operation.safety,
            retries_taken,
            max_retries=self._config.max_retries,
            max_retry_wait=self._config.max_retry_wait,
            status_code=response.status_code if response else None,
            retry_after=asked,
            jitter=random.random(),
        )

    def _request(
        self, operation: Operation[Any], params: Params[Any], options: RequestOptions
    ) -> HTTPRequest:
        self._check_charge(operation, params)
        payload = encode(params) if operation.payload else {}
        payload = {name: payload[name] for name in operation.payload if name in payload}
        posts = operation.method == "POST"
        query = {} if posts else payload
        body = {**payload, **options.get("extra_body", {})} if posts else options.get("extra_body")
        return HTTPRequest(
            method=operation.method,
            url=self._url(operation, params, {**query, **options.get("extra_query", {})}),
            headers=self._request_headers(options.get("extra_headers"), has_body=body is not None),
            body=None if body is None else _json.dumps(body),
        )

    def _check_charge(self, operation: Operation[Any], params: Any) -> None:
        limit = self._config.max_charge
        if operation.safety is Safety.CHARGES and limit is not None and params.amount > limit:
            raise ValueError(
                f"`amount` is {params.amount} cents, more than this client's `max_charge` of "
                f"{limit} cents; nothing was charged"
            )

    def _url(
        self, operation: Operation[Any], params: Params[Any], query: Mapping[str, object]
    ) -> str:
        path = operation.path
        if "{account_id}" in path:
            path = path.replace("{account_id}", quote(self._account_id(params), safe=""))
        url = self._config.base_url + path
        query = {**self._config.default_query, **query}
        return f"{url}?{urlencode(_query_items(query))}" if query else url

    def _account_id(self, params: Any) -> str:
        account_id: str | None = params.account_id or self._config.account_id
        if account_id is None:
            raise ValueError(
                "Expected a non-empty value for `account_id` but received None: pass it, or give "
                "the client a default (`account_id=…` or CLOUDFLARE_ACCOUNT_ID)"
            )
        return account_id

    def _request_headers(
        self, extra: Mapping[str, str | None] | None, *, has_body: bool
    ) -> CIMultiDict[str]:
        if self._headers is None:
            self._headers = _merged(
                {"Accept": "application/json", "User-Agent": USER_AGENT},
                self._config.credentials.headers(),
                self._config.default_headers,
            )
        if not has_body and not extra:
            return self._headers
        return _merged(
            self._headers, {"Content-Type": "application/json"} if has_body else {}, extra or {}
        )


def _operation(params: Params[T]) -> Operation[T]:
    operation = BY_PARAMS.get(type(params))
    if operation is None:
        raise TypeError(
            f"`params` must be the parameters of a call, such as BillingCreditBalanceParams, "
            f"not {type(params).__name__}"
        )
    return operation


def _merged(*layers: Mapping[str, str | None]) -> CIMultiDict[str]:
    """The layers one over the other; `None` takes a header away."""
    headers: CIMultiDict[str] = CIMultiDict()
    for layer in layers:
        for name, value in layer.items():
            if value is None:
                headers.pop(name, None)
            else:
                headers[name] = value
    return headers


def _query_items(query: Mapping[str, object]) -> list[tuple[str, str]]:
    return [
        (name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in query.items()
        if value is not None
    ]


def _connection_error(
    request: HTTPRequest, error: TransportError, retries_taken: int
) -> APIConnectionError:
    cls = APITimeoutError if error.timed_out else APIConnectionError
    message = f"{request.method} {request.path}: {error}"
    return cls(message, request=request, retries_taken=retries_taken)
