"""The alert rules and the dashboard, checked by Prometheus itself where it is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from cfaigw_billing._core.ratelimit import RateLimit
from cfaigw_billing._core.watch.snapshot import Snapshot
from cfaigw_billing.testing import Emulator, RequestLimit

FOLDER = Path(__file__).parent / "prometheus"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
QUERIES: list[str] = [t["expr"] for panel in DASHBOARD["panels"] for t in panel["targets"]]
SECONDS = 30.0  # within which Prometheus has to have scraped
SUFFIXES = {"gauge": "", "counter": "_total", "info": "_info"}

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="prometheus and promtool are not installed (Debian's package `prometheus`)",
)


def names() -> set[str]:
    limit = RateLimit(remaining=None, quota=None, window=None, resets_in=0, blocked=False)
    return {family.name + SUFFIXES[family.kind] for family in Snapshot().families({None: limit})}


@pytest.mark.parametrize(
    "text",
    [
        *QUERIES,
        *(
            (FOLDER / name).read_text(encoding="utf-8")
            for name in ("alerts.yml", "alerts_test.yml")
        ),
    ],
)
def test_only_names_are_used_that_there_are(text: str) -> None:
    used = set(re.findall(r"\bcfaigw_\w+", text))
    assert used
    assert used <= names()


def promtool(*arguments: object) -> str:
    tool = shutil.which("promtool")
    assert tool is not None
    done = subprocess.run(  # noqa: S603  # what this test names
        [tool, *map(str, arguments)], cwd=FOLDER, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_prometheus
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "alerts.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
)
def test_promtool_accepts_the_rules(arguments: Sequence[str]) -> None:
    assert "SUCCESS" in promtool(*arguments)


@needs_prometheus
def test_promtool_accepts_the_metrics(service: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "cfaigw.prom"
    command = [sys.executable, "-m", "cfaigw_billing", "metrics", "--all", "--textfile", str(path)]
    subprocess.run(command, check=True, timeout=60)  # noqa: S603  # our own
    tool = shutil.which("promtool")
    assert tool is not None
    with path.open() as text:
        done = subprocess.run(  # noqa: S603  # what this test names
            [tool, "check", "metrics"], stdin=text, capture_output=True, text=True, timeout=60
        )
    assert (done.returncode, done.stderr) == (0, "")


# A real Prometheus.


@pytest.fixture
def service(billing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator with two accounts, as the service of the environment."""
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", billing_emulator.base_url)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", billing_emulator.api_token)
    billing_emulator.limit = RequestLimit()
    shop = billing_emulator.add_account("a" * 32, name='The "Shop"', balance=640.19)
    shop.topup_config |= {"amount": 5000, "threshold": 1000, "disabledReason": "declined"}
    shop.fill_usage(days=70)
    billing_emulator.add_account("b" * 32, name="Blog", balance=-1)
    return billing_emulator


@contextmanager
def running(*command: str, log: int = subprocess.DEVNULL) -> Generator[subprocess.Popen[str]]:
    process = subprocess.Popen(  # noqa: S603  # what this test names
        command, stdout=subprocess.PIPE, stderr=log, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=20)


def address_of(prometheus: subprocess.Popen[str]) -> str:
    """Where it listens, as its log says: it takes a free port by itself, as nobody else can."""
    assert prometheus.stdout is not None
    said: list[str] = []
    for line in iter(prometheus.stdout.readline, ""):
        if found := re.search(r'"Listening on" address=(\S+)', line):
            return f"http://{found[1]}"
        said.append(line)
    raise AssertionError(said)


def asked(address: str, path: str, **query: str) -> Any:
    with urlopen(f"{address}/api/v1/{path}?{urlencode(query)}", timeout=10) as answer:  # noqa: S310  # loopback
        return json.load(answer)["data"]


@needs_prometheus
def test_prometheus_scrapes_the_command_and_answers_the_dashboard(
    service: Emulator, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        command = (sys.executable, "-m", "cfaigw_billing", "metrics", "--all", "--port", "0")
        exporter = stack.enter_context(running(*command))
        assert exporter.stdout is not None
        target = exporter.stdout.readline().split()[2].removeprefix("http://").partition("/")[0]
        config = (FOLDER / "prometheus.yml").read_text(encoding="utf-8")
        config = config.replace("127.0.0.1:9188", target).replace(
            "_interval: 1m", "_interval: 200ms"
        )
        shutil.copy(FOLDER / "alerts.yml", tmp_path)
        (tmp_path / "prometheus.yml").write_text(config, encoding="utf-8")
        prometheus = stack.enter_context(
            running(
                "prometheus",
                f"--config.file={tmp_path / 'prometheus.yml'}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                "--web.listen-address=127.0.0.1:0",
                log=subprocess.STDOUT,
            )
        )
        address = address_of(prometheus)
        wait_for_samples(address)
        found = asked(address, "query", query="cfaigw_balance_usd")["result"]
        assert {s["metric"]["account_id"][0]: s["value"][1] for s in found} == {
            "a": "6.4019",
            "b": "-0.01",
        }
        metadata = asked(address, "metadata", metric="cfaigw_balance_usd")
        assert metadata["cfaigw_balance_usd"][0]["unit"] in ("usd", "")
        for query in QUERIES:
            assert asked(address, "query", query=query)["result"] != [], query
        wait_for_alerts(address)


def wait_for_samples(address: str) -> None:
    """Until there are two scrapes, which an increase takes."""
    deadline = time.monotonic() + SECONDS
    query = "count_over_time(cfaigw_usage_usd_total[1m]) >= 2"
    while True:
        try:
            if len(asked(address, "query", query=query)["result"]) == 2:
                return
        except (URLError, OSError):  # it is still starting
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)


def wait_for_alerts(address: str) -> None:
    """Until the rules have been evaluated; what they have found waits for its `for`."""
    deadline = time.monotonic() + SECONDS
    expected = {"CfaigwCreditLow", "CfaigwCreditGone", "CfaigwAutomaticTopupFailed"}
    while True:
        alerts = asked(address, "alerts")["alerts"]
        if expected <= {alert["labels"]["alertname"] for alert in alerts}:
            break
        assert time.monotonic() < deadline, alerts
        time.sleep(0.1)
    assert {alert["labels"]["name"] for alert in alerts} == {'The "Shop"', "Blog"}
