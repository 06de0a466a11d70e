"""Every fault ends in the right value or in the error that says what is true.

One row for each fault: what goes wrong, and what must be seen of it on both sides. A row runs
through the async client and through the sync one, on a clock on which waiting takes no time, so
that the times in `at` are exact: the back-off is half of 0.5, 1, 2, … seconds.
"""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from email.utils import format_datetime
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from aiohttp.client_proto import ResponseHandler
from attrs import field, frozen
from leaping import impatient

from cfaigw_billing import AsyncCloudflare, Cloudflare
from cfaigw_billing._core.answer import Answer
from cfaigw_billing._io import exchange as _exchange
from cfaigw_billing._io.executor import Executor
from cfaigw_billing.errors import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    TopupOutcomeUnknownError,
    UnprocessableEntityError,
)
from cfaigw_billing.types import (
    BillingCreditBalanceParams,
    BillingCreditBalanceResponse,
    BillingInvoiceHistoryParams,
    BillingUsageHistoryParams,
    ConfigCreateParams,
    ConfigCreateResponse,
    ConfigDeleteParams,
    Params,
    SpendingLimitDeleteParams,
    TopupCreateParams,
    TopupCreateResponse,
    TopupEligibilityParams,
    TopupStatusParams,
    TopupStatusResponse,
)

from .misbehaving import (
    RAY,
    Peer,
    Server,
    Step,
    Turn,
    VirtualClock,
    drip,
    endless,
    envelope,
    http,
    redirect,
    refusal,
    send,
)

BALANCE = BillingCreditBalanceParams(account_id="acc")
CHARGE = TopupCreateParams(account_id="acc", amount=5000)
TOPUP = TopupCreateResponse(onboarding=True, payment_intent_id="in_1")
GOOD_BALANCE = BillingCreditBalanceResponse(balance=640.19, has_default_payment_method=True)

BALANCE_JSON = envelope({"balance": 640.19, "has_default_payment_method": True})
CHARGE_JSON = envelope({"client_secret": None, "onboarding": True, "payment_intent_id": "in_1"})
HTML = b"<!DOCTYPE html>\n<html><h1>Error</h1></html>"
PAGE = "text/html '<!DOCTYPE html>\\n<html><h1>Error"
GZIP = "Content-Encoding: gzip"
CHUNKED = "Transfer-Encoding: chunked"
GONE = (Peer.request, Peer.close)
"""The connection ends where the answer should begin."""

TIMED: Mapping[str, Any] = {"max_retries": 1}
"""Of calls whose time-outs end as soon as the server does not go on."""
LIMIT = 1 << 20
"""The largest body, in place of the true one."""


@frozen(kw_only=True)
class Case:
    """A fault, and the expected result."""

    name: str
    script: tuple[Turn, ...]
    params: Params[Any] = BALANCE
    options: Mapping[str, Any] = field(factory=dict[str, Any])
    """The options of the client."""
    scheme: str = "http"
    listening: bool = True
    after: Params[Any] | None = None
    """A call that is made before, and answered well by the first turn."""

    value: object = None
    """The value of the call, or else:"""
    raises: type[Exception] | None = None
    """Exactly what it raises."""
    says: tuple[str, ...] = ()
    """Parts of the message."""
    cause: type[Exception] | None = None
    """The class of `__cause__`, of an outcome that is unknown."""
    retry_after: object = None
    ray: bool = True
    """Whether the answer had a CF-Ray, if there was one."""

    at: tuple[float, ...] = (0.0,)
    """When each attempt was made, in seconds on the virtual clock."""
    unseen: int = 0
    """How many of the first attempts the server's script does not notice."""
    requests: int | None = None
    """How many requests arrived whole; as many as were noticed, unless given."""
    charges: int = 0

    @property
    def times_out(self) -> bool:
        """Whether its first attempt ends with a time-out."""
        return Peer.hang in self.script[0] or APITimeoutError in (self.raises, self.cause)


def answers(data: bytes) -> Turn:
    return Peer.request, send(data)


def topped_up() -> Turn:
    return answers(http(CHARGE_JSON))


def limited(*headers: str) -> Turn:
    """A refusal of the rate limiter, with its count or the time to wait."""
    headers = headers or ("Retry-After: 0",)
    return Peer.limited, send(http(refusal(971, "slow down"), 429, *headers))


def chunked(data: bytes) -> bytes:
    return http(data, 200, CHUNKED, length=-1)


def retry_at(seconds: float) -> str:
    """A `Retry-After` with the date so many seconds after the beginning of the virtual clock."""
    moment = VirtualClock.START + timedelta(seconds=seconds)
    return f"Retry-After: {format_datetime(moment, usegmt=True)}"


# Charges: sent at most once; if the outcome is unknown, the error says so.

BUSY = (408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 530)
FAILED = (501, 505, 506, 507, 511, 525, 526, 527, 529, 599)
REFUSED: Mapping[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    405: APIStatusError,
    409: ConflictError,
    410: APIStatusError,
    418: APIStatusError,
    422: UnprocessableEntityError,
    451: APIStatusError,
}
REDIRECTS = (301, 302, 303, 307, 308)
CHARGE_HEAD = http(CHARGE_JSON)[: -len(CHARGE_JSON)]
BALANCE_HEAD = http(BALANCE_JSON)[: -len(BALANCE_JSON)]


