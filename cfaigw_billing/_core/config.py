"""The settings of a client: constructor arguments, the environment, and what follows from them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, cast

from attrs import Attribute, evolve, field, fields, frozen
from attrs.validators import optional
from yarl import URL

from .._wire.secrets import Secret, conceal, kind
from ..errors import CloudflareError
from ..types._validators import identifier, whole
from .journal import Journal
from .options import ClientOptions, Timeout, check_headers, check_seconds, check_timeout

DEFAULT_BASE_URL = "https://api.cloudflare.com/client/v4"
DEFAULT_TIMEOUT = 60.0
"""Seconds for one attempt, as in the official SDK."""
DEFAULT_MAX_RETRIES = 2
DEFAULT_MAX_RETRY_WAIT = 60.0
"""Seconds. The service can ask for five minutes; few callers want to sleep that long unasked."""


def _seconds(_: object, attribute: Attribute[Any], value: Any) -> None:
    check_timeout(attribute.name, value)


def _total_seconds(_: object, attribute: Attribute[Any], value: Any) -> None:
    check_seconds(attribute.name, value)


def _number_of_seconds(_: object, attribute: Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(
            f"`{attribute.name}` must be a number of seconds, not {type(value).__name__}"
        )
    if not value >= 0:
        raise ValueError(f"`{attribute.name}` must be at least 0 seconds, got {value!r}")


def _base_url(value: Any) -> str:
    if value in (None, ""):
        value = os.environ.get("CLOUDFLARE_BASE_URL") or DEFAULT_BASE_URL
    if not isinstance(value, str):
        raise TypeError(f"`base_url` must be a str, not {type(value).__name__}")
    try:
        url = URL(value)
        port = url.port
    except ValueError as error:
        raise ValueError(f"`base_url` is no address: {error}") from None
    if url.scheme not in ("https", "http") or not url.host or not port:
        raise ValueError("`base_url` must begin with https:// and a host")
    if url.user is not None or url.password is not None:
        raise ValueError("`base_url` must hold no user and no password; use `api_token`")
    if url.raw_query_string or url.raw_fragment or "?" in value or "#" in value:
        raise ValueError("`base_url` must have no query and no fragment; use `default_query`")
    if url.scheme == "http" and not is_loopback(url.host):
        raise ValueError(
            f"`base_url` must begin with https://: over http:// the credentials would travel in "
            f"the clear to {url.host} (http:// is for a server on this machine)"
        )
    return str(url).rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether it is an address of this machine that no other can reach."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _account_id(value: Any) -> Any:
    return (os.environ.get("CLOUDFLARE_ACCOUNT_ID") or None) if value in (None, "") else value


def _headers(_: object, attribute: Attribute[Any], value: Any) -> None:
    check_headers(attribute.name, value)


def _journal(_: object, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and not isinstance(value, Journal):
        raise TypeError(
            f"`{attribute.name}` must be a Journal, such as SQLiteJournal('topups.sqlite3') from "
            f"`cfaigw_billing.journal`, not {type(value).__name__}"
        )


def _mapping(_: object, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(f"`{attribute.name}` must be a mapping, not {type(value).__name__}")


def _sendable(_: object, attribute: Attribute[Any], value: Any) -> None:
    """A credential that fits in a header; what is wrong with it is said without showing it."""
    if value is None:
        return
    if not isinstance(value, str):
        raise TypeError(f"`{attribute.name}` must be a str, not {kind(value)}")
    if not _CREDENTIAL.fullmatch(value):
        raise ValueError(
            f"`{attribute.name}` must be printable ASCII, without spaces, newlines or other "
            f"control characters"
        )


_CREDENTIAL = re.compile(r"[\x21-\x7e]+")


@frozen(kw_only=True, repr=False)  # one that is half made must not fail to be shown
class Credentials:
    """The credentials of a client, as `Secret`s: masked in every repr."""

    api_token: str | None = field(validator=_sendable)
    api_email: str | None = field(validator=_sendable)
    api_key: str | None = field(validator=_sendable)
    user_service_key: str | None = field(validator=_sendable)

    @classmethod
    def resolve(cls, *given: str | None) -> Credentials:
        """The ones given, in the order of the fields, or else those of the environment.

        Whatever is given beats the environment as a whole, so that a key given in code is never
        replaced by a token that happens to be in the environment. An empty string counts as unset.
        """
        if not any(given):
            given = conceal(*map(os.environ.get, _VARIABLES))
        return cls(**{name: value or None for name, value in zip(_FIELDS, given, strict=True)})

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
        if self.api_email or self.api_key:
            missing = "api_key" if self.api_email else "api_email"
            return (
                f"`{missing}` is missing: give `api_email` and `api_key` both as arguments, or "
                f"both as CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY"
            )
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


@frozen(kw_only=True, repr=False)
class Config:
    """The settings of a client, checked when they are made."""

    credentials: Credentials
    account_id: str | None = field(converter=_account_id, validator=identifier)
    base_url: str = field(converter=_base_url)
    timeout: Timeout = field(validator=_seconds)
    total_timeout: float | None = field(validator=_total_seconds)
    max_retries: int = field(validator=whole(0))
    max_retry_wait: float = field(validator=_number_of_seconds)
    max_charge: int | None = field(validator=optional(whole(0, unit="cents")))
    default_headers: Mapping[str, str | None] = field(validator=_headers)
    default_query: Mapping[str, object] = field(validator=_mapping)
    journal: Journal | None = field(default=None, validator=_journal)

    def with_options(self, options: ClientOptions) -> Config:
        """These settings with some of them changed; `None` keeps what cannot be without a value."""
        changes: dict[str, Any] = {
            name: value
            for name, value in options.items()
            if name in _CHANGEABLE and (value not in (None, "") or name in _CAN_BE_NONE)
        }
        given = [options.get(name) for name in _FIELDS]
        if any(given):
            changes["credentials"] = Credentials.resolve(*cast("list[str | None]", given))
        for name in ("default_headers", "default_query"):
            added = cast("Mapping[str, Any] | None", options.get(name))
            instead = options.get(f"set_{name}")
            if added is not None and instead is not None:
                raise ValueError(f"`{name}` and `set_{name}` must not be given both")
            if instead is not None:
                changes[name] = instead
            elif isinstance(added, Mapping):
                changes[name] = _joined(name, getattr(self, name), added)
        return evolve(self, **changes)


def _joined(name: str, kept: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """Both, `added` over `kept`; names of headers are compared without regard to case."""
    spelled = str.lower if name == "default_headers" else str
    replaced = {spelled(str(key)) for key in added}
    return {k: v for k, v in kept.items() if spelled(str(k)) not in replaced} | dict(added)


_CAN_BE_NONE = {"timeout", "total_timeout", "max_charge", "journal"}
_CHANGEABLE = {setting.name for setting in fields(Config)} - {"credentials"}
