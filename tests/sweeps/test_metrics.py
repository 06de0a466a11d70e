"""`billing.metrics`: what is refreshed when, and what a scrape shows of it."""

from __future__ import annotations

import asyncio
import os
import sys
import warnings
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from virtual import virtually
from virtual_service import VirtualAccount, VirtualService, client_of

from cfaigw_billing import AsyncCloudflare, Cloudflare
from cfaigw_billing._async.metrics import AsyncMetrics
from cfaigw_billing._core.watch.schedule import LIST_EVERY, USAGE_EVERY
from cfaigw_billing.testing import Emulator, Fault, RequestLimit

A, B = "a" * 32, "b" * 32
BALANCE = "cfaigw_balance_usd"
UP = "cfaigw_account_up"
USAGE = "cfaigw_usage_usd_total"
MINUTE = 60.0


def shown(metrics: Any, account_id: str = A) -> dict[str, float]:
    """The values of an account, and those without labels, by the names of their samples."""
    return {
        sample.name: sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.labels.get("account_id", account_id) == account_id
    }


# In virtual time.


def watched(
    service: VirtualService,
    look: Callable[[AsyncMetrics], Awaitable[None]],
    **options: Any,
) -> None:
    """Run `look` inside the block."""

    async def main() -> None:
        async with client_of(service) as client:
            async with client.ai_gateway.billing.metrics(**options) as metrics:
                await look(metrics)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert shown(metrics) == {}

    virtually(main())


def service_of(**accounts: VirtualAccount) -> VirtualService:
    return VirtualService(accounts=accounts, latency=0.1)


def test_each_account_is_looked_at_once_a_refresh() -> None:
    service = service_of(**{A: VirtualAccount(), B: VirtualAccount(per_hour=600)})

    async def look(metrics: AsyncMetrics) -> None:
        await metrics.complete()
        assert shown(metrics, B)[BALANCE] == pytest.approx(50, abs=0.01)
        await asyncio.sleep(3600)
        assert shown(metrics, A)[BALANCE] == 50
        assert shown(metrics, B)[BALANCE] == pytest.approx(44, abs=6 * 5 / 60)

    watched(service, look)
    assert [len(service.asked[name]) in (12, 13) for name in (A, B)] == [True, True]
    assert len(service.usage_asked[A]) <= 2 * 13


def test_a_failed_account_keeps_its_values_for_three_refreshes() -> None:
    service = service_of(**{A: VirtualAccount(), B: VirtualAccount()})

    async def look(metrics: AsyncMetrics) -> None:
        await metrics.complete()
        service.accounts[A].status = 403
        seen: list[tuple[float, float | None]] = []
        for _ in range(6):
            looks, asked = len(service.asked[A]), service.asked[A]
            while len(asked) == looks:  # noqa: ASYNC110  # in virtual time
                await asyncio.sleep(1)
            await asyncio.sleep(1)
            found = shown(metrics)
            seen.append((found[UP], found.get(BALANCE)))
        assert seen == [(0, 50)] * 3 + [(0, None)] * 3
        assert shown(metrics, B)[UP] == 1
        service.accounts[A].status = 200
        await asyncio.sleep(301)
        assert (shown(metrics)[UP], shown(metrics)[BALANCE]) == (1, 50)

    watched(service, look, runway=False)


def test_an_account_that_vanished_leaves_nothing() -> None:
    service = service_of(**{A: VirtualAccount(name="Shop"), B: VirtualAccount()})

    async def look(metrics: AsyncMetrics) -> None:
        await metrics.complete()
        assert b"Shop" in generate_latest(metrics.registry)
        del service.accounts[A]
        await asyncio.sleep(LIST_EVERY + 301)
        assert A.encode() not in generate_latest(metrics.registry)
        assert shown(metrics, B)[UP] == 1

    watched(service, look)


def test_the_usage_never_falls_and_is_the_same_after_a_restart() -> None:
    account = VirtualAccount(per_hour=10)
    service = service_of(**{A: account})
    service.hours = 200
    found: list[float] = []

    async def look(metrics: AsyncMetrics) -> None:
        await metrics.complete()
        found.append(shown(metrics)[USAGE])

    async def later(metrics: AsyncMetrics) -> None:
        await look(metrics)
        service.hours = 100
        await asyncio.sleep(USAGE_EVERY + 3600)
        found.append(shown(metrics)[USAGE])
        service.hours = 300
        await asyncio.sleep(USAGE_EVERY + 3600)
        found.append(shown(metrics)[USAGE])

    watched(service, look)
    watched(service, later)
    assert found == [20, 20, 20, 30]