def class_of(status: int) -> type[APIStatusError]:
    if status == 429:
        return RateLimitError
    return InternalServerError if status >= 500 else REFUSED.get(status, APIStatusError)


def charge(name: str, *script: Turn, **more: Any) -> Case:
    options = {"max_retries": 5, **more.pop("options", {})}
    return Case(name=f"charge: {name}", script=script, params=CHARGE, options=options, **more)


def lost(name: str, *steps: Step, cause: type[Exception] = APIConnectionError, **more: Any) -> Case:
    """A charge that was sent, with an unknown outcome."""
    expected = {"charges": 1, **more}
    return charge(name, steps, raises=TopupOutcomeUnknownError, cause=cause, **expected)


def misread(name: str, answer: bytes, *says: str, **more: Any) -> Case:
    """A charge whose answer cannot be understood."""
    expected = {"cause": APIResponseValidationError, **more}
    return lost(name, *answers(answer), says=says, **expected)


CHARGES_WITHOUT_AN_ANSWER = [
    lost("reset before it is read", Peer.wait, Peer.reset, requests=0, charges=0),
    lost("reset after the head", Peer.head, Peer.reset, requests=0, charges=0),
    lost("closed after the head", Peer.head, Peer.close, requests=0, charges=0),
    lost("reset after it", Peer.request, Peer.reset),
    lost("closed after it", *GONE),
    lost("never read", Peer.arrival, Peer.hang, requests=0, charges=0, cause=APITimeoutError),
    lost("never answered", Peer.request, Peer.hang, cause=APITimeoutError),
    lost("half a status line", Peer.request, send(b"HTTP/1.1 2"), Peer.close),
    lost("half a head, closed", Peer.request, send(CHARGE_HEAD[:40]), Peer.close),
    lost("half a head, reset", Peer.request, send(CHARGE_HEAD[:40]), Peer.reset),
    lost(
        "half a head, hangs", Peer.request, send(CHARGE_HEAD[:40]), Peer.hang, cause=APITimeoutError
    ),
    lost("drips from the start", Peer.request, drip(http(CHARGE_JSON)), cause=APITimeoutError),
    lost(
        "a body that drips",
        *(Peer.request, send(CHARGE_HEAD), drip(CHARGE_JSON)),
        cause=APITimeoutError,
    ),
    lost(
        "half a body, hangs",
        *(Peer.request, send(http(CHARGE_JSON)[:-10]), Peer.hang),
        cause=APITimeoutError,
    ),
    lost("an interim answer alone", *answers(b"HTTP/1.1 103 Hints\r\n\r\n"), Peer.close),
    lost(
        "an interim answer and then nothing",
        *(Peer.request, send(b"HTTP/1.1 102 Processing\r\n\r\n"), Peer.hang),
        cause=APITimeoutError,
    ),
    lost("no HTTP", *answers(b"SSH-2.0-OpenSSH\r\n\r\n"), Peer.close),
    lost("endless headers", *answers(CHARGE_HEAD[:-2]), endless(b"X-Filler: a\r\n")),
    lost("an endless header", *answers(CHARGE_HEAD[:-2]), endless(1000 * b"a")),
    lost("a huge header", *answers(http(CHARGE_JSON, 200, "X-Filler: " + 100_000 * "a"))),
    lost("two lengths", *answers(http(CHARGE_JSON, 200, "Content-Length: 5"))),
    lost("chunk garbage", *answers(chunked(b"zz\r\n{}\r\n"))),
]
CHARGES_ANSWERED_WRONGLY = [
    misread("an empty answer", http(), "200", "not JSON", "application/json ''"),
    misread("null", http(b"null"), "expected an object", "'null'"),
    misread("a list", http(b"[]"), "expected an object", "'[]'"),
    misread("a number", http(b"1"), "expected an object", "'1'"),
    misread("a string", http(b'"ok"'), "expected an object"),
    misread("an empty object", http(b"{}"), "success: expected a boolean"),
    misread("success of a wrong type", http(b'{"success":1}'), "success: expected a boolean"),
    misread("HTML", http(HTML, content_type="text/html"), "200", "not JSON", PAGE),
    misread("half of the JSON", http(CHARGE_JSON[:-9]), "not JSON"),
    misread("invalid UTF-8", http(CHARGE_JSON.replace(b"in_1", b"\xff")), "UTF-8"),
    misread("a BOM", http(b"\xef\xbb\xbf" + CHARGE_JSON), "not JSON"),
    misread("NaN", http(CHARGE_JSON.replace(b"null", b"NaN")), "not JSON", "NaN"),
    misread("deep nesting", http(b"[" * 100_000), "nested too deeply"),
    misread("no result", http(b'{"success": true}'), "result: expected an object, got null"),
    misread(
        "a missing field",
        http(CHARGE_JSON.replace(b"payment_intent_id", b"other")),
        "result.payment_intent_id: missing",
    ),
    misread(
        "a wrong type",
        http(CHARGE_JSON.replace(b'"in_1"', b"7")),
        "result.payment_intent_id: expected a string, got a number",
    ),
    misread("204", http(b"", 204), "204", "not JSON"),
    misread("101", http(b"", 101, length=-1), "101", cause=APIStatusError),
    misread("half of the gzip", http(gzip.compress(CHARGE_JSON)[:40], 200, GZIP), "not JSON"),
    misread("corrupt gzip", http(b"no gzip at all", 200, GZIP), "broke off", "gzip"),
    misread("a gzip bomb", http(gzip.compress(b"x" * 2 * LIMIT), 200, GZIP), "larger than any"),
    lost(
        "a head alone",
        *(Peer.request, send(CHARGE_HEAD), Peer.close),
        cause=APIResponseValidationError,
        says=("200", "the answer broke off", "application/json ''", RAY),
    ),
    lost(
        "half a body, closed",
        *(Peer.request, send(http(CHARGE_JSON)[:-10]), Peer.close),
        cause=APIResponseValidationError,
        says=("the answer broke off", 'application/json \'{"success": true', RAY),
    ),
    lost(
        "half a body, reset",
        *(Peer.request, send(http(CHARGE_JSON)[:-10]), Peer.reset),
        cause=APIResponseValidationError,
        says=("the answer broke off",),
    ),
    lost(
        "half a chunk",
        *(Peer.request, send(chunked(b'50\r\n{"succ')), Peer.close),
        cause=APIResponseValidationError,
        says=("the answer broke off", "'{\"succ'"),
    ),
]
CHARGES_BY_STATUS = [
    *(
        misread(
            f"{status} with a page",
            http(HTML, status, content_type="text/html"),
            *(str(status), "not JSON", PAGE, RAY),
            cause=class_of(status),
        )
        for status in (*BUSY, *FAILED, *REFUSED, 429)  # 429 without the limiter's headers
    ),
    *(
        misread(
            f"{status} with an envelope",
            http(refusal(), status),
            *(str(status), "the service says no (1234)", RAY),
            cause=class_of(status),
        )
        for status in (*BUSY, *FAILED, 429)
    ),
    *(
        charge(
            f"{status} with an envelope",
            answers(http(refusal(), status)),
            raises=cls,
            says=(str(status), "the service says no (1234)"),
            charges=1,
        )
        for status, cls in REFUSED.items()
    ),
    *(
        lost(
            f"{status} to {'another' if elsewhere else 'this'} server",
            *(Peer.request, redirect(status, elsewhere=elsewhere)),
            cause=APIStatusError,
            says=(str(status),),
        )
        for status in REDIRECTS
        for elsewhere in (False, True)
    ),
    charge(
        "refused with a 200",
        answers(http(refusal())),
        raises=APIStatusError,
        says=("200", "the service says no (1234)"),
        charges=1,
    ),
]


