"""Top-ups: charging a card for credit, by hand and automatically."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, cast, get_args

from attrs import field, frozen

from .._wire.secrets import Secret
from ._base import AccountParams, AccountResponse, Response, of_account
from ._derived import Derived
from ._validators import (
    LEAST_TOPUP,
    cents,
    each_of_type,
    idempotency_key,
    identifier,
    of_type,
    one_of,
    required_identifier,
)
from .balance import TopupConfig
from .money import Money, amount_in_cents, money, threshold_in_cents


@frozen(kw_only=True)
class TopupCreateParams(AccountParams["TopupCreateResponse"]):
    """The parameters of `billing.topup.create`, which charges a card.

    Attributes:
        amount: The credit to buy, in whole cents or as `Money`; at least 1000 ($10.00).
    """

    amount: int = field(converter=amount_in_cents, validator=cents(LEAST_TOPUP))
    """The credit to buy, in whole cents or as `Money`; at least 1000 ($10.00).

    The card is charged more: a fee of 5 %, and tax where it is due.
    """
    payment_method_id: str | None = field(default=None, validator=identifier)
    """The card to charge, `pm_…`; `None`: the default card."""
    idempotency_key: str | None = field(
        default=None, validator=idempotency_key, metadata={"sent": False}
    )
    """The key of this top-up, for a client with a `journal`: 1 to 255 printable characters.

    It is not sent. The top-up is charged only once for this key, however often it is requested.
    """


@frozen(kw_only=True)
class TopupCreateResponse(AccountResponse):
    """A top-up that has been started. Its credit arrives when its status is `completed`."""

    client_secret: Secret | None = None
    """If not `None`, the payer must confirm (3-D Secure), on a page that gets this secret.

    A `str` with a masked repr. It is not pickled.
    """
    onboarding: bool
    """Whether the user was already onboarded, according to the service."""
    payment_intent_id: str
    """The identifier of the top-up, `in_…`, for `topup.status`."""
    brand: str | None = None
    """The card's brand, such as `visa`."""
    last4: str | None = None
    """The last four digits of the card's number."""


@frozen(kw_only=True)
class TopupStatusParams(AccountParams["TopupStatusResponse"]):
    """The parameters of `billing.topup.status`."""

    payment_intent_id: str = field(validator=required_identifier)
    """The `payment_intent_id` from `topup.create`."""


@frozen(kw_only=True)
class TopupStatusResponse(AccountResponse):
    """The status of a top-up."""

    payment_intent_id: str
    """The top-up."""
    status: Literal["completed", "pending"] | str
    """`completed` once the credit has arrived; a new status comes through as its string."""


@frozen(kw_only=True)
class TopupLimitsParams(AccountParams["TopupLimitsResponse"]):
    """The parameters of `billing.topup.limits`."""


@frozen(kw_only=True)
class TopupLimitsResponse(AccountResponse):
    """The smallest and the largest top-up that the service accepts.

    Attributes:
        min_cents: The smallest top-up, in cents.
        max_cents: The largest top-up, in cents.
    """

    min_cents: float
    """The smallest top-up, in cents."""
    min_money: ClassVar[Derived[Money]] = money("min_cents")
    """`min_cents` as exact money in `currency`."""
    max_cents: float
    """The largest top-up, in cents."""
    max_money: ClassVar[Derived[Money]] = money("max_cents")
    """`max_cents` as exact money in `currency`."""
    currency: str
    """The ISO 4217 code as the service writes it, such as `usd`."""

    def _details(self) -> list[tuple[str, str]]:
        return [("Smallest top-up", str(self.min_money)), ("Largest top-up", str(self.max_money))]


PaymentMethodType = Literal[
    "PAYPAL",
    "CREDIT_CARD",
    "APPLE_PAY",
    "GOOGLE_PAY",
    "ACH_DIRECT_DEBIT",
    "SEPA_DEBIT",
    "CASHAPP",
    "LINK",
    "CRYPTO",
]


@frozen(kw_only=True)
class EligibilityPaymentMethod:
    """A payment method of the account, for `topup.eligibility`."""

    default: bool | None = field(default=None, validator=of_type(bool))
    """Whether it is the account's default."""
    last_four: str | None = field(default=None, validator=of_type(str))
    """The last four digits of the card's number."""
    type: PaymentMethodType | None = field(
        default=None, validator=one_of(*get_args(PaymentMethodType))
    )
    """The kind of payment method."""


def _payment_methods(
    value: Iterable[EligibilityPaymentMethod | Mapping[str, Any]] | None,
) -> tuple[EligibilityPaymentMethod, ...] | None:
    if value is None:
        return None
    given: Any = value
    if not isinstance(given, Iterable) or isinstance(given, (str, bytes, Mapping)):
        raise TypeError(
            f"`payment_methods` must be an iterable of EligibilityPaymentMethod or mappings, "
            f"not {type(value).__name__}"
        )
    return tuple(_payment_method(index, item) for index, item in enumerate(value))


