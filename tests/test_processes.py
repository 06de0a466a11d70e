"""What may befall the process around a sync call: forks, signals, closed streams, its end, gevent.

Each test runs a script of its own, which must end in time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from test_portal import HANG, SCRIPT, environment

from cfaigw_billing.testing import Emulator, Fault

needs_uvloop = pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop is not installed")
needs_gevent = pytest.mark.skipif(find_spec("gevent") is None, reason="gevent is not installed")
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks and no such signals here")

LOOPS = {
    "asyncio": "import sys; sys.modules['uvloop'] = None  # as if it were not installed\n",
    "uvloop": "",
}


@pytest.fixture(params=["asyncio", pytest.param("uvloop", marks=needs_uvloop)])
def loop(request: pytest.FixtureRequest) -> str:
    """The first lines of a script that runs on the one loop or the other."""
    return LOOPS[request.param]


@pytest.fixture
def emulator(billing_emulator: Emulator) -> Emulator:
    billing_emulator.add_account("acc", balance=640.19)
    return billing_emulator


def run(
    script: str, emulator: Emulator, *, before: str = "", way: str = 'exec "$@"'
) -> subprocess.CompletedProcess[str]:
    """Run a script that goes on from `before` and `SCRIPT`, started as `way` says."""
    return subprocess.run(  # noqa: S603  # our own scripts
        ["/bin/sh", "-c", way, "sh", sys.executable, "-c", before + SCRIPT + script],
        env=environment(emulator.base_url),
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )


def ends_well(script: str, emulator: Emulator, said: str, *, before: str = "") -> None:
    ended = run(script, emulator, before=before)
    assert (ended.stderr, ended.stdout, ended.returncode) == ("", said, 0)


# Closed standard streams.


@posix
@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", "<&-", ">&- 2>&-", "2>&-"])
def test_a_process_without_standard_streams_charges_and_ends(
    closed: str, loop: str, emulator: Emulator, tmp_path: Path
) -> None:
    """As for cron and daemons: the loop must not get these file descriptors."""
    said = tmp_path / "said"
    ended = run(
        f"""
import os, stat
client.ai_gateway.billing.topup.create(amount=5000)
client.close()
kinds = [stat.S_IFMT(os.fstat(descriptor).st_mode) for descriptor in range(3)]
with open({str(said)!r}, "w") as file:
    print(*(kind not in (0, stat.S_IFSOCK) for kind in kinds), file=file)
""",
        emulator,
        before=loop,
        way=f'exec "$@" {closed}',
    )
    assert ended.returncode == 0
    # Neither a socket nor the loop's own descriptor, which is of no kind: the null device, or what
    # a library opened before Python ran.
    assert said.read_text().split() == ["True"] * 3
    assert len([r for r in emulator.requests if r.method == "POST"]) == 1


# Forks.


@posix
def test_a_child_that_is_forked_in_a_block_of_many_calls_leaves_it(
    loop: str, emulator: Emulator
) -> None:
    """The calls are its parent's, who goes on reading them."""
    ends_well(
        """
import os, signal, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is what is tested
from cfaigw_billing.types import BillingCreditBalanceParams
pid = None
with client.send_many([BillingCreditBalanceParams()] * 9, concurrency=3) as outcomes:
    next(outcomes).unwrap()
    pid = os.fork()
    if not pid:
        signal.alarm(60)  # kills what hangs
        try:
            next(outcomes)
        except RuntimeError as error:
            print(error, flush=True)
    else:
        print(os.waitpid(pid, 0)[1], len(list(outcomes)))
if not pid:
    assert balance().balance == 640.19
    client.close()
    os._exit(0)
""",
        emulator,
        "read the outcomes in the process that entered the block\n0 8\n",
        before=loop,
    )


@posix
def test_a_child_that_is_forked_in_an_async_block_leaves_it(loop: str, emulator: Emulator) -> None:
    ends_well(
        """
import asyncio, os, signal, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from cfaigw_billing import AsyncCloudflare
from cfaigw_billing.types import BillingCreditBalanceParams
async def main():
    client = AsyncCloudflare()
    async with client.send_many([BillingCreditBalanceParams()] * 9, concurrency=3) as outcomes:
        (await anext(outcomes)).unwrap()
        pid = os.fork()
        if pid:
            print(os.waitpid(pid, 0)[1], len([outcome async for outcome in outcomes]))
        else:
            signal.alarm(60)
    if not pid:
        os._exit(0)
    await client.close()
asyncio.run(main())
""",
        emulator,
        "0 8\n",
        before=loop,
    )


