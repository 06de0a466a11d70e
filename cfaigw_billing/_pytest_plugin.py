"""The pytest plugin: fixtures with an emulator of the service and the clients of it.

Every pytest run of an environment that has this package loads this module, so whatever is heavy is
imported by the fixtures.
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

    It serves on a thread of its own, so blocking and async tests can use it alike.
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
    """An `AsyncCloudflare` client of `billing_emulator`, whichever plugin runs the async tests.

    It is no async fixture because that would be a fixture of one of those plugins.
    """
    import asyncio  # as above

    client = billing_emulator.async_client()
    yield client
    # Not `asyncio.run`, which leaves the thread without its current loop: the plugin's own.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(client.close())
