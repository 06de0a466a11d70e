"""What a journal holds of top-ups, and what an entry of it allows. Nothing here is sent or stored.

An entry is the life of one idempotency key:

    claimed ──> sent ──> charged
       │         ├─────> not_charged ──> claimed: a new attempt
       │         └─────> unknown ──> charged, or not_charged
       └───────────────> not_charged

- `claimed`: a sender holds the key, and nothing has been sent.
- `sent`: from just before the first byte of the charge. Only now may the card be charged.
- `charged`, `not_charged`: proven.
- `unknown`: it was sent, and no understandable answer came.

**Two senders.** Every step is a compare-and-set in the database, and each attempt has a `holder`, a
random id. A sender that finds its entry in other hands does not send. So a claim may be taken
over as soon as its lease has expired, even if its sender is only slow: the step to `sent`, which
comes after the connection and before the first byte, will fail for one of the two. Once it is
`sent`, a lease that expires leads to questions and never to a second charge, so no clock can cause
one. The end of a lease that is hours ahead was written by a clock that was wrong, and counts as
expired.

**Back to a new attempt.** Only proof leads there: the service refused, nothing was sent, or
`topup.recover` found no invoice in two looks that lie far enough apart by the clock of the service.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from attrs import frozen

State: TypeAlias = Literal["claimed", "sent", "unknown", "charged", "not_charged"]

LEASE = timedelta(seconds=30)
"""How long a sender is taken to be alive after its last sign of life."""
LONGEST_LEASE = timedelta(hours=1)
"""How far ahead the end of a lease is believed; beyond it, a clock was wrong."""
OPEN: frozenset[State] = frozenset({"claimed", "sent", "unknown"})
"""The states that are not settled."""


@frozen(kw_only=True)
class Entry:
    """A top-up in a journal: what was asked for, and what is known of it. It holds no secret.

    Attributes:
        amount: The credit that was asked for, in whole cents.
    """

    key: str
    """The idempotency key."""
    base_url: str
    """The service that was asked."""
    account_id: str
    """The account that the top-up is for."""
    amount: int
    """The credit that was asked for, in whole cents."""
    payment_method_id: str | None = None
    """The card; `None`: the account's default card."""
    created_at: datetime
    """When the key was first used: aware, UTC, by the clock of that machine."""
    state: State = "claimed"
    """`claimed`: held by a sender, nothing sent. `sent`: on its way. `unknown`: sent, and no
    understandable answer came. `charged`. `not_charged`: proven, so the key may be sent again."""
    attempt: int = 1
    """The number of the attempt, from 1."""
    holder: str
    """A random id of the attempt: what else has this id is of the same sender."""
    lease_until: datetime
    """Until when the sender counts as alive without a further sign of life."""
    sent_at: datetime | None = None
    """When it was sent, by the clock of that machine; `None`: this attempt was not sent."""
    sent_by_service: datetime | None = None
    """When it was sent, by the service's clock; `None` if no answer had told its time."""
    not_found_at: datetime | None = None
    """When it was first looked for in vain, by the service's clock."""
    payment_intent_id: str | None = None
    """The top-up, which is an invoice, if it was charged. It settles no other key."""
    answer: str | None = None
    """The `result` that the service answered, as JSON, without its `client_secret`."""
    needs_confirmation: bool = False
    """Whether the payer had to confirm the payment (3-D Secure), with a secret that is not kept."""
    version: int = 1
    """The number of the change, for compare-and-set."""


@runtime_checkable
class Journal(Protocol):
    """A store of entries that outlives the process, for one or many clients.

    The methods are called from any event loop, and must not block it. What they have stored is
    durable when they return. One that fails raises; a failed write may have been stored all the
    same. `cfaigw_billing.testing.check_journal` checks an implementation.
    """

    async def find(self, key: str) -> Entry | None:
        """Return the entry of a key."""
        ...

    async def insert(self, entry: Entry) -> bool:
        """Store a new entry. Return whether it was stored: not if its key has one already."""
        ...

    async def replace(self, old: Entry, new: Entry) -> bool:
        """Store `new` in the place of `old`, and return whether it was stored.

        Not if the stored entry has another `version` than `old`, and not if another key of the same
        `base_url` has the `payment_intent_id` of `new`. Both must be decided by the store, so that
        of several writers at once one succeeds.
        """
        ...

    async def entries(
        self, *, state: State | None = None, account_id: str | None = None
    ) -> Sequence[Entry]:
        """Return the entries, oldest first: all of them, of one state, of one account."""
        ...

    async def close(self) -> None:
        """Let go of files and connections. The next use opens them again."""
        ...


class Step(Enum):
    """What to do about a key."""

    SEND = "claim it, and send the charge"
    ANSWER = "answer what is recorded"
    WAIT = "wait for the end of the one who sends it"
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
    """Decide what to do about a key, of which the journal has `entry` or nothing."""
    if entry is None:
        return Step.SEND
    is_alive = timedelta() < entry.lease_until - now <= LONGEST_LEASE
    return _STEPS[entry.state, is_alive]


_PARAMETERS = ("base_url", "account_id", "amount", "payment_method_id")


def check_same(entry: Entry, wanted: Entry) -> None:
    """Raise if a key is used again for something else; nothing has been sent then."""
    for name in _PARAMETERS:
        had, has = getattr(entry, name), getattr(wanted, name)
        if had != has:
            raise ValueError(
                f"`idempotency_key` {entry.key!r} belongs to another top-up: its `{name}` was "
                f"{_text(name, had)}, and not {_text(name, has)}; use a new key; nothing was sent"
            )


def _text(name: str, value: object) -> str:
    if name == "amount" and isinstance(value, int):
        return f"{value} cents (${value / 100:,.2f})"
    return repr(value)
