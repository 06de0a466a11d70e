"""Check many accounts repeatedly. A look is one check of an account.

`watch` and `metrics` use it. One task starts a task for each account that is due. The calls wait
for the rate limit like those of a sweep. All tasks end with the block.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from math import inf
from typing import TypeVar

import anyio

from .._core.answer import lists_no_accounts, refuses_credentials
from .._core.options import check_reserve
from .._core.pages import ACCOUNTS, PageTurner
from .._core.runway import forecast_runway, runway_requests
from .._core.sweeps.sweep import checked_ids
from .._core.watch.schedule import LIST_EVERY, THE_LIST, Aims, Known, Look, Schedule
from .._io.call import Batch, BatchMember, Slots
from .._io.deadlines import end_task
from .._io.executor import Executor
from .._io.logins import HEAD_START
from ..errors import APIError, CloudflareError
from ..types import (
    AccountListParams,
    BillingCreditBalanceParams,
    BillingCreditBalanceResponse,
    BillingUsageHistoryParams,
    BillingUsageHistoryResponse,
    Params,
    Runway,
)

T = TypeVar("T")

AT_ONCE = 50
"""How many looks may run or wait to be read at a time."""
QUOTA = 1200.0
"""The requests per window, until the service has reported the quota."""
_OF_AN_ACCOUNT = CloudflareError, ValueError, TypeError
"""The errors of one account. A wrong function of tokens raises `ValueError` or `TypeError`."""
HISTORY = timedelta(weeks=8)
"""The usage to read for a forecast."""


class Looks:
    """The looks at accounts, in the order in which they end. They go on until `leave`.

    The first look is at the list of accounts (`Look.accounts`). `next` returns the looks, and
    `None` at the end. While `AT_ONCE` looks wait to be read, no more begin.
    """

    def __init__(
        self,
        account_ids: Iterable[str] | None,
        *,
        aims: Aims,
        reserve: float,
        usage: bool,
        days: bool = False,
        once: bool = False,
    ) -> None:
        """Check and keep the options.

        Args:
            account_ids: The accounts; `None`: all that the credentials can see, listed every hour.
            aims: How often to look.
            reserve: The part of the rate limit to leave to others, from 0 to below 1.
            usage: Whether to read the usage and forecast: at the first look, every six hours, and
                after the balance has risen or fallen fast.
            days: Whether to read the whole usage by day at these times too.
            once: Look at each account once, now, and end.

        Raises:
            ValueError: `reserve` or an account id is wrong, or `account_ids` is empty.
            TypeError: An argument has the wrong type.
        """
        check_reserve(reserve)
        self._account_ids = None if account_ids is None else checked(account_ids)
        self._aims, self._reserve, self._usage, self._once = aims, reserve, usage, once
        self._days = days
        self._names: dict[str, str] = {}
        self._known: dict[str, Known] = {}
        self._ended: deque[Look] = deque()
        self._fault: Exception | None = None
        self._task: asyncio.Task[None] | None = None
        self._over = False

    async def enter(self, executor: Executor) -> None:
        """Start the looks."""
        if self._task is not None or self._over:
            raise RuntimeError("it can be entered once; make another one")
        self._executor = executor
        self._schedule = Schedule(self._aims.interval, executor.clock.monotonic())
        self._slots = Slots(AT_ONCE)
        self._news, self._changed = asyncio.Event(), asyncio.Event()
        self._pid = os.getpid()
        self._task = asyncio.create_task(self._run())

    async def leave(self) -> None:
        """Cancel the looks in progress, and wait until they have ended."""
        if self._task is None or self.inherited:
            return
        self._over = True
        interrupt = await end_task(self._task)
        self._task = None  # its cancellation holds frames
        if interrupt is not None:
            raise interrupt

    async def next(self) -> Look | None:
        """Return the next look; `None` at the end. Raise the error that ended the looks, if any."""
        if self._task is None:
            raise RuntimeError("read inside the block: `async with` (`with` on the sync client)")
        if self.inherited:
            raise RuntimeError("read in the process that entered the block")
        while not self._ended and not self._over:
            self._news.clear()
            await self._news.wait()
        if self._ended:
            self._slots.release()
            return self._ended.popleft()
        if self._fault is not None:
            raise self._fault
        return None

    @property
    def inherited(self) -> bool:
        """Whether this is a forked child: the looks belong to the parent process."""
        return self._pid != os.getpid()

    async def _run(self) -> None:
        try:
            with self._executor.widened(AT_ONCE):
                await self._slots.acquire()
                await self._list()
                async with anyio.create_task_group() as tasks:
                    while (account_id := await self._due()) is not None:
                        tasks.start_soon(self._look, account_id)
                        if self._executor.logins.wants_proof:
                            await self._head_start()
            self._over = True
        except* Exception as faults:
            self._fault = _first(faults)
        finally:
            if not self._over and self._fault is None:  # cancelled
                self._fault = RuntimeError("the looks were ended from outside")
            self._over = True
            self._news.set()

    async def _due(self) -> str | None:
        """Wait until a look is due and may start; return its account. `None`: no look is left."""
        await self._slots.acquire()
        while (account_id := self._schedule.take(self._executor.clock.monotonic())) is None:
            wait = self._schedule.wait()
            if wait == inf and self._once:
                return None
            self._changed.clear()
            with anyio.move_on_after(wait):
                await self._changed.wait()
        return account_id

    async def _head_start(self) -> None:
        """Wait for the first look, so that wrong credentials are refused only once."""
        self._changed.clear()
        with anyio.move_on_after(HEAD_START):
            await self._changed.wait()

    async def _look(self, account_id: str) -> None:
        if account_id == THE_LIST:
            await self._list()
            return
        try:
            balance = await self._ask(BillingCreditBalanceParams(account_id=account_id))
        except _OF_AN_ACCOUNT as error:
            if refuses_credentials(error) and self._executor.logins.all_refused():
                raise
            known = self._known.get(account_id)
            gap = self._aims.interval if known is None else self._aims.gap(None, known)
            at = self._executor.now()
            look = Look(
                account_id=account_id,
                name=self._names.get(account_id),
                at=at,
                error=error.with_traceback(None),
            )
        else:
            look, gap = await self._seen_balance(account_id, balance)
        self._end(look, gap)

    async def _seen_balance(
        self, account_id: str, balance: BillingCreditBalanceResponse
    ) -> tuple[Look, float]:
        """Read the usage too, if it is due. Return the look, and the seconds until the next."""
        at, time = self._executor.now(), self._schedule.time
        before, usage, days = self._known.get(account_id), None, None
        runway, asked_at = (before.runway, before.asked_at) if before else (None, -inf)
        if self._usage and (before is None or before.wants_usage(at, balance.balance, time)):
            usage, runway = await self._forecast(balance, at)
            days = await self._whole_usage(account_id) if self._days else None
            asked_at = time
        known = Known(at=at, balance=balance.balance, runway=runway, asked_at=asked_at)
        self._known[account_id] = known
        look = Look(
            account_id=account_id,
            name=self._names.get(account_id),
            at=at,
            balance=balance,
            usage=usage,
            days=days,
            runway=runway,
        )
        return look, self._aims.gap(before, known)

    async def _forecast(
        self, balance: BillingCreditBalanceResponse, now: datetime
    ) -> tuple[BillingUsageHistoryResponse | None, Runway | None]:
        """Read the usage and forecast; `None` if it fails. The next look tries again."""
        _, params = runway_requests(balance.account_id, HISTORY, now)
        try:
            usage = await self._ask(params)
        except _OF_AN_ACCOUNT:
            return None, None
        with suppress(ValueError):  # rows longer than an hour
            return usage, forecast_runway(balance, usage, now=now)
        return usage, None

    async def _whole_usage(self, account_id: str) -> BillingUsageHistoryResponse | None:
        params = BillingUsageHistoryParams(account_id=account_id, value_grouping_window="day")
        try:
            return await self._ask(params)
        except _OF_AN_ACCOUNT:
            return None

    def _end(self, look: Look, gap: float) -> None:
        """Queue the look for the reader, and plan the next one."""
        account_id = str(look.account_id)
        if account_id not in self._schedule:  # no longer in the list
            self._slots.release()
        else:
            if not self._once:
                self._schedule.put_back(account_id, gap)
            self._hand_over(look)

    def _hand_over(self, look: Look) -> None:
        self._ended.append(look)
        self._changed.set()
        self._news.set()

    async def _list(self) -> None:
        """Read the list of accounts. Raise only if the first time fails."""
        error: APIError | None = None
        try:
            if self._account_ids is None:
                self._names = await self._all_accounts()
        except APIError as fault:
            if THE_LIST not in self._schedule:  # the first one
                raise
            error = fault.with_traceback(None)
        else:
            every = dict.fromkeys(self._executor.config.token_accounts) | self._names
            self._keep(every if self._account_ids is None else self._account_ids)
        if self._account_ids is None and not self._once:
            gap = LIST_EVERY if error is None else min(LIST_EVERY, self._aims.interval)
            self._schedule.add(THE_LIST, gap)
        at, accounts = self._executor.now(), frozenset(self._schedule.accounts)
        self._hand_over(Look(account_id=None, at=at, error=error, accounts=accounts))

    def _keep(self, account_ids: Collection[str]) -> None:
        capacity = inf if self._once else self._capacity_for(account_ids)
        self._schedule.keep(account_ids, capacity)
        self._known = {name: known for name, known in self._known.items() if name in account_ids}

    def _capacity_for(self, account_ids: Collection[str]) -> float:
        """Return how many accounts the rate limits allow to check now."""
        calls, capacity, now = 1 + self._usage + self._days, 0.0, self._executor.clock.monotonic()
        for limit, accounts in self._executor.logins.rate_limits_of(account_ids, now):
            quota = limit.quota or QUOTA
            left = quota if limit.remaining is None else limit.remaining
            capacity += min((left - self._reserve * quota) / calls, accounts)
        return capacity

    async def _all_accounts(self) -> dict[str, str]:
        """Return the names of the accounts that can be listed, by id."""
        found: dict[str, str] = {}
        config = self._executor.config
        if not config.lists_accounts:
            return found
        pages = PageTurner(AccountListParams(per_page=50), ACCOUNTS)
        try:
            while pages.params is not None:
                new = pages.new(await self._ask(pages.params))
                found |= {account.id: account.name for account in new}
        except APIError as error:
            if not (config.token_accounts and lists_no_accounts(error)):
                raise
        return found

    async def _ask(self, params: Params[T]) -> T:
        """Make a call that waits for the rate limit like a call of a sweep."""
        batch = Batch(self._reserve, self._slots, several=self._executor.logins.several)
        return (await self._executor.execute(params, {}, member=BatchMember(batch))).parse()


def checked(account_ids: Iterable[str]) -> list[str]:
    """Return the accounts without duplicates; raise if the list is empty or an id is not valid."""
    found = list(dict.fromkeys(checked_ids(account_ids)))
    for account_id in found:
        BillingCreditBalanceParams(account_id=account_id)  # raises
    if not found:
        raise ValueError("`account_ids` must hold at least one account")
    return found


def _first(faults: BaseExceptionGroup[Exception]) -> Exception:
    first = faults.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
