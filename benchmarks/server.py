"""A server in a process of its own that answers every request with bytes made beforehand.

It must cost less than any client, or it would be the server that is measured: one thread, blocking
sockets, no HTTP beyond what tells one request from the next.
"""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HOUR = 3_600_000
BALANCE = {
    "balance": 640.19,
    "has_default_payment_method": True,
    "payment_method": {"brand": "visa", "last4": "4242"},
    "topup_config": {"amount": 5000, "threshold": 500},
    "first_topup_success": True,
}
USAGE = {
    "history": [
        {
            "id": f"row_{hour}",
            "aggregated_value": hour * 0.37,
            "start_time": hour * HOUR,
            "end_time": (hour + 1) * HOUR,
        }
        for hour in range(365 * 24)
    ]
}
LIMITED = "/limited"
"""Before the path, it asks for the headers of the rate limit, which is too high to slow anybody."""
_RATE_LIMIT = b'Ratelimit: "default";r=100000;t=1\r\nRatelimit-Policy: "default";q=100000;w=1\r\n'


@contextmanager
def running() -> Iterator[str]:
    """The base URL of a running server."""
    command = [sys.executable, "-m", "benchmarks.server"]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/client/v4"
        finally:
            process.terminate()


def limited(base_url: str) -> str:
    """The base URL of the same server whose answers say where the rate limit stands."""
    return base_url.replace("/client", f"{LIMITED}/client")


def _answer(result: object, headers: bytes = b"") -> bytes:
    body = json.dumps({"success": True, "errors": [], "messages": [], "result": result}).encode()
    return b"".join(
        [
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
            b"CF-Ray: 8f00000000000000-BEN\r\n",
            headers,
            b"Content-Length: %d\r\n\r\n" % len(body),
            body,
        ]
    )


def main() -> None:
    """Serve until the process is ended; the first line of the output is the port."""
    balance, usage = _answer(BALANCE), _answer(USAGE)
    limited_balance = _answer(BALANCE, _RATE_LIMIT)
    limited_path = f"GET {LIMITED}/".encode()

    def answer(head: bytes) -> bytes:
        if b"/usage-history" in head:
            return usage
        return limited_balance if head.startswith(limited_path) else balance

    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        print(listener.getsockname()[1], flush=True)
        _answer_all(listener, answer)


def _answer_all(listener: socket.socket, answer: Callable[[bytes], bytes]) -> None:
    """Answer the head of every request on every connection, for ever."""
    ready = selectors.DefaultSelector()
    ready.register(listener, selectors.EVENT_READ)
    begun: dict[socket.socket, bytes] = {}
    while True:
        for key, _ in ready.select():
            client = key.fileobj
            assert isinstance(client, socket.socket)
            if client is listener:
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                ready.register(client, selectors.EVENT_READ)
                begun[client] = b""
                continue
            try:
                received = client.recv(65536)
                *heads, begun[client] = (begun[client] + received).split(b"\r\n\r\n")
                client.sendall(b"".join(map(answer, heads)))
            except OSError:
                received = b""
            if not received:
                ready.unregister(client)
                client.close()
                del begun[client]


if __name__ == "__main__":
    main()