@posix
def test_a_child_that_is_forked_in_a_streaming_block_leaves_it(
    loop: str, emulator: Emulator
) -> None:
    """The connection is its parent's, who goes on reading from it."""
    emulator.inject(Fault(drip=0.005))
    ends_well(
        """
import os, signal, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is what is tested
stream = client.ai_gateway.billing.with_streaming_response.credit_balance
with stream() as response:
    chunks = response.iter_bytes()
    size = len(next(chunks))
    pid = os.fork()
    if pid:
        print(os.waitpid(pid, 0)[1], size + sum(map(len, chunks)) > 100)
    else:
        signal.alarm(60)  # kills what hangs
if not pid:
    del chunks, response, stream
    assert balance().balance == 640.19
    client.close()
    os._exit(0)
client.close()
""",
        emulator,
        "0 True\n",
        before=loop,
    )


@posix
@pytest.mark.parametrize("read", ["response.read()", "anext(response.iter_bytes())"])
def test_a_child_that_is_forked_in_an_async_streaming_block_leaves_it(
    read: str, loop: str, emulator: Emulator
) -> None:
    emulator.accounts["acc"].fill_usage(2_000)  # more than the buffers between hold
    ends_well(
        f"""
import asyncio, gc, os, signal, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from cfaigw_billing import AsyncCloudflare
async def main():
    client = AsyncCloudflare()
    stream = client.ai_gateway.billing.with_streaming_response.usage_history
    async with stream(value_grouping_window="hour") as response:
        pid = os.fork()
        if pid:
            print(os.waitpid(pid, 0)[1], len(await response.read()) > 5_000_000)
        else:
            signal.alarm(60)
            try:
                await {read}
            except RuntimeError as error:
                print(error, flush=True)
    if not pid:
        del response
        gc.collect()
        os._exit(0)
    await client.close()
asyncio.run(main())
""",
        emulator,
        "read a response in the process that made the call\n0 True\n",
        before=loop,
    )


@posix
def test_a_child_that_is_forked_during_the_first_call_of_another_thread_makes_calls(
    loop: str, emulator: Emulator
) -> None:
    """Whatever that thread was about, from starting the loop to reading the answer.

    But for the look-up of a name: the C library leaves its locks to the child as they are.
    """
    ends_well(
        """
import os, signal, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)
def forked(milliseconds):
    thread = threading.Thread(target=balance)
    thread.start()
    time.sleep(milliseconds / 1000)
    pid = os.fork()
    if not pid:
        signal.alarm(60)
        balance()
        client.close()
        os._exit(0)
    ended = os.waitpid(pid, 0)[1]
    thread.join()
    client.close()
    return ended
for milliseconds in (0, 0.5, 1, 2, 3, 5, 8, 12, 16, 20):
    fresh = os.fork()  # the first call of a process: this one makes none
    if not fresh:
        os._exit(forked(milliseconds) != 0)
    print(os.waitpid(fresh, 0)[1])
""",
        emulator,
        "0\n" * 10,
        before=loop,
    )


# Signals during the first call.

STRUCK = """
import os, signal, sys, threading, time
def struck(handler, milliseconds):
    "How a first call ends that the handler interrupts, if it still runs by then."
    inside = True
    signal.signal(signal.SIGALRM, lambda *_: handler() if inside else None)
    try:
        signal.setitimer(signal.ITIMER_REAL, milliseconds / 1000)
        answer = client.ai_gateway.billing.credit_balance()
        inside = False
        return answer.balance
    except (KeyboardInterrupt, RuntimeError) as error:
        inside = False
        return str(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
def descriptors():
    return len(os.listdir("/dev/fd"))
def settle(more=0):
    "Wait until there are as many threads as before, and descriptors."
    while threading.active_count() > threads + more or not more and descriptors() > before:
        time.sleep(0.001)
    assert threading.active_count() == threads + more
with Cloudflare() as first:  # what is done once and for all
    first.ai_gateway.billing.credit_balance()
threads, before = threading.active_count(), descriptors()
delays = [0.02 * n for n in range(1, 200)]
"""


