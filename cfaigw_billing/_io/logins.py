"""Choose the credentials of each call, and the limiter that counts its requests.

A client with one set of credentials has one login. With `api_tokens`, each account uses the login
of its token, or the fallback if it has no token. The service counts requests by token, so each
distinct token has one limiter, which all copies of a client share.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from copy import copy
from functools import cached_property
from inspect import isawaitable
from itertools import chain
from math import inf
from typing import cast
from weakref import WeakValueDictionary

from attrs import define, field

from .._core.config import Config, Credentials, check_credential
from .._core.ratelimit import UNKNOWN, RateLimit
from .._core.request import RequestBuilder
from .._wire.secrets import TokenFunction, conceal
from ..errors import CloudflareError
from .exchange import without_frames
from .limiter import Limiter, Limiters, Login

HEAD_START = 2.0
"""The longest time that calls wait for the first answer of their client, in seconds."""


class Logins:
    """The logins of a client. Each is made when a call needs it.

    Args:
        config: The settings of the client.
        requests: The builder of its requests.
        limiters: The limiters that the copies of the client share.
    """

    def __init__(self, config: Config, requests: RequestBuilder, limiters: Limiters) -> None:
        self._credentials = config.credentials
        self._tokens = config.api_tokens or None
        self._requests = requests
        self._limiters = limiters
        self._by_account: dict[str | None, Login] = {}
        self._by_token: WeakValueDictionary[str, Login] = WeakValueDictionary()
        self._fallback: Login | None = None
        self._asking: dict[tuple[asyncio.AbstractEventLoop, str], _Asking] = {}
        self._refused: set[str] = set()
        """Accounts whose token was refused. They never use the fallback."""
        self.only: Login | None = None
        """The login of every call; `None` before the first call, or if there may be several."""

    @property
    def several(self) -> bool:
        """Whether accounts may have their own tokens."""
        return self._tokens is not None

    @property
    def fallback(self) -> Login:
        """The login of accounts without their own token, and for listing accounts.

        Raises: `CloudflareError` if these credentials are missing.
        """
        if self._fallback is None:
            self._fallback = self._make(self._credentials)
            self.only = None if self.several else self._fallback
        return self._fallback

    def known(self, account_id: str | None) -> Login | None:
        """Return the login of an account; `None` if the function of tokens must be asked first.

        Args:
            account_id: The account; `None` for a call without an account.

        Raises:
            CloudflareError: The account has no token, and the client has no fallback.
        """
        login = self._by_account.get(account_id)
        if login is not None:
            return login
        if account_id is None or self._tokens is None:
            return self._fallback_for(account_id)
        if callable(self._tokens):
            return None
        return self._keep(account_id, self._tokens.get(account_id))

    async def ask(self, account_id: str, seconds: float) -> Login:
        """Call the function of tokens, once for all calls that wait for the same account.

        If it fails, all these calls fail, so that they do not wait for it one after the other.

        Args:
            account_id: The account.
            seconds: How long the function may take.

        Raises:
            CloudflareError: The function failed or took too long, or the client has no fallback.
            ValueError: The function returned an invalid token.
            TypeError: The function returned something other than a `str` or `None`.
        """
        if any(each.is_about(self, account_id) for each in _asked.get()):
            raise CloudflareError(
                f"`api_tokens` needs the token of the account {account_id!r} to find that token: "
                f"use another client in it"
            )
        key = asyncio.get_running_loop(), account_id
        asking = self._asking.setdefault(key, _Asking())
        failure = asking.failure
        asking.calls += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(None if seconds == inf else seconds), asking.lock:
                    return await self._ask(account_id, asking, failure)
        finally:
            asking.calls -= 1
            if not asking.calls:
                del self._asking[key]
        raise CloudflareError(
            f"`api_tokens` did not return the token of the account {account_id!r} in time "
            f"(`timeout`, `total_timeout`)"
        )

    def rate_limit(self, now: float) -> RateLimit:
        """Return the state of the rate limit of the fallback."""
        with suppress(CloudflareError):
            return self._make(self._credentials).limiter.state(now)
        return UNKNOWN

    def rate_limits(self, now: float) -> dict[str | None, RateLimit]:
        """Return the state of each rate limit by account; `None` stands for the fallback."""
        return {account_id: login.limiter.state(now) for account_id, login in self.used()}

    def rate_limits_of(
        self, account_ids: Iterable[str], now: float
    ) -> Iterator[tuple[RateLimit, int]]:
        """Yield the rate limits of accounts, each with the number of its accounts."""
        for limiter, accounts in Counter(map(self._limiter_of, account_ids)).items():
            yield UNKNOWN if limiter is None else limiter.state(now), accounts

    def _limiter_of(self, account_id: str) -> Limiter | None:
        """Return the limiter of an account; `None` if its token is missing or not known yet."""
        with suppress(CloudflareError):
            login = self.known(account_id)
            return None if login is None else login.limiter
        return None

    def forget(self, account_id: str, login: Login) -> bool:
        """Drop the token of an account, so that the next call asks again; false if impossible."""
        if not callable(self._tokens):
            return False
        if login is not self._fallback:
            self._refused.add(account_id)
        if self._by_account.get(account_id) is login:  # no other call has replaced it meanwhile
            self._by_account.pop(account_id, None)
        return True

    def all_refused(self) -> bool:
        """Return whether the service is known to refuse all credentials of the client."""
        if callable(self._tokens) or len(self._by_token) < self._distinct:
            return False
        logins = map(self._by_token.get, (self._tokens or {}).values())
        fallback = (self._fallback,) if self._credentials.is_given else ()
        return all(login is not None and login.refused for login in chain(fallback, logins))

    @cached_property
    def _distinct(self) -> int:
        """The number of distinct tokens in the mapping."""
        return len(set(cast("Mapping[str, str]", self._tokens or {}).values()))

    @property
    def none_accepted(self) -> bool:
        """Whether the service has not accepted any credentials yet."""
        return not any(login.accepted for _, login in self.used())

    @property
    def wants_proof(self) -> bool:
        """Whether one call should go first, because all others would be refused like it."""
        return not self.several and self.none_accepted

    def used(self) -> Iterator[tuple[str | None, Login]]:
        """Yield the logins that were used, by account; `None` stands for the fallback."""
        if self._fallback is not None:
            yield None, self._fallback
        for account_id, login in list(self._by_account.items()):
            if login is not self._fallback:
                yield account_id, login

    async def _ask(self, account_id: str, asking: _Asking, failure: Exception | None) -> Login:
        """Call the function of tokens, unless another call did so while this one waited."""
        login = self._by_account.get(account_id)
        if login is not None:
            return login
        if asking.failure is not None and asking.failure is not failure:
            raise _own(asking.failure)
        try:
            return self._keep(account_id, await self._token(account_id))
        except Exception as error:
            asking.failure = _own(error)
            raise

    async def _token(self, account_id: str) -> str | None:
        """Call the function of tokens."""
        function = cast("TokenFunction", self._tokens)
        try:
            with _asked_for(self, account_id):
                if function.is_async:
                    found = function(account_id)
                else:
                    # Not in the loop's own threads: it needs them for DNS, and waits for them when
                    # it is closed.
                    from anyio.to_thread import run_sync

                    found = await run_sync(function, account_id, abandon_on_cancel=True)
                (token,) = conceal(await found) if isawaitable(found) else (found,)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            # Without frames: their local variables may be tokens.
            raise CloudflareError(
                f"`api_tokens` failed for the account {account_id!r}: {type(error).__name__}"
            ) from without_frames(error)
        name = f"the token that `api_tokens` returned for the account {account_id!r}"
        if token == "":
            raise ValueError(f"{name} is empty; return `None` if the account has no own token")
        check_credential(name, token)
        return cast("str | None", token)

    def _keep(self, account_id: str, token: str | None) -> Login:
        if token is None:
            login = self._fallback_for(account_id)
            if account_id in self._refused:
                raise CloudflareError(
                    f"no token for the account {account_id!r}: the service refused its token, and "
                    f"`api_tokens` has no other; `api_token` never replaces a refused token"
                )
        else:
            login = self._by_token.get(token) or self._make(Credentials.of_token(token))
            self._by_token[token] = login
        self._by_account[account_id] = login
        return login

    def _make(self, credentials: Credentials) -> Login:
        headers = self._requests.headers(credentials)
        return Login(headers, self._limiters.of(headers))

    def _fallback_for(self, account_id: str | None) -> Login:
        if self.several and not self._credentials.is_given:
            lacking = (
                "`api_tokens` are tokens of single accounts; a call without an account, such as "
                "listing accounts, needs `api_token` too"
                if account_id is None
                else f"no token for the account {account_id!r}: `api_tokens` has none, and "
                f"`api_token`, for accounts without one, is not set"
            )
            raise CloudflareError(lacking)
        return self.fallback


@define(eq=False)
class _Asking:
    """The calls on one event loop that wait for the function of tokens, for one account."""

    lock: asyncio.Lock = field(factory=asyncio.Lock)
    calls: int = 0
    failure: Exception | None = None
    """The last failure of the function."""


@define(eq=False, repr=False)
class _Question:
    """An account for which the function of tokens is running."""

    logins: Logins
    account_id: str
    is_open: bool = True

    def is_about(self, logins: Logins, account_id: str) -> bool:
        return self.is_open and self.logins is logins and self.account_id == account_id


_asked: ContextVar[tuple[_Question, ...]] = ContextVar("cfaigw_billing asked", default=())
"""The open questions that led to the current call. Waiting for one of them would be a deadlock."""


@contextmanager
def _asked_for(logins: Logins, account_id: str) -> Generator[None]:
    question = _Question(logins, account_id)
    reset = _asked.set((*_asked.get(), question))
    try:
        yield
    finally:
        question.is_open = False
        _asked.reset(reset)


def _is_cancelled() -> bool:
    """Return whether this task was cancelled, not only a task that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _own(error: Exception) -> Exception:
    """Return a copy of an error for one call: each raise adds to the traceback."""
    own = copy(error)
    own.__cause__ = error.__cause__
    return own
