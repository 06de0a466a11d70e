"""Shared fixtures."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, account, address or proxy of the machine reaches a test."""
    for name in os.environ:
        if name.startswith("CLOUDFLARE_") or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