@posix
def test_a_signal_handler_uses_the_client_during_its_first_call(
    loop: str, emulator: Emulator
) -> None:
    ends_well(
        STRUCK
        + """
used = []
for delay in delays:
    client = Cloudflare()
    def use():
        used.append(client.ai_gateway.billing.credit_balance().balance)
    assert struck(use, delay) == 640.19
    client.close()
    settle()
assert set(used) == {640.19}
print("ended")
""",
        emulator,
        "ended\n",
        before=loop,
    )


@posix
def test_a_signal_handler_closes_the_client_during_its_first_call(
    loop: str, emulator: Emulator
) -> None:
    ends_well(
        STRUCK
        + """
said = set()
for delay in delays:
    client = Cloudflare()
    said.add(struck(client.close, delay))
    client.close()
closed = "this client has been closed; make a new one", "this client was closed during the call"
assert said <= {640.19, *closed}, said
assert said & set(closed)
settle()
print("ended")
""",
        emulator,
        "ended\n",
        before=loop,
    )


@posix
def test_an_interrupt_of_the_first_call_leaves_no_thread_behind(
    loop: str, emulator: Emulator
) -> None:
    """The loop that was being started is the one of the next call, and ends with the client."""
    ends_well(
        STRUCK
        + """
sys.unraisablehook = lambda _: None  # one that strikes in a weak reference's callback is printed
def interrupt():
    raise KeyboardInterrupt("struck")
said = set()
for delay in delays:
    client = Cloudflare()
    said.add(struck(interrupt, delay))
    assert client.ai_gateway.billing.credit_balance().balance == 640.19
    settle(1)
    client.close()
    settle()
assert {"struck"} <= said <= {640.19, "struck"}, said
print("ended")
""",
        emulator,
        "ended\n",
        before=loop,
    )


# A loop that cannot be started.


@posix
def test_a_first_call_without_descriptors_says_so_and_the_next_may_have_more(
    emulator: Emulator,
) -> None:
    """Not with uvloop, which aborts the process."""
    ends_well(
        """
import resource, sys
sys.unraisablehook = lambda _: None  # asyncio's half of a loop complains
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (4, hard))
try:
    balance()
except OSError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(balance().balance)
client.close()
""",
        emulator,
        "[Errno 24] Too many open files\n640.19\n",
        before=LOOPS["asyncio"],
    )


# The end of the process.


@posix
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_first_call_at_exit_says_that_it_comes_too_late(
    host: str, loop: str, emulator: Emulator
) -> None:
    address = emulator.base_url.replace("127.0.0.1", host)
    ends_well(
        f"""
import atexit
@atexit.register
def report():
    try:
        Cloudflare(base_url={address!r}).ai_gateway.billing.credit_balance()
    except RuntimeError as error:
        print(error)
""",
        emulator,
        "a sync client cannot make its first call while the interpreter shuts down\n",
        before=loop,
    )


@posix
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_thread_that_outlives_the_main_one_makes_its_first_call(
    host: str, loop: str, emulator: Emulator
) -> None:
    address = emulator.base_url.replace("127.0.0.1", host)
    ends_well(
        f"""
import threading
def report():
    threading.main_thread().join()
    with Cloudflare(base_url={address!r}) as client:
        print(client.ai_gateway.billing.credit_balance().balance)
threading.Thread(target=report).start()
""",
        emulator,
        "640.19\n",
        before=loop,
    )


# gevent.


@needs_gevent
def test_greenlets_use_a_client_where_gevent_has_patched_threads(
    loop: str, emulator: Emulator
) -> None:
    ends_well(
        """
import gevent
greenlets = [gevent.spawn(balance) for _ in range(20)]
gevent.joinall(greenlets, raise_error=True)
assert {greenlet.value.balance for greenlet in greenlets} == {640.19}
client.close()
print("ended")
""",
        emulator,
        "ended\n",
        before="from gevent import monkey; monkey.patch_all()\n" + loop,
    )
