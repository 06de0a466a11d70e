"""The entries of a journal, and the decision what to do with each. It sends and stores nothing.

An entry follows one idempotency key:

    claimed ──> sent ──> charged
       │         ├─────> not_charged ──> claimed: a new attempt
       │         └─────> unknown ──> charged, or not_charged
       └───────────────> not_charged

- `claimed`: a sender holds the key, and nothing has been sent.
- `sent`: stored just before the first byte of the charge. The card may be charged from now on.
- `charged`, `not_charged`: proven.
- `unknown`: it was sent, and no understandable answer came.

**Two senders.** Every step is a compare-and-set in the database, and each attempt has a `holder`, a
random id. Only the holder sends. When a lease has expired, another sender may take over the claim,
even if the first sender is only slow: the step to `sent`, between connecting and sending the first
byte, fails for one of the two. After `sent`, an expired lease only leads to a search for the
invoice, so a wrong clock never causes a second charge. A lease that ends hours ahead comes from a
wrong clock and counts as expired.

**A new attempt** needs proof that nothing was charged: the service refused, nothing was sent, or
`topup.recover` found no invoice in two searches far enough apart by the service's clock.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from attrs import evolve, frozen

State: TypeAlias = Literal["claimed", "sent", "unknown", "charged", "not_charged"]

LEASE = timedelta(seconds=30)
"""How long a sender counts as alive after it last renewed its lease."""
LONGEST_LEASE = timedelta(hours=1)
"""A lease that ends later than this was written by a wrong clock."""
OPEN: frozenset[State] = frozenset({"claimed", "sent", "unknown"})
"""The states that are not settled."""


@frozen(kw_only=True)
class Entry:
    """A top-up in a journal: the request and its known facts. It holds no secret.

    Attributes:
        amount: The requested credit, in whole cents.
    """

    key: str
    """The idempotency key."""
    base_url: str
    """The base URL of the service."""
    account_id: str
    """The account."""
    amount: int
    """The requested credit, in whole cents."""
    payment_method_id: str | None = None
    """The card; `None`: the account's default card."""
    created_at: datetime
    """When the key was first used: aware, UTC, by the sender's clock."""
    state: State = "claimed"
    """`claimed`: held by a sender, nothing sent. `sent`: on its way. `unknown`: sent, and no
    understandable answer came. `charged`. `not_charged`: proven, so the key may be sent again."""
    attempt: int = 1
    """The number of the attempt, from 1."""
    holder: str
    """A random id of the attempt and its sender."""
    lease_until: datetime
    """The sender counts as alive until then, unless it renews the lease."""
    sent_at: datetime | None = None
    """When it was sent, by the sender's clock; `None`: this attempt was not sent."""
    sent_by_service: datetime | None = None
    """When it was sent, by the service's clock; `None` if that clock was not known."""
    not_found_at: datetime | None = None
    """When a search first found no invoice, by the service's clock."""
    payment_intent_id: str | None = None
    """The top-up's invoice id, if it was charged. No other key can have the same."""
    answer: str | None = None
    """The `result` of the response, as JSON, without its `client_secret`."""
    needs_confirmation: bool = False
    """Whether the payer had to confirm the payment (3-D Secure). The secret for it is not kept."""
    version: int = 1
    """The version of the entry, for compare-and-set."""

    def as_charged(self, payment_intent_id: str) -> Entry:
        """Return the next version: charged, by this invoice (`in_…`).

        Raises: `ValueError` if the id is empty, or the entry is settled already.
        """
        self._check_open()
        if not payment_intent_id:  # a search that found no invoice returns `None`
            raise ValueError(f"`payment_intent_id` must be an invoice, got {payment_intent_id!r}")
        # The service calls an account with a paid invoice "onboarded".
        answer = {"payment_intent_id": payment_intent_id, "onboarding": True}
        return evolve(
            self,
            state="charged",
            payment_intent_id=payment_intent_id,
            answer=json.dumps(answer),
            version=self.version + 1,
        )

    def as_not_charged(self) -> Entry:
        """Return the next version: not charged, so the key may be sent again.

        Raises: `ValueError` if the entry is settled already.
        """
        self._check_open()
        return evolve(self, state="not_charged", version=self.version + 1)

    def _check_open(self) -> None:
        if self.state not in OPEN:
            raise ValueError(f"the top-up with key {self.key!r} is settled already: {self.state}")


@runtime_checkable
class Journal(Protocol):
    """A store of entries that survives the process, for one or many clients.

    The methods may be called from any event loop, and must not block it. A write must be durable
    when its method returns. A method that fails raises; a failed write may still have been stored.
    `cfaigw_billing.testing.check_journal` checks an implementation.
    """

    async def find(self, key: str) -> Entry | None:
        """Return the entry of a key."""
        ...

    async def insert(self, entry: Entry) -> bool:
        """Store a new entry. Return false if its key has an entry already."""
        ...

    async def replace(self, old: Entry, new: Entry) -> bool:
        """Replace `old` by `new`; return whether it was replaced.

        Return false if the stored entry has another `version` than `old`, or if another key with
        the same `base_url` has the `payment_intent_id` of `new`. The store itself must check both,
        so that only one of several concurrent writers succeeds.
        """
        ...

    async def entries(
        self, *, state: State | None = None, account_id: str | None = None
    ) -> Sequence[Entry]:
        """Return the entries, oldest first; if given, only those of a state or an account."""
        ...

    async def close(self) -> None:
        """Close files and connections. The next use opens them again."""
        ...


class Step(Enum):
    """The next step for a key."""

    SEND = "claim it, and send the charge"
    ANSWER = "return the recorded answer"
    WAIT = "wait for the sender to finish"
    RECONCILE = "it may have been charged: look for its invoice"


_STEPS: dict[tuple[State, bool], Step] = {
    # state, whether its sender is alive
    ("claimed", True): Step.WAIT,
    ("claimed", False): Step.SEND,
    ("sent", True): Step.WAIT,
    ("sent", False): Step.RECONCILE,
    ("unknown", True): Step.RECONCILE,
    ("unknown", False): Step.RECONCILE,
    ("charged", True): Step.ANSWER,
    ("charged", False): Step.ANSWER,
    ("not_charged", True): Step.SEND,
    ("not_charged", False): Step.SEND,
}


def decide(entry: Entry | None, now: datetime) -> Step:
    """Return the next step for a key; `entry` is `None` if the journal has no entry for it."""
    if entry is None:
        return Step.SEND
    is_alive = timedelta() < entry.lease_until - now <= LONGEST_LEASE
    return _STEPS[entry.state, is_alive]


_PARAMETERS = ("base_url", "account_id", "amount", "payment_method_id")


def check_same(entry: Entry, wanted: Entry) -> None:
    """Raise if a key is used again for another top-up."""
    for name in _PARAMETERS:
        had, has = getattr(entry, name), getattr(wanted, name)
        if had != has:
            raise ValueError(
                f"`idempotency_key` {entry.key!r} belongs to another top-up: its `{name}` was "
                f"{_text(name, had)}, not {_text(name, has)}; use a new key; nothing was sent"
            )


def _text(name: str, value: object) -> str:
    if name == "amount" and isinstance(value, int):
        return f"{value} cents (${value / 100:,.2f})"
    return repr(value)
