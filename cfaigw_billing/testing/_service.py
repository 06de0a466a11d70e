"""The emulated service without HTTP: its settings, accounts, clock and faults."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
from attrs.validators import and_, ge, le

from ..types._validators import check_whole
from ..types.money import Money
from ._faults import Fault, Injection
from ._limit import AddressLimit, RequestLimit, Tokens
from ._messages import RecordedRequest
from ._processor import CardProcessor, Charge
from ._state import EmulatedAccount

VISA: Mapping[str, str] = {"brand": "visa", "last4": "4242"}


def _moment(at: datetime | None) -> datetime | None:
    if at is not None and at.utcoffset() is None:
        raise ValueError(f"`at` must be an aware datetime (with a tzinfo), got {at!r}")
    return at


def _new_processor(service: Service) -> CardProcessor:
    at = None if service.at is None else service.at.timestamp()
    return CardProcessor(service.topup_seconds, service.fee, service.tax, at)


def _new_tokens(service: Service) -> Tokens:
    return Tokens(lambda: service.limit)


def _copy_to_processor(service: Service, setting: attrs.Attribute[float], value: float) -> float:
    setattr(service._processor, setting.name, value)  # pyright: ignore[reportPrivateUsage]
    return value


_rate: Any = and_(ge(0), le(1))
_FOR_PROCESSOR: Any = [attrs.setters.validate, _copy_to_processor]


@attrs.define(kw_only=True, eq=False, repr=False)
class Service:
    """Cloudflare AI Gateway billing, without the HTTP server in front of it."""

    api_token: str = "emulator-token"  # noqa: S105  # opens nothing
    api_email: str = "emulator@example.com"
    api_key: str = "emulator-key"
    host: str = "127.0.0.1"
    port: int = 0
    topup_seconds: float = attrs.field(default=2.0, validator=ge(0), on_setattr=_FOR_PROCESSOR)
    fee: float = attrs.field(default=0.05, validator=_rate, on_setattr=_FOR_PROCESSOR)
    tax: float = attrs.field(default=0.0, validator=_rate, on_setattr=_FOR_PROCESSOR)
    at: datetime | None = attrs.field(
        default=None, converter=_moment, on_setattr=attrs.setters.frozen
    )
    ignores_page: bool = False
    spending_limit_retired: bool = False
    topup_config_dashboard_only: bool = False
    account_owned_token: bool = False
    limit: RequestLimit | None = None
    address_limit: AddressLimit | None = None
    requests: list[RecordedRequest] = attrs.field(factory=list[RecordedRequest], init=False)
    _accounts: dict[str, EmulatedAccount] = attrs.field(
        factory=dict[str, EmulatedAccount], init=False
    )
    _tokens: Tokens = attrs.field(default=attrs.Factory(_new_tokens, takes_self=True), init=False)
    _processor: CardProcessor = attrs.field(
        default=attrs.Factory(_new_processor, takes_self=True), init=False
    )
    _injections: list[Injection] = attrs.field(factory=list[Injection], init=False)

    @property
    def accounts(self) -> Mapping[str, EmulatedAccount]:
        """The accounts by their id."""
        return self._accounts

    @property
    def api_tokens(self) -> dict[str, str]:
        """The tokens that belong to accounts, by the id of the account."""
        return dict(self._tokens.of_accounts)

    @property
    def charges(self) -> list[Charge]:
        """All charges; those of an account are in order."""
        for account in list(self._accounts.values()):
            account.settle()
        return self._processor.charges

    def charged(self, account_id: str | None = None) -> Money:
        """Return the credit that was charged for, without fee and tax; None: of all accounts."""
        ours = (c for c in self.charges if account_id in (None, c.account_id))
        return sum((charge.amount_money for charge in ours), Money(cents=0))

    @property
    def now(self) -> datetime:
        """The emulator's time, aware and in UTC."""
        return datetime.fromtimestamp(self._processor.now(), UTC)

    def add_account(
        self,
        account_id: str,
        *,
        name: str | None = None,
        api_token: str | None = None,
        limit: RequestLimit | None = None,
        balance: float = 0.0,
        payment_method: Mapping[str, str] | None = VISA,
        first_topup_success: bool = False,
        declines: bool = False,
        needs_confirmation: bool = False,
        topup_seconds: float | None = None,
    ) -> EmulatedAccount:
        """Add an account; its attributes can be changed later.

        Args:
            account_id: The id, as in the path of a request.
            name: The name in the list of accounts.
            api_token: A token for this account only; it cannot list accounts.
            limit: The rate limit of that token; None: its own limit, with the settings of the
                emulator's `limit`.
            balance: In cents; may be negative.
            payment_method: The default card; None: the account has none.
            first_topup_success: Whether a manual top-up completed in the past.
            declines: Whether the card is declined.
            needs_confirmation: Whether top-ups wait for `EmulatedAccount.confirm`.
            topup_seconds: How long its top-ups stay pending; None: the emulator's `topup_seconds`.
        """
        if account_id in self._accounts:
            raise ValueError(f"account {account_id!r} exists already")
        account = EmulatedAccount(
            processor=self._processor,
            tokens=self._tokens,
            id=account_id,
            name=name or f"Account {account_id}",
            created_on=self.now.isoformat(),
            balance=balance,
            payment_method=None if payment_method is None else dict(payment_method),
            first_topup_success=first_topup_success,
            declines=declines,
            needs_confirmation=needs_confirmation,
            topup_seconds=topup_seconds,
        )
        account.api_token = api_token
        if limit is not None:
            account.limit = limit
        self._accounts[account_id] = account
        return account

    def limit_of(self, api_token: str | None) -> RequestLimit | None:
        """Return the rate limit of a token or of the other credentials; None: no limit."""
        if api_token in (None, self.api_token):
            return self.limit
        return self._tokens.limit(api_token)

    def inject(
        self,
        fault: Fault,
        *,
        times: int | None = 1,
        method: str | None = None,
        path: str | None = None,
    ) -> None:
        """Make the next requests fail with `fault`; if several faults apply, the oldest one.

        Args:
            fault: The fault.
            times: The number of requests; None: all requests until `clear_faults`.
            method: Only requests with this method.
            path: Only requests whose path ends with this text, such as "/topup".
        """
        # A fault that never comes would let a test pass that proves nothing.
        if not isinstance(fault, Fault):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"`fault` must be a Fault, not {type(fault).__name__}")
        if times is not None:
            check_whole("times", times, 1)
        self._injections.append(Injection(fault, times, method and method.upper(), path))

    def clear_faults(self) -> None:
        """Remove the remaining faults."""
        self._injections.clear()

    def advance(self, seconds: float) -> None:
        """Move the emulator's clock ahead by so many seconds; due top-ups complete."""
        self._processor.advance(seconds)

    def reset(self, *, accounts: bool = False) -> None:
        """Remove the recorded requests, the charges and the faults.

        Args:
            accounts: Remove the accounts too; otherwise they stay as they are.
        """
        if accounts:
            self._accounts.clear()
            self._tokens.clear()
        self.requests.clear()
        self.charges.clear()
        self.clear_faults()
