"""Decoding that cannot lie: an answer is what the types say, or an error that tells the path.

Most tests here are made from the fields of the response types: every field of every type is given
each kind of wrong value, and taken away, wherever it occurs in an answer.
"""

from __future__ import annotations

import copy
import json
import operator
import pickle
import types
import typing
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import attrs
import pytest
from attrs import frozen
from cases import BRAND_NEW, CASES, FULL, JSON, Case, case_named

from cfaigw_billing import (
    APIResponseValidationError,
    APIStatusError,
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
from cfaigw_billing import types as values
from cfaigw_billing._core.operations import BY_PARAMS
from cfaigw_billing._wire.secrets import Secret
from cfaigw_billing.types import Response

if TYPE_CHECKING:
    from conftest import MockedService, Run

Decode = Callable[..., Any]

CAMEL: dict[str, str] = {"disabled_reason": "disabledReason", "last_failed_at": "lastFailedAt"}
"""The fields whose name on the wire is not the one in Python."""

FOREIGN = ("cattrs", "JSONDecodeError", "ValidationError", "tructuring", "NoneType", "sys.")
"""Words that no message may have: users need not know of json, cattrs or Python."""

BALANCE = case_named("credit_balance: full")


@pytest.fixture
def decode(run_async: Run, mocked_service: MockedService) -> Decode:
    """Makes the call of a case, which is answered with this envelope, text or these bytes."""

    def decode(case: Case, answer: JSON | str | bytes, **how: Any) -> Any:
        text = json.dumps(answer) if isinstance(answer, dict) else answer
        mocked_service.answer(text.encode() if isinstance(text, str) else text, **how)
        return run_async(
            case.send,
            base_url=mocked_service.base_url,
            api_token=mocked_service.api_token,
            max_retries=0,
        )

    return decode


def refused(decode: Decode, case: Case, answer: JSON | str | bytes, **how: Any) -> str:
    """The message of the validation error that this answer is."""
    with pytest.raises((APIResponseValidationError, TopupOutcomeUnknownError)) as caught:
        decode(case, answer, **how)
    error: BaseException | None = caught.value
    if isinstance(error, TopupOutcomeUnknownError):  # what cannot be read may have been charged
        assert case.call.endswith("topup.create")
        error = error.__cause__
    assert isinstance(error, APIResponseValidationError)
    message = str(error)
    assert "\n" not in message
    assert not [word for word in FOREIGN if word in message], message
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return message


# Every field of every type.


@frozen
class Place:
    """A field of a response type, where it occurs in the answer of a case."""

    case: Case
    keys: tuple[str | int, ...]
    """The way to it in the JSON of the answer."""
    names: tuple[str | int, ...]
    """The way to it in the value."""
    hint: Any
    required: bool

    @property
    def type(self) -> Any:
        """Return its type without `None`."""
        members = [member for member in members_of(self.hint) if member is not type(None)]
        return str if str in members else members[0]

    @property
    def is_open_enumeration(self) -> bool:
        return any(typing.get_origin(member) is Literal for member in members_of(self.hint))

    @property
    def path(self) -> str:
        """The path as a message shows it."""
        steps = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.keys)
        return "".join(steps).lstrip(".")

    def __str__(self) -> str:
        return f"{self.case.call.removeprefix('ai_gateway.billing.')} {self.path}"

    def parent(self, answer: JSON) -> Any:
        """Return its container in the JSON of an answer."""
        found: Any = answer
        for key in self.keys[:-1]:
            found = found[key]
        return found

    def answer(self, value: object) -> JSON:
        """The answer of the case with another value here."""
        answer = copy.deepcopy(self.case.answer)
        self.parent(answer)[self.keys[-1]] = value
        return answer

    def answer_without(self) -> JSON:
        """The answer of the case without it."""
        answer = copy.deepcopy(self.case.answer)
        del self.parent(answer)[self.keys[-1]]
        return answer

    def within(self, value: Any) -> Any:
        """Return the value at this path."""
        for name in self.names:
            value = value[name] if isinstance(name, int) else getattr(value, name)
        return value


def places(case: Case) -> Iterator[Place]:
    """Every field and element of what a case answers, down to the last."""
    operation = BY_PARAMS[case.params.__name__]
    if operation.envelope:
        yield from fields(case, operation.result, (), ())
    else:
        yield from below(Place(case, ("result",), (), operation.result, True))


def fields(
    case: Case, cls: type, keys: tuple[str | int, ...], names: tuple[str | int, ...]
) -> Iterator[Place]:
    hints = typing.get_type_hints(cls)
    for field in attrs.fields(cls):
        name: str = field.name
        if name not in ("extra", "account_id"):
            key, required = CAMEL.get(name, name), field.default is attrs.NOTHING
            place = Place(case, (*keys, key), (*names, name), hints[name], required)
            yield from below(place)


