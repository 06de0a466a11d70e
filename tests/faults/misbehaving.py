"""A server that does what a script says, byte by byte, on plain sockets and threads of its own.

The script has one turn for each new connection, and one for each further request on a connection
that was kept; the last turn is played for ever. A turn is a tuple of steps, run in order:

    (Peer.request, send(http(b"{}")))          # read the request, answer, keep the connection
    (Peer.head, Peer.reset)                    # reset after the head of the request
    (Peer.request, send(HALF), Peer.close)     # half an answer

The server counts what it saw whole: requests, and among them charges.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import anyio
from attrs import field, frozen

from cfaigw_billing._io.clock import Clock

BASE_PATH = "/client/v4"
RAY = "8f2a-TEST"

Step = Callable[["Peer"], None]
Turn = tuple[Step, ...]


class VirtualClock(Clock):
    """A clock on which sleeping takes no time; jitter is always a half."""

    START = datetime.now(UTC).replace(microsecond=0)

    def __init__(self) -> None:
        self.elapsed = 0.0
        self.sleeps: list[float] = []
        self.overshoot = 0.0
        """How much longer each sleep takes than it was asked to."""
        self.when_sleeping: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        return self.START + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return self.elapsed

    def jitter(self) -> float:
        return 0.5

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.elapsed += seconds + self.overshoot
        self.when_sleeping()
        await anyio.lowlevel.checkpoint()


def http(
    body: bytes = b"",
    status: int = 200,
    *headers: str,
    content_type: str | None = "application/json",
    length: int | None = None,
) -> bytes:
    """An answer; `length` replaces the true Content-Length, and a negative one leaves it out."""
    lines = [f"HTTP/1.1 {status} Whatever", f"CF-Ray: {RAY}", *headers]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    if length is None or length >= 0:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def envelope(result: object) -> bytes:
    return json.dumps({"success": True, "errors": [], "messages": [], "result": result}).encode()


def refusal(code: int = 1234, message: str = "the service says no") -> bytes:
    errors = [{"code": code, "message": message}]
    return json.dumps({"success": False, "errors": errors, "result": None}).encode()


def send(data: bytes) -> Step:
    return lambda peer: peer.send(data)


def redirect(status: int, *, elsewhere: bool) -> Step:
    """Answer that the resource has moved, within this server or to its bystander."""

    def step(peer: Peer) -> None:
        origin = peer.server.bystander if elsewhere else peer.server.origin
        peer.send(http(b"", status, f"Location: http://{origin}{BASE_PATH}/elsewhere"))

    return step


def drip(data: bytes, pause: float = 0.05) -> Step:
    """A byte every `pause` seconds, for as long as somebody listens."""

    def step(peer: Peer) -> None:
        for byte in data:
            peer.send(bytes([byte]))
            time.sleep(pause)

    return step


def endless(data: bytes) -> Step:
    """The same again and again, for as long as somebody listens."""

    def step(peer: Peer) -> None:
        peer.be_read()  # the client makes another error of both together
        while True:
            peer.send(data)

    return step


class _GoneError(Exception):
    """The connection has ended."""


@frozen(kw_only=True)
class Request:
    """A request that arrived whole."""

    method: str
    path: str
    head: bytes = field(repr=False)
    body: bytes
    connection: int
    at: float
    """By the clock that the server was given."""


class Peer:
    """One connection, as the steps of a turn see it."""

    def __init__(self, server: Server, sock: socket.socket, number: int) -> None:
        self.server = server
        self._sock = sock
        self._number = number
        self._received = b""
        self._sent = 0

    def arrival(self) -> None:
        """Wait for the first byte, and leave it unread."""
        self._sock.recv(1, socket.MSG_PEEK)

    def head(self) -> None:
        """Read the head of a request, and as much of its body as comes with it."""
        while b"\r\n\r\n" not in self._received:
            self._receive()

    def request(self, *, charges: bool = True) -> None:
        """Read a whole request."""
        self.head()
        head, _, rest = self._received.partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        while len(rest) < length:
            self._receive()
            rest = self._received.partition(b"\r\n\r\n")[2]
        self._received = rest[length:]
        method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
        request = Request(
            method=method,
            path=path.removeprefix(BASE_PATH),
            head=head,
            body=rest[:length],
            connection=self._number,
            at=self.server.now(),
        )
        self.server.saw(request, charges=charges)

    def limited(self) -> None:
        """Read a whole request in front of the service: it charges nothing."""
        self.request(charges=False)

    def send(self, data: bytes) -> None:
        self._sent += len(data)
        self._sock.sendall(data)

    def be_read(self) -> None:
        """Wait until the client has read all that was sent, or has gone."""
        client = self._sock.getpeername()
        while not self.server.wait_for(lambda: self.server.read[client] >= self._sent, 0.1):
            with suppress(BlockingIOError):
                if not self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                    raise _GoneError

    def wait(self) -> None:
        """Wait for the next request."""
        if not self._received:
            self._receive()

    def close(self) -> None:
        """End the connection as TCP means it to be ended."""
        self._sock.shutdown(socket.SHUT_WR)
        self._await_the_end()

    def reset(self) -> None:
        """Tear the connection down."""
        if self._sent:
            time.sleep(0.02)  # a reset overtakes what the client has not read yet
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()
        raise _GoneError

    def hang(self) -> None:
        """Do nothing until the client goes."""
        self.server.hanging += 1
        self._await_the_end()

    def _await_the_end(self) -> None:
        while True:
            self._receive()

    def _receive(self) -> None:
        data = self._sock.recv(65536)
        if not data:
            raise _GoneError
        self._received += data


class Server:
    """The server, listening on a free port of the loopback interface within a `with` block.

    Attributes:
        requests: The requests that arrived whole.
        turns: When each turn began: what the server noticed of the client's attempts.
        charges: How often a card was charged.
        departed: How many connections have ended.
        hanging: How many clients wait, or have waited, for what will not come.
        read: How many bytes the client with an address has read; the test tells.
        bystander: The host and port of another server, which redirects point to.
    """

    def __init__(
        self, *script: Turn, now: Callable[[], float] = time.monotonic, listening: bool = True
    ) -> None:
        self._script = list(script)
        self.now = now
        self.requests: list[Request] = []
        self.turns: list[float] = []
        self.charges = 0
        self.departed = 0
        self.hanging = 0
        self.read = Counter[tuple[str, int]]()
        self.bystander = ""
        self._lock = threading.Condition()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._stopping = False
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))  # bound and not listening, a port refuses
        if listening:
            self.listen()

    @property
    def origin(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    @property
    def base_url(self) -> str:
        return f"http://{self.origin}{BASE_PATH}"

    def listen(self) -> None:
        self._listener.listen(200)
        self._start(self._accept)

    def forget(self) -> None:
        """Count from nought again."""
        with self._lock:
            self.requests.clear()
            self.turns.clear()
            self.charges = 0

    def saw(self, request: Request, *, charges: bool) -> None:
        with self._lock:
            self.requests.append(request)
            if charges and request.method == "POST" and request.path.endswith("/billing/topup"):
                self.charges += 1
            self._lock.notify_all()

    def was_read(self, client: tuple[str, int], data: bytes) -> None:
        with self._lock:
            self.read[client] += len(data)
            self._lock.notify_all()

    def wait_for(self, condition: Callable[[], object], timeout: float = 30.0) -> bool:
        """Whether the condition comes true: the server may be a moment behind the client."""
        with self._lock:
            return bool(self._lock.wait_for(condition, timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._stopping = True
            sockets = [self._listener, *self._sockets]
        for sock in sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _start(self, function: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=function, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        number = 0
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._stopping:
                    sock.close()
                    return
                self._sockets.append(sock)
                number += 1
                self._start(self._serve, sock, number)

    def _serve(self, sock: socket.socket, number: int) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = Peer(self, sock, number)
        try:
            while True:
                for step in self._next_turn():
                    step(peer)
                peer.wait()
        except (OSError, _GoneError):
            sock.close()
        with self._lock:
            self.departed += 1
            self._lock.notify_all()

    def _next_turn(self) -> Turn:
        with self._lock:
            self.turns.append(self.now())
            self._lock.notify_all()
            return self._script.pop(0) if len(self._script) > 1 else self._script[0]
