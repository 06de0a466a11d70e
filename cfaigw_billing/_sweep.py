"""The balances of many accounts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ._bulk import Outcome
from ._paging import ACCOUNTS, PageTurner
from .types import (
    AccountListParams,
    AccountListResponse,
    BillingCreditBalanceParams,
    BillingCreditBalanceResponse,
    Money,
    Params,
)

if TYPE_CHECKING:
    from ._client import AsyncCloudflare
    from ._sync import Cloudflare

Progress = bool | Callable[[int, int | None], object]
"""`True`: a bar of tqdm's. Or what is called with the calls done and, where known, all of them."""


class CreditBalances(Mapping[str, BillingCreditBalanceResponse]):
    """The balances of many accounts, by account, in the order in which they were asked for."""

    failed: Mapping[str, Exception]
    """The accounts that did not answer, and why."""

    def __init__(
        self,
        found: Mapping[str, BillingCreditBalanceResponse],
        failed: Mapping[str, Exception],
    ) -> None:
        self._found = dict(found)
        self.failed = dict(failed)

    def __getitem__(self, account_id: str) -> BillingCreditBalanceResponse:
        return self._found[account_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return f"<CreditBalances: {len(self)} accounts, {len(self.failed)} failed, {self.total}>"

    @property
    def total(self) -> Money:
        """The sum of the balances that were answered."""
        return sum((answer.balance_money for answer in self.values()), Money(0))

    def below(self, threshold: Money) -> dict[str, BillingCreditBalanceResponse]:
        """The accounts whose balance is less than `threshold`, such as `Money.from_major(10)`."""
        return {key: value for key, value in self.items() if value.balance_money < threshold}

    def to_records(self) -> list[dict[str, object]]:
        """A flat mapping for each account, those that failed at the end; `balance` in cents."""
        answered = [
            _record(
                account_id,
                balance=answer.balance,
                balance_money=answer.balance_money,
                has_default_payment_method=answer.has_default_payment_method,
            )
            for account_id, answer in self.items()
        ]
        failed = [
            _record(account_id, error=str(error)) for account_id, error in self.failed.items()
        ]
        return answered + failed


def _record(account_id: str, **given: object) -> dict[str, object]:
    unknown = dict.fromkeys(("balance", "balance_money", "has_default_payment_method", "error"))
    return {"account_id": account_id, **unknown, **given}


class _Sweep:
    """One pass over accounts: whom to ask, and what came of it. It sends nothing itself."""

    def __init__(self, account_ids: Iterable[str] | None) -> None:
        self._names: dict[Params[BillingCreditBalanceResponse], str] = {}
        self._found: dict[str, BillingCreditBalanceResponse] = {}
        self._failed: dict[str, Exception] = {}
        self.requests: list[BillingCreditBalanceParams] | None = None
        """Those of the accounts that were given, checked; `None` for all that can be seen."""
        self.pages = PageTurner(AccountListParams(per_page=50), ACCOUNTS)
        """The list of those."""
        if isinstance(account_ids, str):
            raise TypeError("`account_ids` must be an iterable of str, not a str")
        if account_ids is not None:
            self.requests = [request for name in account_ids for request in self.ask(name)]

    def ask(self, account_id: str) -> Iterator[BillingCreditBalanceParams]:
        """The request about an account; nothing if there was one already."""
        if not isinstance(account_id, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"`account_ids` must hold str, not {type(account_id).__name__}")
        request = BillingCreditBalanceParams(account_id=account_id)
        if request not in self._names:
            self._names[request] = account_id
            yield request

    def ask_page(self, page: AccountListResponse) -> Iterator[BillingCreditBalanceParams]:
        """The requests about the accounts of a page."""
        return (request for account in self.pages.new(page) for request in self.ask(account.id))

    def take(self, outcome: Outcome[BillingCreditBalanceResponse]) -> int:
        """Keep how a request ended; how many have."""
        name = self._names[outcome.request]
        if outcome.error is not None:
            self._failed[name] = outcome.error
        else:
            self._found[name] = outcome.unwrap()
        return len(self._found) + len(self._failed)

    def result(self) -> CreditBalances:
        """What was answered, in the order in which it was asked for."""
        names = self._names.values()
        return CreditBalances(
            {name: self._found[name] for name in names if name in self._found},
            {name: self._failed[name] for name in names if name in self._failed},
        )


async def async_credit_balances(
    client: AsyncCloudflare,
    account_ids: Iterable[str] | None,
    *,
    concurrency: int,
    reserve: float,
    progress: Progress,
) -> CreditBalances:
    """Ask for the balances of many accounts; `None`: of all that the credentials can see."""
    sweep = _Sweep(account_ids)

    async def all_accounts() -> AsyncGenerator[BillingCreditBalanceParams]:
        while sweep.pages.params is not None:
            # A sweep of its own, because that waits for the rate limit and a single call does not.
            async with client.send_many([sweep.pages.params], reserve=reserve) as outcomes:
                page = (await anext(outcomes)).unwrap()
            for request in sweep.ask_page(page):
                yield request

    requests = all_accounts() if sweep.requests is None else sweep.requests
    with _reporter(progress, sweep) as report:
        async with client.send_many(requests, concurrency=concurrency, reserve=reserve) as outcomes:
            async for outcome in outcomes:
                report(sweep.take(outcome))
    return sweep.result()


def credit_balances(
    client: Cloudflare,
    account_ids: Iterable[str] | None,
    *,
    concurrency: int,
    reserve: float,
    progress: Progress,
) -> CreditBalances:
    """The blocking twin: `account_ids` is read, and `progress` called, in the caller's thread."""
    sweep = _Sweep(account_ids)

    def all_accounts() -> Generator[BillingCreditBalanceParams]:
        while sweep.pages.params is not None:
            with client.send_many([sweep.pages.params], reserve=reserve) as outcomes:
                page = next(outcomes).unwrap()
            yield from sweep.ask_page(page)

    requests = all_accounts() if sweep.requests is None else sweep.requests
    with (
        _reporter(progress, sweep) as report,
        client.send_many(requests, concurrency=concurrency, reserve=reserve) as outcomes,
    ):
        for outcome in outcomes:
            report(sweep.take(outcome))
    return sweep.result()


@contextmanager
def _reporter(progress: Progress, sweep: _Sweep) -> Generator[Callable[[int], object]]:
    """What to call with the number of calls done."""
    total = None if sweep.requests is None else len(sweep.requests)
    if not (isinstance(progress, bool) or callable(progress)):
        raise TypeError(f"`progress` must be True, False or a callable, not {progress!r:.40}")
    if progress is False:
        yield lambda _: None
    elif callable(progress):
        yield lambda done: progress(done, total)
    else:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            raise ImportError(
                "`progress=True` needs tqdm: pip install 'cfaigw_billing[notebook]'"
            ) from None
        with tqdm(total=total, unit="account") as bar:
            yield lambda done: bar.update(done - bar.n)
