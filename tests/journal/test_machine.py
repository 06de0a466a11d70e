"""Any order of charges, crashes, declines and recoveries, against a model: one charge a key."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cfaigw_billing import (
    AsyncCloudflare,
    CloudflareError,
    PaymentRequiredError,
    TopupOutcomeUnknownError,
)
from cfaigw_billing._io.clock import Clock
from cfaigw_billing.journal import Entry
from cfaigw_billing.testing import Emulator, Fault

from .stores import MemoryJournal

HOUR = timedelta(hours=1)
KEYS = ("a", "b", "c")
Moment = Literal["before", "after"]
"""Of a write."""


class SetClock(Clock):
    """The machine's clock, set to another time."""

    ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Process(MemoryJournal):
    """The journal as a process sees it: nothing that it does after its death is stored."""

    def __init__(self, rows: dict[str, Entry], dies_at: tuple[str, Moment] | None = None) -> None:
        super().__init__(rows)
        self._dies_at = dies_at
        self._dead = False

    async def _write(self, old: Entry | None, new: Entry) -> bool:
        state = "end" if new.state not in ("claimed", "sent") else new.state
        self._die_at(state, "before")
        stored = await super()._write(old, new)
        self._die_at(state, "after")
        return stored

    async def entries(self, **filters: Any) -> Sequence[Entry]:
        self._die_at("", "before")
        return await super().entries(**filters)

    def _die_at(self, state: str, moment: Moment) -> None:
        self._dead |= self._dies_at == (state, moment)
        if self._dead:
            raise ConnectionError("the process is dead")


class OneChargeAKey(RuleBasedStateMachine):
    """All keys are of one account and one amount, so that only the journal tells them apart."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.emulator = Emulator(topup_seconds=0)
        self.emulator.__enter__()
        self.account = self.emulator.add_account("acc")
        self.clock = SetClock()
        self.rows: dict[str, Entry] = {}
        self.answers: dict[str, str] = {}
        self.tried: set[str] = set()

    def teardown(self) -> None:
        try:
            self.settle_all()
        finally:
            self.emulator.__exit__(None, None, None)
            self.runner.close()

    # Steps.

    @rule(
        key=st.sampled_from(KEYS),
        fate=st.sampled_from(["answered", "declined", "lost", "lost before"]),
    )
    def create(self, key: str, fate: str) -> None:
        charges = len(self.emulator.charges)
        was = self.rows[key].state if key in self.rows else None
        error = self.charge(Process(self.rows), key, fate)
        charged = len(self.emulator.charges) - charges
        assert charged <= 1
        if was == "charged":
            assert (error, charged) == (None, 0)
        if was in ("sent", "unknown"):
            assert charged == 0
            assert error is None or isinstance(error, TopupOutcomeUnknownError)
        if charged and fate == "answered":
            assert error is None
        if isinstance(error, PaymentRequiredError):
            assert self.rows[key].state == "not_charged"

    @rule(
        key=st.sampled_from(KEYS),
        fate=st.sampled_from(["answered", "declined", "lost", "lost before"]),
        state=st.sampled_from(["claimed", "sent", "end"]),
        moment=st.sampled_from(["before", "after"]),
    )
    def crash(self, key: str, fate: str, state: str, moment: Moment) -> None:
        was = self.rows[key].state if key in self.rows else None
        charges = len(self.emulator.charges)
        answers = dict(self.answers)
        self.charge(Process(self.rows, (state, moment)), key, fate)
        if was != "charged":
            self.answers = answers  # who asked died with it
        if was in ("charged", "sent", "unknown"):
            assert len(self.emulator.charges) == charges
        self.pass_time(timedelta(minutes=1))  # its lease expires

    @rule(hours=st.sampled_from([0.1, 0.5, 2.0]))
    def pass_hours(self, hours: float) -> None:
        self.pass_time(hours * HOUR)

    @precondition(lambda self: self.rows)
    @rule()
    def recover(self) -> None:
        charges = len(self.emulator.charges)
        self.look()
        assert len(self.emulator.charges) == charges

    # Invariants.

    @invariant()
    def no_key_is_charged_twice(self) -> None:
        assert len(self.emulator.charges) <= len(self.tried)

    @invariant()
    def what_is_recorded_is_a_charge_of_its_own(self) -> None:
        recorded = [row.payment_intent_id for row in self.rows.values() if row.payment_intent_id]
        assert len(recorded) == len(set(recorded))
        assert set(recorded) <= {charge.payment_intent_id for charge in self.emulator.charges}

    @invariant()
    def what_was_answered_stays_recorded(self) -> None:
        for key, payment_intent_id in self.answers.items():
            assert self.rows[key].payment_intent_id == payment_intent_id

    # How.

    def settle_all(self) -> None:
        for _ in range(2 + len(KEYS)):  # an invoice is in the way of others until it is settled
            self.look()
            self.pass_time(2 * HOUR)
        assert [row for row in self.rows.values() if row.state not in SETTLED] == []
        for key in sorted(self.tried):
            assert self.charge(Process(self.rows), key, "answered") is None
        assert len(self.emulator.charges) == len(self.tried)
        assert {charge.payment_intent_id for charge in self.emulator.charges} == {
            row.payment_intent_id for row in self.rows.values()
        }

    def charge(self, process: Process, key: str, fate: str) -> Exception | None:
        self.tried.add(key)
        self.account.declines = fate == "declined"
        if fate.startswith("lost"):
            fault = Fault(silence="close", after=fate == "lost")
            self.emulator.inject(fault, path="/topup")
        try:
            created = self.run(
                process, "create", account_id="acc", amount=5000, idempotency_key=key
            )
        except CloudflareError as error:
            return error
        finally:
            self.emulator.clear_faults()
        self.answers[key] = created.payment_intent_id
        return None

    def look(self) -> None:
        self.run(Process(self.rows), "recover", older_than=HOUR)

    def run(self, process: Process, call: str, **arguments: Any) -> Any:
        async def main() -> Any:
            async with AsyncCloudflare(
                base_url=self.emulator.base_url,
                api_token=self.emulator.api_token,
                journal=process,
            ) as client:
                client._executor.clock = self.clock
                return await getattr(client.ai_gateway.billing.topup, call)(**arguments)

        return self.runner.run(main())

    def pass_time(self, time: timedelta) -> None:
        self.clock.ahead += time
        self.emulator.advance(time.total_seconds())


SETTLED = ("charged", "not_charged")
TestOneChargeAKey = OneChargeAKey.TestCase
TestOneChargeAKey.settings = settings(
    max_examples=60,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
