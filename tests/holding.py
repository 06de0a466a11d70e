"""Answers that the emulator holds back until something is true, however slow the machine is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from cfaigw_billing.testing import Emulator


def held(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, until: Mapping[float, Callable[[], object]]
) -> None:
    """Have answers that a fault delays wait until something is true, which its delay names."""
    pause = emulator._pause

    async def wait(_: Emulator, delay: float | None) -> None:
        while delay is None or not until[delay]():
            await pause(0.002)

    monkeypatch.setattr(Emulator, "_pause", wait)
