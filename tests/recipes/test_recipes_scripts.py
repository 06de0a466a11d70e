"""The scripts, in front of the emulator and a webhook."""

from __future__ import annotations

import asyncio
import json
import logging
import runpy
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import attrs
import cron_check
import duckdb
import pytest
import runway_check
import slack_alert
from aiohttp import web
from aiohttp.test_utils import TestServer
from cron_check import ExitCode

from cfaigw_billing import AsyncCloudflare, Cloudflare, Money
from cfaigw_billing.testing import Emulator, Fault

TEN = Money.dollars(10)
SECRET = "T0/B0/very-secret"


@pytest.fixture
def service(billing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator with three accounts that are well, as the service of the environment."""
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", billing_emulator.base_url)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", billing_emulator.api_token)
    for account_id in "abc":
        billing_emulator.add_account(account_id, name=f"Shop {account_id}", balance=1000)
    return billing_emulator


def fail(emulator: Emulator, account_id: str) -> None:
    path = f"/{account_id}/ai-gateway/billing/credit-balance"
    emulator.inject(Fault(status=403, message="<html>"), times=None, path=path)


# cron_check


Printed = pytest.CaptureFixture[str]


def check(capsys: Printed, *arguments: str) -> tuple[int, list[str], list[str]]:
    """Its exit code, and the lines on stdout and stderr."""
    code = cron_check.main(arguments)
    out, err = capsys.readouterr()
    return code, out.splitlines(), err.splitlines()


def test_nothing_is_printed_when_all_is_well(service: Emulator, capsys: Printed) -> None:
    assert check(capsys) == (0, [], [])
    assert check(capsys, "-v") == (0, ["3 accounts read, 0 low, 0 not read"], [])


def test_low_accounts_are_named(service: Emulator, capsys: Printed) -> None:
    service.accounts["b"].balance = 640.19
    low = ["b: $6.40 is below $10.00", "3 accounts read, 1 low, 0 not read"]
    assert check(capsys) == (ExitCode.SOME_LOW, low, [])
    assert check(capsys, "--below", "6.40") == (ExitCode.WELL, [], [])
    assert check(capsys, "a", "c") == (ExitCode.WELL, [], [])


def test_accounts_that_cannot_be_read_are_named(service: Emulator, capsys: Printed) -> None:
    service.accounts["b"].balance = 640.19
    fail(service, "a")
    code, out, [error] = check(capsys)
    assert code == ExitCode.SOME_LOW
    assert out == ["b: $6.40 is below $10.00", "2 accounts read, 1 low, 1 not read"]
    assert error.startswith("a: 403 GET ")
    assert check(capsys, "--below", "1")[0] == ExitCode.SOME_FAILED


def test_where_nothing_can_be_checked_that_is_no_good_news(
    service: Emulator, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(service, "a")
    code, out, [error] = check(capsys, "a")
    assert (code, out) == (ExitCode.NOTHING_CHECKED, ["0 accounts read, 0 low, 1 not read"])
    assert error.startswith("a: 403 GET ")

    service.inject(Fault(body=b'{"success": true, "result": []}'), path="/accounts")
    none = ["0 accounts read, 0 low, 0 not read"]
    assert check(capsys) == (ExitCode.NOTHING_CHECKED, none, [])

    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "a-wrong-token")
    code, out, [error] = check(capsys)
    assert (code, out) == (ExitCode.NOTHING_CHECKED, [])
    assert error.startswith("401 GET ")
    assert "a-wrong-token" not in error

    monkeypatch.delenv("CLOUDFLARE_API_TOKEN")
    code, out, [error] = check(capsys)
    assert (code, out) == (ExitCode.NOTHING_CHECKED, [])
    assert "CLOUDFLARE_API_TOKEN" in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--below", "ten"], "argument --below: invalid dollars value: 'ten'"),
        (["--below", "nan"], "argument --below: invalid dollars value: 'nan'"),
        (["a/b"], "`account_id` must be at most 64 letters"),
    ],
)
def test_wrong_usage(service: Emulator, capsys: Printed, arguments: list[str], words: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        cron_check.main(arguments)
    assert words in capsys.readouterr().err
    assert service.requests == []


def test_it_cannot_charge(service: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []

    def new_client(**options: Any) -> Cloudflare:
        given.append(options)
        return Cloudflare(**options)

    monkeypatch.setattr(cron_check, "Cloudflare", new_client)
    cron_check.main([])
    assert given == [{"max_charge": 0}]


def test_cron_runs_it(service: Emulator) -> None:
    service.accounts["b"].balance = -1
    command = [sys.executable, cron_check.__file__, "--below", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stderr) == (5, "")
    assert done.stdout == "b: -$0.01 is below $0.00\n3 accounts read, 1 low, 0 not read\n"


# export_usage


def test_the_usage_of_all_accounts_becomes_files(
    service: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Printed,
) -> None:
    for account in service.accounts.values():
        account.fill_usage(days=3, cents_per_day=240.19)
    service.inject(Fault(status=403), times=None, path="/b/ai-gateway/billing/usage-history")
    monkeypatch.chdir(tmp_path)
    script = Path(cron_check.__file__).parent / "export_usage.py"
    for _ in range(2):  # the second time over the files of the first
        runpy.run_path(str(script))
    summary, failed = capsys.readouterr().out.splitlines()[:2]
    assert summary.startswith("<UsageHistories: 2 accounts, 1 failed, $14.41")
    assert failed.startswith("403 GET ")

    columns = {"account_id", "start_time", "aggregated_value", "aggregated_value_usd"}
    sums = "SELECT account_id, count(*), sum(aggregated_value_usd) FROM {} GROUP BY 1"
    with duckdb.connect("usage.duckdb", read_only=True) as database:
        for table in ("usage", "'usage.parquet'", "'usage.csv'"):
            found = database.sql(f"FROM {table}")
            assert set(found.columns) >= columns, table
            rows = sorted(database.sql(sums.format(table)).fetchall())
            assert [row[:2] for row in rows] == [("a", 3), ("c", 3)], table
            assert {round(row[2], 4) for row in rows} == {7.2057}, table
        kinds = dict(zip(found.columns, map(str, found.types), strict=True))
    assert kinds["start_time"].startswith("TIMESTAMP")
    assert kinds["aggregated_value_usd"] == "DOUBLE"
    assert sum(bool(line) for line in script.read_text(encoding="utf-8").splitlines()) <= 15


# runway_check


def test_accounts_that_run_out_soon_are_named(service: Emulator, capsys: Printed) -> None:
    for account_id, cents in {"a": 10.0, "b": 1.0}.items():
        service.accounts[account_id].spend_hourly([cents] * 24, days=70)  # a: about four days
    assert runway_check.main(1) == 0
    assert capsys.readouterr() == ("", "")
    service.accounts["c"].balance = -1
    assert runway_check.main(7) == 1
    gone, soon = capsys.readouterr().out.splitlines()
    assert gone == "Shop c: -$0.01 left, empty"
    assert soon.startswith("Shop a: $10.00 left, empty about ")
    fail(service, "b")
    assert runway_check.main(0) == 1
    assert capsys.readouterr().err.startswith("b: 403 GET ")


# slack_alert


@attrs.define
class Webhook:
    """Slack's end: what was posted, and what it answers."""

    url: str = ""
    status: int = 200
    posted: list[str] = attrs.field(factory=list[str])

    async def take(self, request: web.Request) -> web.Response:
        assert request.path == f"/services/{SECRET}"
        message = await request.json()
        assert message.keys() == {"text"}
        if self.status == 200:
            self.posted.append(message["text"])
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})


