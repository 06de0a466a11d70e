"""The settings of a client, from constructor arguments and environment variables."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, cast

from attrs import Attribute, evolve, field, fields, frozen
from attrs.validators import optional
from yarl import URL

from .._wire.secrets import Secret, TokenFunction, conceal, kind
from ..errors import CloudflareError
from ..types import Money
from ..types._validators import account, check_account, is_account_id, whole
from ..types.money import in_cents
from .journal import Journal
from .options import (
    APITokens,
    ClientOptions,
    Timeout,
    check_headers,
    check_seconds,
    check_timeout,
)

DEFAULT_BASE_URL = "https://api.cloudflare.com/client/v4"
_RATES = 0.01, 1_000_000


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


def _rate(_: object, attribute: Attribute[Any], value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(
            f"`{attribute.name}` must be a number of requests a second, not {kind(value)}"
        )
    least, most = _RATES
    if not least <= value <= most:
        raise ValueError(
            f"`{attribute.name}` must be from {least} to {most:,} requests a second "
            f"(`None`: no limit), got {value!r:.40}"
        )


def _base_url(value: Any) -> str:
    if value in (None, ""):
        value = os.environ.get("CLOUDFLARE_BASE_URL") or DEFAULT_BASE_URL
    if not isinstance(value, str):
        raise TypeError(f"`base_url` must be a str, not {type(value).__name__}")
    return _checked_base_url(value)


@lru_cache(maxsize=8)  # a program makes many clients of one service
def _checked_base_url(value: str) -> str:
    try:
        url = URL(value)
        port = url.port
    except ValueError as error:
        raise ValueError(f"`base_url` is not a valid URL: {error}") from None
    if url.scheme not in ("https", "http") or not url.host or not port:
        raise ValueError("`base_url` must begin with https:// and a host")
    if url.user is not None or url.password is not None:
        raise ValueError("`base_url` must not have a user or password; use `api_token`")
    if url.raw_query_string or url.raw_fragment or "?" in value or "#" in value:
        raise ValueError("`base_url` must not have a query or fragment; use `default_query`")
    if url.scheme == "http" and not is_loopback(url.host):
        raise ValueError(
            f"`base_url` must begin with https://: http:// would send the credentials unencrypted "
            f"to {url.host} (http:// is only for a server on this machine)"
        )
    return str(url).rstrip("/")


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _account_id(value: Any) -> Any:
    if value not in (None, ""):
        return value
    found = os.environ.get("CLOUDFLARE_ACCOUNT_ID")
    if found:
        check_account("CLOUDFLARE_ACCOUNT_ID", found)
    return found or None


def _max_charge(value: int | Money | None) -> int | None:
    cents: int | None = in_cents("max_charge", value)
    return cents


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


_HEX_ID = re.compile("[0-9a-f]{32}")


class _Tokens(dict[str, str]):
    """Tokens by account, already checked, so that copies of the client need not check them."""


def _tokens(value: Any) -> Any:
    """Check `api_tokens`: tokens by account, a function that returns them, or `None`."""
    if value is None or isinstance(value, (TokenFunction, _Tokens)):
        return value
    if not isinstance(value, Mapping):
        raise TypeError(
            f"`api_tokens` must be a mapping of account ids to tokens, or a function that returns "
            f"the token of an account, not {kind(value)}"
        )
    # Errors name the number of an entry, not its key: the key may be a token by mistake.
    tokens = cast("Mapping[object, object]", value)
    for number, (account_id, token) in enumerate(tokens.items(), 1):
        entry = f"entry {number} of `api_tokens`"
        if not is_account_id(account_id):
            raise ValueError(f"the key of {entry} is not an account id")
        if not token:
            raise ValueError(f"the token of {entry} is missing")
        check_credential(f"the token of {entry}", token)
        if _HEX_ID.fullmatch(cast("str", token)) and not _HEX_ID.fullmatch(account_id):
            raise ValueError(f"{entry} has the account id in the place of the token")
    return _Tokens(cast("Mapping[str, str]", tokens)) or None


def _not_replaced(config: Config, _: object, tokens: APITokens | None) -> None:
    """Raise if a default header would replace the tokens."""
    if tokens and any(name.lower() in _AUTHENTICATING for name in config.default_headers):
        raise ValueError(
            "`default_headers` must not authenticate if there are `api_tokens`: the header would "
            "replace the token of every account"
        )


def check_credential(name: str, value: Any) -> None:
    """Raise if a credential has other text around it; the error does not show the credential.

    Args:
        name: The argument or environment variable that holds it.
        value: The credential, if any.
    """
    if not value:
        return
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {kind(value)}")
    if value.isascii() and value.translate(_WITHOUT_MARKS).isalnum():
        return
    found = [fault for fault, pattern in _UNWANTED.items() if re.search(pattern, value)]
    if found:
        raise ValueError(f"{name} holds more than the credential: remove {', '.join(found)}")


_WITHOUT_MARKS = str.maketrans("", "", "-_.@+")
"""The usual characters besides letters and digits; a credential of only these is fine."""
_UNWANTED = {
    "the word `Bearer` (the SDK sends it)": r"(?i)\bbearer[\s:]",
    "the quotes": r"^\s*[\"'`]|[\"'`]\s*$",
    "the line breaks": r"[\r\n]",
    "the blanks": r"[^\S\r\n]",
    "the characters that are not printable ASCII": r"[^\x21-\x7e\s]",
}


@frozen(kw_only=True, repr=False)  # a generated repr would fail for a half-initialized object
class Credentials:
    """The credentials of a client, as `Secret`s, which every repr masks."""

    api_token: str | None
    api_email: str | None
    api_key: str | None
    user_service_key: str | None

    @classmethod
    def resolve(cls, *given: str | None, with_tokens: bool = False) -> Credentials:
        """Return the given credentials, or those of the environment if none is given.

        The two are never mixed, so a token in the environment never replaces a key given in code.
        An empty string counts as unset.

        Args:
            given: The credentials for all accounts, in the order of the fields.
            with_tokens: Whether there are tokens for single accounts, which count as given.
        """
        names = [f"`{name}`" for name in _FIELDS]
        if not (any(given) or with_tokens):
            names, given = list(_VARIABLES), conceal(*map(os.environ.get, _VARIABLES))
        for name, value in zip(names, given, strict=True):
            check_credential(name, value)
        return cls(**{name: value or None for name, value in zip(_FIELDS, given, strict=True)})

    @classmethod
    def of_token(cls, api_token: str) -> Credentials:
        """Return the credentials of one API token."""
        return cls(api_token=api_token, api_email=None, api_key=None, user_service_key=None)

    @property
    def is_given(self) -> bool:
        """Whether any credential is set, even an incomplete one."""
        return any((self.api_token, self.api_email, self.api_key, self.user_service_key))

    def headers(self) -> dict[str, str]:
        """Return the headers that authenticate a request; raise `CloudflareError` if impossible."""
        if self.api_token:
            return {"Authorization": Secret(f"Bearer {self.api_token}")}
        if self.api_email and self.api_key:
            return {"X-Auth-Email": self.api_email, "X-Auth-Key": self.api_key}
        if self.user_service_key:
            return {"X-Auth-User-Service-Key": self.user_service_key}
        raise CloudflareError(self._missing())

    def __str__(self) -> str:
        if self.api_token:
            return "API token ****"
        if self.api_email and self.api_key:
            return "e-mail and API key ****"
        return "service key ****" if self.user_service_key else "no credentials"

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
    account_id: str | None = field(converter=_account_id, validator=account)
    base_url: str = field(converter=_base_url)
    timeout: Timeout = field(validator=_seconds)
    total_timeout: float | None = field(validator=_total_seconds)
    max_retries: int = field(validator=whole(0))
    max_retry_wait: float = field(validator=_number_of_seconds)
    max_requests_per_second: float | None = field(validator=_rate)
    max_charge: int | None = field(
        converter=_max_charge, validator=optional(whole(0, unit="cents"))
    )
    default_headers: Mapping[str, str | None] = field(validator=_headers)
    default_query: Mapping[str, object] = field(validator=_mapping)
    journal: Journal | None = field(default=None, validator=_journal)
    api_tokens: APITokens | None = field(default=None, converter=_tokens, validator=_not_replaced)

    def __str__(self) -> str:
        account = "no account" if self.account_id is None else f"account {self.account_id}"
        return f"{self.base_url}, {account}, {self.credentials}{self._tokens_shown}"

    @property
    def _tokens_shown(self) -> str:
        if self.api_tokens is None:
            return ""
        if callable(self.api_tokens):
            return ", a function of tokens by account"
        return f", tokens of {len(self.api_tokens):,} accounts"

    @property
    def token_accounts(self) -> Collection[str]:
        """The accounts with their own token, as far as known."""
        tokens = self.api_tokens
        return () if tokens is None or callable(tokens) else tokens.keys()

    @property
    def lists_accounts(self) -> bool:
        """Whether to list the accounts: no, if there is only a mapping of tokens."""
        return self.credentials.is_given or not self.token_accounts

    @property
    def authentication(self) -> tuple[object, ...]:
        """The settings that authenticate; equal ones mean the same client to the service."""
        return self.credentials, authenticating(self.default_headers), self.api_tokens

    def with_options(self, options: ClientOptions) -> Config:
        """Return the settings with some changed; `None` keeps a setting that needs a value."""
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
                raise ValueError(f"`{name}` and `set_{name}` must not both be given")
            if instead is not None:
                changes[name] = instead
            elif isinstance(added, Mapping):
                changes[name] = _merged(name, getattr(self, name), added)
        return evolve(self, **changes)


def authenticating(headers: Mapping[str, str | None]) -> frozenset[tuple[str, str | None]]:
    """Return the authentication headers, by which the service counts requests."""
    named = ((name.lower(), value) for name, value in headers.items())
    return frozenset((name, value) for name, value in named if name in _AUTHENTICATING)


def with_credentials_of(headers: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """Return `headers` with the authentication headers of `others` instead of their own."""
    kept = {name: value for name, value in headers.items() if name.lower() not in _AUTHENTICATING}
    return kept | {name: others[name] for name in others if name.lower() in _AUTHENTICATING}


def _merged(name: str, kept: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two mappings; `added` wins. Header names are compared case-insensitively."""
    spelled = str.lower if name == "default_headers" else str
    replaced = {spelled(str(key)) for key in added}
    return {k: v for k, v in kept.items() if spelled(str(k)) not in replaced} | dict(added)


_AUTHENTICATING = {"authorization", "x-auth-email", "x-auth-key", "x-auth-user-service-key"}
_CAN_BE_NONE = {"timeout", "total_timeout", "max_requests_per_second", "max_charge", "journal"}
_CHANGEABLE = {setting.name for setting in fields(Config)} - {"credentials"}