def _payment_method(index: int, item: Any) -> Any:
    if not isinstance(item, Mapping):
        return item
    try:
        return EligibilityPaymentMethod(**cast("dict[str, Any]", item))
    except (TypeError, ValueError) as error:
        raise type(error)(f"`payment_methods[{index}]`: {error}") from None


@frozen(kw_only=True)
class TopupEligibilityParams(AccountParams["TopupEligibilityResponse"]):
    """The parameters of `billing.topup.eligibility`."""

    payment_methods: tuple[EligibilityPaymentMethod, ...] | None = field(
        default=None,
        converter=_payment_methods,
        validator=each_of_type(EligibilityPaymentMethod, at_most=100),
    )
    """The account's payment methods, at most 100: values, or mappings with the same keys."""


@frozen(kw_only=True)
class DisplayPaymentMethod(Response):
    """The card to show to the payer."""

    brand: str | None = None
    """The card's brand, such as `visa`."""
    last4: str
    """The last four digits of the card's number."""


EligibilityReason = Literal[
    "ELIGIBLE",
    "NO_ACCOUNT_PAYMENT_METHOD",
    "UNSUPPORTED_ACCOUNT_PAYMENT_METHOD",
    "ACCOUNT_PAYMENT_METHOD_NOT_DEFAULT",
    "ACCOUNT_PAYMENT_METHOD_NOT_LINKED_TO_AIG",
    "CONTRACT_BILLING_NOT_SELF_SERVE",
    "AIG_CUSTOMER_RESOLUTION_FAILED",
    "PENDING_3DS_AUTHENTICATION",
    "PAYMENT_AUTHENTICATION_FAILED",
]
RecommendedAction = Literal[
    "NONE",
    "ADD_SUPPORTED_PAYMENT_METHOD",
    "USE_EXISTING_CARD",
    "SET_CARD_AS_DEFAULT",
    "CONTACT_SUPPORT",
    "RESUME_AUTHENTICATION",
    "RETRY",
]
AccountPaymentMethodState = Literal["NONE", "UNSUPPORTED_ONLY", "SUPPORTED_PRESENT", "UNKNOWN"]


@frozen(kw_only=True)
class TopupEligibilityResponse(AccountResponse):
    """Whether the account can top up, and what to do if it cannot.

    A value that this version does not know is kept as its string.
    """

    eligible: bool
    """Whether a top-up would be accepted."""
    reason: EligibilityReason | str
    """Why, or why not."""
    recoverable: bool
    """Whether the account can do something about it."""
    recommended_action: RecommendedAction | str
    """The action that the service recommends."""
    account_payment_method_state: AccountPaymentMethodState | str
    """The payment methods that the account has."""
    aig_customer_state: Literal["RESOLVED", "RESOLUTION_FAILED"] | str
    """Whether AI Gateway knows the account as a customer."""
    aig_default_payment_method_state: Literal["PRESENT", "MISSING"] | str
    """Whether AI Gateway has a default card."""
    display_payment_method: DisplayPaymentMethod | None = None
    """The card to show to the payer."""


@frozen(kw_only=True)
class ConfigGetParams(AccountParams["ConfigGetResponse"]):
    """The parameters of `billing.topup.config.get`."""


@frozen(kw_only=True)
class ConfigGetResponse(TopupConfig):
    """The automatic top-up of an account: the fields of `TopupConfig`."""

    account_id: str | None = of_account()
    """The account of the call; `None` if the value does not come from a call.

    The service does not send it. Comparing values ignores it.
    """


@frozen(kw_only=True)
class ConfigCreateParams(AccountParams["ConfigCreateResponse"]):
    """The parameters of `billing.topup.config.create`.

    Attributes:
        amount: The credit to buy each time, in whole cents or as `Money`; at least 1000 ($10.00).
        threshold: Charge when the balance falls below this, in whole cents or as `Money`; at least
            500 ($5.00).
    """

    amount: int = field(converter=amount_in_cents, validator=cents(LEAST_TOPUP))
    """The credit to buy each time, in whole cents or as `Money`; at least 1000 ($10.00).

    The card is charged more: a fee of 5 %, and tax where it is due.
    """
    threshold: int = field(converter=threshold_in_cents, validator=cents(500))
    """Charge when the balance falls below this, in whole cents or as `Money`.

    At least 500 ($5.00).
    """


@frozen(kw_only=True)
class ConfigCreateResponse(AccountResponse):
    """The automatic top-up as stored.

    Attributes:
        amount: The credit that is bought each time, in cents; fee and tax are charged on top.
        threshold: The balance below which it charges, in cents.
    """

    amount: float
    """The credit that is bought each time, in cents; fee and tax are charged on top."""
    amount_money: ClassVar[Derived[Money]] = money("amount")
    """`amount` as exact US dollars."""
    threshold: float
    """The balance below which it charges, in cents."""
    threshold_money: ClassVar[Derived[Money]] = money("threshold")
    """`threshold` as exact US dollars."""


@frozen(kw_only=True)
class ConfigDeleteParams(AccountParams[object]):
    """The parameters of `billing.topup.config.delete`."""
