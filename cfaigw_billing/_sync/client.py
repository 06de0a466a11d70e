"""The sync client.

@generated from `_async/client.py` by `python .ci/codegen.py`; do not edit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Self, TypeVar, Unpack

from aiohttp import TraceConfig

from .._charges.executor import KeyedExecutor
from .._core.config import Config, Credentials
from .._core.journal import Journal
from .._core.options import (
    DEFAULT_MAX_REQUESTS_PER_SECOND,
    DEFAULT_MAX_RETRIES,
    DEFAULT_MAX_RETRY_WAIT,
    DEFAULT_TIMEOUT,
    APITokens,
    ClientOptions,
    Timeout,
    check_names,
)
from .._core.ratelimit import RateLimit
from .executor import BlockingExecutor
from .._wire.secrets import conceal, conceal_headers, conceal_options, conceal_tokens
from ..types import Money, Params
from .calls import Calls
from .resources import (
    AccountsResource,
    AIGatewayResource,
    CloudflareWithRawResponse,
    CloudflareWithStreamingResponse,
)
from .send_many import Outcomes

T = TypeVar("T")


class Cloudflare(Calls):
    """A client of the AI Gateway billing API.

    One client serves a whole program. Share it between tasks or threads, and close it at the end,
    or use it in a `with` block.

    Args:
        api_token: An API token; else the environment's CLOUDFLARE_API_TOKEN.
        api_tokens: The API tokens of accounts that have their own: a mapping by account id, which
            is copied, or a function (sync or async) that takes an account id and returns its token
            or `None`. Sync functions run in a thread. The function is called once for each account,
            and again if the service refuses the token with 401: then the request is repeated with
            the new token, unless it charges. `timeout` limits the function, too. It must not use
            this client for the account that it is asked about. `api_token` is for accounts without
            their own token and for listing accounts; it never replaces a token that was refused,
            even if the function then returns `None`. Each distinct token has its own rate limit.
        api_email: With `api_key`, the older way to authenticate; else CLOUDFLARE_EMAIL.
        api_key: The global API key; else CLOUDFLARE_API_KEY.
        user_service_key: A service key; else CLOUDFLARE_API_USER_SERVICE_KEY.
        account_id: The default account of all calls; else CLOUDFLARE_ACCOUNT_ID.
        base_url: The address of the API; else CLOUDFLARE_BASE_URL, else Cloudflare's.
        timeout: Seconds for one attempt, answer included (default: 60); an `aiohttp.ClientTimeout`;
            or `None` for no limit.
        total_timeout: Seconds for a whole call, retries and waits included; `None`: no limit.
        max_retries: How often to retry a failed call, if that is safe (default: 2). A charge is
            retried only if it was not sent.
        max_retry_wait: The longest wait before a retry, in seconds (default: 60). If the service
            asks for a longer wait, the call fails at once.
        max_requests_per_second: The most requests per second (default: 150), after a burst of a
            sixth of it; `None`: no limit. All clients of this process with the same base URL share
            150 per second, or the limit of the fastest client if that is more. Clients with the
            same lower limit also share that. Calls wait for their turn, within their
            `total_timeout`. The service accepts 200 per second from one address.
        max_charge: The largest top-up, in cents of credit (`amount`) or as `Money`, also for
            automatic top-ups: a larger one is refused before anything is sent. Fee and tax come on
            top. 0 makes a client that cannot charge.
        default_headers: Headers of every request; `None` as a value omits one of the SDK's.
        default_query: Query parameters of every request.
        trace_configs: Hooks of aiohttp (`aiohttp.TraceConfig`) that see every request.
        journal: Where each top-up is recorded, so that it is charged once for its
            `idempotency_key` (see `cfaigw_billing.journal`). `close` closes it.

    An empty string counts as not given. Credentials given here take precedence over the
    environment. Without any, the `with` block or the first call raises `CloudflareError`.
    """

    def __init__(
        self,
        *,
        api_token: str | None = None,
        api_tokens: APITokens | None = None,
        api_email: str | None = None,
        api_key: str | None = None,
        user_service_key: str | None = None,
        account_id: str | None = None,
        base_url: str | None = None,
        timeout: Timeout = DEFAULT_TIMEOUT,
        total_timeout: float | None = None,
        max_retries: int = DEFAULT_MAX_RETRIES,
        max_retry_wait: float = DEFAULT_MAX_RETRY_WAIT,
        max_requests_per_second: float | None = DEFAULT_MAX_REQUESTS_PER_SECOND,
        max_charge: int | Money | None = None,
        default_headers: Mapping[str, str | None] | None = None,
        default_query: Mapping[str, object] | None = None,
        trace_configs: Sequence[TraceConfig] = (),
        journal: Journal | None = None,
    ) -> None:
        api_token, api_key, user_service_key = conceal(api_token, api_key, user_service_key)
        default_headers, api_tokens = conceal_headers(default_headers), conceal_tokens(api_tokens)
        given = api_token, api_email, api_key, user_service_key
        config = Config(
            credentials=Credentials.resolve(*given, with_tokens=bool(api_tokens)),
            api_tokens=api_tokens,
            account_id=account_id,
            base_url=base_url,
            timeout=timeout,
            total_timeout=total_timeout,
            max_retries=max_retries,
            max_retry_wait=max_retry_wait,
            max_requests_per_second=max_requests_per_second,
            max_charge=max_charge,
            default_headers={} if default_headers is None else default_headers,
            default_query={} if default_query is None else default_query,
            journal=journal,
        )
        executor = KeyedExecutor.connect(
            config,
            trace_configs=trace_configs,
        )
        self._executor = BlockingExecutor(executor)

    def with_options(self, **options: Unpack[ClientOptions]) -> Self:
        """Return a client with other options on the same connections and the same rate limit.

            patient = client.with_options(max_retries=5, timeout=120)

        Args:
            **options: The arguments of the constructor. `default_headers` and `default_query` are
                added to those of this client (`None` as a value omits one); `set_default_headers`
                and `set_default_query` replace them. For credentials, `account_id` and `base_url`,
                `None` keeps this client's; `api_tokens={}` removes the tokens of accounts.

        Closing the copy leaves this client open; closing this client closes the copy. A copy with
        another `base_url`, `trace_configs` or `http_client` (async client only) has its own
        connections. A copy with another `base_url` or other credentials has its own rate limit.

        Raises: `ValueError` or `TypeError`, as the constructor; `RuntimeError` if this client has
            been closed.
        """
        conceal_options(options)
        check_names(options, ClientOptions)
        copy = object.__new__(type(self))  # a subclass may take other arguments
        copy._executor = self._executor.with_options(options)
        return copy

    def copy(self, **options: Unpack[ClientOptions]) -> Self:
        """Do the same as `with_options`."""
        conceal_options(options)
        return self.with_options(**options)

    @cached_property
    def accounts(self) -> AccountsResource:
        """The accounts that the credentials can see."""
        return AccountsResource(self._executor)

    @cached_property
    def ai_gateway(self) -> AIGatewayResource:
        """AI Gateway."""
        return AIGatewayResource(self._executor)

    @cached_property
    def with_raw_response(self) -> CloudflareWithRawResponse:
        """The same calls; each returns the HTTP response of the answer.

        If the service refuses, the call raises as usual. If the answer does not match the API
        description, only `parse()` of the response raises.
        """
        return CloudflareWithRawResponse(self._executor)

    @cached_property
    def with_streaming_response(self) -> CloudflareWithStreamingResponse:
        """The same calls; each returns a context manager with a response that is not read yet.

        The answer to a charge is always read: it says whether the card was charged. `timeout` also
        limits the reading. If a response breaks off, the call is not retried.
        """
        return CloudflareWithStreamingResponse(self._executor)

    def send_many(
        self,
        requests: Iterable[Params[T]],
        *,
        concurrency: int = 50,
        reserve: float = 0.1,
        allow_charges: bool = False,
    ) -> Outcomes[T]:
        """Run many calls at once, and return their outcomes in the order in which they end.

            with client.send_many(requests) as outcomes:
                for outcome in outcomes:
                    print(outcome.request, outcome.error or outcome.response)

        The error of a call is in its outcome. Three things end all calls: `requests` raises, the
        credentials are refused before any call has been accepted, or the rate limit still blocks
        after a full wait. Then nothing more is sent. The calls in flight, top-ups too, still end
        and come out of the loop; then the error is raised.

        Leaving the block, by `break` or by an error, cancels the calls in flight. A top-up that is
        cut off may have been charged: the block raises its `TopupOutcomeUnknownError`, or adds it
        as a note to the error that leaves the block. After the block, `outcomes.unread` has the
        outcomes that were not read, and `outcomes.unsent` the requests that were read from
        `requests` but never sent.

        Args:
            requests: The parameters of the calls, of any kinds; read only as far as needed, so
                there may be any number.
            concurrency: How many calls are in flight at a time. The client opens as many additional
                connections, each a file descriptor, so that no call uses its `timeout` to wait for
                one; your own `http_client` keeps its number. With `api_tokens`, up to 1,000 more
                requests are read and wait for the rate limits of their tokens, so that an exhausted
                token only holds up its own accounts.
            reserve: The part of the rate limit to leave to others who use the same credentials,
                from 0 to below 1. When it is reached, the calls wait for the next window, up to 10
                minutes: `max_retry_wait` and `total_timeout` do not count that wait.
            allow_charges: Whether `requests` may contain top-ups.

        Raises: `ValueError` or `TypeError` for arguments; `CloudflareError` without credentials;
            from the loop `AuthenticationError`, with `api_tokens` only if all are refused;
            `RateLimitError` for a block that is not lifted (with `api_tokens`, it is the outcome of
            the calls concerned); and the errors of `requests`.
        """
        return Outcomes(
            self._executor,
            requests,
            concurrency=concurrency,
            reserve=reserve,
            allow_charges=allow_charges,
        )

    @property
    def rate_limit(self) -> RateLimit:
        """The state of the rate limit of `api_token`, from the last answers.

        `rate_limits` has the limits of `api_tokens`.
        """
        return self._executor.rate_limit

    @property
    def rate_limits(self) -> dict[str | None, RateLimit]:
        """The state of each rate limit that was used, by account.

        It has the accounts that used their own token (`api_tokens`). `None` is for the credentials
        of all other calls. Accounts with the same token have the same limit.
        """
        return self._executor.rate_limits()

    def close(self) -> None:
        """Close the connections. A second close does nothing; a call after it is an error."""
        self._executor.close()

    def __reduce__(self) -> str:
        raise TypeError("a client does not pickle: it holds connections and secrets; make another")

    def __repr__(self) -> str:
        if "_executor" not in vars(self):  # the constructor failed
            return object.__repr__(self)
        state = ", closed" if self._executor.closed else ""
        return f"<{type(self).__name__} {self._executor.config}{state}>"

    def __enter__(self) -> Self:
        self._executor.check_ready()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
