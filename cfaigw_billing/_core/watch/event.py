"""The events of a watch."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from attrs import frozen

from ...types import Money, Runway
from ...types._base import Shown
from ...types._derived import Derived
from ...types.money import optional_money

EpisodeKind = Literal["low", "empty", "auto_topup_failed", "unreadable"]
"""The kinds of events that open an episode."""
EventKind = (
    EpisodeKind | Literal["recovered", "auto_topup_restored", "readable"] | Literal["topped_up"]
)
"""The kinds of events."""


@frozen(kw_only=True)
class Event(Shown):
    """A change of an account that is worth reporting; `str()` makes one line of it.

    `low`, `empty`, `auto_topup_failed` and `unreadable` open an episode. `recovered`,
    `auto_topup_restored` and `readable` end one, as does a change from `empty` to `low` or back.

    Attributes:
        amount: By how much the balance rose, in cents, if `topped_up`.
        balance: The prepaid credit left, in cents with a fraction.
    """

    kind: EventKind
    """The kind of event."""
    account_id: str | None
    """The account; `None`: the service or the credentials, which concerns most accounts."""
    name: str | None = None
    """The name of the account, if the list of accounts was read."""
    at: datetime
    """When it was seen, an aware UTC `datetime`."""
    since: datetime
    """When the episode was first seen; for a top-up, the check before. An aware UTC `datetime`."""
    key: str
    """An id of the event, unique in a watch. An event that is reported again has the same key."""
    closes: str | None = None
    """The `key` of the episode that it ends, if any."""
    amount: float | None = None
    """By how much the balance rose, in cents, if `topped_up`."""
    amount_money: ClassVar[Derived[Money | None]] = optional_money("amount")
    """`amount` as exact US dollars."""
    balance: float | None = None
    """The prepaid credit left, in cents with a fraction; `None` if it could not be read."""
    balance_money: ClassVar[Derived[Money | None]] = optional_money("balance")
    """`balance` as exact US dollars."""
    runway: Runway | None = None
    """The newest forecast, if the watch makes forecasts."""
    error: str | None = None
    """Why the account is unreadable, or why the automatic top-up has failed."""

    def __str__(self) -> str:
        who = "the service" if self.account_id is None else self.account_id
        who = f"{self.name} ({who})" if self.name else who
        words = [f"{who}: {self.kind.replace('_', ' ')}"]
        if self.amount_money is not None:
            words[0] += f" by {self.amount_money}"
        if self.balance_money is not None:
            words.append(f"balance {self.balance_money}")
        if self.kind in ("low", "empty") and self.runway and self.runway.empties_after:
            words.append(f"empty after {self.runway.empties_after:%Y-%m-%d %H:%M} UTC")
        words += [self.error] if self.error else []
        line = ", ".join(words)
        return "".join(c if c.isprintable() else " " for c in line)