def test_the_rate_limit_is_shown_and_a_part_of_it_left_to_others() -> None:
    names = [f"{number:032x}" for number in range(100)]
    service = service_of(**{name: VirtualAccount() for name in names})
    service.limit = RequestLimit(quota=100, window=300)

    async def look(metrics: AsyncMetrics) -> None:
        await asyncio.sleep(3600)
        found = shown(metrics)
        assert found["cfaigw_api_requests_quota"] == 100
        assert 20 <= found["cfaigw_api_requests_remaining"] <= 100
        assert found["cfaigw_refresh_duration_seconds"] > 300

    watched(service, look, runway=False, reserve=0.2)
    assert max(service.per_window.values()) <= 80


def test_what_ends_the_looks_ends_the_scrapes_too() -> None:
    service = service_of(**{A: VirtualAccount()})

    def broken(now: float) -> None:
        if now > 60:
            raise RuntimeError("broken")

    async def look(metrics: AsyncMetrics) -> None:
        service.meanwhile = broken
        await asyncio.sleep(600)
        with pytest.raises(RuntimeError, match="broken"):
            generate_latest(metrics.registry)
        with pytest.raises(RuntimeError, match="broken"):
            await metrics.complete()

    async def main() -> None:
        async with (
            client_of(service) as client,
            client.ai_gateway.billing.metrics([A]) as metrics,
        ):
            await look(metrics)
        assert shown(metrics) == {}, "an app may go on, with this in its registry"

    virtually(main())


def test_no_accounts_are_no_samples() -> None:
    async def look(metrics: AsyncMetrics) -> None:
        await metrics.complete()
        assert {name for name in shown(metrics) if "requests" not in name} == set()

    watched(service_of(), look)


# In front of the emulator.


def filled(emulator: Emulator) -> None:
    shop = emulator.add_account(A, name="Shop", balance=640.19)
    shop.topup_config |= {"amount": 5000, "threshold": 1234}
    shop.fill_usage(days=70)
    emulator.add_account(B, name="Blog", balance=-0.5)


def test_every_amount_is_that_of_the_service_in_dollars(billing_emulator: Emulator) -> None:
    filled(billing_emulator)
    with billing_emulator.client() as client, client.ai_gateway.billing.metrics() as metrics:
        metrics.complete()
        for account in billing_emulator.accounts.values():
            found = shown(metrics, account.id)
            config = account.topup_config
            expected = {
                BALANCE: account.balance,
                USAGE: sum(account.usage.values()),
                "cfaigw_automatic_topup_amount_usd": config["amount"],
                "cfaigw_automatic_topup_threshold_usd": config["threshold"],
            }
            amounts = {name: value for name, value in found.items() if "_usd" in name}
            assert amounts == {
                name: pytest.approx(cents / 100, rel=1e-12)
                for name, cents in expected.items()
                if name in (BALANCE, USAGE) or cents
            }
        balance = client.ai_gateway.billing.credit_balance(account_id=A)
    assert shown(metrics) == {}
    assert balance.balance == 640.19


async def test_the_async_client_has_the_same(billing_emulator: Emulator) -> None:
    filled(billing_emulator)
    began = datetime.now(UTC).timestamp()
    async with (
        billing_emulator.async_client() as client,
        client.ai_gateway.billing.metrics([A]) as metrics,
    ):
        await metrics.complete()
        found = shown(metrics)
    assert found[BALANCE] == 6.4019
    assert found["cfaigw_account_last_success_timestamp_seconds"] == pytest.approx(began, abs=60)
    assert found["cfaigw_empties_timestamp_seconds"] > began
    assert (
        found["cfaigw_empties_earliest_timestamp_seconds"]
        < found["cfaigw_empties_timestamp_seconds"]
    )


def test_a_thousand_scrapes_send_nothing(billing_emulator: Emulator) -> None:
    filled(billing_emulator)
    with billing_emulator.client() as client, client.ai_gateway.billing.metrics() as metrics:
        metrics.complete()
        requests = len(billing_emulator.requests)
        texts = {generate_latest(metrics.registry) for _ in range(1000)}
        assert len(billing_emulator.requests) == requests
    assert len(texts) == 1


