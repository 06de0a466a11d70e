"""The tokens that belong to accounts, and the service's rate limits: of a token, of an address."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable

import attrs
from attrs.validators import and_, ge, gt, optional

from ._validation import NULLABLE, number, whole_number


@attrs.define(kw_only=True)
class RequestLimit:
    """So many requests in each window, for all who use a token.

    The real service allows 1,200 in 300 seconds and blocks for up to 300; a test wants fewer.

    Attributes:
        quota: The requests of a window.
        window: The length of a window, in seconds.
        block: How long every request is refused once there were too many, in seconds; `None`:
            until the window ends.
        refused: How many requests have been refused.
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
        """Return the limit of another token: the same settings, with a window of its own."""
        if token not in self._others:
            self._others[token] = attrs.evolve(self)
        return self._others[token]

    def take(self, now: float) -> bool:
        """Count a request at `now`; false if it is refused."""
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
        """Return the headers that every answer has about it."""
        left = max(self.quota - self._used, 0)
        resets_in = max(self._started + self.window - now, 0.0)
        headers = {
            "Ratelimit": f'"default";r={left};t={self._told(resets_in)}',
            "Ratelimit-Policy": f'"default";q={self.quota};w={self._told(self.window)}',
        }
        if now < self._blocked_until:
            headers["Retry-After"] = self._told(self._blocked_until - now)
        return headers

    def _told(self, seconds: float) -> str:
        """Whole seconds, rounded up, as the service tells them; finer where windows are short."""
        if self.window >= _LONG:
            return f"{math.ceil(seconds)}"
        return f"{seconds:.3f}".rstrip("0").rstrip(".")


_LONG = 10.0
"""Seconds."""


@attrs.define(kw_only=True)
class AddressLimit:
    """So many requests from one address in any second, whatever the credentials.

    The real service takes 200. Nothing documents what it does beyond that; this answers 429 without
    `Retry-After`. It goes by the real time, also where the emulator's clock stands still.

    Attributes:
        per_second: The requests that it takes.
        most: The most requests that have come from one address in any second.
        refused: How many requests have been refused.
    """

    per_second: int = 200
    most: int = attrs.field(default=0, init=False)
    refused: int = attrs.field(default=0, init=False)
    _came: defaultdict[str, deque[float]] = attrs.field(
        factory=lambda: defaultdict[str, deque[float]](deque), init=False
    )

    def take(self, address: str, now: float) -> bool:
        """Count a request at `now`; false if it is refused."""
        came = self._came[address]
        came.append(now)
        while came[0] <= now - 1:
            came.popleft()
        self.most = max(self.most, len(came))
        if len(came) > self.per_second:
            self.refused += 1
            return False
        return True


@attrs.define(eq=False, repr=False)
class Tokens:
    """The tokens that belong to accounts, and the limits that they were given.

    A token without a limit of its own has the settings of the `usual` one, if there is any.
    """

    usual: Callable[[], RequestLimit | None]
    of_accounts: dict[str, str] = attrs.field(factory=dict[str, str], init=False)
    """The token of each account that has one; several may have the same."""
    _given: dict[str, RequestLimit] = attrs.field(factory=dict[str, RequestLimit], init=False)

    def give(self, account_id: str, token: str | None) -> None:
        """Let the token, and no other, open the account; None: no token of its own."""
        if token is None:
            self.of_accounts.pop(account_id, None)
            return
        if not isinstance(token, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"`api_token` must be a str, not {type(token).__name__}")
        if token.split() != [token]:
            raise ValueError("`api_token` must be one word, without blanks")
        self.of_accounts[account_id] = token

    def limit(self, token: str) -> RequestLimit | None:
        """The limit of a token; None: no limit."""
        usual = self.usual()
        return self._given.get(token) or (usual and usual.of(token))

    def set_limit(self, account_id: str, limit: RequestLimit | None) -> None:
        """Give a limit to the token of an account; None: the usual settings again."""
        token = self.of_accounts.get(account_id)
        if token is None:
            raise ValueError(f"account {account_id!r} has no `api_token`, so no `limit` of its own")
        if limit is None:
            self._given.pop(token, None)
        else:
            self._given[token] = limit

    def clear(self) -> None:
        """Forget all tokens."""
        self.of_accounts.clear()
        self._given.clear()
