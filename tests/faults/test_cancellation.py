"""A call that is cancelled lets go of what it held; a charge says that it may have been made."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import aiohttp
import anyio
import pytest
from attrs import frozen

from cfaigw_billing import AsyncCloudflare, Cloudflare, TopupOutcomeUnknownError
from cfaigw_billing.errors import CloudflareError
from cfaigw_billing.types import Params

from .misbehaving import Peer, Server, Turn, VirtualClock, http, refusal, send
from .test_table import BALANCE, CHARGE, CHARGE_HEAD, CHARGE_JSON, good, topped_up

HANGS: Turn = (Peer.request, Peer.hang)
PROMPT = 20.0
"""Seconds within which an interrupted call has to be over, on a slow machine too.

Nothing else would end it so soon: no time-out and no wait of these tests is shorter.
"""

Call = Callable[[], Coroutine[Any, Any, object]]


class StuckClock(VirtualClock):
    """A clock on which no wait ends."""

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        await anyio.sleep_forever()


# Ways to cancel `call` when the moment has come.


async def by_task(call: Call, moment: Call) -> None:
    task = asyncio.ensure_future(call())
    await moment()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def by_scope(call: Call, moment: Call) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await moment()
        tasks.cancel_scope.cancel()


async def by_timeout(call: Call, moment: Call) -> None:
    async def expire() -> None:
        await moment()
        limit.reschedule(asyncio.get_running_loop().time())

    limit = asyncio.timeout(None)
    watch = asyncio.create_task(expire())
    with suppress(TimeoutError):
        async with limit:
            await call()
    await watch
    assert limit.expired()


WAYS = [by_task, by_scope, by_timeout]


async def cancelled(
    call: Call, way: Callable[[Call, Call], Awaitable[None]], come: Callable[[], object]
) -> BaseException:
    """Cancel `call` as soon as `come()` is true, and return its error."""
    seen: list[BaseException] = []

    async def watched() -> None:
        try:
            await call()
        except BaseException as error:
            seen.append(error)
            raise

    async def moment() -> None:
        with anyio.fail_after(30):
            while not come():  # noqa: ASYNC110  # the server's thread knows no event of ours
                await anyio.sleep(0.005)

    await way(watched, moment)
    [error] = seen
    return error


@frozen(kw_only=True)
class Moment:
    """When a call is cancelled."""

    script: tuple[Turn, ...]
    noted: bool
    """Whether a charge may have arrived by then."""
    charges: int = 0
    params: Params[Any] = CHARGE
    scheme: str = "http"
    come: Callable[[Server, VirtualClock], object] = lambda server, _: server.requests


MOMENTS = {
    "before there is a connection": Moment(
        script=((Peer.hang,),),
        scheme="https",  # the handshake hangs
        come=lambda server, _: server.turns,
        noted=False,
    ),
    "before it is read": Moment(
        script=((Peer.arrival, Peer.hang),), come=lambda server, _: server.hanging, noted=True
    ),
    "before it is answered": Moment(script=(HANGS,), noted=True, charges=1),
    "in the middle of the head": Moment(
        script=((Peer.request, send(CHARGE_HEAD[:30]), Peer.hang),), noted=True, charges=1
    ),
    "in the middle of the body": Moment(
        script=((Peer.request, send(http(CHARGE_JSON)[:-9]), Peer.hang),), noted=True, charges=1
    ),
    "while it waits after a 429": Moment(
        script=((Peer.limited, send(http(refusal(), 429, "Retry-After: 0"))),),
        come=lambda _, clock: clock.sleeps,
        noted=False,
    ),
    "in its second attempt": Moment(
        script=((Peer.limited, send(http(refusal(), 429, "Retry-After: 0"))), HANGS),
        come=lambda server, _: len(server.requests) == 2,
        noted=True,
        charges=1,
    ),
    "a call that charges nothing": Moment(script=(HANGS,), noted=False, params=BALANCE),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
async def test_a_cancelled_charge_says_what_it_may_have_done(
    moment: Moment, way: Callable[[Call, Call], Awaitable[None]]
) -> None:
    """The cancellation goes on being one; what is to be known of the charge travels with it."""
    clock = VirtualClock() if moment is MOMENTS["in its second attempt"] else StuckClock()
    with Server(*moment.script) as server:
        base_url = server.base_url.replace("http", moment.scheme, 1)
        async with AsyncCloudflare(base_url=base_url, api_token="token") as client:
            client._executor.clock = clock
            error = await cancelled(
                lambda: client.send(moment.params), way, lambda: moment.come(server, clock)
            )
            assert await asyncio.to_thread(server.wait_for, lambda: server.departed, PROMPT)
            assert server.charges == moment.charges
            assert asyncio.all_tasks() == {asyncio.current_task()}
    assert type(error) is asyncio.CancelledError
    notes = getattr(error, "__notes__", [])
    if not moment.noted:
        assert notes == []
        assert error.__cause__ is None
        return
    unknown = error.__cause__
    assert isinstance(unknown, TopupOutcomeUnknownError)
    assert (unknown.account_id, unknown.amount) == ("acc", 5000)
    assert unknown.sent_at.utcoffset() is not None
    assert notes == [str(unknown)]
    assert "interrupted by CancelledError" in notes[0]
    assert str(pickle.loads(pickle.dumps(unknown))) == notes[0]  # noqa: S301


@pytest.mark.parametrize("limit", [None, 5])
async def test_fifty_cancelled_calls_free_the_pool(limit: int | None) -> None:
    """Their connections are closed, not reused: a late answer would belong to another call."""
    connector = None if limit is None else aiohttp.TCPConnector(limit=limit)
    session = None if connector is None else aiohttp.ClientSession(connector=connector)
    held = limit or 50
    with Server(*held * [HANGS], good()) as server:
        async with AsyncCloudflare(
            base_url=server.base_url, api_token="token", http_client=session, timeout=60
        ) as client:
            calls = [asyncio.create_task(client.send(BALANCE)) for _ in range(50)]
            assert await asyncio.to_thread(server.wait_for, lambda: len(server.requests) == held)
            for call in calls:
                call.cancel()
            ended = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(error) for error in ended} == {asyncio.CancelledError}
            assert await asyncio.to_thread(server.wait_for, lambda: server.departed == held)
            answered = await asyncio.gather(*(client.send(BALANCE) for _ in range(50)))
            assert {balance.balance for balance in answered} == {640.19}
        if session is not None:
            await session.close()


@pytest.fixture
async def nothing_is_left() -> AsyncIterator[None]:
    """No task, no thread, no file descriptor."""

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

    threads, before = threading.active_count(), descriptors()
    yield
    with anyio.move_on_after(PROMPT):  # a thread takes a moment to end
        while threading.active_count() > threads or descriptors() > before:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert threading.active_count() <= threads  # what others have left may end at any time
    assert descriptors() <= before


@pytest.mark.usefixtures("nothing_is_left")
async def test_thousands_of_calls_leave_nothing_behind() -> None:
    """Whatever becomes of them."""
    with Server(good()) as server:
        async with AsyncCloudflare(
            base_url=server.base_url, api_token="token", max_requests_per_second=None
        ) as client:
            for _ in range(40):
                await asyncio.gather(*(client.send(BALANCE) for _ in range(50)))
            tasks = asyncio.all_tasks()
    assert len(server.requests) == 2000
    assert tasks == {asyncio.current_task()}
    assert server.departed <= 50


@pytest.mark.usefixtures("nothing_is_left")
@pytest.mark.parametrize("turn", [topped_up(), (Peer.request, Peer.reset), HANGS])
async def test_charges_leave_nothing_behind(turn: Turn) -> None:
    """Each has its own connection."""
    timeout = aiohttp.ClientTimeout(sock_read=0.3)  # a busy machine may connect more slowly
    with Server(turn) as server:
        async with AsyncCloudflare(
            base_url=server.base_url, api_token="token", timeout=timeout
        ) as client:
            for _ in range(2):
                charges = [client.send(CHARGE) for _ in range(50)]
                await asyncio.gather(*charges, return_exceptions=True)
            assert asyncio.all_tasks() == {asyncio.current_task()}
        assert server.wait_for(lambda: server.departed == 100)
    assert server.charges == 100
    assert {request.connection for request in server.requests} == set(range(1, 101))


# The sync client, and Ctrl-C.

INTERRUPTED = """
import sys, time
from cfaigw_billing import Cloudflare, TopupOutcomeUnknownError
client = Cloudflare(base_url=sys.argv[1], api_token="t", account_id="acc", timeout=60)
clock = client._executor.inner.clock
sleep = clock.sleep
async def say(seconds):
    print("waits", flush=True)
    await sleep(seconds)