def test_no_secret_and_no_text_of_an_error_is_shown(billing_emulator: Emulator) -> None:
    filled(billing_emulator)
    billing_emulator.accounts[B].topup_config |= {
        "amount": 5000,
        "threshold": 1000,
        "disabledReason": "<reason>",
        "error": "<error>",
    }
    billing_emulator.inject(
        Fault(status=403, message="<message>"),
        times=None,
        path=f"/{A}/ai-gateway/billing/credit-balance",
    )
    with billing_emulator.client() as client, client.ai_gateway.billing.metrics([A, B]) as metrics:
        metrics.complete()
        text = generate_latest(metrics.registry).decode()
        assert shown(metrics)[UP] == 0
        assert shown(metrics, B)["cfaigw_automatic_topup_failed"] == 1
    assert "<" not in text
    assert billing_emulator.api_token not in text


def test_a_cell_that_is_run_again_does_not_collide(billing_emulator: Emulator) -> None:
    filled(billing_emulator)
    own = CollectorRegistry()
    with billing_emulator.client() as client:
        for _ in range(2):
            with client.ai_gateway.billing.metrics([A]) as metrics:
                own.register(metrics.collector)
                assert shown(metrics) != {}
                assert generate_latest(own) == generate_latest(metrics.registry)
            own.unregister(metrics.collector)


def test_a_block_may_be_left_after_its_client_was_closed(billing_emulator: Emulator) -> None:
    filled(billing_emulator)
    client = billing_emulator.client()
    with client.ai_gateway.billing.metrics([A]) as metrics:
        client.close()
    assert shown(metrics) == {}


# Wrong arguments.


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (
            {"refresh": timedelta(seconds=59)},
            ValueError,
            "`refresh` must be from 1 minute",
        ),
        ({"refresh": 300}, TypeError, "`refresh` must be a timedelta, not int"),
        ({"reserve": 1}, ValueError, "`reserve`"),
        ({"account_ids": "abc"}, TypeError, "`account_ids` must be an iterable of str"),
        ({"account_ids": []}, ValueError, "`account_ids` must hold at least one account"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: dict[str, Any], error: type[Exception], says: str
) -> None:
    with Cloudflare(api_token="t") as client, pytest.raises(error, match=says):
        client.ai_gateway.billing.metrics(**arguments)


@pytest.mark.parametrize("account_ids", [None, [A]])
def test_wrong_credentials_are_raised_as_the_block_begins(
    account_ids: list[str] | None, billing_emulator: Emulator
) -> None:
    filled(billing_emulator)

    async def enter() -> None:
        async with (
            AsyncCloudflare(base_url=billing_emulator.base_url, api_token="wrong") as client,
            client.ai_gateway.billing.metrics(account_ids),
        ):
            pass

    with pytest.raises(Exception, match=r"401 .*CLOUDFLARE_API_TOKEN"):
        asyncio.run(enter())
    assert len(billing_emulator.requests) == 1


def test_without_its_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with (
        Cloudflare(api_token="t") as client,
        pytest.raises(ModuleNotFoundError, match=r"pip install 'cfaigw_billing\[metrics\]'"),
    ):
        client.ai_gateway.billing.metrics()


def test_it_is_waited_for_inside_the_block(billing_emulator: Emulator) -> None:
    filled(billing_emulator)
    with billing_emulator.client() as client:
        metrics = client.ai_gateway.billing.metrics([A])
        assert shown(metrics) == {}
        with pytest.raises(RuntimeError, match="inside the block"):
            metrics.complete()
        with metrics:
            metrics.complete()
        with pytest.raises(RuntimeError, match="once"), metrics:
            pass
        with pytest.raises(RuntimeError, match="inside the block"):
            metrics.complete()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_shows_nothing_and_leaves_at_once(billing_emulator: Emulator) -> None:
    filled(billing_emulator)
    with billing_emulator.client() as client:
        metrics = client.ai_gateway.billing.metrics([A])
        with warnings.catch_warnings(), metrics:
            warnings.simplefilter("ignore", DeprecationWarning)  # Python's, of threads and forks
            if (child := os.fork()) == 0:
                try:
                    metrics.__exit__()
                    os._exit(0 if shown(metrics) == {} else 1)
                finally:
                    os._exit(2)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert shown(metrics) != {}
