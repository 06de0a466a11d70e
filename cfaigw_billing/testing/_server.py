"""The emulator as an HTTP server: authentication, recording, faults, lifetime."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING, Self, Unpack, cast

import attrs
from aiohttp import web
from yarl import URL

from ._control import CONTROL_PATH, control_app
from ._delivery import ConnectionEndedError, deliver, end_connection
from ._faults import Fault
from ._messages import BASE_PATH, RecordedRequest, api_token, envelope, parameters, refusal
from ._operations import AccountList, Paging
from ._routes import ROUTES, Route
from ._service import Service
from ._validation import (
    FORBIDDEN,
    INVALID_AUTHORIZATION,
    INVALID_HEADERS,
    NO_ACCOUNT_LIST,
    NO_ROUTE,
    RATE_LIMITED,
    UNAUTHENTICATED,
    Parameters,
    RefusedError,
)

if TYPE_CHECKING:
    from .. import AsyncCloudflare, Cloudflare
    from .._core.options import AsyncConstructorOptions, ConstructorOptions
    from .._io.portal import Portal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ACCEPTING_ITERATIONS = 3  # loop iterations from an accepted socket to a connection of the server
SHUTDOWN_SECONDS = 0.2  # how long the stop waits for a request that is still arriving


async def _stop_listening(listener: asyncio.Server) -> None:
    """Stop accepting; first let accepted sockets become connections, so that they can be closed."""
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):  # the default loop on Windows
        for sock in listener.sockets:
            loop.remove_reader(sock)
    for _ in range(ACCEPTING_ITERATIONS):
        await asyncio.sleep(0)
    listener.close()


@attrs.define(kw_only=True, eq=False, repr=False)
class Emulator(Service):
    """Cloudflare AI Gateway billing on the loopback interface.

    In an `async with` block it runs on the current event loop, in a `with` block on its own thread.
    It starts without accounts: see `add_account`.

    Attributes:
        api_token: The API token that opens every account; an account may have one that belongs to
            it, see `add_account`.
        api_email: The email accepted together with `api_key`.
        api_key: The global API key.
        host: The address to serve on.
        port: The port to serve on; 0 takes a free one.
        topup_seconds: How long new top-ups stay pending, in seconds on the emulator's clock. An
            account may have its own value.
        fee: The fee on credit, as a fraction: 0.05 is the service's 5 %.
        tax: The tax on credit and fee, as a fraction: 0.19 is 19 %.
        at: A fixed time for the emulator's clock, so that dates are the same in every run; only
            `advance` moves it. None: the machine's clock. Each response has this time (`Date`).
        ignores_page: Answer the first page of every list, whatever page was requested.
        spending_limit_retired: Refuse to set a spending limit with 403, as the newest service does.
        topup_config_dashboard_only: Refuse API tokens that set or delete the top-up configuration.
        account_owned_token: Treat the API token as one that belongs to an account: it cannot list
            accounts.
        limit: The rate limit of `api_token` and of the key. Every other token has its own window
            with the same settings. `None`: no limit, and no rate limit headers.
        address_limit: The limit of requests per second from one address; `None`: no limit.
        requests: Every request that arrived, in order.
    """

    _rays: Iterator[int] = attrs.field(factory=lambda: itertools.count(1), init=False)
    _runner: web.AppRunner | None = attrs.field(default=None, init=False)
    _listener: asyncio.Server | None = attrs.field(default=None, init=False)
    _stopping: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _portal: Portal | None = attrs.field(default=None, init=False)

    # Address and clients.

    @property
    def base_url(self) -> str:
        """The base URL for a client while the emulator runs."""
        if self._listener is None:
            raise RuntimeError("The emulator is not running: use it in a `with` block.")
        host, port = self._listener.sockets[0].getsockname()[:2]
        return str(URL.build(scheme="http", host=host, port=port, path=BASE_PATH))

    def client(self, **options: Unpack[ConstructorOptions]) -> Cloudflare:
        """Return a sync client of this emulator; the caller must close it.

        Args:
            **options: The arguments of `Cloudflare`. The default credentials are the token that
                opens every account; with `api_tokens=emulator.api_tokens`, only the tokens of the
                accounts. `max_requests_per_second` is off by default, unless the emulator has an
                `address_limit`.
        """
        from .. import Cloudflare

        self._complete(options)
        return Cloudflare(**options)

    def async_client(self, **options: Unpack[AsyncConstructorOptions]) -> AsyncCloudflare:
        """Return an async client, like `client`; it can be made outside an event loop."""
        from .. import AsyncCloudflare

        self._complete(options)
        return AsyncCloudflare(**options)

    def _complete(self, options: ConstructorOptions) -> None:
        options.setdefault("base_url", self.base_url)
        if self.address_limit is None:
            options.setdefault("max_requests_per_second", None)
        if not {"api_tokens", "api_email", "api_key", "user_service_key"} & options.keys():
            options.setdefault("api_token", self.api_token)

    def _date(self) -> str:
        return formatdate(self._processor.now(), usegmt=True)

    # Lifetime.

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    def __enter__(self) -> Self:
        from .._io.portal import Portal

        portal = Portal()
        try:
            portal.call(self._start)
        except BaseException:
            portal.close()
            raise
        self._portal = portal
        return self

    def __exit__(self, *_: object) -> None:
        if self._portal is not None:
            try:
                self._portal.call(self._stop)
            finally:
                self._portal.close()

    async def _start(self) -> None:
        if self._runner is not None:
            raise RuntimeError("The emulator is running already.")
        self._stopping = asyncio.Event()
        self._runner = web.AppRunner(
            self._app(), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS
        )
        try:
            await self._runner.setup()
            self._listener = await asyncio.get_running_loop().create_server(
                cast("Callable[[], asyncio.Protocol]", self._runner.server), self.host, self.port
            )
        except BaseException:
            await self._stop()
            raise

    async def _stop(self) -> None:
        runner, self._runner = self._runner, None
        listener, self._listener = self._listener, None
        self._stopping.set()
        if listener is not None:
            await _stop_listening(listener)
        if runner is not None:
            await runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._serve])
        app.add_subapp(CONTROL_PATH, control_app(self))
        app.router.add_route("GET", f"{BASE_PATH}/accounts", self._list_accounts)
        for route in ROUTES:
            path = f"{BASE_PATH}/accounts/{{account_id}}/ai-gateway/billing{route.path}"
            app.router.add_route(route.method, path, partial(self._perform, route))
        return app

    # Handling a request: record it, apply a fault, authenticate, perform the operation.

    @web.middleware
    async def _serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(CONTROL_PATH):
            return await handler(request)
        recorded = await RecordedRequest.receive(request)
        self.requests.append(recorded)
        if not self._within_limits(request):
            refused = RefusedError(429, RATE_LIMITED, "Too many requests.")
            return self._with_headers(request, refusal(refused))
        try:
            return await self._answer(request, handler, self._next_fault(recorded))
        except ConnectionEndedError:
            if request.transport is not None and not request.transport.is_closing():
                request.transport.abort()
            return web.Response()  # not sent: the connection is closed

    def _within_limits(self, request: web.Request) -> bool:
        """Count the request; return false if it exceeds a limit."""
        if self.address_limit is not None and not self.address_limit.take(
            request.remote or "", time.monotonic()
        ):
            return False
        limit = self.limit_of(api_token(request.headers))
        return limit is None or limit.take(self._processor.now())

    def _with_headers(self, request: web.Request, response: web.Response) -> web.Response:
        """Add the headers that every response has."""
        response.headers.setdefault("Date", self._date())
        limit = self.limit_of(api_token(request.headers))
        if limit is not None:
            response.headers.update(limit.headers(self._processor.now()))
        response.headers.setdefault("CF-Ray", f"{next(self._rays):016x}-EMU")
        return response

    def _next_fault(self, request: RecordedRequest) -> Fault:
        for injection in self._injections:
            if injection.applies_to(request):
                if injection.left is not None:
                    injection.left -= 1
                return injection.fault
        return Fault()

    async def _answer(
        self, request: web.Request, handler: Handler, fault: Fault
    ) -> web.StreamResponse:
        carried_out = await self._carry_out(request, handler) if fault.after else None
        if fault.delay:
            await self._pause(fault.delay)
        if not fault.answers:
            await end_connection(request, fault, self._pause)
        response = fault.answer() or carried_out or await self._carry_out(request, handler)
        response.headers.update(fault.headers)
        return await deliver(request, self._with_headers(request, response), fault, self._pause)

    async def _pause(self, seconds: float | None) -> None:
        """Wait (None: forever); raise `ConnectionEndedError` if the emulator stops."""
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
        raise ConnectionEndedError

    async def _carry_out(self, request: web.Request, handler: Handler) -> web.Response:
        try:
            self._authenticate(request)
            return cast("web.Response", await handler(request))  # none of them streams
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
            message = (
                f"Could not route to {request.path}, perhaps your object identifier is invalid?"
            )
            return refusal(RefusedError(404, NO_ROUTE, message))
        except RefusedError as refused:
            return refusal(refused)

    def _authenticate(self, request: web.Request) -> None:
        """Refuse unknown credentials, and a token of another account."""
        headers, token = request.headers, api_token(request.headers)
        account_id = request.match_info.get("account_id")
        if token is None and "Authorization" in headers:
            cause = "Invalid format for Authorization header"
            chain = [{"code": INVALID_AUTHORIZATION, "message": cause}]
            raise RefusedError(400, INVALID_HEADERS, "Invalid request headers", chain)
        if token is None:
            given = (headers.get("X-Auth-Email"), headers.get("X-Auth-Key"))
            known = opens = given == (self.api_email, self.api_key)
        elif token == self.api_token:
            known = opens = True
        else:
            own = account_id is not None and token == self._tokens.of_accounts.get(account_id)
            known = own or token in self._tokens.of_accounts.values()  # there may be very many
            opens = own or account_id is None
        if not (known and opens):
            status = 403 if known else 401
            raise RefusedError(status, UNAUTHENTICATED, "Authentication error")

    async def _list_accounts(self, request: web.Request) -> web.Response:
        token = api_token(request.headers)
        if token is not None and (self.account_owned_token or token != self.api_token):
            message = "List accounts endpoint does not support account owned tokens"
            raise RefusedError(400, NO_ACCOUNT_LIST, message)
        call = await self._parameters(request, AccountList)
        result, result_info = call.perform(list(self._accounts.values()))
        return envelope(result, result_info=result_info)

    async def _perform(self, route: Route, request: web.Request) -> web.Response:
        account = self._accounts.get(request.match_info["account_id"])
        if account is None:
            raise web.HTTPNotFound
        if route.forbidden(self, request):
            raise RefusedError(403, FORBIDDEN, "Access to this endpoint is forbidden.")
        call = await self._parameters(request, route.operation)
        return envelope(call.perform(account), status=route.status)

    async def _parameters(self, request: web.Request, cls: type[Parameters]) -> Parameters:
        given = await parameters(request, cls)
        if self.ignores_page and isinstance(given, Paging):
            return attrs.evolve(given, page=1)
        return given