clock.sleep = say
billing = client.ai_gateway.billing
for call in (
    billing.credit_balance,
    lambda: billing.topup.create(amount=5000),
    lambda: billing.topup.create(amount=5000),
):
    try:
        call()
    except KeyboardInterrupt as error:
        cause = type(error.__cause__).__name__
        noted = [str(error.__cause__)] == getattr(error, "__notes__", None)
        print(cause, noted, flush=True)
now = clock.monotonic
clock.monotonic = lambda: now() + 60  # the block of the rate limit is over
print(billing.credit_balance().balance, flush=True)
client.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send a process a SIGINT")
def test_ctrl_c_ends_a_call_at_once_and_says_what_a_charge_may_have_done() -> None:
    """The server sees the connection go, and the client goes on working."""
    limited: Turn = (Peer.limited, send(http(refusal(), 429, "Retry-After: 40")))
    expected = ["NoneType False", "TopupOutcomeUnknownError True", "NoneType False"]
    with Server(HANGS, HANGS, limited, good()) as server:

        def arrived() -> bool:
            return len(server.requests) > interrupts

        command = [sys.executable, "-c", INTERRUPTED, server.base_url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603
            assert child.stdout is not None
            for interrupts, said in enumerate(expected):
                assert server.wait_for(arrived, 60)
                if interrupts == 2:  # the third call waits, and for longer than is prompt
                    assert child.stdout.readline() == "waits\n"
                interrupted_at = time.monotonic()
                child.send_signal(signal.SIGINT)
                assert child.stdout.readline().strip() == said
                assert time.monotonic() - interrupted_at < PROMPT
                assert server.wait_for(lambda: server.departed > interrupts, PROMPT)  # noqa: B023
            assert child.stdout.read() == "640.19\n"
        assert child.returncode == 0
    assert server.charges == 1


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="it takes a signal to a thread")
def test_an_interrupt_that_meets_the_answer_says_that_there_was_a_charge() -> None:
    """The answer is lost to the caller, who must not take the charge for not made."""
    interrupted = threading.Event()

    def interrupt(*_: object) -> None:
        interrupted.set()
        time.sleep(0.3)  # the answer arrives, and then
        raise KeyboardInterrupt

    def strike() -> None:
        server.wait_for(lambda: server.requests)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def hold(_: Peer) -> None:
        interrupted.wait(PROMPT)

    turn = (Peer.request, hold, send(http(CHARGE_JSON)))
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with (
            Server(turn) as server,
            Cloudflare(base_url=server.base_url, api_token="token") as client,
        ):
            striker = threading.Thread(target=strike)
            striker.start()
            with pytest.raises(KeyboardInterrupt) as caught:
                client.send(CHARGE)
            striker.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert server.charges == 1
    assert getattr(caught.value, "__notes__", [])


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="it takes a timer of the system's")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # one in a `__del__`
def test_of_two_interrupts_in_a_row_the_last_says_what_a_charge_may_have_done() -> None:
    """The second strikes while the first is told, or cancels the call, or has only just come."""
    inside, gap, strikes, twice, tries = False, 0.0, 0, 0, 200

    def interrupt(*_: object) -> None:
        nonlocal strikes
        strikes += 1
        if strikes == 1:
            signal.setitimer(signal.ITIMER_REAL, gap)
        if inside:
            raise KeyboardInterrupt

    def strike(requests: int) -> None:
        server.wait_for(lambda: len(server.requests) > requests)
        signal.setitimer(signal.ITIMER_REAL, 0.001)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with (
            Server(HANGS) as server,
            Cloudflare(base_url=server.base_url, api_token="token") as client,
        ):
            for n in range(tries):
                strikes, gap = 0, (n % 50 + 1) * 20e-6
                striker = threading.Thread(target=strike, args=(n,))
                striker.start()
                seen: BaseException | None = None
                inside = True
                try:
                    client.send(CHARGE)
                except KeyboardInterrupt as error:
                    inside = False  # without a call before it: here the second strikes no more
                    seen = error
                while strikes < 2:
                    time.sleep(0.001)
                striker.join()
                assert seen is not None
                twice += isinstance(seen.__context__, KeyboardInterrupt)
                assert isinstance(seen.__cause__, TopupOutcomeUnknownError)
                assert str(seen.__cause__) in seen.__notes__
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert server.charges == tries
    assert twice


