"""The cost of a call, counted and not timed, so that it is the same on every machine."""

from __future__ import annotations

import sys

import pytest
from aiohttp import http_parser
from counting import Counted, count

# At most this much: 10 to 15 % above what was counted with aiohttp 3.14.5. After a change that
# makes calls cheaper (or dearer, for a reason), or a release of aiohttp that does, run
# `python tests/counting.py` with each Python, and write what it prints times 1.1.
CEILINGS = {
    # Calls of functions, Python's and C's: in one async call; in the caller's thread in a sync one.
    # Modules: that `import cfaigw_billing` loads; that it, a client and its first call load.
    (3, 11): {"async": 370, "sync": 39, "import": 35, "first": 395},
    (3, 12): {"async": 370, "sync": 39, "import": 35, "first": 395},
    (3, 13): {"async": 370, "sync": 39, "import": 25, "first": 395},
}
BLOCKS = 50
"""How many blocks of memory 500 calls may leave behind: not one for every call."""
HEAVY = {
    *("hypothesis", "IPython", "jinja2", "matplotlib", "numpy", "pandas", "pydantic", "pytest"),
    *("requests", "rich", "tqdm", "click", "unittest.mock", "cfaigw_billing.testing"),
    *("cattrs", "html", "cfaigw_billing._show.table"),
}
"""The modules that no call may load."""

PYTHON = sys.version_info[:2]


@pytest.fixture(scope="module")
def counted() -> Counted:
    return count()


@pytest.mark.skipif(PYTHON not in CEILINGS, reason="never counted with this Python")
@pytest.mark.skipif(not hasattr(http_parser, "HttpResponseParserC"), reason="aiohttp without C")
@pytest.mark.parametrize("what", ["async", "sync", "import", "first"])
def test_it_costs_no_more_than_it_did(counted: Counted, what: str) -> None:
    assert counted.figures[what] <= CEILINGS[PYTHON][what]


def test_calls_leave_no_memory_behind(counted: Counted) -> None:
    assert counted.figures["growth"] <= BLOCKS


def test_calls_load_nothing_heavy(counted: Counted) -> None:
    assert "aiohttp" in counted.loaded
    assert counted.loaded & HEAVY == set()
