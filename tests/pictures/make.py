"""Makes the pictures of the README, from the product as it is: `python tests/pictures/make.py`.

It needs the extra `dev` and Chromium. The notebook runs in a real kernel and is photographed in a
browser; the command line runs in a terminal, whose colours are kept. Both talk to an emulator.
"""

# ruff: noqa: S603, T201  # it starts programs and says what it made

from __future__ import annotations

import io
import math
import os
import pty
import re
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat.v4
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from PIL import Image, ImageChops
from rich.console import Console
from rich.text import Text

from cfaigw_billing.testing import Emulator, Fault

HERE = Path(__file__).parent
CELLS = (
    """\
from cfaigw_billing import Cloudflare

billing = Cloudflare().ai_gateway.billing
balances = billing.credit_balances()
balances""",
    "balances.plot();",
    """\
account_id = min(balances, key=lambda name: balances[name].balance)
billing.usage_history(account_id=account_id, value_grouping_window="day").plot();""",
)
NAMES = ("shop-eu", "shop-us", "search", "bot", "docs", "translate", "staging", "playground")
WIDTH = 1000  # pixels of the notebook
COLUMNS = 100  # of the terminal
HOUR = 3_600_000  # milliseconds
CHROMIUM = (
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--hide-scrollbars", "--virtual-time-budget=3000"),
)


def fill(emulator: Emulator) -> None:
    """Accounts that differ, one of which fails."""
    now = int(emulator.now.timestamp() * 1000) // HOUR * HOUR
    for number, name in enumerate(NAMES):
        account = emulator.add_account(
            f"{0x51431193E6C3F3391A2B8F1FF1FD42A2 * (number + 3) % 2**128:032x}",
            name=name,
            balance=(-412.07, 640.19, 1812.5, 2290, 4100.25, 5217.9, 12_345.6, 940)[number],
            payment_method=None if number == 3 else {"brand": "visa", "last4": "4242"},
        )
        if number % 3 == 1:
            account.topup_config |= {"amount": 5000, "threshold": 1000}
        for hour in range(30 * 24):
            daily, weekly = math.sin(hour / 24 * math.tau), math.sin(hour / 168 * math.tau)
            account.usage[now - hour * HOUR] = round(9 + 6 * daily + 4 * weekly + hour % 5, 2)
    *_, last = emulator.accounts
    refused = Fault(status=403, code=10000, message="Authentication error")
    emulator.inject(refused, times=None, path=f"/{last}/ai-gateway/billing/credit-balance")


def notebook() -> Any:
    """The notebook, run."""
    v4: Any = nbformat.v4  # it has no types
    made = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(made).execute()
    return made


def photograph(made: Any, theme: str) -> None:
    """Open the notebook in a browser, and keep what is on the page."""
    exporter: Any = HTMLExporter  # as `nbformat`
    body, _ = exporter(theme=theme).from_notebook_node(made)
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder, "page.html"), Path(folder, "shot.png")
        page.write_text(body, encoding="utf-8")
        options = (
            f"--user-data-dir={folder}/profile",
            f"--window-size={WIDTH},3000",
            f"--screenshot={shot}",
        )
        subprocess.run([*CHROMIUM, *options, page.as_uri()], check=True, capture_output=True)
        image = Image.open(shot).convert("RGB")
    empty = Image.new("RGB", image.size, image.getpixel((0, 0)))
    _, top, _, bottom = ImageChops.difference(image, empty).getbbox() or (0, 0, 0, 0)
    image = image.crop((0, max(top - 12, 0), WIDTH, bottom + 12)).quantize(128)
    image.save(HERE / f"notebook-{theme}.png", optimize=True)


def terminal(*arguments: str) -> str:
    """Return the output of a command in a terminal."""
    leader, follower = pty.openpty()
    environment = os.environ | {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    with subprocess.Popen(
        [sys.executable, "-m", "cfaigw_billing", *arguments],
        stdout=follower,
        stderr=subprocess.DEVNULL,  # a bar that is gone at the end
        env=environment,
    ):
        os.close(follower)
        written = io.BytesIO()
        with suppress(OSError):  # what Linux says once nobody writes to a terminal any more
            while chunk := os.read(leader, 4096):
                written.write(chunk)
    os.close(leader)
    return written.getvalue().decode().replace("\r", "")


def draw(*commands: tuple[str, ...]) -> None:
    """A terminal with the commands and what they write."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for command in commands:
        console.print(f"[green]$[/] cfaigw-billing {' '.join(command)}", highlight=False)
        console.print(Text.from_ansi(terminal(*command)))
    svg = console.export_svg(title="cfaigw-billing", unique_id="terminal")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # from another host
    (HERE / "terminal.svg").write_text(svg, encoding="utf-8")


def main() -> None:
    with Emulator() as emulator:
        fill(emulator)
        first = next(iter(emulator.accounts))
        os.environ |= {
            "CLOUDFLARE_BASE_URL": emulator.base_url,
            "CLOUDFLARE_API_TOKEN": emulator.api_token,
            "CLOUDFLARE_ACCOUNT_ID": first,
        }
        draw(("balance", "--all"), ("usage", "--days", "5"))
        made = notebook()
        for theme in ("light", "dark"):  # last, because only this needs a browser
            photograph(made, theme)
    print(*sorted(path.name for path in HERE.iterdir() if path.suffix in (".png", ".svg")))


if __name__ == "__main__":
    main()
