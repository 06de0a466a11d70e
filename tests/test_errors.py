"""Errors are one line without secrets, pickle, and are retried only if that is safe."""

from __future__ import annotations

import copy
import json
import pickle
import re
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from attrs import frozen
from cases import BILLING, CASES, FIRST, Case, case_named
from leaping import impatient
from multidict import CIMultiDict, CIMultiDictProxy

import cfaigw_billing
from cfaigw_billing import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AsyncCloudflare,
    AuthenticationError,
    BadRequestError,
    Cloudflare,
    CloudflareError,
    ConflictError,
    ErrorData,
    InternalServerError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    TopupConfirmationError,
    TopupFailedError,
    TopupOutcomeUnknownError,
    TopupPendingError,
    UnprocessableEntityError,
    errors,
)
from cfaigw_billing._wire.messages import HTTPRequest, HTTPResponse
from cfaigw_billing._wire.secrets import REDACTED, Secret
from cfaigw_billing.testing import Emulator, Fault
from cfaigw_billing.types import TopupCreateResponse

if TYPE_CHECKING:
    from conftest import MockedService, Run

SECRET = "sw0rdfish-that-nobody-may-see"
RAY = "9a1b2c3d4e5f6789-FRA"
BALANCE = case_named("credit_balance: full")
TOPUP = case_named("topup.create: the least, with the default card")
HTML = "<!DOCTYPE html>\n<html>\n<title>502</title>\n" + 200 * "<p>Bad gateway</p>\n"


def family(cls: type[Any]) -> list[type[Any]]:
    """The class and all below it in the package."""
    children = [c for c in cls.__subclasses__() if c.__module__.startswith("cfaigw_billing.")]
    return [cls, *(one for child in children for one in family(child))]


ERRORS = family(CloudflareError)


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """A repeat comes at once."""
    monkeypatch.setattr("random.random", lambda: 0.0)


def refusal(*entries: object) -> bytes:
    return json.dumps({"success": False, "errors": entries, "result": None}).encode()


# From a status to an error.


@frozen(kw_only=True)
class Refused:
    """A call that is refused, and the error that comes of it."""

    call: str = f"{BILLING}.credit_balance"
    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = attrs.field(factory=dict[str, str])
    cls: type[APIStatusError]
    errors: tuple[ErrorData, ...] = ()
    line: str
    """The message between the path and the CF-Ray; a page that was no JSON in between is `…`."""


def refused(status: int, cls: type[APIStatusError], code: int, message: str, **row: Any) -> Refused:
    """With one error, whose message and code the line is, before `then`."""
    then = row.pop("then", "")
    return Refused(
        status=status,
        cls=cls,
        body=refusal({"code": code, "message": message}),
        errors=(ErrorData(code=code, message=message),),
        line=f"{message} ({code})" + (f" · {then}" if then else ""),
        **row,
    )


