"""`accounts.list`: every account once, on whatever kind of pages, async and sync alike."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from cfaigw_billing import AsyncCloudflare, Cloudflare
from cfaigw_billing.testing import Emulator, Fault
from cfaigw_billing.types import AccountListResponse, ResultInfo

Info = dict[str, Any]


def async_ids(emulator: Emulator, **parameters: Any) -> list[str]:
    async def main() -> list[str]:
        async with async_client(emulator) as client:
            return [account.id async for account in client.accounts.list(**parameters)]

    return asyncio.run(main())


def sync_ids(emulator: Emulator, **parameters: Any) -> list[str]:
    with sync_client(emulator) as client:
        return [account.id for account in client.accounts.list(**parameters)]


def async_client(emulator: Emulator) -> AsyncCloudflare:
    return AsyncCloudflare(base_url=emulator.base_url, api_token=emulator.api_token)


def sync_client(emulator: Emulator) -> Cloudflare:
    return Cloudflare(base_url=emulator.base_url, api_token=emulator.api_token)


@pytest.fixture(params=[async_ids, sync_ids], ids=["async", "sync"])
def ids(request: pytest.FixtureRequest) -> Callable[..., list[str]]:
    """The ids that iterating over `accounts.list(…)` yields."""
    chosen: Callable[..., list[str]] = request.param
    return chosen


def add_accounts(emulator: Emulator, number: int) -> list[str]:
    names = [f"{index:03}" for index in range(number)]
    for name in names:
        emulator.add_account(name)
    return names


def queries(emulator: Emulator) -> list[dict[str, str]]:
    return [dict(request.query) for request in emulator.requests]


def answer(ids: str, info: Info | None) -> Fault:
    """A page with an account for each letter of `ids`."""
    page: dict[str, Any] = {
        "success": True,
        "result": [{"id": letter, "name": letter} for letter in ids],
    }
    if info is not None:
        page["result_info"] = info
    return Fault(body=json.dumps(page).encode())


# With the service as it is documented.


@pytest.mark.parametrize(
    ("accounts", "per_page", "requests"),
    [(0, 50, 1), (1, 50, 1), (50, 50, 1), (51, 50, 2), (120, 50, 3), (7, 1, 7)],
)
def test_all_pages_are_read_and_no_more(
    accounts: int,
    per_page: int,
    requests: int,
    ids: Callable[..., list[str]],
    billing_emulator: Emulator,
) -> None:
    expected = add_accounts(billing_emulator, accounts)
    assert ids(billing_emulator, per_page=per_page) == expected
    assert len(billing_emulator.requests) == requests


def test_pages_are_asked_for_by_number_from_the_one_given(
    ids: Callable[..., list[str]], billing_emulator: Emulator
) -> None:
    expected = add_accounts(billing_emulator, 35)
    assert ids(billing_emulator, page=2, per_page=10) == expected[10:]
    assert [query["page"] for query in queries(billing_emulator)] == ["2", "3", "4"]


def test_options_go_with_every_page(
    ids: Callable[..., list[str]], billing_emulator: Emulator
) -> None:
    add_accounts(billing_emulator, 3)
    ids(billing_emulator, per_page=2, name="a", extra_headers={"X-Team": "b"})
    assert [query["name"] for query in queries(billing_emulator)] == ["a", "a"]
    assert [r.headers["X-Team"] for r in billing_emulator.requests] == ["b", "b"]


def test_a_service_that_ignores_the_page_ends_the_list_too(
    ids: Callable[..., list[str]], billing_emulator: Emulator
) -> None:
    expected = add_accounts(billing_emulator, 120)
    billing_emulator.ignores_page = True
    assert ids(billing_emulator) == expected[:50]
    assert len(billing_emulator.requests) == 2


# With the answers that have been seen, or may be.

Pages = list[tuple[str, Info | None]]

ENDINGS: dict[str, tuple[Pages, str]] = {
    # The accounts and the result_info of each page, and the ids that come of them. A further
    # request would meet the emulator itself, and its account "emulated".
    "no result_info, a short page": ([("ab", None), ("c", None)], "abc"),
    "no result_info, an empty page": ([("ab", None), ("cd", None), ("", None)], "abcd"),
    "total_pages": ([("ab", {"total_pages": 2}), ("cd", {"total_pages": 2})], "abcd"),
    "one of one pages, and full": ([("ab", {"total_pages": 1})], "ab"),
    "has_more false": ([("ab", {"has_more": True}), ("cd", {"has_more": False})], "abcd"),
    "has_more and an empty page": (
        [("ab", {"has_more": True}), ("", {"has_more": True})],
        "ab",
    ),
    "smaller pages than asked for": (
        [("a", {"per_page": 1}), ("b", {"per_page": 1}), ("", {"per_page": 1})],
        "ab",
    ),
    "a page that came before": ([("ab", None), ("cd", None), ("ab", None)], "abcd"),
    "a cursor that ends": ([("ab", {"cursor": "2"}), ("cd", {"cursor": ""})], "abcd"),
    "a cursor that is gone": ([("ab", {"cursor": "2"}), ("cd", {})], "abcd"),
    "a short page with a cursor": ([("a", {"cursor": "2"}), ("bc", {"cursor": None})], "abc"),
    "a cursor that is ignored": ([("ab", {"cursor": "2"}), ("ab", {"cursor": "2"})], "ab"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_list_ends_where_it_ends(
    ending: str, ids: Callable[..., list[str]], billing_emulator: Emulator
) -> None:
    pages, expected = ENDINGS[ending]
    billing_emulator.add_account("emulated")
    for page in pages:
        billing_emulator.inject(answer(*page))
    assert ids(billing_emulator, per_page=2) == list(expected)
    assert len(billing_emulator.requests) == len(pages)


PER_PAGE_1: Pages = [(letter, {"page": page}) for page, letter in enumerate("aabcdde", start=1)]

SHIFTED: dict[str, tuple[Pages, str]] = {
    # Rows that were added in front meanwhile move others to the next page, which names itself as
    # it was asked for; where the service ignores `page`, it names the one before again.
    "a whole page that came before": (
        [
            ("ab", {"page": 1, "total_pages": 3}),
            ("ab", {"page": 2, "total_pages": 4}),
            ("cd", {"page": 3, "total_pages": 4}),
            ("e", {"page": 4, "total_pages": 4}),
        ],
        "abcde",
    ),
    "pages of one row": ([*PER_PAGE_1, ("", {"page": 8})], "abcde"),
    "pages counted from 0": ([("ab", {"page": 0}), ("cd", {"page": 1}), ("", {"page": 2})], "abcd"),
    "pages that are all called the first": (
        [("ab", {"page": 1}), ("cd", {"page": 1}), ("e", {"page": 1})],
        "abcde",
    ),
    "the first page again": ([("ab", {"page": 1}), ("ab", {"page": 1})], "ab"),
    "the first page again, and a row more": ([("ab", {"page": 1}), ("xa", {"page": 1})], "abx"),
}


@pytest.mark.parametrize("shift", SHIFTED)
def test_rows_that_are_added_meanwhile_do_not_end_the_list(
    shift: str, ids: Callable[..., list[str]], billing_emulator: Emulator
) -> None:
    pages, expected = SHIFTED[shift]
    billing_emulator.add_account("emulated")
    for page in pages:
        billing_emulator.inject(answer(*page))
    assert ids(billing_emulator, per_page=len(pages[0][0])) == list(expected)
    assert len(billing_emulator.requests) == len(pages)


@pytest.mark.parametrize("more", [{"has_more": True}, {"total_pages": 10**9}, {"per_page": 2}])
def test_a_service_that_repeats_a_page_under_the_right_number_ends_the_list_too(
    more: Info, ids: Callable[..., list[str]], billing_emulator: Emulator
) -> None:
    for page in range(1, 200):
        billing_emulator.inject(answer("ab", {"page": page, **more}))
    assert ids(billing_emulator, per_page=2) == ["a", "b"]
    assert len(billing_emulator.requests) < 50


CONTINUES: dict[str, Info] = {
    "has_more": {"has_more": True},
    "total_pages": {"total_pages": 2},
}


@pytest.mark.parametrize("why", CONTINUES)
def test_a_short_page_is_not_the_last_where_the_service_says_that_more_follow(
    why: str, ids: Callable[..., list[str]], billing_emulator: Emulator
) -> None:
    """This happens if it returns fewer rows per page than requested."""
    billing_emulator.inject(answer("ab", CONTINUES[why]))
    billing_emulator.inject(answer("cd", {"has_more": False}))
    assert ids(billing_emulator, per_page=50) == list("abcd")


def test_a_cursor_takes_the_place_of_the_page(
    ids: Callable[..., list[str]], billing_emulator: Emulator
) -> None:
    billing_emulator.inject(answer("ab", {"cursor": "x/1"}))
    billing_emulator.inject(answer("cd", {"cursor": "x/2"}))
    billing_emulator.inject(answer("ef", {}))
    assert ids(billing_emulator, page=1, per_page=2) == list("abcdef")
    assert queries(billing_emulator) == [
        {"per_page": "2", "page": "1"},
        {"per_page": "2", "cursor": "x/1"},
        {"per_page": "2", "cursor": "x/2"},
    ]


# The first page alone, and leaving early.

FIRST_OF_THREE = ResultInfo(page=1, per_page=2, count=2, total_count=5, total_pages=3)


async def test_awaiting_the_list_answers_its_first_page(billing_emulator: Emulator) -> None:
    add_accounts(billing_emulator, 5)
    async with async_client(billing_emulator) as client:
        page = await client.accounts.list(per_page=2)
    assert isinstance(page, AccountListResponse)
    assert [account.id for account in page.result] == ["000", "001"]
    assert page.result_info == FIRST_OF_THREE
    assert len(billing_emulator.requests) == 1


def test_the_sync_list_has_the_attributes_of_its_first_page(billing_emulator: Emulator) -> None:
    add_accounts(billing_emulator, 5)
    with sync_client(billing_emulator) as client:
        accounts = client.accounts.list(per_page=2)
        assert billing_emulator.requests == []
        assert [account.id for account in accounts.result] == ["000", "001"]
        assert accounts.result_info == FIRST_OF_THREE
        assert len(billing_emulator.requests) == 1


async def test_leaving_the_async_list_early_sends_no_further_request(
    billing_emulator: Emulator,
) -> None:
    add_accounts(billing_emulator, 6)
    async with async_client(billing_emulator) as client:
        async for account in client.accounts.list(per_page=2):
            if account.id == "003":
                break
    assert len(billing_emulator.requests) == 2


def test_leaving_the_sync_list_early_sends_no_further_request(billing_emulator: Emulator) -> None:
    add_accounts(billing_emulator, 6)
    with sync_client(billing_emulator) as client:
        for account in client.accounts.list(per_page=2):
            if account.id == "003":
                break
    assert len(billing_emulator.requests) == 2


async def test_a_list_can_be_read_twice(billing_emulator: Emulator) -> None:
    expected = add_accounts(billing_emulator, 3)
    async with async_client(billing_emulator) as client:
        accounts = client.accounts.list(per_page=2)
        for _ in range(2):
            assert [account.id async for account in accounts] == expected


async def test_pages_come_one_request_each(billing_emulator: Emulator) -> None:
    add_accounts(billing_emulator, 5)
    async with async_client(billing_emulator) as client:
        pages = [len(page.result) async for page in client.accounts.list(per_page=2).pages()]
    assert pages == [2, 2, 1]
    with sync_client(billing_emulator) as blocking:
        assert [len(page.result) for page in blocking.accounts.list(per_page=2).pages()] == pages