def below(place: Place) -> Iterator[Place]:
    """This place and all that are in it; of an array, what is in its last element."""
    yield place
    if is_response(place.type):
        yield from fields(place.case, place.type, place.keys, place.names)
    elif is_array(place.type):
        last = len(place.parent(place.case.answer)[place.keys[-1]]) - 1
        element = typing.get_args(place.type)[0]
        keys, names = (*place.keys, last), (*place.names, last)
        yield from below(Place(place.case, keys, names, element, True))


def members_of(hint: Any) -> tuple[Any, ...]:
    """`X` and `Y` of `X | Y`; else the hint itself."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if union else (hint,)


def is_response(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Response)


def is_array(cls: Any) -> bool:
    return typing.get_origin(cls) is tuple


WRONG: dict[Any, list[object]] = {
    float: ["12", "", True, False, [], {}],
    int: ["12", True, 1.5, [], {}],
    bool: ["false", "", 0, 1, 1.0, [], {}],
    str: [12, 1.5, True, [], {}, ["x"]],
    Secret: [12, True, [], {}],
    datetime: [1_767_225_600, True, "yesterday", "", {}],
}
"""Values that are not of the type."""
NOT_AN_OBJECT: list[object] = [[], [{}], "x", "", 1, True]
NOT_AN_ARRAY: list[object] = [{}, {"0": {}}, "x", "", 1, True]

PLACES = [place for case in FULL for place in places(case)]
OPTIONAL = [place for place in PLACES if not place.required]
FIELDS = [place for place in PLACES if isinstance(place.keys[-1], str)]
REQUIRED = [place for place in FIELDS if place.required]


def at(chosen: list[Place]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("place", chosen, ids=str)


def test_every_field_of_every_response_type_is_at_a_place() -> None:
    """So that the tests below leave none out; the case that they start from is complete."""
    public = {getattr(values, name) for name in values.__all__}
    reached = {BY_PARAMS[case.params.__name__].result for case in FULL}
    reached |= {place.type for place in PLACES if is_response(place.type)}
    assert reached == {cls for cls in public if is_response(cls)} - {Response}
    for place in PLACES:
        assert place.within(place.case.expected) is not None


@at(PLACES)
def test_a_value_of_another_type_is_an_error_with_its_path(decode: Decode, place: Place) -> None:
    wrong = (
        NOT_AN_OBJECT
        if is_response(place.type)
        else NOT_AN_ARRAY
        if is_array(place.type)
        else WRONG[place.type]
    )
    for value in wrong:
        assert f"{place.path}: " in refused(decode, place.case, place.answer(value))


@at(REQUIRED)
def test_a_required_field_that_is_absent_or_null_is_an_error_with_its_path(
    decode: Decode, place: Place
) -> None:
    null = refused(decode, place.case, place.answer(None))
    assert f"{place.path}: expected" in null
    assert ", got null" in null
    if place.keys != ("result",):
        assert f"{place.path}: missing" in refused(decode, place.case, place.answer_without())


@at(OPTIONAL)
def test_an_optional_field_may_be_absent_or_null(decode: Decode, place: Place) -> None:
    assert place.within(decode(place.case, place.answer(None))) is None
    assert place.within(decode(place.case, place.answer_without())) is None


@at([place for place in PLACES if is_response(place.type)])
def test_a_field_that_is_new_is_kept_in_extra(decode: Decode, place: Place) -> None:
    known = place.parent(place.case.answer)[place.keys[-1]]
    value = place.within(decode(place.case, place.answer({**known, "newer": 1.5, **BRAND_NEW})))
    assert value.extra == {"newer": 1.5, **BRAND_NEW}


def test_a_new_field_of_the_list_of_accounts_is_kept_and_the_envelope_is_not(
    decode: Decode,
) -> None:
    case = case_named("accounts.list: full")
    assert decode(case, {**case.answer, **BRAND_NEW}).extra == BRAND_NEW
    assert decode(case, case.answer).extra == {}


def test_the_name_in_python_is_a_new_field_on_the_wire(decode: Decode) -> None:
    case = case_named("topup.config.get: full")
    sent = {"disabled_reason": "x", "extra": 1}
    value = decode(case, {"success": True, "result": sent})
    assert value.disabled_reason is None
    assert value.extra == sent


@at([place for place in PLACES if place.is_open_enumeration])
def test_an_unknown_word_of_an_enumeration_comes_through(decode: Decode, place: Place) -> None:
    assert place.within(decode(place.case, place.answer("NEVER_HEARD_OF"))) == "NEVER_HEARD_OF"


@at([place for place in PLACES if place.type is float])
def test_an_integer_is_a_number(decode: Decode, place: Place) -> None:
    for number in (0, -7, 2**53, 1.5, -0.01):
        value = place.within(decode(place.case, place.answer(number)))
        assert type(value) is float
        assert value == number


@at([place for place in PLACES if place.type is int])
def test_a_float_without_a_fraction_is_whole(decode: Decode, place: Place) -> None:
    value = place.within(decode(place.case, place.answer(3.0)))
    assert type(value) is int
    assert value == 3


# The paths and the words, by hand.


@pytest.mark.parametrize(
    ("id", "keys", "value", "message"),
    [
        (
            "credit_balance: full",
            ("result", "topup_config", "amount"),
            "12",
            "result.topup_config.amount: expected a finite number, got a string",
        ),
        (
            "credit_balance: full",
            ("result", "topup_config", "disabledReason"),
            False,
            "result.topup_config.disabledReason: expected a string, got a boolean",
        ),
        (
            "usage_history: hours, full",
            ("result", "history", 3, "aggregated_value"),
            None,
            "result.history[3].aggregated_value: expected a finite number, got null",
        ),
        (
            "usage_history: hours, full",
            ("result", "history", 3),
            [],
            "result.history[3]: expected an object, got an array",
        ),
        (
            "invoice_history: full",
            ("result", "pagination", "page"),
            1.5,
            "result.pagination.page: expected a whole number, got 1.5",
        ),
        (
            "accounts.list: full",
            ("result_info", "page"),
            "1",
            "result_info.page: expected a whole number, got a string",
        ),
        (
            "accounts.list: full",
            ("result", 1, "id"),
            7,
            "result[1].id: expected a string, got a number",
        ),
    ],
)
def test_the_message_says_where_and_what(
    decode: Decode, id: str, keys: tuple[str | int, ...], value: object, message: str
) -> None:
    case = case_named(id)
    answer = Place(case, keys, (), None, True).answer(value)
    assert f": {message}" in refused(decode, case, answer)


def test_every_fault_is_named(decode: Decode) -> None:
    answer = {"success": True, "result": {"balance": "12", "topup_config": {"error": 1}}}
    message = refused(decode, BALANCE, answer)
    assert "result.balance: expected a finite number, got a string" in message
    assert "result.has_default_payment_method: missing" in message
    assert "result.topup_config.error: expected a string, got a number" in message


def with_balance(literal: str) -> str:
    return f'{{"success":true,"result":{{"balance":{literal},"has_default_payment_method":true}}}}'


@pytest.mark.parametrize("literal", ["1e999", "-1e999", "1" + 400 * "0"])
def test_a_number_beyond_all_floats_is_an_error_with_its_path(decode: Decode, literal: str) -> None:
    assert "result.balance: " in refused(decode, BALANCE, with_balance(literal))


@pytest.mark.parametrize("key", ["page", "total_count"])
def test_an_infinite_count_is_an_error_with_its_path(decode: Decode, key: str) -> None:
    answer = json.dumps(case_named("invoice_history: full").answer)
    text = answer.replace(f'"{key}": 1', f'"{key}": 1e999')
    assert text != answer
    assert f"result.pagination.{key}: expected a whole number" in refused(
        decode, case_named("invoice_history: full"), text
    )


MALFORMED: dict[str, str | bytes] = {
    "NaN": with_balance("NaN"),
    "Infinity": with_balance("Infinity"),
    "-Infinity": with_balance("-Infinity"),
    "NaN in a field that is new": with_balance('1,"new":NaN'),
    "nested too deeply": 100_000 * "[",
    "nested too deeply, in a field": with_balance(100_000 * "["),
    "a huge integer": with_balance(10_000 * "9"),
    "not UTF-8": b'{"success":true,"result":"\xff"}',
    "UTF-16": json.dumps(BALANCE.answer).encode("utf-16"),
    "cut off": json.dumps(BALANCE.answer)[:-10],
    "two documents": 2 * json.dumps(BALANCE.answer),
    "a comma too many": '{"success":true,}',
    "empty": "",
    "a space": " ",
    "an array": "[]",
    "an array of envelopes": json.dumps([BALANCE.answer]),
    "a string": '"success"',
    "a number": "1",
    "null": "null",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_an_envelope_is_an_error(decode: Decode, body: str | bytes) -> None:
    message = refused(decode, BALANCE, body)
    assert "200 GET " in message
    assert "credit-balance: " in message
    assert len(message) < 1000


def test_a_page_of_html_with_a_200_is_an_error(decode: Decode) -> None:
    page = "<!DOCTYPE html>\n<title>Just a moment</title>\n" + 10_000 * "<p>…</p>\n"
    with pytest.raises(APIResponseValidationError) as caught:
        decode(BALANCE, page, content_type="text/html; charset=UTF-8", headers={"CF-Ray": "r-1"})
    error = caught.value
    assert "text/html" in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 600
    assert error.body == page.encode()[:8192].decode(errors="replace")
    assert (error.status_code, error.cf_ray, error.errors) == (200, "r-1", ())


@pytest.mark.parametrize("success", ["absent", None, 1, 0, "true", "", [], {}])
def test_success_must_be_a_boolean(decode: Decode, success: object) -> None:
    answer = {"success": success, "result": BALANCE.answer["result"]}
    if success == "absent":
        del answer["success"]
    assert ": success: expected a boolean" in refused(decode, BALANCE, answer)


CLASSES: dict[int, type[APIStatusError]] = {
    200: APIStatusError,
    201: APIStatusError,
    206: APIStatusError,
    301: APIStatusError,
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    418: APIStatusError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    500: InternalServerError,
    503: InternalServerError,
    530: InternalServerError,
    599: InternalServerError,
}


@pytest.mark.parametrize(("status", "cls"), CLASSES.items())
@pytest.mark.parametrize("result", [None, BALANCE.answer["result"]], ids=["null", "complete"])
def test_success_false_is_an_error_with_any_status(
    decode: Decode, status: int, cls: type[APIStatusError], result: object
) -> None:
    """Even beside a result that is complete."""
    errors = [{"code": 10000, "message": "Authentication error"}]
    with pytest.raises(APIStatusError) as caught:
        decode(BALANCE, {"success": False, "errors": errors, "result": result}, status=status)
    assert type(caught.value) is cls
    assert [(e.code, e.message) for e in caught.value.errors] == [(10000, "Authentication error")]
    assert f"{status} GET " in str(caught.value)


@pytest.mark.parametrize("status", [status for status in CLASSES if status >= 300])
def test_success_true_does_not_make_a_success_of_a_status_that_is_none(
    decode: Decode, status: int
) -> None:
    with pytest.raises(APIStatusError) as caught:
        decode(BALANCE, BALANCE.answer, status=status)
    assert type(caught.value) is CLASSES[status]


BADLY_TOLD: list[object] = [
    None,
    "down for maintenance",
    {"code": 1},
    [],
    [None, 7, "text"],
    [{"code": "x", "message": 5, "error_chain": {"code": 1}}],
    [{"message": None}],
    [[[]]],
]


@pytest.mark.parametrize("errors", BADLY_TOLD)
def test_a_failure_that_is_badly_told_is_still_that_failure(decode: Decode, errors: object) -> None:
    with pytest.raises(BadRequestError, match="400 GET "):
        decode(BALANCE, {"success": False, "errors": errors}, status=400)


@pytest.mark.parametrize("case", [c for c in CASES if c.expected == {}], ids=lambda c: c.id)
@pytest.mark.parametrize("result", [{}, None, {"deleted": [1]}, "ok"])
def test_a_bare_result_is_given_as_it_is(decode: Decode, case: Case, result: object) -> None:
    assert decode(case, {"success": True, "result": result}) == result


# What is decoded is like what a program makes.


@pytest.mark.parametrize("case", [c for c in CASES if c.expected != {}], ids=lambda c: c.id)
def test_a_decoded_value_is_like_one_that_is_made(decode: Decode, case: Case) -> None:
    value = decode(case, case.answer)
    cls: type[Any] = value.__class__
    made = cls(**{field.name: getattr(value, field.name) for field in attrs.fields(cls)})
    assert value == made
    assert hash(value) == hash(made)
    assert repr(value) == repr(made)
    assert attrs.asdict(value) == attrs.asdict(made)
    assert pickle.dumps(copy.deepcopy(value)) == pickle.dumps(copy.deepcopy(made))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.extra = {}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del value.extra


CHANGES: list[Callable[[Any], object]] = [
    lambda extra: extra.update(a=1),
    lambda extra: extra.setdefault("a", 1),
    lambda extra: operator.setitem(extra, "a", 1),
    lambda extra: extra.__ior__({"a": 1}),
]


@pytest.mark.parametrize("change", CHANGES)
def test_nobody_can_fill_the_empty_extra_that_values_share(
    decode: Decode, change: Callable[[Any], object]
) -> None:
    value = decode(BALANCE, BALANCE.answer)
    with pytest.raises(TypeError, match="`extra` cannot be changed"):
        change(value.extra)
    assert value.extra == {}
    for own in (copy.deepcopy(value), pickle.loads(pickle.dumps(value))):  # noqa: S301
        change(own.extra)
        assert own.extra == {"a": 1}
