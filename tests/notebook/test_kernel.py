"""The example notebook, and what people do in notebooks, in a real kernel."""

from __future__ import annotations

import asyncio
import json
import operator
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib.font_manager as font_manager
import nbformat.v4
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from cfaigw_billing.testing import Emulator, Fault

NOTEBOOK = Path(__file__).parent.parent / "recipes" / "accounts.ipynb"
v4: Any = nbformat.v4  # it has no types
HTML, IMAGE = "text/html", "image/png"
NOW = datetime(2100, 1, 21, 12, tzinfo=UTC)
"""The service's time: 20 days of the month have usage. It lies far ahead because the notebook asks
for the usage since 30 days before the day on which it runs."""
SECONDS = 120.0  # within which whatever a test waits for has to happen


class Kernel:
    """A kernel that cells are run in, one after another, as in a notebook."""

    def __init__(self, client: NotebookClient) -> None:
        self._client = client
        self._notebook = client.nb

    def run(self, source: str) -> Any:
        """Run a cell; its outputs. An error in the cell is raised as `CellExecutionError`."""
        cell = v4.new_code_cell(source)
        self._notebook.cells.append(cell)
        self._client.execute_cell(cell, len(self._notebook.cells) - 1)
        return cell.outputs

    def printed(self, source: str) -> str:
        """Return the printed text of a cell, which must have no other output."""
        outputs = self.run(source)  # several, where the machine is slow: a kernel flushes by time
        assert {output["name"] for output in outputs} == {"stdout"}, outputs
        return "".join(output["text"] for output in outputs).strip()

    def interrupt(self) -> None:
        manager: Any = self._client.km
        asyncio.run(manager.interrupt_kernel())


@pytest.fixture(scope="module")
def service() -> Iterator[Emulator]:
    """Twelve accounts, one of which fails."""
    with Emulator(at=NOW) as emulator:
        for number in range(12):
            account = emulator.add_account(
                f"{number:032x}", name=f"Shop <{number}>", balance=100.0 * 2**number
            )
            account.fill_usage(days=30, cents_per_day=10.0 + number)
            account.add_invoice(5000)
        yield emulator


@pytest.fixture(scope="module")
def kernel(service: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    assert font_manager.fontManager  # made here, where matplotlib may say that it takes a while
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CLOUDFLARE_BASE_URL", service.base_url)
        environment.setenv("CLOUDFLARE_API_TOKEN", service.api_token)
        environment.setenv("CLOUDFLARE_ACCOUNT_ID", f"{3:032x}")
        for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
            environment.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        client = NotebookClient(v4.new_notebook(), timeout=int(SECONDS))
        with client.setup_kernel():
            yield Kernel(client)


def test_the_example_notebook_runs_as_it_stands(service: Emulator, kernel: Kernel) -> None:
    failing = f"/{5:032x}/ai-gateway/billing/credit-balance"
    service.inject(Fault(status=403, code=10000, message="no <permission>"), path=failing)
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    outputs = [output for source in sources for output in kernel.run(source)]
    assert {output.output_type for output in outputs} == {"display_data", "execute_result"}
    data = [output.data for output in outputs]
    shown = [d[HTML] for d in data if HTML in d]
    for expected in (
        "12 accounts: $4,063.00 in all, 5 low (below $25.00), 1 failed",
        "Shop &lt;5&gt;",
        "no &lt;permission&gt; (10000)",
        "<b>Credit balance</b>",
        "Invoices: 1",
        "Invoice preview: $2.00 due (draft)",
        "days_left",
    ):
        assert any(expected in html for html in shown), expected
    assert sum(IMAGE in d for d in data) == 2
    assert sum("application/vnd.jupyter.widget-view+json" in d for d in data) == 1


CONSTRUCTOR = """
from cfaigw_billing import Cloudflare
client = Cloudflare()
client.ai_gateway.billing.credit_balance().balance_money
"""
HELD = """
import psutil, threading
process = psutil.Process()
print(threading.active_count(), process.num_fds(), len(process.net_connections()))
"""


def numbers(kernel: Kernel) -> list[int]:
    return [int(number) for number in kernel.printed(HELD).split()]


def test_a_cell_that_makes_a_client_may_be_run_again_and_again(kernel: Kernel) -> None:
    (output,) = kernel.run(CONSTRUCTOR)  # no more than this: nothing on stderr
    assert output.data["text/plain"] == "Money(cents=Decimal('800.0'), currency='USD')"
    held = numbers(kernel)
    for _ in range(19):
        assert len(kernel.run(CONSTRUCTOR)) == 1
    deadline = time.monotonic() + SECONDS  # the last thread may still be on its way out
    while any(map(operator.gt, now := numbers(kernel), held)):
        assert time.monotonic() < deadline, (held, now)


def test_an_interrupt_ends_the_call_and_leaves_the_client_usable(
    service: Emulator, kernel: Kernel
) -> None:
    kernel.run(CONSTRUCTOR)
    service.reset()
    service.inject(Fault(silence="hang"), path="/usage-history")

    def interrupt() -> None:
        while not service.requests:
            time.sleep(0.01)
        kernel.interrupt()

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(CellExecutionError, match="KeyboardInterrupt"):
        kernel.run("client.ai_gateway.billing.usage_history(value_grouping_window='day')")
    other.join()
    money = "print(client.ai_gateway.billing.credit_balance().balance_money)"
    assert kernel.printed(money) == "$8.00"