REFUSED = {
    "400 with a chain": Refused(
        status=400,
        cls=BadRequestError,
        body=refusal(
            {
                "code": 6003,
                "message": "Invalid request headers",
                "documentation_url": "https://example.com/6003",
                "error_chain": [
                    {
                        "code": 6111,
                        "message": "Invalid format",
                        "error_chain": [{"code": 1, "message": "Root"}],
                    }
                ],
            },
            {"code": 7003, "message": "Could not route"},
        ),
        errors=(
            ErrorData(
                code=6003,
                message="Invalid request headers",
                documentation_url="https://example.com/6003",
                error_chain=(
                    ErrorData(
                        code=6111,
                        message="Invalid format",
                        error_chain=(ErrorData(code=1, message="Root"),),
                    ),
                ),
            ),
            ErrorData(code=7003, message="Could not route"),
        ),
        line="Invalid request headers (6003): Invalid format (6111): Root (1); "
        "Could not route (7003) · 'acc' is not 32 hex digits, as account ids are",
    ),
    "400 for want of a top-up": refused(
        400,
        BadRequestError,
        1000,
        "NO_MANUAL_TOPUP",
        call=f"{BILLING}.spending_limit.create",
        then="complete one manual top-up first (billing.topup.create)",
    ),
    "401": refused(
        401,
        AuthenticationError,
        10000,
        "Authentication error",
        then="check the API token (CLOUDFLARE_API_TOKEN or `api_tokens`), "
        "or the e-mail and the key",
    ),
    "402": refused(
        402,
        PaymentRequiredError,
        7010,
        "Your card was declined.",
        call=f"{BILLING}.topup.create",
        then="the card was declined and nothing was charged; try another card",
    ),
    "403 of a read": refused(
        403,
        PermissionDeniedError,
        10403,
        "Forbidden",
        then="the credentials need AI Gateway Read",
    ),
    "403 of a charge": refused(
        403,
        PermissionDeniedError,
        10403,
        "Forbidden",
        call=f"{BILLING}.topup.create",
        then="the credentials need AI Gateway Write",
    ),
    "403 of the list of accounts": refused(
        403,
        PermissionDeniedError,
        10403,
        "Forbidden",
        call="accounts.list",
        then="the credentials need Account Settings Read",
    ),
    "403 of the top-up configuration": refused(
        403,
        PermissionDeniedError,
        10403,
        "Forbidden",
        call=f"{BILLING}.topup.config.create",
        then="the credentials need the permission AI Gateway Write; the service may also refuse "
        "all API tokens: then change the automatic top-up in the dashboard",
    ),
    "403 of the retired call": refused(
        403,
        PermissionDeniedError,
        10403,
        "Forbidden",
        call=f"{BILLING}.spending_limit.create",
        then="the service has retired this call; use AI Gateway spend limits instead",
    ),
    "400 of a list of accounts": refused(
        400,
        BadRequestError,
        1001,
        "List accounts endpoint does not support account owned tokens",
        call="accounts.list",
        then="this token belongs to one account and cannot list accounts; pass the account ids",
    ),
    "404": refused(
        404,
        NotFoundError,
        7003,
        "Could not route",
        then="'acc' is not 32 hex digits, as account ids are",
    ),
    "404 of what is of no account": refused(
        404, NotFoundError, 7003, "Could not route", call="accounts.list"
    ),
    "409": refused(409, ConflictError, 7009, "Conflict"),
    "418": refused(418, APIStatusError, 418, "I'm a teapot"),
    "422": refused(422, UnprocessableEntityError, 7022, "Unprocessable"),
    "429": refused(
        429,
        RateLimitError,
        971,
        "Please wait",
        headers={"Retry-After": "270"},
        then="every call with these credentials is refused for the next 270 s",
    ),
    "500": refused(500, InternalServerError, 10013, "An unknown error has occurred."),
    "500 without a reason": Refused(
        status=500,
        cls=InternalServerError,
        body=refusal(),
        line="the service gave no reason",
    ),
    "502 of the edge": Refused(
        status=502,
        cls=InternalServerError,
        body=HTML.encode(),
        content_type="text/html; charset=UTF-8",
        line="not JSON …, got text/html …",
    ),
    "503 in words": Refused(
        status=503,
        cls=InternalServerError,
        body=b"upstream connect error",
        content_type="text/plain",
        line="not JSON …, got text/plain 'upstream connect error'",
    ),
    "520 with nothing": Refused(
        status=520,
        cls=InternalServerError,
        body=b"",
        content_type="text/plain",
        line="not JSON …, got text/plain ''",
    ),
}


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED)
def test_a_refusal_is_the_error_of_its_status_and_one_line(
    ask: Run, billing_emulator: Emulator, row: Refused
) -> None:
    case = FIRST[row.call]
    billing_emulator.inject(
        Fault(
            status=row.status,
            body=row.body,
            content_type=row.content_type,
            headers={"CF-Ray": RAY, **row.headers},
        )
    )
    with pytest.raises(APIStatusError) as caught:
        ask(case.on, max_retries=0)
    error = caught.value

    assert type(error) is row.cls
    assert error.status_code == row.status
    assert error.errors == row.errors
    assert error.cf_ray == RAY
    assert error.retries_taken == 0
    text = row.body.decode()
    assert error.body == (json.loads(text) if text.startswith("{") else text)
    assert error.response.status_code == row.status
    assert error.response.headers["cf-ray"] == RAY
    assert error.response.body == row.body

    [sent] = billing_emulator.requests
    assert error.request.method == case.method
    assert error.request.url.partition("?")[0] == billing_emulator.base_url + case.path
    assert error.request.headers["authorization"] == REDACTED
    assert error.request.headers["user-agent"] == sent.headers["User-Agent"]
    assert error.request.body is None

    line = f"{row.status} {case.method} /client/v4{case.path}: {row.line} · CF-Ray {RAY}"
    pattern = re.escape(line).replace("…", ".+")
    assert re.fullmatch(pattern, str(error))
    assert error.message == str(error)
    assert len(str(error)) < 500
    assert getattr(error, "retry_after", None) == (270.0 if row.status == 429 else None)


