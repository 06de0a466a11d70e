"""The spending limit of an account."""

from __future__ import annotations

from typing import ClassVar, Literal

from attrs import field, frozen

from ._base import AccountParams, AccountResponse, Response
from ._derived import Derived
from ._validators import cents, one_of
from .money import Money, amount_in_cents, optional_money


@frozen(kw_only=True)
class SpendingLimitGetParams(AccountParams["SpendingLimitGetResponse"]):
    """The parameters of `billing.spending_limit.get`."""


@frozen(kw_only=True)
class Config(Response):
    """A spending limit; all fields are `None` if none is set.

    Attributes:
        amount: The most that may be spent within `duration`, in cents.
    """

    amount: float | None = None
    """The most that may be spent within `duration`, in cents."""
    amount_money: ClassVar[Derived[Money | None]] = optional_money("amount")
    """`amount` as exact US dollars."""
    duration: Literal["daily", "weekly", "monthly"] | str | None = None
    """The length of a period; a new value comes through as its string."""
    strategy: Literal["fixed", "sliding"] | str | None = None
    """Whether periods start at fixed times or slide; a new value comes through as its string."""


@frozen(kw_only=True)
class SpendingLimitGetResponse(AccountResponse):
    """The spending limit of an account."""

    enabled: bool
    """Whether it is in force."""
    config: Config
    """The limit itself."""

    def _details(self) -> list[tuple[str, str]]:
        rows = [("Spending limit", "on" if self.enabled else "off")]
        if self.config.amount is not None:
            period = " ".join(filter(None, (self.config.duration, self.config.strategy)))
            rows += [("Amount", str(self.config.amount_money)), ("Period", period)]
        return rows


@frozen(kw_only=True)
class SpendingLimitCreateParams(AccountParams[object]):
    """The parameters of `billing.spending_limit.create`, which the service has retired.

    Attributes:
        amount: The most that may be spent within `duration`, in whole cents; at least 100 ($1.00).
    """

    amount: int = field(converter=amount_in_cents, validator=cents(100))
    """The most that may be spent within `duration`, in whole cents; at least 100 ($1.00)."""
    duration: Literal["daily", "weekly", "monthly"] = field(
        validator=one_of("daily", "weekly", "monthly")
    )
    """The length of a period."""
    strategy: Literal["fixed", "sliding"] = field(validator=one_of("fixed", "sliding"))
    """Whether periods start at fixed times or slide."""


@frozen(kw_only=True)
class SpendingLimitDeleteParams(AccountParams[object]):
    """The parameters of `billing.spending_limit.delete`."""
