"""The settings of a client: constructor arguments, the environment, and what follows from them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from attrs import Attribute, field, frozen
from attrs.validators import optional

from ._secret import Secret
from .errors import CloudflareError
from .types._validators import identifier, whole

if TYPE_CHECKING:
    from aiohttp import ClientTimeout

DEFAULT_BASE_URL = "https://api.cloudflare.com/client/v4"
DEFAULT_TIMEOUT = 60.0
"""Seconds for one attempt, as in the official SDK."""
DEFAULT_MAX_RETRIES = 2
DEFAULT_MAX_RETRY_WAIT = 60.0
"""Seconds. The service can ask for five minutes; few callers want to sleep that long unasked."""

Timeout: TypeAlias = "float | ClientTimeout | None"
"""Seconds for one attempt, an `aiohttp.ClientTimeout`, or `None` for no limit."""


class RequestOptions(TypedDict, total=False):
    """What every method takes beside its parameters."""

    extra_headers: Mapping[str, str | None]
    """Headers to add; `None` leaves a default header out."""
    extra_query: Mapping[str, object]
    """Query parameters to add."""
    extra_body: Mapping[str, object]
    """Properties to add to the JSON body."""
    timeout: Timeout
    """Instead of the client's `timeout`."""


def _positive(_: object, attribute: Attribute[Any], value: Any) -> None:
    """A positive number of seconds; `None` (no limit) and an `aiohttp.ClientTimeout` pass."""
    if isinstance(value, (bool, str)):
        raise TypeError(f"`{attribute.name}` must be a number of seconds, not {value!r}")
    if isinstance(value, (int, float)) and not value > 0:
        raise ValueError(f"`{attribute.name}` must be more than 0 seconds, got {value!r}")


def _base_url(value: str | None) -> str:
    return (value or os.environ.get("CLOUDFLARE_BASE_URL") or DEFAULT_BASE_URL).rstrip("/")


def _web_address(_: object, attribute: Attribute[Any], value: str) -> None:
    if not value.startswith(("https://", "http://")):
        raise ValueError(
            f"`{attribute.name}` must start with https:// (or http:// for a server on this "
            f"machine), got {value!r}"
        )


def _account_id(value: str | None) -> str | None:
    return value or os.environ.get("CLOUDFLARE_ACCOUNT_ID") or None


def _mapping(value: Mapping[str, Any] | None) -> dict[str, Any]:
    return dict(value or {})


def _secret(value: str | None) -> Secret | None:
    return Secret(value) if value else None


@frozen(kw_only=True)
class Credentials:
    """What a client authenticates with; its secrets are masked in every repr."""

    api_token: Secret | None = field(converter=_secret)
    api_email: str | None = field()
    api_key: Secret | None = field(converter=_secret)
    user_service_key: Secret | None = field(converter=_secret)

    @classmethod
    def resolve(cls, *given: str | None) -> Credentials:
        """The ones given, in the order of the fields, or else those of the environment.

        Whatever is given beats the environment as a whole, so that a key given in code is never
        replaced by a token that happens to be in the environment. An empty string counts as unset.
        """
        source = given if any(given) else map(os.environ.get, _VARIABLES)
        return cls(**dict(zip(_FIELDS, source, strict=True)))

    def headers(self) -> dict[str, str]:
        """The headers that authenticate a request."""
        if self.api_token:
            return {"Authorization": Secret(f"Bearer {self.api_token}")}
        if self.api_email and self.api_key:
            return {"X-Auth-Email": self.api_email, "X-Auth-Key": self.api_key}
        if self.user_service_key:
            return {"X-Auth-User-Service-Key": self.user_service_key}
        raise CloudflareError(self._missing())

    def _missing(self) -> str:
        if self.api_email:
            return "`api_email` is set and `api_key` is not: pass it, or set CLOUDFLARE_API_KEY"
        if self.api_key:
            return "`api_key` is set and `api_email` is not: pass it, or set CLOUDFLARE_EMAIL"
        return (
            "no credentials: pass `api_token` or set CLOUDFLARE_API_TOKEN "
            "(or `api_email` and `api_key`: CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY)"
        )


_FIELDS = ("api_token", "api_email", "api_key", "user_service_key")
_VARIABLES = (
    "CLOUDFLARE_API_TOKEN",
    "CLOUDFLARE_EMAIL",
    "CLOUDFLARE_API_KEY",
    "CLOUDFLARE_API_USER_SERVICE_KEY",
)


@frozen(kw_only=True)
class Config:
    """The settings of a client, checked when they are made."""

    credentials: Credentials
    account_id: str | None = field(converter=_account_id, validator=identifier)
    base_url: str = field(converter=_base_url, validator=_web_address)
    timeout: Timeout = field(validator=_positive)
    total_timeout: float | None = field(validator=_positive)
    max_retries: int = field(validator=whole(0))
    max_retry_wait: float = field(validator=_positive)
    max_charge: int | None = field(validator=optional(whole(0, unit=" of cents")))
    default_headers: Mapping[str, str | None] = field(converter=_mapping, repr=False)
    default_query: Mapping[str, object] = field(converter=_mapping)