def test_every_class_that_stands_for_a_status_is_in_the_table() -> None:
    assert {row.cls for row in REFUSED.values()} == set(family(APIStatusError))


@pytest.mark.parametrize(
    "message",
    ["two\nlines", "two\r\nlines", "a\x1b[31mred\x1b[0m word", "a\x00b", "a\u2028b", HTML],
)
def test_whatever_the_service_says_the_error_is_one_short_line(
    ask: Run, billing_emulator: Emulator, message: str
) -> None:
    billing_emulator.inject(Fault(status=400, body=refusal({"code": 1, "message": message})))
    with pytest.raises(BadRequestError) as caught:
        ask(BALANCE.on)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    assert caught.value.errors[0].message == message


def test_an_answer_without_a_ray_has_none(run: Run, mocked_service: MockedService) -> None:
    mocked_service.answer(refusal({"code": 1, "message": "No"}), status=404)
    with pytest.raises(NotFoundError, match=r": No \(1\) · 'acc' \S.+ are$") as caught:
        run(BALANCE.on, base_url=mocked_service.base_url, api_token=SECRET)
    assert caught.value.cf_ray is None


def test_a_host_that_is_not_there_is_a_connection_error(run: Run) -> None:
    with Emulator() as emulator:
        gone = emulator.base_url
    with pytest.raises(APIConnectionError, match=r"^GET /client/v4/\S+: \S") as caught:
        run(BALANCE.on, base_url=gone, api_token=SECRET)
    error = caught.value
    assert type(error) is APIConnectionError
    assert "\n" not in str(error)
    assert (error.retries_taken, error.errors, error.cf_ray) == (2, (), None)
    assert isinstance(error.__cause__, OSError)


# One path.


def test_no_line_names_its_path_twice(ask: Run, billing_emulator: Emulator) -> None:
    """Also if an error is the cause of another, or if the service names the path."""
    for case in (BALANCE, TOPUP):
        with pytest.raises(NotFoundError, match="Could not route to this path, perhaps") as refused:
            ask(case.on, max_retries=0)  # there is no account yet
        assert str(refused.value).count("/ai-gateway/") == 1
        assert case.path in refused.value.errors[0].message
    seeded(billing_emulator, TOPUP)
    for fault, cls in FAILURES.values():
        for case in (BALANCE, TOPUP):
            billing_emulator.reset()
            billing_emulator.inject(fault, times=None)
            with pytest.raises(APIError) as caught:
                ask(timed_out(case.on, cls, billing_emulator), max_retries=0)
            assert str(caught.value).count("/ai-gateway/") == 1
            assert f"{case.method} " in str(caught.value)


def test_a_lost_charge_names_what_came_in_its_place(ask: Run, billing_emulator: Emulator) -> None:
    seeded(billing_emulator, TOPUP)
    billing_emulator.inject(FAILURES["a page"][0], times=None)
    with pytest.raises(TopupOutcomeUnknownError) as caught:
        ask(TOPUP.on)
    assert re.fullmatch(
        rf"POST /client/v4{TOPUP.path}: a top-up of .+ is unknown: 502 not JSON .+ · "
        r"do not send it again before .+",
        str(caught.value),
    )


