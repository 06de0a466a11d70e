"""What the package says of itself runs as it stands."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import shutil
import subprocess
import textwrap
from typing import Any

import pytest

from cfaigw_billing import AsyncCloudflare, Cloudflare, testing
from cfaigw_billing.testing import Emulator

PYTHON, SHELL = (
    textwrap.dedent(block)
    for block in re.findall(r"(?:^    .*\n|^\n(?=\n*    ))+", testing.__doc__ or "", re.MULTILINE)
)


def in_the_page() -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(PYTHON, namespace)  # noqa: S102
    return {name: value for name, value in namespace.items() if name.startswith("test_")}


@pytest.mark.parametrize("name", in_the_page())
def test_the_tests_pass(
    name: str,
    billing_emulator: Emulator,
    billing_client: Cloudflare,
    async_billing_client: AsyncCloudflare,
) -> None:
    test = in_the_page()[name]
    if inspect.iscoroutinefunction(test):
        asyncio.run(test(billing_emulator, async_billing_client))
    else:
        test(billing_emulator, billing_client)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_commands_work(billing_emulator: Emulator) -> None:
    address = billing_emulator.base_url.removesuffix("/client/v4")
    script = SHELL.replace("http://127.0.0.1:8787", address).replace("curl", "curl -sS -w '\\n'")
    ran = subprocess.run(  # noqa: S603
        ["sh", "-ec", script],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(answers) == SHELL.count("curl")
    assert [answer for answer in answers if "error" in answer] == []
    assert answers[0]["balance"] == 640.19
    assert billing_emulator.accounts == {}