SIBLING = """
import asyncio, sys
from cfaigw_billing import AsyncCloudflare
async def fail(client):
    await asyncio.to_thread(sys.stdin.readline)  # until the charge has been sent
    raise ValueError("the other task failed")
async def main():
    async with AsyncCloudflare(base_url=sys.argv[1], api_token="t", account_id="acc") as client:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(client.ai_gateway.billing.topup.create(amount=5000))
            tasks.create_task(fail(client))
try:
    asyncio.run(main())
except* ValueError:
    print("failed")
"""


def test_the_log_mentions_a_charge_that_the_failure_of_another_task_has_cut_off() -> None:
    """On the standard error, where nothing is set up: the group's error knows nothing of it."""
    with Server(HANGS) as server:
        child = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", SIBLING, server.base_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with child:
            server.wait_for(lambda: server.charges)
            stdout, stderr = child.communicate("\n", timeout=60)
    assert (server.charges, child.returncode) == (1, 0)
    assert stdout == "failed\n"
    [line] = stderr.splitlines()
    assert "a top-up of 5000 cents" in line
    assert "interrupted by CancelledError" in line


def test_a_close_in_the_middle_of_a_charge_says_what_it_may_have_done() -> None:
    """From another thread, which closes the client under the call."""
    with Server(HANGS) as server:
        client = Cloudflare(base_url=server.base_url, api_token="token", timeout=60)
        seen: list[BaseException] = []

        def charge() -> None:
            try:
                client.send(CHARGE)
            except BaseException as error:
                seen.append(error)

        thread = threading.Thread(target=charge)
        thread.start()
        assert server.wait_for(lambda: server.requests)
        client.close()
        thread.join(PROMPT)
        assert not thread.is_alive()
        assert server.wait_for(lambda: server.departed, PROMPT)
    [error] = seen
    unknown = error if isinstance(error, CloudflareError) else error.__cause__
    assert isinstance(unknown, TopupOutcomeUnknownError), repr(error)
