"""Shared fixtures: a terminal of 80 columns, and a service."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cfaigw_billing.cli._errors import ENDINGS
from cfaigw_billing.testing import Emulator

from .running import LOW, OVERDRAWN, RICH


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 columns, and no colours but where the test opens a terminal."""
    for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "NO_COLOR", "PY_COLORS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture(autouse=True)
def endings() -> Iterator[None]:
    """A command whose outcome is unknown ignores signals until its process ends."""
    before = {ending: signal.getsignal(ending) for ending in ENDINGS}
    yield
    for ending, handler in before.items():
        signal.signal(ending, handler)


@pytest.fixture(autouse=True)
def state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of the commands' journal: not in the user's home."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))  # on macOS
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))  # on Windows
    return tmp_path / "state" / "cfaigw_billing"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator with three accounts, which the environment names as the service.

    A top-up stays pending for longer than any command takes: a test that needs the credit says so.
    """
    with Emulator(topup_seconds=600) as emulator:
        monkeypatch.setenv("CLOUDFLARE_BASE_URL", emulator.base_url)
        monkeypatch.setenv("CLOUDFLARE_API_TOKEN", emulator.api_token)
        rich = emulator.add_account(RICH, name="Rich", balance=123_456.78)
        rich.topup_config |= {"amount": 5000, "threshold": 1000}
        low = emulator.add_account(LOW, name="Low", balance=640.19, payment_method=None)
        low.topup_config |= {"amount": 5000, "threshold": 1000, "disabledReason": "no_card"}
        emulator.add_account(OVERDRAWN, name="Overdrawn", balance=-1234.56)
        yield emulator


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is there to be asked."""
    monkeypatch.setattr("cfaigw_billing.cli._session.can_ask", lambda: True)