def parked(seconds: float) -> float:
    """How long a 429 parks a call: those that were refused together are woken apart."""
    is_back_off, is_the_longest = seconds == 0.25, seconds == 60
    return seconds if is_back_off or is_the_longest else seconds + 0.5 * 0.04 * seconds


CHARGES_SENT_AGAIN = [
    charge(
        "limited once", limited(), topped_up(), value=TOPUP, at=(0.0, 0.25), requests=2, charges=1
    ),
    charge(
        "limited, and told when to come again",
        limited("Retry-After: 7"),
        topped_up(),
        value=TOPUP,
        at=(0.0, parked(7.0)),
        charges=1,
    ),
    charge(
        "limited by a page",
        (Peer.limited, send(http(HTML, 429, "Retry-After: 0", content_type="text/html"))),
        topped_up(),
        value=TOPUP,
        at=(0.0, 0.25),
        charges=1,
    ),
    charge(
        "limited, and told where the limit stands",
        limited("Retry-After: 0", 'Ratelimit: "default";r=0;t=9'),
        topped_up(),
        value=TOPUP,
        at=(0.0, 0.25),
        charges=1,
    ),
    charge(
        "limited for ever",
        limited(),
        raises=RateLimitError,
        says=("429", "slow down (971)"),
        retry_after=0.0,
        at=(0.0, 0.25, 0.75, 1.75, 3.75, 7.75),
    ),
    charge(
        "limited for too long",
        limited("Retry-After: 300"),
        raises=RateLimitError,
        says=("429", "300 s"),
        retry_after=300.0,
    ),
    charge(
        "limited, then lost",
        limited(),
        GONE,
        topped_up(),
        raises=TopupOutcomeUnknownError,
        cause=APIConnectionError,
        at=(0.0, 0.25),
        charges=1,
    ),
    charge(
        "limited, then a page",
        limited(),
        answers(http(HTML, 502, content_type="text/html")),
        topped_up(),
        raises=TopupOutcomeUnknownError,
        cause=InternalServerError,
        says=("502",),
        at=(0.0, 0.25),
        charges=1,
    ),
    charge(
        "refused, then accepted",
        topped_up(),
        listening=False,
        value=TOPUP,
        at=(0.0, 0.25),
        unseen=1,
        charges=1,
    ),
    charge(
        "refused, then lost",
        GONE,
        listening=False,
        raises=TopupOutcomeUnknownError,
        cause=APIConnectionError,
        at=(0.0, 0.25),
        unseen=1,
        charges=1,
    ),
    charge(
        "no TLS",
        (Peer.wait, send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Peer.close),
        scheme="https",
        raises=APIConnectionError,
        says=("Cannot connect",),
        at=(0.0, 0.25, 0.75, 1.75, 3.75, 7.75),
        requests=0,
    ),
    charge(
        "a TLS handshake that hangs",
        (Peer.hang,),
        scheme="https",
        options=TIMED,
        raises=APITimeoutError,
        at=(0.0, 0.25),
        requests=0,
    ),
]
CHARGES_ON_A_CONNECTION_OF_THEIR_OWN = [
    charge(
        "while a kept connection dies",
        (Peer.request, send(http(BALANCE_JSON)), Peer.wait, Peer.reset),
        topped_up(),
        after=BALANCE,
        value=TOPUP,
        charges=1,
    ),
    charge(
        "after a kept connection has died",
        (Peer.request, send(http(BALANCE_JSON)), Peer.close),
        topped_up(),
        after=BALANCE,
        value=TOPUP,
        charges=1,
    ),
    charge(
        "after another charge",
        (Peer.request, send(http(CHARGE_JSON)), Peer.wait, Peer.reset),
        topped_up(),
        after=CHARGE,
        value=TOPUP,
        charges=1,
    ),
    charge(
        "after interim answers",
        answers(b"HTTP/1.1 103 Hi\r\n\r\n" + http(CHARGE_JSON)),
        value=TOPUP,
        charges=1,
    ),
    charge(
        "in chunks",
        answers(chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(CHARGE_JSON), CHARGE_JSON))),
        value=TOPUP,
        charges=1,
    ),
    charge("in gzip", answers(http(gzip.compress(CHARGE_JSON), 200, GZIP)), value=TOPUP, charges=1),
]