@pytest.fixture
async def webhook() -> AsyncGenerator[Webhook]:
    slack, app = Webhook(), web.Application()
    app.router.add_post("/services/{name:.*}", slack.take)
    async with TestServer(app) as server:
        slack.url = str(server.make_url(f"/services/{SECRET}"))
        yield slack


@pytest.fixture
async def client(service: Emulator) -> AsyncGenerator[AsyncCloudflare]:
    async with AsyncCloudflare() as client:
        yield client


async def test_an_episode_is_told_once_at_each_end(
    service: Emulator, client: AsyncCloudflare, webhook: Webhook
) -> None:
    low = await slack_alert.alert(client, webhook.url, TEN, set())
    assert (low, webhook.posted) == (set[str](), [])

    service.accounts["b"].balance = 640.19
    low = await slack_alert.alert(client, webhook.url, TEN, low)
    assert (low, webhook.posted) == ({"b"}, ["Low, below $10.00: Shop b ($6.40)"])
    low = await slack_alert.alert(client, webhook.url, TEN, low)
    assert (low, len(webhook.posted)) == ({"b"}, 1)

    service.accounts["a"].balance, service.accounts["b"].balance = -100, 5000
    service.accounts["c"].balance = 0
    low = await slack_alert.alert(client, webhook.url, TEN, low)
    assert low == {"a", "c"}
    news = "Low, below $10.00: Shop a (-$1.00), Shop c ($0.00)\nNo longer low: Shop b ($50.00)"
    assert webhook.posted[1:] == [news]


