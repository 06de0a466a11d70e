"""The async client."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from functools import cached_property
from typing import Self, TypeVar, Unpack

import aiohttp

from ._bulk import AsyncOutcomes
from ._config import (
    DEFAULT_MAX_RETRIES,
    DEFAULT_MAX_RETRY_WAIT,
    DEFAULT_TIMEOUT,
    Config,
    Credentials,
    RequestOptions,
    Timeout,
)
from ._executor import Executor
from ._ratelimit import RateLimit
from ._resources import AsyncAccountsResource, AsyncAIGatewayResource
from ._secret import conceal, conceal_headers, conceal_options
from ._transport import Transport
from .types import Params

T = TypeVar("T")


class AsyncCloudflare:
    """A client of the AI Gateway billing API.

    One client serves a whole program. Share it between tasks or threads, and close it at the end,
    or use it in a `with` block (`async with` for the async one).

    Args:
        api_token: An API token; else the environment's CLOUDFLARE_API_TOKEN.
        api_email: With `api_key`, the older way to authenticate; else CLOUDFLARE_EMAIL.
        api_key: The global API key; else CLOUDFLARE_API_KEY.
        user_service_key: A service key; else CLOUDFLARE_API_USER_SERVICE_KEY.
        account_id: The account of every call that names none; else CLOUDFLARE_ACCOUNT_ID.
        base_url: Where the API is; else CLOUDFLARE_BASE_URL, else Cloudflare's.
        timeout: Seconds for one attempt, answer included; an `aiohttp.ClientTimeout`; or `None`.
        total_timeout: Seconds for a whole call, repeats and waits included; `None`: no limit.
        max_retries: How often a failed call is repeated, where a repeat is safe: a charge only
            where nothing of it can have arrived.
        max_retry_wait: The longest wait, in seconds, that the service may ask for before a
            repeat; a call that would have to wait longer fails at once.
        max_charge: The largest top-up, in cents, automatic ones included: a larger one is refused
            before anything is sent. 0 makes a client that cannot charge at all.
        default_headers: Headers of every request; `None` as a value leaves one of the SDK's out.
        default_query: Query parameters of every request.
        http_client: Your own `aiohttp.ClientSession`, which the client uses and never closes.

    An empty string counts as not given. Credentials given here beat those of the environment.
    """

    def __init__(
        self,
        *,
        api_token: str | None = None,
        api_email: str | None = None,
        api_key: str | None = None,
        user_service_key: str | None = None,
        account_id: str | None = None,
        base_url: str | None = None,
        timeout: Timeout = DEFAULT_TIMEOUT,
        total_timeout: float | None = None,
        max_retries: int = DEFAULT_MAX_RETRIES,
        max_retry_wait: float = DEFAULT_MAX_RETRY_WAIT,
        max_charge: int | None = None,
        default_headers: Mapping[str, str | None] | None = None,
        default_query: Mapping[str, object] | None = None,
        http_client: aiohttp.ClientSession | None = None,
    ) -> None:
        api_token, api_key, user_service_key = conceal(api_token, api_key, user_service_key)
        default_headers = conceal_headers(default_headers)
        config = Config(
            credentials=Credentials.resolve(api_token, api_email, api_key, user_service_key),
            account_id=account_id,
            base_url=base_url,
            timeout=timeout,
            total_timeout=total_timeout,
            max_retries=max_retries,
            max_retry_wait=max_retry_wait,
            max_charge=max_charge,
            default_headers={} if default_headers is None else default_headers,
            default_query={} if default_query is None else default_query,
        )
        self._transport = Transport(config.base_url, http_client)
        self._executor = Executor(config, self._transport)

    @cached_property
    def accounts(self) -> AsyncAccountsResource:
        """The accounts that the credentials can see."""
        return AsyncAccountsResource(self)

    @cached_property
    def ai_gateway(self) -> AsyncAIGatewayResource:
        """AI Gateway."""
        return AsyncAIGatewayResource(self)

    async def send(self, params: Params[T], **options: Unpack[RequestOptions]) -> T:
        """Run the call that `params` are the parameters of; what the methods do.

        Args:
            params: Such as `BillingCreditBalanceParams(account_id="…")`; their class decides
                which call it is and what it answers.
            **options: `extra_headers`, `extra_query`, `extra_body`, and `timeout` in seconds.

        Raises: `ValueError` or `TypeError` before anything is sent, `APIStatusError`,
            `APIConnectionError`, `APIResponseValidationError`.
        """
        options = conceal_options(options)
        response = await self._executor.execute(params, options)
        return response.parse()

    def send_many(
        self,
        requests: Iterable[Params[T]] | AsyncIterable[Params[T]],
        *,
        concurrency: int = 50,
        reserve: float = 0.1,
        allow_charges: bool = False,
    ) -> AsyncOutcomes[T]:
        """Run many calls at once; how each of them ended, in the order in which they end.

            async with client.send_many(requests) as outcomes:
                async for outcome in outcomes:
                    print(outcome.request, outcome.error or outcome.response)

        A call that fails does so by itself, in its outcome. Wrong credentials, or a fault of
        `requests`, end all of them and are raised by the loop.

        Leaving the block, by `break` or by an error, ends what is still in flight. A top-up that
        is cut off so may have been charged: its `TopupOutcomeUnknownError` is raised by the block,
        or noted on the error that leaves it. `outcomes.unread` has what ended without being read.

        Args:
            requests: The parameters of the calls, of whatever kinds; read as they are needed, so
                that there may be any number of them.
            concurrency: How many are in flight at a time (of more than 100, some wait for one of
                the client's 100 connections).
            reserve: The part of the rate limit to leave to others who use the same credentials,
                from 0 to below 1. When it is reached, the calls wait for the next window, up to 10
                minutes: `max_retry_wait` and `total_timeout` do not count that wait.
            allow_charges: Whether there may be top-ups among them.

        Raises: `ValueError` or `TypeError` for arguments; from the loop `AuthenticationError`, and
            whatever `requests` raises.
        """
        return AsyncOutcomes(
            self,
            requests,
            concurrency=concurrency,
            reserve=reserve,
            allow_charges=allow_charges,
        )

    @property
    def rate_limit(self) -> RateLimit:
        """Where the service's rate limit stands, as far as the answers so far have told."""
        return self._executor.rate_limit

    async def close(self) -> None:
        """Close the connections. A second close does nothing; a call after it is an error."""
        await self._transport.close()

    def __reduce__(self) -> str:
        raise TypeError("a client does not pickle: it holds connections and secrets; make another")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()
