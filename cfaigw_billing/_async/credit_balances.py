"""One pass over many accounts, to ask for their balances."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from .._core.credit_balances import CreditBalances
from .._show.extras import needed
from ..types import AccountListParams, AccountListResponse, BillingCreditBalanceParams, Params
from ..types import BillingCreditBalanceResponse as Balance
from .paging import ACCOUNTS, PageTurner
from .send_many import AsyncOutcomes, Outcome, Outcomes

if TYPE_CHECKING:
    from .._sync.client import Cloudflare
    from .client import AsyncCloudflare

Progress = bool | Callable[[int, int | None], object]
"""`True`: a bar of tqdm's. Or what is called with the calls done and, where known, all of them."""


class _Sweep:
    """One pass over accounts: whom to ask, and what came of it. It sends nothing itself."""

    def __init__(self, account_ids: Iterable[str] | None) -> None:
        self._ids: dict[Params[Balance], str] = {}
        self._names: dict[str, str] = {}
        self._found: dict[str, Balance] = {}
        self._failed: dict[str, Exception] = {}
        self.requests: list[BillingCreditBalanceParams] | None = None
        """Those of the accounts that were given, checked; `None` for all that can be seen."""
        self.pages = PageTurner(AccountListParams(per_page=50), ACCOUNTS)
        """The list of those."""
        if isinstance(account_ids, str):
            raise TypeError("`account_ids` must be an iterable of str, not a str")
        if account_ids is not None:
            self.requests = [request for name in account_ids for request in self.ask(name)]

    def ask(self, account_id: str) -> list[BillingCreditBalanceParams]:
        """The request about an account; none if there was one already."""
        if not isinstance(account_id, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"`account_ids` must hold str, not {type(account_id).__name__}")
        request = BillingCreditBalanceParams(account_id=account_id)
        if request in self._ids:
            return []
        self._ids[request] = account_id
        return [request]

    def ask_page(self, page: AccountListResponse) -> list[BillingCreditBalanceParams]:
        """The requests about the accounts of a page."""
        accounts = self.pages.new(page)
        self._names |= {account.id: account.name for account in accounts}
        return [request for account in accounts for request in self.ask(account.id)]

    def take(self, outcome: Outcome[Balance]) -> int:
        """Keep how a request ended; how many have."""
        name = self._ids[outcome.request]
        if outcome.error is not None:
            self._failed[name] = outcome.error
        else:
            self._found[name] = outcome.unwrap()
        return len(self._found) + len(self._failed)

    def result(self) -> CreditBalances:
        """What was answered, in the order in which it was asked for."""
        ids = self._ids.values()
        return CreditBalances(
            {name: self._found[name] for name in ids if name in self._found},
            {name: self._failed[name] for name in ids if name in self._failed},
            self._names,
            missing=[name for name in ids if name not in self._found.keys() | self._failed.keys()],
            listed=self.requests is not None or self.pages.params is None,
        )

    @contextmanager
    def kept(self, outcomes: AsyncOutcomes[Balance] | Outcomes[Balance]) -> Generator[None]:
        """Let what ends the sweep carry what was answered before."""
        try:
            yield
        except BaseException as error:
            for outcome in outcomes.unread:
                self.take(outcome)
            # What is raised must not be part of what it carries: it could not be pickled.
            self._failed = {k: v for k, v in self._failed.items() if v is not error}
            partial = self.result()
            with suppress(AttributeError):  # an exception of the caller's may have slots
                error.partial = partial  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
            if not isinstance(error, Exception):
                error.add_note(f"what was answered is in `.partial` of this exception: {partial}")
            raise


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
    outcomes = client.send_many(requests, concurrency=concurrency, reserve=reserve)
    with _reporter(progress, sweep) as report, sweep.kept(outcomes):
        async with outcomes:
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
    outcomes = client.send_many(requests, concurrency=concurrency, reserve=reserve)
    with _reporter(progress, sweep) as report, sweep.kept(outcomes), outcomes:
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
        with needed("`progress=True`", "notebook"):
            from tqdm.auto import tqdm
        with tqdm(total=total, unit="account") as bar:
            yield lambda done: bar.update(done - bar.n)
