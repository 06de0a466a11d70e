"""The accounts that the credentials can see."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from attrs import field, frozen

from ._base import Params, Response
from ._validators import of_type, whole


@frozen(kw_only=True)
class AccountListParams(Params["AccountListResponse"]):
    """The parameters of one page of `accounts.list`."""

    name: str | None = field(default=None, validator=of_type(str))
    """Only accounts with this name."""
    page: int | None = field(default=None, validator=whole(1))
    """The page, from 1."""
    per_page: int | None = field(default=None, validator=whole(1, 50))
    """The accounts per page, at most 50; `None`: the service's default."""
    cursor: str | None = field(default=None, validator=of_type(str))
    """If the service pages with cursors: the `cursor` of the page before."""


@frozen(kw_only=True)
class AccountSettings(Response):
    """The settings of an account."""

    abuse_contact_email: str | None = None
    """The e-mail address for abuse reports."""
    enforce_twofactor: bool | None = None
    """Whether its members must use two-factor authentication."""


@frozen(kw_only=True)
class Account(Response):
    """One account."""

    id: str
    """The account's identifier: the `account_id` of every billing call."""
    name: str
    """The account's name."""
    type: Literal["standard", "enterprise"] | str | None = None
    """The kind of account; an unknown kind comes through as its string."""
    created_on: datetime | None = None
    """When the account was made."""
    settings: AccountSettings | None = None
    """The account's settings."""


@frozen(kw_only=True)
class ResultInfo(Response):
    """The page of a list. A field that the service omitted is `None`."""

    page: int | None = None
    """This page, from 1."""
    per_page: int | None = None
    """The rows a page."""
    count: int | None = None
    """The rows on this page."""
    total_count: int | None = None
    """The rows on all pages."""
    total_pages: int | None = None
    """The number of pages."""
    has_more: bool | None = None
    """Whether there is a next page."""
    cursor: str | None = None
    """If the service pages with cursors: the cursor of the next page."""


@frozen(kw_only=True)
class AccountListResponse(Response):
    """One page of accounts."""

    result: tuple[Account, ...]
    """The accounts of this page."""
    result_info: ResultInfo | None = None
    """The place of this page in the list."""

    _list: ClassVar[str | None] = "result"