# Repeats: what changes nothing more is tried again, no sooner than the service wants.

STATUS = TopupStatusParams(account_id="acc", payment_intent_id="in_1")
STATUS_JSON = envelope({"payment_intent_id": "in_1", "status": "pending"})
CONFIG = ConfigCreateParams(account_id="acc", amount=5000, threshold=500)
CONFIG_JSON = envelope({"amount": 5000, "threshold": 500})
DELETE = ConfigDeleteParams(account_id="acc")
HARMLESS: Mapping[str, tuple[Params[Any], bytes, object]] = {
    "GET": (BALANCE, BALANCE_JSON, GOOD_BALANCE),
    "DELETE": (DELETE, envelope({}), {}),
    "POST that reads": (
        STATUS,
        STATUS_JSON,
        TopupStatusResponse(payment_intent_id="in_1", status="pending"),
    ),
    "POST that stores": (
        CONFIG,
        CONFIG_JSON,
        ConfigCreateResponse(amount=5000.0, threshold=500.0),
    ),
}


def good(*headers: str) -> Turn:
    return answers(http(BALANCE_JSON, 200, *headers))


def busy(status: int = 503, *headers: str) -> Turn:
    return answers(http(refusal(), status, *headers))


def repeated(name: str, *script: Turn, **more: Any) -> Case:
    more = {"value": GOOD_BALANCE, "at": (0.0, 0.25), **more}
    return Case(name=f"repeat: {name}", script=script, **more)


REPEATS_BY_STATUS = [
    *(
        repeated(
            f"{status} with {kind}, once", answers(http(body, status, content_type=kind)), good()
        )
        for status in (*BUSY, 429)
        for kind, body in (("text/html", HTML), ("application/json", refusal()))
    ),
    *(
        repeated(
            f"{status} for ever",
            busy(status),
            value=None,
            raises=class_of(status),
            says=(str(status), "the service says no (1234)"),
            at=(0.0, 0.25, 0.75),
        )
        for status in BUSY
    ),
    *(
        Case(
            name=f"no repeat: {status} with {kind}",
            script=(answers(http(body, status, content_type=kind)), good()),
            raises=class_of(status),
            says=(str(status), says),
        )
        for status in (*FAILED, *REFUSED)
        for kind, body, says in (
            ("text/html", HTML, PAGE),
            ("application/json", refusal(), "the service says no (1234)"),
        )
    ),
    repeated(
        "limited for ever",
        limited(),
        value=None,
        raises=RateLimitError,
        at=(0.0, 0.25, 0.75),
        retry_after=0.0,
    ),
    repeated(
        "no repeats allowed",
        busy(),
        options={"max_retries": 0},
        value=None,
        raises=InternalServerError,
        at=(0.0,),
    ),
    repeated(
        "eight repeats",
        busy(),
        options={"max_retries": 8},
        value=None,
        raises=InternalServerError,
        at=(0.0, 0.25, 0.75, 1.75, 3.75, 7.75, 11.75, 15.75, 19.75),
    ),
]


