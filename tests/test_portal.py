"""The sync client: threads, running loops, interrupts, forks, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import anyio
import anyio.to_thread
import pytest
from holding import held

from cfaigw_billing import APIConnectionError, AuthenticationError, Cloudflare, NotFoundError
from cfaigw_billing._io import portal as portals
from cfaigw_billing._io.portal import Portal
from cfaigw_billing.testing import Emulator, Fault
from cfaigw_billing.types import BillingCreditBalanceParams

HANG = 60.0  # seconds after which a process is taken to hang

BALANCE = (
    b'{"success": true, "errors": [], "messages": [], '
    b'"result": {"balance": 640.19, "has_default_payment_method": true}}'
)

SCRIPT = """
from cfaigw_billing import Cloudflare
client = Cloudflare(timeout=60, max_retries=0)
balance = client.ai_gateway.billing.credit_balance
"""


@pytest.fixture
def emulator(billing_emulator: Emulator) -> Emulator:
    billing_emulator.add_account("acc", balance=640.19)
    return billing_emulator


def new_client(emulator: Emulator) -> Cloudflare:
    return Cloudflare(
        base_url=emulator.base_url,
        api_token=emulator.api_token,
        account_id="acc",
        max_retries=0,
    )


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Cloudflare]:
    with new_client(emulator) as client:
        yield client


def balance(client: Cloudflare) -> float:
    return client.ai_gateway.billing.credit_balance().balance


def environment(base_url: str) -> dict[str, str]:
    ours = {
        "CLOUDFLARE_BASE_URL": base_url,
        "CLOUDFLARE_API_TOKEN": "emulator-token",
        "CLOUDFLARE_ACCOUNT_ID": "acc",
    }
    return {**os.environ, **ours}


def run(script: str, emulator: Emulator, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run a script that goes on from `SCRIPT`."""
    return subprocess.run(  # noqa: S603  # our own scripts
        [sys.executable, *flags, "-c", SCRIPT + script],
        env=environment(emulator.base_url),
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )


# Loops and threads.


async def test_works_while_the_callers_event_loop_is_running(client: Cloudflare) -> None:
    assert asyncio.get_running_loop().is_running()
    assert balance(client) == 640.19


