"""The tokens of accounts, and the rate limits: per token and per address."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable

import attrs
from attrs.validators import and_, ge, gt, optional

from ._validation import NULLABLE, number, whole_number


@attrs.define(kw_only=True)
class RequestLimit:
    """The rate limit of a token: so many requests in each window.

    The real service allows 1,200 requests in 300 seconds and blocks for up to 300 seconds.

    Attributes:
        quota: The requests allowed per window.
        window: The length of a window, in seconds.
        block: How long all requests are refused after one too many, in seconds; `None`: until
            the window ends.
        refused: The number of refused requests.
    """

    quota: int = attrs.field(default=1200, validator=and_(whole_number, ge(0)))
    window: float = attrs.field(default=300.0, validator=and_(number, gt(0)))
    block: float | None = attrs.field(
        default=None, validator=optional(and_(number, ge(0))), metadata=NULLABLE
    )
    refused: int = attrs.field(default=0, init=False)
    _used: int = attrs.field(default=0, init=False)
    _started: float = attrs.field(default=float("-inf"), init=False)
    _blocked_until: float = attrs.field(default=float("-inf"), init=False)
    _others: dict[str, RequestLimit] = attrs.field(
        factory=lambda: dict[str, RequestLimit](), init=False, repr=False
    )

    def of(self, token: str) -> RequestLimit:
        """Return the limit of another token: the same settings, with its own window."""
        if token not in self._others:
            self._others[token] = attrs.evolve(self)
        return self._others[token]

    def take(self, now: float) -> bool:
        """Count a request at `now`; return false if it is refused."""
        if now >= self._started + self.window:
            self._started, self._used = now - now % self.window, 0
        self._used += 1
        if self._used > self.quota and now >= self._blocked_until:
            block = self._started + self.window - now if self.block is None else self.block
            self._blocked_until = now + block
        if now < self._blocked_until:
            self.refused += 1
            return False
        return True

    def headers(self, now: float) -> dict[str, str]:
        """Return the headers about this limit, which every response has."""
        left = max(self.quota - self._used, 0)
        resets_in = max(self._started + self.window - now, 0.0)
        headers = {
            "Ratelimit": f'"default";r={left};t={self._text(resets_in)}',
            "Ratelimit-Policy": f'"default";q={self.quota};w={self._text(self.window)}',
        }
        if now < self._blocked_until:
            headers["Retry-After"] = self._text(self._blocked_until - now)
        return headers

    def _text(self, seconds: float) -> str:
        """Return whole seconds, rounded up, as the service does; milliseconds for short windows."""
        if self.window >= _LONG:
            return f"{math.ceil(seconds)}"
        return f"{seconds:.3f}".rstrip("0").rstrip(".")


_LONG = 10.0
"""Windows from this length on, in seconds, have whole seconds in their headers."""


@attrs.define(kw_only=True)
class AddressLimit:
    """The limit of requests per second from one address, for all credentials together.

    The real service allows 200. Its response to more is not documented; the emulator answers 429
    without `Retry-After`. It uses real time, also if the emulator's clock stands still.

    Attributes:
        per_second: The requests allowed in any second.
        most: The largest number of requests from one address in any second so far.
        refused: The number of refused requests.
    """

    per_second: int = 200
    most: int = attrs.field(default=0, init=False)
    refused: int = attrs.field(default=0, init=False)
    _arrivals: defaultdict[str, deque[float]] = attrs.field(
        factory=lambda: defaultdict[str, deque[float]](deque), init=False
    )

    def take(self, address: str, now: float) -> bool:
        """Count a request at `now`; return false if it is refused."""
        arrivals = self._arrivals[address]
        arrivals.append(now)
        while arrivals[0] <= now - 1:
            arrivals.popleft()
        self.most = max(self.most, len(arrivals))
        if len(arrivals) > self.per_second:
            self.refused += 1
            return False
        return True


@attrs.define(eq=False, repr=False)
class Tokens:
    """The tokens of accounts, and their limits.

    A token without its own limit has the settings of the `default` limit, if any.
    """

    default: Callable[[], RequestLimit | None]
    of_accounts: dict[str, str] = attrs.field(factory=dict[str, str], init=False)
    """The token of each account that has one; accounts may share a token."""
    _given: dict[str, RequestLimit] = attrs.field(factory=dict[str, RequestLimit], init=False)

    def set_token(self, account_id: str, token: str | None) -> None:
        """Set the account's own token, which replaces the one before; None: remove it."""
        if token is None:
            self.of_accounts.pop(account_id, None)
            return
        if not isinstance(token, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"`api_token` must be a str, not {type(token).__name__}")
        if token.split() != [token]:
            raise ValueError("`api_token` must be one word, without blanks")
        self.of_accounts[account_id] = token

    def limit(self, token: str) -> RequestLimit | None:
        """Return the limit of a token; None: no limit."""
        default = self.default()
        return self._given.get(token) or (default and default.of(token))

    def set_limit(self, account_id: str, limit: RequestLimit | None) -> None:
        """Set the limit of the account's token; None: back to the usual settings."""
        token = self.of_accounts.get(account_id)
        if token is None:
            raise ValueError(f"account {account_id!r} needs an `api_token` to have its own `limit`")
        if limit is None:
            self._given.pop(token, None)
        else:
            self._given[token] = limit

    def clear(self) -> None:
        """Forget all tokens."""
        self.of_accounts.clear()
        self._given.clear()
