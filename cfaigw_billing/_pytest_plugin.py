"""The pytest plugin: a fixture with an emulator of the service.

Every pytest run of an environment that has this package loads this module, so the emulator is
imported by the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import Emulator


@pytest.fixture
def billing_emulator() -> Iterator[Emulator]:
    """A running emulator of Cloudflare AI Gateway billing, without accounts.

    It serves on a thread of its own, so blocking and async tests can use it alike.
    """
    from .testing import Emulator  # see above

    with Emulator() as emulator:
        yield emulator
