"""A server in a process of its own that answers every request as the service does.

The bodies and most headers are made beforehand: it must cost less than any client, or it would be
the server that is measured. One thread, blocking sockets, no HTTP beyond what tells one request
from the next.
"""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

HOUR = 3_600_000
BALANCE = {
    "balance": 640.19,
    "has_default_payment_method": True,
    "payment_method": {"brand": "visa", "last4": "4242"},
    "topup_config": {
        "amount": 5000,
        "threshold": 500,
        "disabledReason": None,
        "error": None,
        "lastFailedAt": None,
    },
    "first_topup_success": True,
}
USAGE = {
    "history": [
        {
            "id": f"row_{hour}",
            "aggregated_value": hour * 0.37,
            "start_time": 1_764_000_000_000 + hour * HOUR,
            "end_time": 1_764_000_000_000 + (hour + 1) * HOUR,
        }
        for hour in range(365 * 24)
    ]
}
WINDOW = 300
"""Seconds of the service's rate limit."""
QUOTA = 100_000_000
"""Requests in a window. The service allows 1,200, which would slow a benchmark down."""
HEAD = """\
HTTP/1.1 200 OK
Date: {date}
Content-Type: application/json
Content-Length: {length}
Connection: keep-alive
Server: cloudflare
CF-Ray: {ray:016x}-FRA
CF-Cache-Status: DYNAMIC
Vary: Accept-Encoding
Strict-Transport-Security: max-age=31536000
X-Content-Type-Options: nosniff
X-Frame-Options: SAMEORIGIN
Ratelimit-Policy: "default";q={quota};w={window}
Ratelimit: "default";r={left};t={resets_in}

"""


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


class Service:
    """What it answers: two bodies, and headers that differ from one answer to the next."""

    def __init__(self) -> None:
        self._balance, self._usage = _body(BALANCE), _body(USAGE)
        self._head = HEAD.replace("\n", "\r\n")
        self._answers = 0

    def answer(self, request: bytes) -> bytes:
        """The answer to the head of a request."""
        self._answers += 1
        body = self._usage if b"/usage-history" in request else self._balance
        head = self._head.format(
            date=formatdate(usegmt=True),
            length=len(body),
            ray=self._answers,
            quota=QUOTA,
            window=WINDOW,
            left=QUOTA - self._answers,
            resets_in=WINDOW - int(time.time()) % WINDOW,
        )
        return head.encode() + body


def _body(result: object) -> bytes:
    return json.dumps({"success": True, "errors": [], "messages": [], "result": result}).encode()


def main() -> None:
    """Serve until the process is ended; the first line of the output is the port."""
    service = Service()
    ready = selectors.DefaultSelector()
    begun: dict[socket.socket, bytes] = {}
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        print(listener.getsockname()[1], flush=True)
        ready.register(listener, selectors.EVENT_READ)
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
                    client.sendall(b"".join(map(service.answer, heads)))
                except OSError:
                    received = b""
                if not received:
                    ready.unregister(client)
                    client.close()
                    del begun[client]


if __name__ == "__main__":
    main()
