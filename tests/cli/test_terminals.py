"""The command line as a process: terminals, pipes, Ctrl-C, completion, missing extras."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import attrs
import pytest

from cfaigw_billing.testing import Emulator, Fault

from .running import LOW, MODULE, RICH, SECONDS, Process, needs_posix, start, wait_for

SCRIPT = Path(sys.executable).parent / "cfaigw-billing"


# Ctrl-C


@attrs.frozen
class Ended:
    code: int
    stdout: str
    stderr: str


def stopped(service: Emulator, path: str, *arguments: str, by: int = signal.SIGINT) -> Ended:
    """How a command ends that is stopped while it waits for the answer of a call."""
    service.inject(Fault(silence="hang", after=True), times=None, path=path)
    with start(*MODULE, *arguments) as process:
        wait_for(lambda: any(request.path.endswith(path) for request in service.requests))
        process.send_signal(by)
        stdout, stderr = process.communicate(timeout=SECONDS)
    return Ended(process.returncode, stdout, stderr)


@needs_posix
@pytest.mark.parametrize(
    ("path", "command"),
    [("/usage-history", f"usage {LOW}"), ("/credit-balance", "balance --all --json")],
)
def test_ctrl_c_leaves_no_traceback(service: Emulator, path: str, command: str) -> None:
    assert stopped(service, path, *command.split()) == Ended(130, "", "")


@needs_posix
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_charge_that_is_interrupted_is_looked_for(service: Emulator, by: int) -> None:
    ended = stopped(service, "/topup", "topup", RICH, "--amount", "50", "--yes", by=by)
    assert ended.code == 4
    assert ended.stdout == ""
    _, unknown, found, again = ended.stderr.splitlines()
    assert "whether it was charged is unknown: interrupted" in unknown
    assert found.startswith("It has no invoice yet.")
    assert again.endswith(" -m cfaigw_billing recover")
    assert [charge.amount for charge in service.charges] == [5000]


@needs_posix
def test_ctrl_c_while_waiting_for_credit_has_said_what_was_charged(service: Emulator) -> None:
    ended = stopped(service, "/status", "topup", RICH, "--amount", "50", "--yes", "--wait")
    assert ended.code == 130
    assert ended.stdout == "Charged visa 4242 for $50.00 of credit: in_emulated000001.\n"
    assert "topup-status in_emulated000001 --account" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


@needs_posix
def test_ctrl_c_while_waiting_for_credit_leaves_the_object_of_json(service: Emulator) -> None:
    command = "topup", RICH, "--amount", "50", "--yes", "--wait", "--json"
    ended = stopped(service, "/status", *command)
    assert ended.code == 130
    told = json.loads(ended.stdout)
    assert (told["outcome"], told["payment_intent_id"]) == ("charged", "in_emulated000001")


@needs_posix
def test_a_charge_of_which_nobody_reads_is_not_taken_for_refused(service: Emulator) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = *MODULE, "topup", RICH, "--amount", "50", "--yes"
    with start(*command, stdout=writer) as process:
        os.close(writer)
        _, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == 4
    assert stderr.splitlines()[1].startswith("error: stopped: the card may have been charged")
    assert len(service.charges) == 1


# Terminals


@attrs.define
class Terminal:
    """A terminal: the typed input, and the text shown."""

    leader: int
    follower: int
    shown: bytes = b""

    def see(self, text: bytes) -> None:
        while text not in self.shown:
            self.shown += os.read(self.leader, 4096)

    def see_the_end(self) -> str:
        os.close(self.follower)
        with suppress(OSError):  # what Linux says once nobody writes to a terminal any more
            while chunk := os.read(self.leader, 4096):
                self.shown += chunk
        return self.shown.decode()


@pytest.fixture
def screen() -> Iterator[Terminal]:
    import pty

    terminal = Terminal(*pty.openpty())
    yield terminal
    os.close(terminal.leader)


@needs_posix
def test_a_terminal_gets_colours_and_a_progress_bar(screen: Terminal) -> None:
    command = *MODULE, "demo", "--accounts", "3", "--threshold", "1000"
    with start(*command, stdout=screen.follower, stderr=screen.follower) as process:
        shown = screen.see_the_end()
    assert process.returncode == 0
    assert "Balances" in shown
    assert "/?" in shown  # of how many is not known before the last page of accounts
    assert "\x1b[1;31mLOW" in shown


@needs_posix
def test_a_terminal_without_colours_stays_so(service: Emulator, screen: Terminal) -> None:
    follower = screen.follower
    command = *MODULE, "balance", "--all"
    with start(*command, stdout=follower, stderr=follower, NO_COLOR="1") as process:
        shown = screen.see_the_end()
    assert process.returncode == 0
    assert "LOW" in shown
    assert "[1;31m" not in shown


@needs_posix
@pytest.mark.parametrize(("typed", "code"), [(b"emulator-token\n", 0), (b"\n", 2), (b"\x04", 2)])
def test_a_terminal_is_asked_for_the_token(
    service: Emulator, screen: Terminal, typed: bytes, code: int
) -> None:
    follower = screen.follower
    command = *MODULE, "balance", LOW, "--json"
    with start(*command, stdin=follower, stderr=follower, CLOUDFLARE_API_TOKEN="") as process:
        screen.see(b"Cloudflare API token: ")
        os.write(screen.leader, typed)
        stdout, _ = process.communicate(timeout=SECONDS)
    shown = screen.see_the_end()
    assert process.returncode == code
    assert ('"balance": 640.19' in stdout) == (code == 0)
    assert "-token" not in shown
    assert ("error: no credentials" in shown.replace("\x1b[0m", "")) == (code == 2)


def interrupted(process: Process, screen: Terminal) -> str:
    """Interrupt what waits for an answer, and answer if the signal came before the waiting.

    It is seen after the answer then. A second signal could meet the end of the process.
    """
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        return process.communicate(timeout=5)[0]
    os.write(screen.leader, b"\n")
    return process.communicate(timeout=SECONDS)[0]


@needs_posix
@pytest.mark.parametrize("asked", [b"token: ", b"[y/N] "])
def test_ctrl_c_at_a_question_is_130(service: Emulator, screen: Terminal, asked: bytes) -> None:
    token = "" if b"token" in asked else service.api_token
    follower = screen.follower
    command = *MODULE, "topup", RICH, "--amount", "50"
    with start(*command, stdin=follower, stderr=follower, CLOUDFLARE_API_TOKEN=token) as process:
        screen.see(asked)
        stdout = interrupted(process, screen)
    assert (process.returncode, stdout) == (130, "")
    shown = screen.see_the_end()
    assert "Traceback" not in shown
    assert shown.endswith("\n")
    assert service.charges == []


@needs_posix
def test_what_was_typed_before_the_question_is_no_answer(
    service: Emulator, screen: Terminal
) -> None:
    os.write(screen.leader, b"y\n")
    follower = screen.follower
    with start(
        *MODULE, "topup", RICH, "--amount", "50", stdin=follower, stderr=follower
    ) as process:
        screen.see(b"[y/N] ")
        os.write(screen.leader, b"\n")
        process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert "Nothing was done." in screen.see_the_end()
    assert service.charges == []


# Pipes


@needs_posix
@pytest.mark.parametrize("form", ["", "--json"])
def test_a_closed_pipe_ends_quietly(service: Emulator, form: str) -> None:
    service.accounts[RICH].fill_usage(days=30)
    reader, writer = os.pipe()
    os.close(reader)
    command = *MODULE, "usage", RICH, "--by", "hour", *form.split()
    with start(*command, stdout=writer) as process:
        os.close(writer)
        _, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
@pytest.mark.parametrize("command", [("usage", RICH), ("emulator", "--port", "0")])
def test_a_full_disk_is_one_line(service: Emulator, command: tuple[str, ...]) -> None:
    with (
        open("/dev/full", "w") as full,
        start(*MODULE, *command, stdout=full.fileno()) as process,
    ):
        _, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert re.fullmatch(r"error: \[Errno 28\] No space left.*\n", stderr)


# A recipe


@needs_posix
@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (None, 0, "charged: {"),
        (Fault(status=402), 1, ""),
        (Fault(silence="close", after=True), 4, "do not charge it in another way before "),
    ],
)
def test_the_recipe_of_a_topup_tells_what_was_charged(
    service: Emulator, fault: Fault | None, code: int, said: str
) -> None:
    service._processor.topup_seconds = 0
    if fault is not None:
        service.inject(fault, path="/topup")
    script = Path(__file__).parents[1] / "recipes" / "topup.sh"
    environment = os.environ | {"PATH": f"{SCRIPT.parent}{os.pathsep}{os.environ['PATH']}"}

    def recipe() -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603
            ["/bin/sh", script, RICH, "50", "order-1"],
            env=environment,
            capture_output=True,
            text=True,
        )

    done = recipe()
    assert done.returncode == code
    assert done.stdout.startswith(said)
    assert (done.stdout == "") == (code == 1)
    assert recipe().returncode == 0
    assert len(service.charges) == 1


# Running the module, and the script


def test_the_module_runs_the_command_line() -> None:
    with start(*MODULE, "--help") as process:
        stdout, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert "python -m cfaigw_billing" in stdout
    assert stderr == ""


def test_a_shell_completes_the_commands_of_the_script() -> None:
    words = {"COMP_WORDS": "cfaigw-billing top", "COMP_CWORD": "1"}
    completion = {"_CFAIGW_BILLING_COMPLETE": "bash_complete", **words}
    completed = subprocess.run(  # noqa: S603  # our own
        [SCRIPT], env=os.environ | completion, capture_output=True, text=True, check=True
    )
    names = ["topup", "topup-status", "topups", "topup-config"]
    assert completed.stdout.split() == [f"plain,{name}" for name in names]
    assert completed.stderr == ""


def test_help_loads_no_http() -> None:
    code = """