async def test_what_cannot_be_read_keeps_its_state(
    service: Emulator,
    client: AsyncCloudflare,
    webhook: Webhook,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fail(service, "a")
    fail(service, "b")
    low = await slack_alert.alert(client, webhook.url, TEN, {"a"})
    assert (low, webhook.posted) == ({"a"}, [])  # no news, but not passed over in silence
    assert [r.message[:27] for r in caplog.records if r.levelno == logging.WARNING] == [
        "a could not be read: 403 GE",
        "b could not be read: 403 GE",
    ]
    service.accounts["c"].balance = 1
    low = await slack_alert.alert(client, webhook.url, TEN, low)
    assert low == {"a", "c"}
    assert webhook.posted == [
        "Low, below $10.00: Shop c ($0.01)\nCould not be read: Shop a, Shop b"
    ]


async def test_an_account_that_is_gone_is_forgotten(
    client: AsyncCloudflare, webhook: Webhook
) -> None:
    low = await slack_alert.alert(client, webhook.url, TEN, {"gone"})
    assert (low, webhook.posted) == (set[str](), [])


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def run(state: Path) -> str | None:
    """Run the script as cron does; what it ends with, if that is not success."""
    try:
        await asyncio.to_thread(slack_alert.main, state)
    except SystemExit as end:
        # Nothing that leads to the error shows the URL either.
        causes: list[BaseException] = []
        error: BaseException | None = end
        while error is not None:
            causes.append(error)
            error = error.__cause__ or error.__context__
        assert SECRET not in " ".join(str(error) for error in causes)
        return str(end)
    return None


async def test_a_message_that_slack_did_not_take_is_posted_again(
    service: Emulator,
    webhook: Webhook,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SLACK_WEBHOOK_URL", webhook.url)
    service.accounts["b"].balance = 640.19
    state = tmp_path / "low.json"
    for webhook.status in (302, 404, 500):
        assert await run(state) == f"the webhook answered {webhook.status}"
        assert files(tmp_path) == []

    webhook.status = 200
    assert [await run(state), await run(state)] == [None, None]
    assert webhook.posted == ["Low, below $10.00: Shop b ($6.40)"]
    assert files(tmp_path) == ["low.json"]
    assert json.loads(state.read_text()) == ["b"]
    ours = [record for record in caplog.records if record.name != "aiohttp.access"]  # Slack's own
    assert SECRET not in str([record.getMessage() for record in ours])


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/services/", "no-url/", "http://[/"])
async def test_a_webhook_that_is_not_there(
    service: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("SLACK_WEBHOOK_URL", url + SECRET)
    service.accounts["b"].balance = 640.19
    end = await run(tmp_path / "low.json")
    assert end is not None
    assert end.startswith("the webhook failed with ")
    assert files(tmp_path) == []


async def test_a_service_that_refuses_changes_nothing(
    service: Emulator, webhook: Webhook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_WEBHOOK_URL", webhook.url)
    service.api_token = "another"
    end = await run(tmp_path / "low.json")
    assert end is not None
    assert end.startswith("401 GET ")
    assert (webhook.posted, files(tmp_path)) == ([], [])