def test_sixteen_threads_use_one_client_at_the_same_time(
    client: Cloudflare, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them is answered before all have asked."""
    for n in range(16):
        emulator.add_account(str(n), balance=n)
    emulator.inject(Fault(delay=1), times=None)
    held(emulator, monkeypatch, {1: lambda: len(emulator.requests) == 16})
    together = threading.Barrier(16)
    before = {*threading.enumerate()}

    def balance_of(n: int) -> float:
        together.wait()
        return client.ai_gateway.billing.credit_balance(account_id=str(n)).balance

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(balance_of, range(16))) == list(range(16))
        # All of them met on one loop, although none had been started before.
        assert len({*threading.enumerate()} - before) == 16 + 1


def test_a_call_from_the_clients_own_thread_says_so(client: Cloudflare) -> None:
    async def call() -> float:
        return balance(client)

    with pytest.raises(RuntimeError, match="its own event loop thread"):
        client._executor.portal.call(call)


# Errors and iteration.


class UnheardOfError(Exception):
    pass


def test_an_exception_arrives_as_it_was_raised(client: Cloudflare) -> None:
    error = UnheardOfError("as it is")

    async def fail() -> None:
        raise error

    with pytest.raises(UnheardOfError) as caught:
        client._executor.portal.call(fail)
    assert caught.value is error


def test_errors_of_calls_have_their_own_types(client: Cloudflare, emulator: Emulator) -> None:
    with pytest.raises(NotFoundError):
        client.ai_gateway.billing.credit_balance(account_id="nobody")
    with pytest.raises(ValueError, match="`amount`"):
        client.ai_gateway.billing.topup.create(amount=1)
    emulator.api_token = "another"
    with pytest.raises(AuthenticationError):
        balance(client)


def test_an_iteration_left_behind_by_a_closed_client_ends_silently(
    client: Cloudflare, emulator: Emulator
) -> None:
    emulator.add_account("another")
    accounts = iter(client.accounts.list())
    next(accounts)
    client.close()
    accounts.close()  # as the interpreter does when the loop over it is left


# Close.


def test_close_is_idempotent_and_ends_the_thread(emulator: Emulator) -> None:
    before = {*threading.enumerate()}
    client = new_client(emulator)
    balance(client)
    assert len({*threading.enumerate()} - before) == 1
    client.close()
    assert not {*threading.enumerate()} - before
    client.close()


def first_page(client: Cloudflare) -> object:
    return client.accounts.list().result


def all_pages(client: Cloudflare) -> object:
    return list(client.accounts.list())


@pytest.mark.parametrize("call", [balance, first_page, all_pages])
@pytest.mark.parametrize("used", [True, False], ids=["used", "never used"])
def test_use_after_close_says_so(
    client: Cloudflare, call: Callable[[Cloudflare], object], used: bool
) -> None:
    if used:
        balance(client)
    client.close()
    with pytest.raises(RuntimeError, match="has been closed"):
        call(client)
    with pytest.raises(RuntimeError, match="has been closed"), client:
        pass


def test_dropped_clients_are_collected_and_their_threads_end(emulator: Emulator) -> None:
    """Each says in a `ResourceWarning` that it was not closed."""
    threads = threading.active_count()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(20):
            balance(new_client(emulator))
        gc.collect()
        assert_no_more_threads_than(threads)
    said = [w for w in caught if "unclosed Cloudflare client" in str(w.message)]
    assert [w.category for w in said] == [ResourceWarning] * 20


@pytest.mark.parametrize("way", ["a call", "a copy of its own"])
def test_an_unclosed_client_says_where_it_was_made(way: str, emulator: Emulator) -> None:
    def make() -> Cloudflare:
        return emulator.client(account_id="acc")

    line = make.__code__.co_firstlineno + 1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client = make()
        if way == "a copy of its own":
            client = client.copy(trace_configs=[aiohttp.TraceConfig()])
        balance(client)
        del client
        gc.collect()
    assert f"unclosed Cloudflare client, made at {__file__}:{line}" in [
        str(warning.message) for warning in caught
    ]


@pytest.mark.filterwarnings("ignore:unclosed Cloudflare client")
def test_an_unclosed_async_client_says_it_too(emulator: Emulator) -> None:
    async def leave() -> None:
        client = emulator.async_client(account_id="acc")
        await client.ai_gateway.billing.credit_balance()

    def leave_and_collect() -> None:
        asyncio.run(leave())
        gc.collect()

    line = leave.__code__.co_firstlineno + 1
    with pytest.warns(ResourceWarning, match=rf"client, made at {re.escape(__file__)}:{line}$"):
        leave_and_collect()


@pytest.mark.filterwarnings("ignore:unclosed Cloudflare client")
def test_a_client_collected_on_its_own_thread_ends_it(emulator: Emulator) -> None:
    """A client is part of a reference cycle, so any thread's collector may be what finds it."""
    threads = threading.active_count()
    client = new_client(emulator)
    balance(client)

    async def collect_soon() -> None:
        asyncio.get_running_loop().call_later(0.1, gc.collect)

    gc.disable()  # no other thread may find it first
    try:
        client._executor.portal.call(collect_soon)
        del client
        assert_no_more_threads_than(threads)
    finally:
        gc.enable()


def assert_no_more_threads_than(number: int) -> None:
    """Not at once: a thread takes a moment to end."""
    deadline = time.monotonic() + HANG
    while threading.active_count() > number and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= number


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process")
def test_an_interrupt_that_does_not_learn_how_the_call_ended_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(portals, "_CLEAN_UP_SECONDS", 0.05)
    portal, seen = Portal(), threading.Event()

    async def stubborn() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(HANG)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(seen.wait)

    with pytest.raises(KeyboardInterrupt) as caught:
        portal.call(stubborn)
    seen.set()
    portal.close()
    assert caught.value.__notes__ == ["the call has not ended yet, and may have been carried out"]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process")
def test_an_interrupt_waits_for_a_call_that_records_how_it_ended() -> None:
    portal = Portal()

    async def recorded() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(HANG)
        except asyncio.CancelledError as error:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.5)  # a busy disk
            error.add_note("recorded")
            raise

    with pytest.raises(KeyboardInterrupt) as caught:
        portal.call(recorded)
    portal.close()
    assert caught.value.__notes__ == ["recorded"]


# A client that nobody holds.


