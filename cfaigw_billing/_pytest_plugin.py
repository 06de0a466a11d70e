"""The pytest plugin: fixtures with an emulator of the service and the clients of it.

Every pytest run in an environment with this package loads this module, so the fixtures import
everything heavy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from . import AsyncCloudflare, Cloudflare
    from .testing import Emulator


@pytest.fixture
def billing_emulator() -> Iterator[Emulator]:
    """A running emulator of Cloudflare AI Gateway billing, without accounts.

    It serves on its own thread, so blocking and async tests can both use it.
    """
    from .testing import Emulator

    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def billing_client(billing_emulator: Emulator) -> Iterator[Cloudflare]:
    """A `Cloudflare` client of `billing_emulator`."""
    with billing_emulator.client() as client:
        yield client


@pytest.fixture
def async_billing_client(billing_emulator: Emulator) -> Iterator[AsyncCloudflare]:
    """An `AsyncCloudflare` client of `billing_emulator`, for any plugin that runs async tests.

    It is not an async fixture, because that would depend on one plugin.
    """
    import asyncio  # as above

    client = billing_emulator.async_client()
    yield client
    # Not `asyncio.run`: it would remove the plugin's event loop from the thread.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(client.close())