HEX = "0123456789abcdef0123456789ABCDEF"
ACCOUNT_IDS = {HEX: "", HEX[1:]: HEX[1:], f"{HEX}0": f"{HEX}0", "my-acc": "my-acc"}


@pytest.mark.parametrize("account_id", ACCOUNT_IDS)
@pytest.mark.parametrize("status", [400, 404, 409])
def test_an_account_id_that_cannot_be_one_is_said_to_be_the_fault(
    ask: Run, billing_emulator: Emulator, account_id: str, status: int
) -> None:
    code = 7003 if status == 400 else 1
    billing_emulator.inject(Fault(status=status, body=refusal({"code": code, "message": "No"})))
    with pytest.raises(APIStatusError) as caught:
        ask(lambda c: c.ai_gateway.billing.credit_balance(account_id=account_id))
    step = f" · '{account_id}' is not 32 hex digits, as account ids are · "
    assert (step in str(caught.value)) == (bool(ACCOUNT_IDS[account_id]) and status != 409)


# No secret anywhere.

FAILURES: dict[str, tuple[Fault, type[APIError]]] = {
    "a refusal": (Fault(status=403), PermissionDeniedError),
    "a page": (Fault(status=502, body=HTML.encode(), content_type="text/html"), APIStatusError),
    "a wrong answer": (Fault(body=b'{"success":true,"result":{}}'), APIResponseValidationError),
    "no answer": (Fault(silence="close"), APIConnectionError),
    "no answer in time": (Fault(silence="hang"), APITimeoutError),
}


def timed_out(
    call: Callable[[Any], Any], cls: type[APIError], emulator: Emulator
) -> Callable[[Any], Any]:
    """The call, out of its time as soon as it has arrived where that is what is to happen."""
    if cls is not APITimeoutError:
        return call
    return impatient(call, lambda: emulator.requests)


CREDENTIALS: dict[str, dict[str, str]] = {
    "token": {"api_token": SECRET},
    "key": {"api_token": "", "api_email": "a@example.com", "api_key": SECRET},
    "service key": {"api_token": "", "user_service_key": SECRET},
}


def everything_in(error: BaseException) -> Iterator[str]:
    """Yield the texts that a log, a debugger or an error tracker would show or store."""
    yield str(error)
    yield repr(error)
    yield repr(vars(error))
    yield repr(pickle.dumps(error))
    yield from traceback.format_exception(error)
    while True:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        for frame in told.stack:
            if Path(frame.filename).parent != Path(__file__).parent:  # tests hold the secret
                yield from (frame.locals or {}).values()
        if error.__cause__ is None:
            return
        error = error.__cause__


@pytest.mark.parametrize("credentials", CREDENTIALS.values(), ids=CREDENTIALS)
@pytest.mark.parametrize(("fault", "cls"), FAILURES.values(), ids=FAILURES)
def test_no_error_holds_the_credentials(
    ask: Run,
    billing_emulator: Emulator,
    fault: Fault,
    cls: type[APIError],
    credentials: dict[str, str],
) -> None:
    billing_emulator.inject(fault, times=None)
    with pytest.raises(cls) as caught:
        ask(timed_out(BALANCE.on, cls, billing_emulator), max_retries=0, **credentials)
    [sent, *_] = billing_emulator.requests
    assert SECRET in str(sent.headers)
    shown = list(everything_in(caught.value))
    assert len(shown) > 10
    assert not [text for text in shown if SECRET in text]


@pytest.mark.parametrize("name", ["Authorization", "x-auth-key", "X-Auth-User-Service-Key"])
@pytest.mark.parametrize("where", ["extra_headers", "default_headers"])
def test_credentials_that_came_as_a_plain_header_are_redacted_too(
    ask: Run, billing_emulator: Emulator, name: str, where: str
) -> None:
    billing_emulator.inject(Fault(status=400))
    given = {name: f"Bearer {SECRET}"}
    options = {"default_headers": given} if where == "default_headers" else {}
    extra = {"extra_headers": given} if where == "extra_headers" else {}
    with pytest.raises(BadRequestError) as caught:
        ask(lambda c: c.ai_gateway.billing.credit_balance(account_id="acc", **extra), **options)
    assert billing_emulator.requests[0].headers[name] == f"Bearer {SECRET}"
    assert SECRET not in repr(vars(caught.value))