import sys
from cfaigw_billing.cli import app
try:
    app(["usage", "--help"])
except SystemExit:
    print({"aiohttp", "pandas", "matplotlib", "asyncio"} & set(sys.modules), file=sys.stderr)
"""
    with start("-c", code) as process:
        _, stderr = process.communicate(timeout=SECONDS)
    assert stderr == "set()\n"


def loaded(*arguments: str) -> set[str]:
    """The packages that a command imports, of those that are not always needed."""
    code = f"""
import sys
from cfaigw_billing.__main__ import main
sys.argv[1:] = {arguments!r}
try:
    main()
finally:
    extras = {{"rich", "pandas", "cfaigw_billing.cli.local", "cfaigw_billing.cli.topups"}}
    print(*(extras & set(sys.modules)), file=sys.stderr)
"""
    with start("-c", code) as process:
        _, stderr = process.communicate(timeout=SECONDS)
    return set(stderr.split())


def test_a_command_in_a_pipe_imports_no_more_than_it_needs(service: Emulator) -> None:
    assert loaded("balance", LOW, "--json") == set()
    assert loaded("usage", LOW, "--csv") == set()
    assert loaded("balance", LOW) == {"rich"}


def test_what_is_shown_to_type_next_begins_as_it_was_typed(service: Emulator) -> None:
    for program in ([sys.executable, *MODULE], [str(SCRIPT)]):
        called = subprocess.run([*program, "balance"], capture_output=True, text=True)  # noqa: S603
        assert f"`{' '.join(program)} accounts` lists the ids" in called.stderr
    on_path = os.environ | {"PATH": f"{SCRIPT.parent}{os.pathsep}{os.environ['PATH']}"}
    found = subprocess.run([SCRIPT.name, "balance"], env=on_path, capture_output=True, text=True)  # noqa: S603
    assert f"`{SCRIPT.name} accounts` lists the ids" in found.stderr


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_one_line_says_what_to_install(missing: str) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None  # which fails its import
from cfaigw_billing.__main__ import main
main()
"""
    with start("-c", code) as process:
        stdout, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert stdout == ""
    (line,) = stderr.splitlines()
    assert "pip install 'cfaigw_billing[cli]'" in line