RETRY_AFTER: Mapping[str, tuple[str, float]] = {
    "no header": ("X-Retry-After: 9", 0.25),
    "seconds": ("Retry-After: 7", 7.0),
    "a fraction": ("Retry-After: 0.4", 0.4),
    "less than the back-off": ("Retry-After: 0.1", 0.25),
    "nothing": ("Retry-After: 0", 0.25),
    "the longest wait": ("Retry-After: 60", 60.0),
    "negative": ("Retry-After: -5", 0.25),
    "a word": ("Retry-After: soon", 0.25),
    "empty": ("Retry-After:", 0.25),
    "no number": ("Retry-After: nan", 0.25),
    "for ever": ("Retry-After: inf", 0.25),
    "a date": (retry_at(30), 30.0),
    "a date in the past": (retry_at(-3600), 0.25),
    "a date that is none": ("Retry-After: Wed, 32 Foo 2026 25:61:61 GMT", 0.25),
}
REPEATS_WHEN_THE_SERVICE_WANTS = [
    *(
        repeated(
            f"{status}, Retry-After: {name}",
            busy(status, header),
            good(),
            at=(0.0, parked(wait) if status == 429 else wait),
        )
        for status in (429, 503)
        for name, (header, wait) in RETRY_AFTER.items()
    ),
    *(
        repeated(
            f"429, Retry-After: {name}, and so too long",
            limited(header),
            value=None,
            raises=RateLimitError,
            says=("429", "is refused for the next"),
            at=(0.0,),
            retry_after=wait,
            options=options,
        )
        for name, header, wait, options in (
            ("61", "Retry-After: 61", 61.0, {}),
            ("300", "Retry-After: 300", 300.0, {"max_retries": 9}),
            ("5.5", "Retry-After: 5.5", 5.5, {"max_retry_wait": 5}),
            # By the real clock, which has gone on since this module was imported.
            ("a date", retry_at(86_400), pytest.approx(86_400.0, abs=43_200.0), {}),
        )
    ),
    repeated(
        "503, Retry-After: too long",
        busy(503, "Retry-After: 120"),
        value=None,
        raises=InternalServerError,
        at=(0.0,),
    ),
    repeated(
        "the longest of two waits counts",
        limited("Retry-After: 2"),
        busy(503),
        good(),
        at=(0.0, parked(2.0), parked(2.0) + 0.5),
    ),
]
REPEATS_IN_TIME = [
    repeated(
        "no wait is begun that cannot end in time",
        busy(),
        options={"max_retries": 9, "total_timeout": 7.5},
        value=None,
        raises=InternalServerError,
        at=(0.0, 0.25, 0.75, 1.75, 3.75),
    ),
    repeated(
        "no wait for the service either",
        busy(503, "Retry-After: 12"),
        options={"total_timeout": 10.0},
        value=None,
        raises=InternalServerError,
        at=(0.0,),
    ),
    repeated(
        "a wait that ends in time",
        busy(503, "Retry-After: 1"),
        good(),
        options={"total_timeout": 60.0},
        at=(0.0, 1.0),
    ),
    repeated(
        "the whole time bounds the attempt",
        (Peer.request, Peer.hang),
        options={"total_timeout": 60.0, "timeout": None, "max_retries": 0},
        value=None,
        raises=APITimeoutError,
        says=("no answer in time",),
        at=(0.0,),
    ),
]
REPEATS_OF_BROKEN_CONNECTIONS = [
    *(
        repeated(
            f"a {name} on a kept connection that dies",
            (Peer.request, send(http(BALANCE_JSON)), Peer.wait, Peer.reset),
            answers(http(body)),
            params=params,
            after=BALANCE,
            value=value,
            unseen=1,
        )
        for name, (params, body, value) in HARMLESS.items()
    ),
    *(
        repeated(
            f"a {name} without an answer",
            GONE,
            answers(http(body)),
            params=params,
            value=value,
        )
        for name, (params, body, value) in HARMLESS.items()
    ),
    *(
        repeated(
            f"a {name} that is not answered in time",
            (Peer.request, Peer.hang),
            answers(http(body)),
            params=params,
            options=TIMED,
            value=value,
        )
        for name, (params, body, value) in HARMLESS.items()
    ),
    *(
        repeated(
            f"a {name} with 503",
            busy(),
            answers(http(body)),
            params=params,
            value=value,
        )
        for name, (params, body, value) in HARMLESS.items()
    ),
    *(
        repeated(
            f"{name}, for ever",
            steps,
            value=None,
            raises=APIConnectionError,
            at=(0.0, 0.25, 0.75),
            requests=0 if steps[0] is not Peer.request else None,
        )
        for name, steps in (
            ("reset before it is read", (Peer.wait, Peer.reset)),
            ("reset after the head", (Peer.head, Peer.reset)),
            ("closed after it", GONE),
            ("reset after it", (Peer.request, Peer.reset)),
            ("half a status line", (Peer.request, send(b"HTTP/1.1 2"), Peer.close)),
            ("half a head, closed", (Peer.request, send(BALANCE_HEAD[:40]), Peer.close)),
            ("half a head, reset", (Peer.request, send(BALANCE_HEAD[:40]), Peer.reset)),
        )
        if name != "reset after the head"
    ),
    *(
        repeated(
            f"{name}, for ever",
            steps,
            options=TIMED,
            value=None,
            raises=APITimeoutError,
            says=("no answer in time",),
            requests=0 if steps[0] is not Peer.request else None,
        )
        for name, steps in (
            ("never read", (Peer.arrival, Peer.hang)),
            ("half a head, hangs", (Peer.request, send(BALANCE_HEAD[:40]), Peer.hang)),
            ("half a body, hangs", (Peer.request, send(http(BALANCE_JSON)[:-9]), Peer.hang)),
            ("a head that drips", (Peer.request, drip(http(BALANCE_JSON)))),
            ("a body that drips", (Peer.request, send(BALANCE_HEAD), drip(BALANCE_JSON))),
            ("an endless chunk extension", (*answers(chunked(b"5;")), endless(1000 * b"a"))),
        )
    ),
    *(
        repeated(
            f"{name}, for ever",
            steps,
            value=None,
            raises=APIResponseValidationError,
            says=("200", "the answer broke off", "application/json", *says),
            at=(0.0, 0.25, 0.75),
        )
        for name, steps, says in (
            ("a head alone", (*answers(BALANCE_HEAD), Peer.close), ("''",)),
            (
                "half a body, closed",
                (*answers(http(BALANCE_JSON)[:-9]), Peer.close),
                ('\'{"success": true',),
            ),
            ("half a body, reset", (*answers(http(BALANCE_JSON)[:-9]), Peer.reset), ()),
            ("half a chunk", (*answers(chunked(b'50\r\n{"su')), Peer.close), ("'{\"su'",)),
            ("endless trailers", (*answers(chunked(b"0\r\n")), endless(b"X-A: a\r\n")), ()),
            ("corrupt gzip", answers(http(b"no gzip at all", 200, GZIP)), ("gzip",)),
            (
                "gzip with a wrong sum",
                answers(http(gzip.compress(BALANCE_JSON)[:-8] + bytes(8), 200, GZIP)),
                ("gzip",),
            ),
        )
    ),
    *(
        repeated(
            f"{name}, for ever",
            steps,
            value=None,
            raises=APIConnectionError,
            at=(0.0, 0.25, 0.75),
        )
        for name, steps in (
            ("no HTTP", (*answers(b"SSH-2.0-OpenSSH\r\n\r\n"), Peer.close)),
            ("endless headers", (*answers(BALANCE_HEAD[:-2]), endless(b"X-Filler: a\r\n"))),
            ("an endless header", (*answers(BALANCE_HEAD[:-2]), endless(1000 * b"a"))),
            ("a huge header", answers(http(BALANCE_JSON, 200, "X-Filler: " + 100_000 * "a"))),
            ("chunk garbage", answers(chunked(b"zz\r\n{}\r\n"))),
            ("a chunk without an end", answers(chunked(b"1\r\n{}}}}\r\n0\r\n\r\n"))),
            ("a chunk size that overflows", answers(chunked(40 * b"f" + b"\r\n{}"))),
            ("two lengths", answers(http(BALANCE_JSON, 200, "Content-Length: 5"))),
            (
                "a negative length",
                answers(
                    http(BALANCE_JSON, 200, length=-1).replace(
                        b"Content-Type", b"Content-Length: -5\r\nContent-Type"
                    )
                ),
            ),
            ("a status of two digits", answers(http(BALANCE_JSON, 99))),
        )
    ),
    repeated(
        "refused, then accepted",
        good(),
        listening=False,
        unseen=1,
    ),
]

