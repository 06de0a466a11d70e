"""`metrics`: serve the state of accounts to Prometheus, or write it to a file."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cfaigw_billing.cli import monitoring
from cfaigw_billing.testing import Emulator, Fault

from .running import LOW, MODULE, RICH, UNKNOWN, fail_account, needs_posix, run, said, start

BALANCES = {RICH: 1234.5678, LOW: 6.4019, "c" * 32: -12.3456}


def balances(text: str) -> dict[str, float]:
    return {
        sample.labels["account_id"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "cfaigw_balance_usd"
    }


def test_a_file_for_node_exporter_has_one_look_at_each_account(
    service: Emulator, tmp_path: Path
) -> None:
    path = tmp_path / "cfaigw.prom"
    path.write_text("what was there before")
    result = run("metrics", "--all", "--textfile", path)
    assert (result.exit_code, result.output) == (0, "")
    assert balances(path.read_text()) == BALANCES
    assert service.api_token not in path.read_text()
    assert [*tmp_path.iterdir()] == [path]


def test_without_runway_it_asks_for_balances_alone(service: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "cfaigw.prom"
    assert run("metrics", RICH, LOW, "--no-runway", "--textfile", path).exit_code == 0
    assert balances(path.read_text()).keys() == {RICH, LOW}
    assert len(service.requests) == 2
    assert "cfaigw_usage_usd_total{" not in path.read_text()


def test_accounts_that_fail_are_in_the_file_and_in_the_exit_code(
    service: Emulator, tmp_path: Path
) -> None:
    path = tmp_path / "cfaigw.prom"
    fail_account(service, RICH, Fault(status=403))
    assert run("metrics", RICH, LOW, "--textfile", path).exit_code == 3
    assert balances(path.read_text()).keys() == {LOW}
    assert run("metrics", RICH, UNKNOWN, "--textfile", path).exit_code == 1
    assert f'cfaigw_account_up{{account_id="{UNKNOWN}"}} 0.0' in path.read_text()


def test_wrong_credentials_leave_the_file_alone(service: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "cfaigw.prom"
    path.write_text("what was there before")
    result = run("metrics", "--all", "--textfile", path, CLOUDFLARE_API_TOKEN="wrong")
    assert result.exit_code == 1
    assert said(result).startswith("error: 401")
    assert path.read_text() == "what was there before"


def test_a_file_that_cannot_be_written(service: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "cfaigw.prom"
    result = run("metrics", RICH, "--textfile", path)
    assert result.exit_code == 1
    assert said(result) == f"error: {path}: No such file or directory"


def test_a_refresh_that_is_too_short_is_wrong_usage(service: Emulator) -> None:
    result = run("metrics", RICH, "--refresh", "0")
    assert result.exit_code == 2
    assert said(result).startswith("error: --refresh must be from 1 minute to 1 day")
    assert service.requests == []


@pytest.mark.parametrize("host", ["192.0.2.1", "a..b"])
def test_an_address_that_cannot_be_served_on(service: Emulator, host: str) -> None:
    result = run("metrics", RICH, "--host", host)
    assert result.exit_code == 1
    assert said(result).startswith(f"error: --host {host} --port 9188: ")


def test_a_port_that_is_taken(service: Emulator) -> None:
    port = urlsplit(service.base_url).port
    result = run("metrics", RICH, "--port", port)
    assert result.exit_code == 1
    assert said(result) == f"error: --host 127.0.0.1 --port {port}: Address already in use"
    other = run("emulator", "--port", port)
    assert other.exit_code == 1
    assert said(other).startswith(f"error: --port {port}: ")


def test_a_file_and_a_port_exclude_each_other(service: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "cfaigw.prom"
    result = run("metrics", RICH, "--textfile", path, "--port", "9188")
    assert result.exit_code == 2
    assert said(result) == "error: --textfile excludes --port and --host"
    assert not path.exists()


def test_without_its_package_it_says_what_to_install(
    service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    result = run("metrics", "--all")
    assert result.exit_code == 2
    assert "pip install 'cfaigw_billing[metrics]'" in said(result)
    assert service.requests == []


@needs_posix
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_ended(service: Emulator, ending: signal.Signals) -> None:
    with start(*MODULE, "metrics", RICH, "--port", "0") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = line.removeprefix("Serving on ").removesuffix(" until Ctrl-C.\n")
        assert address.startswith("http://127.0.0.1:")
        requests = len(service.requests)
        with urlopen(address) as answer:  # noqa: S310  # its own address
            assert balances(answer.read().decode()) == {RICH: 1234.5678}
        assert {r.path.rpartition("/")[2] for r in service.requests[requests:]} <= {"usage-history"}
        process.send_signal(ending)
        assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0


@needs_posix
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_ended_as_soon_as_it_says_that_it_serves(
    service: Emulator, monkeypatch: pytest.MonkeyPatch, ending: signal.Signals
) -> None:
    before = signal.getsignal(ending)

    def end_at_once(_: str) -> None:
        signal.raise_signal(ending)

    monkeypatch.setattr(monitoring, "show_line", end_at_once)
    result = run("metrics", RICH, "--port", "0")
    assert (result.exit_code, result.output) == (0, "")
    assert signal.getsignal(ending) is before
