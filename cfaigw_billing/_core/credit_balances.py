"""A sweep over accounts, and its result: a mapping, tables and a plot."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from .._show.plots import Bar, plot_bars
from .._show.table import LONGEST, LOW_DOLLARS, Alert, Column, Table, counted, first
from ..types import (
    AccountListParams,
    AccountListResponse,
    BillingCreditBalanceParams,
    BillingCreditBalanceResponse,
    Money,
    Params,
)
from ..types._records import Entry, entries, record, to_frame
from ..types.balance import balance_text, card_text, topup_text
from .outcome import Outcome
from .pages import ACCOUNTS, PageTurner

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

BARS = 30
"""The accounts that a plot shows."""
FAILURES = 10
"""The accounts that failed which a table shows."""


class CreditBalances(Mapping[str, BillingCreditBalanceResponse]):
    """The balances of many accounts, by account, in the order in which they were asked for."""

    failed: Mapping[str, Exception]
    """The accounts that did not answer, and why."""
    names: Mapping[str, str]
    """The accounts' names, where the sweep had to ask for the accounts; else empty."""
    missing: tuple[str, ...]
    """The accounts that were neither answered nor failed, because the sweep ended before: those to
    ask about next."""
    listed: bool
    """Whether the list of accounts had been read to its end: otherwise there may be more of them,
    which `client.accounts.list()` names."""

    def __init__(
        self,
        found: Mapping[str, BillingCreditBalanceResponse],
        failed: Mapping[str, Exception],
        names: Mapping[str, str] | None = None,
        *,
        missing: Iterable[str] = (),
        listed: bool = True,
    ) -> None:
        self._found = dict(found)
        self.failed = dict(failed)
        self.names = dict(names or {})
        self.missing = tuple(missing)
        self.listed = listed
        self._low = Money.dollars(LOW_DOLLARS)

    def __getitem__(self, account_id: str) -> BillingCreditBalanceResponse:
        return self._found[account_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        counts = ", ".join([f"{len(self.failed)} failed", *self._not_asked()])
        return f"<CreditBalances: {len(self)} accounts, {counts}, {self.total}>"

    @property
    def low(self) -> Money:
        """A balance below it is marked as low in table and plot; $10.00 until you set it."""
        return self._low

    @low.setter
    def low(self, threshold: Money) -> None:
        if not isinstance(threshold, Money):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"`low` must be Money, not {type(threshold).__name__}")
        self._low = threshold

    @property
    def total(self) -> Money:
        """The sum of the balances that were answered."""
        return sum((answer.balance_money for answer in self.values()), Money(cents=0))

    def below(self, threshold: Money) -> dict[str, BillingCreditBalanceResponse]:
        """The accounts whose balance is less than `threshold`, such as `Money.dollars(10)`."""
        return {key: value for key, value in self.items() if value.balance_money < threshold}

    def to_records(self) -> list[dict[str, object]]:
        """Return a flat mapping for each account, those that failed at the end, with their `error`.

        They are JSON. `balance` is in cents, and `balance_usd` in dollars, exact and so as text;
        the same with the other amounts.
        """
        answers: dict[str, BillingCreditBalanceResponse | None] = dict(self)
        answers |= dict.fromkeys(self.failed)
        records: list[dict[str, object]] = []
        for account_id, answer in answers.items():
            error = str(self.failed[account_id]) if account_id in self.failed else None
            own = {"account_id": account_id, "account_name": self.names.get(account_id)}
            answered = record(answer, BillingCreditBalanceResponse)
            records.append({**own, "error": error, **answered, **own})
        return records

    def to_pandas(self, *, exact: bool = False) -> pd.DataFrame:
        """Return the records as a data frame by `account_id`; needs the extra `notebook`.

        Args:
            exact: Have dollars (columns `…_usd`) as exact `Decimal`s, and not as floats.
        """
        return to_frame(self.to_records(), columns(), index="account_id", exact=exact)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the lowest balances, in US dollars; needs the extra `notebook`.

        Args:
            ax: The matplotlib axes to draw in; `None`: a new figure.
        """
        lowest = self._lowest_first()[:BARS]
        return plot_bars(
            ax,
            [
                Bar(
                    self._name(account_id),
                    float(self[account_id].balance_money.major),
                    self._is_low(account_id),
                )
                for account_id in lowest
            ],
            threshold=float(self.low.major),
            title=f"The {len(lowest):,} lowest of {len(self):,} credit balances"
            if len(lowest) < len(self)
            else "Credit balances",
            xlabel=f"Credit balance in US dollars (dashed: low, below {self.low.major:,.2f})",
            ylabel="Account",
        )

    def _repr_html_(self) -> str:
        """Return the HTML for a notebook: the accounts that failed, then the lowest balances."""
        return self._table(LONGEST).html()

    def _table(self, limit: int | None, *, failed: bool = True) -> Table:
        """Return the table to show: a few accounts that failed, and at most `limit` others."""
        shown, notes = first(self._lowest_first(), limit, "none of them lower")
        rows = [self._row(account_id) for account_id in shown]
        if failed:
            broken, more = first(list(self.failed), FAILURES, "which failed too: see `.failed`")
            rows = [self._failed_row(account_id) for account_id in broken] + rows
            reasons = [f"{self._name(name)} failed: {self.failed[name]}" for name in broken]
            notes = reasons + more + notes
        return Table(title=self._summary(), columns=_COLUMNS, rows=rows, notes=notes).filled()

    def _summary(self) -> str:
        low = f"{len(self.below(self.low)):,} low (below {self.low})"
        count = counted(len(self) + len(self.failed), "account")
        ends = ", ".join([low, f"{len(self.failed):,} failed", *self._not_asked()])
        return f"{count}: {self.total} in all, {ends}"

    def _not_asked(self) -> list[str]:
        """Return notes on what a sweep that ended early left out."""
        missing = [f"{len(self.missing):,} missing"] if self.missing else []
        return missing if self.listed else [*missing, "the list of accounts incomplete"]

    def _row(self, account_id: str) -> tuple[str, ...]:
        answer = self[account_id]
        mark = Alert("LOW") if self._is_low(account_id) else ""
        balance = balance_text(answer, self.low)
        name, topup = self.names.get(account_id, ""), topup_text(answer.topup_config)
        return account_id, name, balance, mark, card_text(answer), topup

    def _failed_row(self, account_id: str) -> tuple[str, ...]:
        name = self.names.get(account_id, "")
        return account_id, name, "", Alert("FAILED"), "", ""

    def _lowest_first(self) -> list[str]:
        return sorted(self, key=lambda account_id: self[account_id].balance_money)

    def _name(self, account_id: str) -> str:
        return self.names.get(account_id) or account_id

    def _is_low(self, account_id: str) -> bool:
        return self[account_id].balance_money < self.low


_COLUMNS = (
    Column("Account"),
    Column("Name", least=8),
    Column("Balance", right=True),
    Column(),
    Column("Card", least=0),
    Column("Automatic top-up"),
)


def columns() -> dict[str, Entry]:
    """Return the entries of a record: those of an account, and those of its answer."""
    own = dict.fromkeys(("account_id", "account_name", "error"), Entry(lambda _: None))
    return own | entries(BillingCreditBalanceResponse)


class Sweep:
    """One pass over accounts: the requests to send, and their outcomes. It sends nothing itself."""

    def __init__(self, account_ids: Iterable[str] | None) -> None:
        self._ids: dict[Params[BillingCreditBalanceResponse], str] = {}
        self._names: dict[str, str] = {}
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
        return [request for account in accounts for request in self._ask_listed(account.id)]

    def _ask_listed(self, account_id: str) -> list[BillingCreditBalanceParams]:
        """Return the request about a listed account; keep the error if its id cannot be one."""
        try:
            return self.ask(account_id)
        except ValueError as error:
            self._failed[account_id] = error
            return []

    def take(self, outcome: Outcome[BillingCreditBalanceResponse]) -> int:
        """Keep how a request ended; how many have."""
        name = self._ids[outcome.request]
        if outcome.error is not None:
            self._failed[name] = outcome.error
        else:
            self._found[name] = outcome.unwrap()
        return len(self._found) + len(self._failed)

    def result(self) -> CreditBalances:
        """Return the answers so far, in the order of the requests."""
        ids = {**dict.fromkeys(self._ids.values()), **self._failed}
        return CreditBalances(
            {name: self._found[name] for name in ids if name in self._found},
            {name: self._failed[name] for name in ids if name in self._failed},
            self._names,
            missing=[name for name in ids if name not in self._found.keys() | self._failed.keys()],
            listed=self.requests is not None or self.pages.params is None,
        )

    @contextmanager
    def kept(
        self, unread: Callable[[], Iterable[Outcome[BillingCreditBalanceResponse]]]
    ) -> Generator[None]:
        """Give an error that ends the sweep the answers so far, the unread ones among them."""
        try:
            yield
        except BaseException as error:
            for outcome in unread():
                self.take(outcome)
            # What is raised must not be part of what it carries: it could not be pickled.
            self._failed = {k: v for k, v in self._failed.items() if v is not error}
            partial = self.result()
            with suppress(AttributeError):  # an exception of the caller's may have slots
                error.partial = partial  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
            if not isinstance(error, Exception):
                error.add_note(f"what was answered is in `.partial` of this exception: {partial}")
            raise