# Pickle and copy.

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def pickled(value: Any, protocol: int) -> Any:
    return pickle.loads(pickle.dumps(value, protocol))  # noqa: S301  # of this test


COPIES: dict[str, Callable[[Any], Any]] = {
    **{f"pickle {protocol}": partial(pickled, protocol=protocol) for protocol in PROTOCOLS},
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def sample(cls: type[CloudflareError]) -> CloudflareError:
    """An error of this class, with something in every attribute."""
    request = HTTPRequest(
        method="POST",
        url="https://api.test/client/v4/accounts",
        headers=CIMultiDict({"Authorization": Secret(f"Bearer {SECRET}"), "Accept": "a/b"}),
    )
    if issubclass(cls, APIResponseError):
        response = HTTPResponse(
            status_code=429,
            headers=CIMultiDictProxy(CIMultiDict({"CF-Ray": RAY, "Content-Type": "text/html"})),
            body=b"\x00page",
        )
        chain = (ErrorData(code=None, message="cause"),)
        error = cls(
            "one line",
            request=request,
            response=response,
            errors=(ErrorData(code=1, message="No", error_chain=chain),),
            retries_taken=2,
        )
        if isinstance(error, RateLimitError):
            error.retry_after = 7.5
        return error
    if issubclass(cls, TopupOutcomeUnknownError):
        sent_at = datetime(2026, 11, 21, 12, tzinfo=UTC)
        return cls("lost", request=request, account_id="acc", amount=1000, sent_at=sent_at)
    if issubclass(cls, APIError):
        return cls("one line", request=request, retries_taken=2)
    if issubclass(cls, TopupConfirmationError):
        # A pickle holds no other secret.
        return cls("in_1", Secret(REDACTED), account_id="acc", amount=1000)
    if issubclass(cls, TopupPendingError):
        return cls("in_1", account_id="acc", amount=None)
    if issubclass(cls, TopupFailedError):
        return cls("void", "in_1", account_id="acc", amount=1000)
    return cls("one line")


def facts(error: CloudflareError) -> dict[str, object]:
    """Everything about an error, in terms that compare."""
    cause = error.__cause__ if isinstance(error.__cause__, CloudflareError) else None
    found: dict[str, object] = {
        **vars(error),
        "type": (type(error), str(error), error.args),
        "cause": cause and facts(cause),
    }
    for name, value in found.items():
        if isinstance(value, (HTTPRequest, HTTPResponse)):
            parts = attrs.asdict(value, recurse=False)
            found[name] = {**parts, "headers": CIMultiDict(value.headers)}
    return found


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("cls", ERRORS)
def test_every_error_survives_a_copy(
    cls: type[CloudflareError], copied: Callable[[Any], Any]
) -> None:
    error = sample(cls)
    error.__cause__ = sample(PermissionDeniedError)  # one of ours, as that of `TopupPendingError`
    again = copied(error)
    assert again is not error
    assert facts(again) == facts(error)


@pytest.mark.parametrize(("fault", "cls"), FAILURES.values(), ids=FAILURES)
def test_an_error_that_was_raised_survives_a_copy(
    ask: Run, billing_emulator: Emulator, fault: Fault, cls: type[APIError]
) -> None:
    billing_emulator.inject(fault, times=None)
    with pytest.raises(cls) as caught:
        ask(timed_out(BALANCE.on, cls, billing_emulator), max_retries=0)
    for copied in COPIES.values():
        assert facts(copied(caught.value)) == facts(caught.value)


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_value_and_its_parameters_survive_a_copy(
    case: Case, copied: Callable[[Any], Any]
) -> None:
    assert copied(case.expected) == case.expected
    assert type(copied(case.expected)) is type(case.expected)
    params = case.value()
    assert copied(params) == params
    assert type(copied(params)) is type(params)


TO_CONFIRM = TopupCreateResponse(
    client_secret=Secret(SECRET), onboarding=True, payment_intent_id="in_1"
)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_secret_of_a_payment_stays_out_of_a_pickle_and_of_what_is_shown(protocol: int) -> None:
    masked = attrs.evolve(TO_CONFIRM, client_secret=Secret(REDACTED))
    assert pickled(TO_CONFIRM, protocol) == masked
    assert SECRET.encode() not in pickle.dumps(TO_CONFIRM, protocol)
    assert SECRET not in repr(TO_CONFIRM)
    assert str(TO_CONFIRM.client_secret) == SECRET


@pytest.mark.parametrize("name", ["copy", "deepcopy"])
def test_the_secret_of_a_payment_is_still_itself_in_a_copy(name: str) -> None:
    """`attrs.asdict`, a cache or a task queue copies; the payer's page needs the real one."""
    again = COPIES[name](TO_CONFIRM)
    assert again == TO_CONFIRM
    assert SECRET not in repr(again)


# Large and deep.


LARGE = 1_000_000
HUGE: dict[str, tuple[Fault, type[APIResponseError]]] = {
    "a page": (
        Fault(status=503, body=LARGE * b"<", content_type="text/html"),
        InternalServerError,
    ),
    "a refusal": (
        Fault(status=400, body=refusal({"code": 1, "message": "No"}, LARGE * "x")),
        BadRequestError,
    ),
    "many refusals": (
        Fault(status=400, body=refusal(*100_000 * [{"code": 1, "message": "No"}])),
        BadRequestError,
    ),
    "a wrong answer": (
        Fault(body=b'{"success":true,"result":{"more":"%b"}}' % (LARGE * b"x")),
        APIResponseValidationError,
    ),
    "no JSON": (Fault(body=LARGE * b"x"), APIResponseValidationError),
}


@pytest.mark.parametrize(("fault", "cls"), HUGE.values(), ids=HUGE)
def test_an_error_keeps_the_beginning_of_a_large_body_once(
    ask: Run, billing_emulator: Emulator, fault: Fault, cls: type[APIResponseError]
) -> None:
    billing_emulator.inject(fault, times=None)
    with pytest.raises(cls) as caught:
        ask(BALANCE.on, max_retries=0)
    error = caught.value
    assert fault.body is not None
    assert error.response.body == fault.body[:8192]
    assert error.body == fault.body[:8192].decode()
    assert f"the first 8,192 of its {len(fault.body):,} bytes" in str(error.response.flaw)
    assert len(pickle.dumps(error)) < 32 * 1024
    assert facts(copy.deepcopy(error)) == facts(error)
    assert sum(len(str(entry)) for entry in error.errors) < 10_000
    if cls is BadRequestError:
        assert (error.errors[0].code, error.errors[0].message) == (1, "No")


def test_the_raw_response_has_all_of_a_large_body(ask: Run, billing_emulator: Emulator) -> None:
    fault, cls = HUGE["a wrong answer"]
    billing_emulator.inject(fault, times=None)

    def raw(client: Any) -> Any:
        return client.ai_gateway.billing.with_raw_response.credit_balance(account_id="acc")

    async def read(client: AsyncCloudflare) -> bytes:
        response = await raw(client)
        with pytest.raises(cls):
            await response.parse()
        body: bytes = await response.read()
        return body

    def read_sync(client: Cloudflare) -> bytes:
        response = raw(client)
        with pytest.raises(cls):
            response.parse()
        body: bytes = response.read()
        return body

    assert ask(lambda c: read_sync(c) if isinstance(c, Cloudflare) else read(c)) == fault.body


def test_a_large_refusal_of_a_charge_is_a_refusal(ask: Run, billing_emulator: Emulator) -> None:
    """The verdict is that of the whole answer, and not of what the error keeps of it."""
    seeded(billing_emulator, TOPUP)
    billing_emulator.inject(HUGE["a refusal"][0], times=None)
    with pytest.raises(BadRequestError) as caught:
        ask(TOPUP.on)
    assert type(caught.value.body) is str
    assert len(billing_emulator.requests) == 1


@pytest.mark.parametrize("depth", [19, 20, 21, 60, 200, 400, 5_000])
def test_an_error_with_a_deep_chain_copies_and_is_shown(
    ask: Run, billing_emulator: Emulator, depth: int
) -> None:
    body = f'{{"success":false,"result":null,"errors":[{_text(depth)}]}}'.encode()
    billing_emulator.inject(Fault(status=400, body=body), times=None)
    with pytest.raises(BadRequestError) as caught:
        ask(BALANCE.on)
    error = caught.value
    for copied in COPIES.values():
        assert facts(copied(error)) == facts(error)
        assert repr(copied(error).body) == repr(error.body)
    assert len(str(error)) < 1000
    assert len(_codes(error.errors)) <= 20
    if depth <= 400:
        assert _codes(error.errors) == list(range(depth - 1, max(depth - 21, -1), -1))


def _text(depth: int) -> str:
    """The JSON of `chain`, which for great depths no encoder makes."""
    entries = (f'{{"code":{n},"message":"cause","error_chain":[' for n in range(depth - 1, -1, -1))
    return "".join(entries) + depth * "]}"


def _codes(errors: tuple[ErrorData, ...]) -> list[int | None]:
    return [code for error in errors for code in (error.code, *_codes(error.error_chain))]


# The tree.


def test_the_tree_in_the_docstring_is_the_classes() -> None:
    drawn: dict[str, tuple[str | None, str]] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.fullmatch(r"    ([ │├└─]*)(\w*Error)\s*(\S*)", line):
            depth = len(found[1]) // 4
            above[depth:] = [found[2]]
            drawn[found[2]] = (above[depth - 1] if depth else None, found[3])
    real = {
        cls.__name__: None if cls is CloudflareError else cls.__bases__[0].__name__
        for cls in ERRORS
    }
    assert {name: parent for name, (parent, _) in drawn.items()} == real
    statuses = {name: status for name, (_, status) in drawn.items() if status}
    assert statuses == {
        name: "5xx" if cls is InternalServerError else str(status)
        for status in (400, 401, 402, 403, 404, 409, 422, 429, 500)
        for cls in [errors.class_for_status(status)]
        for name in [cls.__name__]
    }


@pytest.mark.parametrize("cls", ERRORS)
def test_every_error_is_public(cls: type) -> None:
    assert cls.__name__ in cfaigw_billing.__all__
    assert getattr(cfaigw_billing, cls.__name__) is cls
    assert cls.__doc__


# What is repeated, and what never is.

LOST: dict[str, Fault] = {
    "500": Fault(status=500),
    "502": Fault(status=502, body=HTML.encode(), content_type="text/html"),
    "503": Fault(status=503, body=b"", content_type="text/plain"),
    "504": Fault(status=504),
    "429": Fault(status=429, headers={"Retry-After": "0"}),
    "429 of something else": Fault(status=429),
    "520": Fault(status=520, body=b"", content_type="text/plain"),
    "a dropped connection": Fault(silence="close"),
}
OUTCOME_UNKNOWN = LOST.keys() - {"429"}  # the limiter answers before the service sees the charge
HARMLESS = [case for case in FIRST.values() if case.call != TOPUP.call]


def seeded(emulator: Emulator, case: Case) -> Case:
    assert case.seed
    case.seed(emulator)
    return case


@pytest.mark.parametrize("case", HARMLESS, ids=lambda case: case.call)
def test_what_charges_nothing_is_repeated_until_it_is_answered(
    ask: Run, billing_emulator: Emulator, case: Case
) -> None:
    """GET, DELETE and the harmless POSTs alike."""
    seeded(billing_emulator, case)
    for name, fault in LOST.items():
        billing_emulator.reset()
        # The two of a dropped GET may both meet the first attempt: aiohttp repeats one by itself.
        billing_emulator.inject(fault, times=2)
        assert ask(case.send, max_retries=2) == case.expected, name
        assert len({(r.method, r.path, r.body) for r in billing_emulator.requests}) == 1
        assert len(billing_emulator.requests) == 3, name


@pytest.mark.parametrize(
    "id", ["credit_balance: full", "topup.status: full", "topup.config.delete"]
)
def test_what_charges_nothing_is_repeated_after_a_timeout(
    ask: Run, billing_emulator: Emulator, id: str
) -> None:
    case = seeded(billing_emulator, case_named(id))
    billing_emulator.inject(Fault(silence="hang"))
    send = impatient(case.send, lambda: billing_emulator.requests)
    assert ask(send, max_retries=1) == case.expected
    assert len(billing_emulator.requests) == 2


@pytest.mark.parametrize("max_retries", [0, 1, 2])
def test_an_error_says_how_often_the_call_was_repeated(
    ask: Run, billing_emulator: Emulator, max_retries: int
) -> None:
    billing_emulator.inject(Fault(status=503), times=None)
    with pytest.raises(InternalServerError) as caught:
        ask(BALANCE.on, max_retries=max_retries)
    assert caught.value.retries_taken == max_retries
    assert len(billing_emulator.requests) == max_retries + 1


@pytest.mark.parametrize("case", FIRST.values(), ids=lambda case: case.call)
def test_a_refusal_that_would_come_again_is_not_asked_for_again(
    ask: Run, billing_emulator: Emulator, case: Case
) -> None:
    for status in (302, 400, 401, 402, 403, 404, 409, 418, 422, 501):
        billing_emulator.reset()
        billing_emulator.inject(Fault(status=status), times=None)
        unclear = status >= 500 and case.call == TOPUP.call
        with pytest.raises(TopupOutcomeUnknownError if unclear else APIStatusError) as caught:
            ask(case.on, max_retries=2)
        assert caught.value.retries_taken == 0
        assert len(billing_emulator.requests) == 1, status


@pytest.mark.parametrize("max_retries", [0, 2, 9])
@pytest.mark.parametrize("after", [False, True], ids=["before the charge", "after the charge"])
def test_a_charge_is_sent_exactly_once_whatever_comes_back(
    ask: Run, billing_emulator: Emulator, max_retries: int, after: bool
) -> None:
    seeded(billing_emulator, TOPUP)
    for name in OUTCOME_UNKNOWN:
        billing_emulator.reset()
        billing_emulator.inject(attrs.evolve(LOST[name], after=after), times=None)
        with pytest.raises(TopupOutcomeUnknownError) as caught:
            ask(TOPUP.on, max_retries=max_retries)
        assert caught.value.retries_taken == 0
        assert [(r.method, r.path) for r in billing_emulator.requests] == [("POST", TOPUP.path)]
        assert len(billing_emulator.charges) == after, name


@pytest.mark.parametrize("after", [False, True], ids=["before the charge", "after the charge"])
def test_a_charge_that_is_not_answered_in_time_is_sent_exactly_once(
    ask: Run, billing_emulator: Emulator, after: bool
) -> None:
    seeded(billing_emulator, TOPUP)
    billing_emulator.inject(Fault(silence="hang", after=after), times=None)
    what = "charges" if after else "requests"
    call = impatient(TOPUP.on, lambda: len(getattr(billing_emulator, what)))
    with pytest.raises(TopupOutcomeUnknownError):
        ask(call, max_retries=2)
    assert [request.path for request in billing_emulator.requests] == [TOPUP.path]
    assert len(billing_emulator.charges) == after


def test_a_charge_over_a_connection_that_was_kept_is_sent_exactly_once(
    run_async: Run, billing_emulator: Emulator
) -> None:
    """Here aiohttp would repeat a GET."""
    seeded(billing_emulator, TOPUP)
    billing_emulator.inject(Fault(silence="close", after=True), times=None, path="/topup")

    async def look_and_charge(client: Any) -> None:
        await client.ai_gateway.billing.topup.limits(account_id="acc")
        with pytest.raises(TopupOutcomeUnknownError):
            await TOPUP.on(client)

    run_async(
        look_and_charge, base_url=billing_emulator.base_url, api_token=billing_emulator.api_token
    )
    assert [request.method for request in billing_emulator.requests] == ["GET", "POST"]
    assert len(billing_emulator.charges) == 1