def test_a_dropped_client_is_collected_at_once_although_its_thread_is_slow(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, go_on = portals._Task[Any]._end, threading.Event()

    def slowly(task: portals._Task[Any]) -> None:
        end(task)
        go_on.wait(HANG)

    monkeypatch.setattr(portals._Task, "_end", slowly)
    try:
        with pytest.warns(ResourceWarning, match="unclosed Cloudflare client"):
            balance(new_client(emulator))
    finally:
        go_on.set()


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    gc.collect()  # what is part of a cycle all the same


def refused(client: Cloudflare) -> None:
    with pytest.raises(NotFoundError):
        client.ai_gateway.billing.credit_balance(account_id="nope")


def unanswered(client: Cloudflare) -> None:
    with pytest.raises(APIConnectionError):
        client.get("/lost", cast_to=dict)


def left_early(client: Cloudflare) -> None:
    with client.send_many([BillingCreditBalanceParams()] * 3, concurrency=2) as outcomes:
        next(outcomes)


USES: dict[str, Callable[[Cloudflare], object]] = {
    "a call": balance,
    "a refusal": refused,
    "no answer": unanswered,
    "a sweep": lambda c: c.ai_gateway.billing.credit_balances(),
    "a sweep left early": left_early,
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.usefixtures("no_collector")
def test_a_client_that_nobody_holds_ends_without_the_garbage_collector(
    use: str, emulator: Emulator
) -> None:
    emulator.inject(Fault(silence="close"), path="/lost")
    threads = threading.active_count()
    with pytest.warns(ResourceWarning, match="unclosed Cloudflare client"):
        USES[use](new_client(emulator))
    deadline = time.monotonic() + HANG
    while threading.active_count() > threads:
        assert time.monotonic() < deadline
        time.sleep(0.01)


LEFT: dict[str, Callable[[Cloudflare], float]] = {
    "a call": balance,
    "a raw call": lambda c: c.with_raw_response.ai_gateway.billing.credit_balance().parse().balance,
    "a copy": lambda c: balance(c.with_options(timeout=5)),
    "a copy of a copy": lambda c: balance(c.with_options(timeout=5).copy()),
    "a sweep": lambda c: c.ai_gateway.billing.credit_balances(["acc"])["acc"].balance,
    "a list": lambda c: 640.19 * len(list(c.accounts.list())),
}


@pytest.mark.usefixtures("no_collector")
@pytest.mark.filterwarnings("ignore:unclosed Cloudflare client:ResourceWarning")
def test_a_call_ends_well_although_nobody_holds_its_client(emulator: Emulator) -> None:
    for what, call in LEFT.items():
        assert call(new_client(emulator)) == 640.19, what
    with new_client(emulator).send_many([BillingCreditBalanceParams()]) as outcomes:
        assert [outcome.unwrap().balance for outcome in outcomes] == [640.19]


# The end of the process.

EXITS = {
    "without a call": "",
    "after a call": "balance()",
    "after calls of two clients": """
balance()
another = Cloudflare()
another.ai_gateway.billing.credit_balance()
""",
    "with an iteration half way": """
accounts = iter(client.accounts.list())
next(accounts)
""",
    "with a call in flight": """
import os, threading
from urllib.request import urlopen
threading.Thread(target=lambda: next(iter(client.accounts.list())), daemon=True).start()
arrived = os.environ["CLOUDFLARE_BASE_URL"].replace("/client/v4", "/_emulator/requests")
while b'"/accounts"' not in urlopen(arrived).read():
    pass
""",
}


@pytest.mark.parametrize("flags", [[], ["-X", "dev"]], ids=["", "-X dev"])
@pytest.mark.parametrize("what", EXITS)
def test_the_interpreter_exits_promptly_and_silently_without_a_close(
    what: str, flags: list[str], emulator: Emulator
) -> None:
    if what == "with a call in flight":
        emulator.inject(Fault(silence="hang"), path="/accounts")
    ended = run(EXITS[what], emulator, *flags)
    assert (ended.stdout, ended.returncode) == ("", 0)
    allowed = r"  |.*ResourceWarning|Executing "  # the last is asyncio's report of slowness
    assert [line for line in ended.stderr.splitlines() if not re.match(allowed, line)] == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("closes", ["neither", "child", "parent", "child and parent"])
def test_after_a_fork_both_go_on_making_calls(closes: str, emulator: Emulator) -> None:
    ended = run(
        f"""
import os, signal, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is what is tested
balance()
pid = os.fork()
if not pid:
    signal.alarm(60)  # kills what hangs
assert balance().balance == 640.19
if ("parent" if pid else "child") in {closes!r}:
    client.close()
if not pid:
    os._exit(0)
print("child ended with", os.waitpid(pid, 0)[1])
if "parent" not in {closes!r}:
    balance()
""",
        emulator,
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("child ended with 0\n", "", 0)


# Ctrl-C.

INTERRUPTED = {
    "a call": "balance()",
    "an iteration": "list(client.accounts.list())",
}


class OnceSilentServer:
    """Answers no request until the first one has been cancelled, and then every one."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.answered = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if not self.arrived.is_set():
            self.arrived.set()
            assert await reader.read() == b""
            self.cancelled.set()
        else:
            await self.cancelled.wait()
            self.answered += 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BALANCE))
            writer.write(BALANCE)
            await writer.drain()
            await reader.read()
        writer.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process")
@pytest.mark.parametrize("what", INTERRUPTED)
async def test_an_interrupt_cancels_the_call_and_leaves_the_client_usable(what: str) -> None:
    server = OnceSilentServer()
    script = f"""
try:
    {INTERRUPTED[what]}
except KeyboardInterrupt:
    print("interrupted")
print(balance().balance)
"""
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listener:
        host, port = listener.sockets[0].getsockname()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            SCRIPT + script,
            env=environment(f"http://{host}:{port}"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(HANG):
                await server.arrived.wait()
                process.send_signal(signal.SIGINT)
                output = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        assert (*output, process.returncode) == (b"interrupted\n640.19\n", b"", 0)
    assert server.answered == 1