# Answers that are wrong: the error says what came, and where the fault is.


def wrong(name: str, answer: bytes, *says: str, **more: Any) -> Case:
    more = {"raises": APIResponseValidationError, **more}
    return Case(name=f"answer: {name}", script=(answers(answer),), says=says, **more)


def balance_of(old: bytes, new: bytes) -> bytes:
    assert old in BALANCE_JSON
    return http(BALANCE_JSON.replace(old, new))


HISTORY = BillingUsageHistoryParams(account_id="acc", value_grouping_window="day")
ROW = {"id": "a", "aggregated_value": 1, "start_time": 1, "end_time": 2}
INVOICES = BillingInvoiceHistoryParams(account_id="acc")
ANSWERS = [
    wrong("empty", http(), "200", "not JSON", "application/json ''"),
    wrong("no content type", http(content_type=None), "not JSON", "no content type ''"),
    wrong("null", http(b"null"), "expected an object", "application/json 'null'"),
    wrong("a list", http(b"[1]"), "expected an object", "'[1]'"),
    wrong("a number", http(b"12"), "expected an object", "'12'"),
    wrong("a string", http(b'"yes"'), "expected an object"),
    wrong("true", http(b"true"), "expected an object"),
    wrong("an empty object", http(b"{}"), "success: expected a boolean"),
    wrong("success: null", http(b'{"success": null}'), "success: expected a boolean"),
    wrong("success: 1", http(b'{"success": 1, "result": {}}'), "success: expected a boolean"),
    wrong("success as text", http(b'{"success": "true"}'), "success: expected a boolean"),
    wrong("no result", http(b'{"success": true}'), "result: expected an object, got null"),
    wrong("a list for a result", http(envelope([])), "result: expected an object, got an array"),
    wrong("text for a result", http(envelope("ok")), "result: expected an object, got a string"),
    wrong("HTML", http(HTML, content_type="text/html; charset=utf-8"), "not JSON", PAGE),
    wrong("no CF-Ray", http(HTML).replace(b"CF-Ray", b"X-Ray"), "not JSON", ray=False),
    wrong("half of the JSON", http(BALANCE_JSON[:-9]), "not JSON", '\'{"success": true'),
    wrong("two JSONs", http(BALANCE_JSON + BALANCE_JSON), "200", "application/json"),
    wrong("invalid UTF-8", http(b"\xff\xfe" + BALANCE_JSON), "UTF-8"),
    wrong("UTF-16", http(BALANCE_JSON.decode().encode("utf-16")), "UTF-8"),
    wrong("a BOM", http(b"\xef\xbb\xbf" + BALANCE_JSON), "not JSON"),
    wrong("NaN", balance_of(b"640.19", b"NaN"), "not JSON", "NaN"),
    wrong("Infinity", balance_of(b"640.19", b"Infinity"), "not JSON", "Infinity"),
    wrong("-Infinity", balance_of(b"640.19", b"-Infinity"), "not JSON", "Infinity"),
    wrong("1e999", balance_of(b"640.19", b"1e999"), "result.balance", "finite", "inf"),
    wrong("a number of 5,000 digits", balance_of(b"640.19", b"9" * 5000), "200"),
    wrong("a number of 400 digits", balance_of(b"640.19", b"9" * 400), "result.balance"),
    wrong("deep lists", http(b"[" * 100_000), "nested too deeply", "'[[[["),
    wrong("deep objects", http(b'{"a":' * 100_000), "nested too deeply"),
    wrong("deep and closed", http(100_000 * b"[" + 100_000 * b"]"), "nested too deeply"),
    wrong(
        "a number as text",
        balance_of(b"640.19", b'"640.19"'),
        "result.balance: expected a finite number, got a string",
    ),
    wrong("a boolean for a number", balance_of(b"640.19", b"true"), "result.balance: ", "boolean"),
    wrong("null for a number", balance_of(b"640.19", b"null"), "result.balance: ", "got null"),
    wrong(
        "a number for a boolean",
        balance_of(b"true}}", b"1}}"),
        "result.has_default_payment_method: expected a boolean, got a number",
    ),
    wrong("a missing field", balance_of(b'"balance"', b'"saldo"'), "result.balance: missing"),
    wrong(
        "a fault inside",
        balance_of(b"true}}", b'true, "payment_method": {"last4": 4242}}}'),
        "result.payment_method.last4: expected a string, got a number",
    ),
    wrong(
        "a fault in a row",
        http(envelope({"history": [ROW, ROW, {**ROW, "aggregated_value": "1"}]})),
        "result.history[2].aggregated_value: expected a finite number, got a string",
        params=HISTORY,
    ),
    wrong(
        "an object for a list",
        http(envelope({"history": {}})),
        "result.history: expected an array, got an object",
        params=HISTORY,
    ),
    wrong(
        "a list without pagination",
        http(envelope({"invoices": []})),
        "result.pagination: missing",
        params=INVOICES,
    ),
    wrong(
        "two faults",
        http(envelope({"balance": None})),
        "result.balance: ",
        "; result.has_default_payment_method: missing",
    ),
    wrong(
        "a fault where it charges nothing",
        http(envelope({"eligible": True})),
        "result.reason: missing",
        params=TopupEligibilityParams(account_id="acc"),
    ),
    wrong("204", http(b"", 204), "204", "not JSON"),
    wrong(
        "204 for a DELETE", http(b"", 204), "204", params=SpendingLimitDeleteParams(account_id="a")
    ),
    wrong("101", http(b"", 101, length=-1), "101", raises=APIStatusError),
    wrong("half of the gzip", http(gzip.compress(BALANCE_JSON)[:30], 200, GZIP), "not JSON"),
    wrong("a gzip bomb", http(gzip.compress(b"x" * 9 * LIMIT), 200, GZIP), "larger than any"),
    wrong("a large body", http(b"x" * (LIMIT + 1)), "larger than any", "'xxx"),
    wrong("a refusal with a 200", http(refusal()), "200", "(1234)", raises=APIStatusError),
    wrong("a refusal with a 201", http(refusal(), 201), "201", "(1234)", raises=APIStatusError),
    wrong(
        "a refusal without a reason",
        http(b'{"success": false}'),
        "200",
        "the service gave no reason",
        raises=APIStatusError,
    ),
    wrong(
        "a refusal in other words",
        http(b'{"success": false, "errors": ["no", 7, null, [], {"code": "x", "message": 3}]}'),
        "no; 7; None; []; 3",
        raises=APIStatusError,
    ),
    wrong(
        "a success with a 404",
        http(BALANCE_JSON, 404),
        "404",
        "the service gave no reason",
        raises=NotFoundError,
    ),
    wrong("600", http(HTML, 600), "600", raises=InternalServerError),
    *(
        wrong(
            f"HTML with {status}",
            http(HTML, status, content_type="text/html"),
            str(status),
            "not JSON",
            PAGE,
            raises=class_of(status),
        )
        for status in (400, 403, 404, 501, 525)
    ),
    *(
        Case(
            name=f"{status} to {'another' if elsewhere else 'this'} server: {name}",
            script=((Peer.request, redirect(status, elsewhere=elsewhere)),),
            params=params,
            raises=APIStatusError,
            says=(str(status),),
        )
        for status in REDIRECTS
        for elsewhere in (False, True)
        for name, params in (("GET", BALANCE), ("POST", STATUS))
    ),
]
RIGHT = [
    Case(name=f"right: {name}", script=(answers(answer),), value=GOOD_BALANCE)
    for name, answer in (
        ("as it should be", http(BALANCE_JSON)),
        ("after interim answers", 3 * b"HTTP/1.1 102 Wait\r\n\r\n" + http(BALANCE_JSON)),
        ("in gzip", http(gzip.compress(BALANCE_JSON), 200, GZIP)),
        ("in chunks", chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(BALANCE_JSON), BALANCE_JSON))),
        ("under a wrong content type", http(BALANCE_JSON, content_type="text/plain")),
        ("with a 201", http(BALANCE_JSON, 201)),
        ("as large as may be", http(BALANCE_JSON.ljust(LIMIT))),
    )
]

CASES = [
    *CHARGES_WITHOUT_AN_ANSWER,
    *CHARGES_ANSWERED_WRONGLY,
    *CHARGES_BY_STATUS,
    *CHARGES_SENT_AGAIN,
    *CHARGES_ON_A_CONNECTION_OF_THEIR_OWN,
    *REPEATS_BY_STATUS,
    *REPEATS_WHEN_THE_SERVICE_WANTS,
    *REPEATS_IN_TIME,
    *REPEATS_OF_BROKEN_CONNECTIONS,
    *ANSWERS,
    *RIGHT,
]
every_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def test_the_table_is_large_and_names_each_row_once() -> None:
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)


@every_case
async def test_async(case: Case, bystander: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with stage(case, bystander, monkeypatch) as play:
        async with AsyncCloudflare(**play.options) as client:
            play.set_up(client._executor)
            if case.after is not None:
                await client.send(case.after)
                play.forget()
            try:
                outcome = await play.call(client)
            except Exception as error:
                outcome = error
        play.check(outcome)


@every_case
def test_sync(case: Case, bystander: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with stage(case, bystander, monkeypatch) as play:
        with Cloudflare(**play.options) as client:
            play.set_up(client._executor.inner)
            if case.after is not None:
                client.send(case.after)
                play.forget()
            try:
                outcome = play.call(client)
            except Exception as error:
                outcome = error
        play.check(outcome)


@pytest.fixture(scope="module")
def bystander() -> Iterator[Server]:
    """The target of redirects, which must get no request."""
    with Server((Peer.hang,)) as server:
        yield server


@contextmanager
def stage(case: Case, bystander: Server, monkeypatch: pytest.MonkeyPatch) -> Generator[Play]:
    """The server and the clock of a case."""
    monkeypatch.setattr(_exchange, "MAX_BODY", LIMIT)
    clock = VirtualClock()
    with Server(*case.script, now=clock.monotonic, listening=case.listening) as server:
        server.bystander = bystander.origin
        if not case.listening:
            clock.when_sleeping = server.listen
        tell_what_is_read(server, monkeypatch)
        yield Play(case, server, bystander, clock, monkeypatch)


def tell_what_is_read(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server know how much of what it sends its clients have read."""
    receive = ResponseHandler.data_received

    def received(connection: ResponseHandler, data: bytes) -> None:
        transport = connection.transport
        receive(connection, data)
        if transport is not None:
            server.was_read(transport.get_extra_info("sockname"), data)

    monkeypatch.setattr(ResponseHandler, "data_received", received)


@frozen(eq=False)
class Play:
    """One run of a case."""

    case: Case
    server: Server
    bystander: Server
    clock: VirtualClock
    monkeypatch: pytest.MonkeyPatch
    retries: list[int] = field(factory=list[int])
    """The `retries_taken` of each answer."""

    @property
    def options(self) -> dict[str, Any]:
        base_url = self.server.base_url.replace("http", self.case.scheme, 1)
        return {"base_url": base_url, "api_token": "token", "timeout": 60.0, **self.case.options}

    def call(self, client: Any) -> Any:
        """Make the call of the case, on either client; a time-out ends when nothing more comes."""

        def send(client: Any) -> Any:
            return client.send(self.case.params)

        if not self.case.times_out:
            return send(client)
        once, twice = (partial(self._waits, times) for times in (1, 2))
        return impatient(send, once, twice)(client)

    def _waits(self, times: int) -> bool:
        hangs = any(Peer.hang in turn for turn in self.case.script)
        return (self.server.hanging if hangs else len(self.server.requests)) >= times

    def set_up(self, executor: Executor) -> None:
        """Put the clock in, and look at each answer on its way."""
        executor.clock = self.clock
        execute = executor.execute

        async def watch(*args: Any) -> Answer[Any]:
            response = await execute(*args)
            self.retries.append(response.retries_taken)
            return response

        self.monkeypatch.setattr(executor, "execute", watch)

    def forget(self) -> None:
        self.server.forget()
        self.retries.clear()

    def check(self, outcome: object) -> None:
        case, at = self.case, self.case.at
        if case.raises is None:
            assert outcome == case.value, outcome
        else:
            self.check_error(outcome)
        if isinstance(outcome, APIError):
            self.retries.append(outcome.retries_taken)
        assert set(self.retries) == {len(at) - 1}
        waits = [after - before for before, after in pairwise(at) if after != before]
        assert self.clock.sleeps == pytest.approx(waits)
        noticed = at[case.unseen :]
        requests = len(noticed) if case.requests is None else case.requests
        self.server.wait_for(lambda: len(self.server.requests) >= requests)
        assert self.server.turns == pytest.approx(noticed)
        assert len(self.server.requests) == requests
        assert self.server.charges == case.charges
        assert not self.bystander.turns

    def check_error(self, error: object) -> None:
        case = self.case
        assert type(error) is case.raises, error
        assert isinstance(error, APIError)
        text = str(error)
        assert len(text.splitlines()) == 1
        assert len(text) < 1000
        assert [part for part in case.says if part not in text] == [], text
        assert str(pickle.loads(pickle.dumps(error))) == text  # noqa: S301
        assert error.request.path in text
        if isinstance(error, APIResponseError):
            assert error.cf_ray == (RAY if case.ray else None)
            assert (f"CF-Ray {RAY}" in text) == case.ray
            assert str(error.status_code) in text
        if isinstance(error, TopupOutcomeUnknownError):
            assert (error.account_id, error.amount) == ("acc", 5000)
            assert type(error.__cause__) is case.cause
            assert self.clock.START <= error.sent_at <= self.clock.now()
            assert "5000 cents ($50.00)" in text
            assert "reconcile(error)" in text
        if isinstance(error, RateLimitError):
            assert error.retry_after == case.retry_after
