"""JSON decodes to the same, and fails with the same words, with orjson and without."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from cfaigw_billing._wire import strict_json as _json

TEXTS = [
    b"",
    b"null",
    b"NaN",
    b"[Infinity]",
    b"1e999",
    b"-1e999",
    b"1e-999",
    b"1" * 18,
    b"9" * 19,
    b"-" + b"9" * 19,
    b"18446744073709551615",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"12345678901234567890.5",
    b"9" * 400,
    b"9" * 5000,
    b"-0",
    b"-0.0",
    b"01",
    b"[1,]",
    b'{"a": 1, "a": 2}',
    b'{"a": 1} x',
    b'"\\ud800"',
    b'"\\u0000"',
    b'"\n"',
    b'"\xff"',
    b"\xef\xbb\xbf1",
    b"\x00",
    b" \t\n\r1 ",
    b"[" * 100 + b"]" * 100,
    b"[" * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
]


def outcome(data: bytes) -> str:
    """Return the result with its types, or the text of the error."""
    try:
        return repr(_json.loads(data))
    except ValueError as error:
        return f"{type(error).__name__}: {error}"


def outcomes(data: bytes) -> tuple[str, str]:
    """Return the results with and without orjson."""
    with_orjson = outcome(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_json, "_quick", None)
        return with_orjson, outcome(data)


@pytest.mark.parametrize("data", TEXTS, ids=lambda data: repr(data[:22]))
def test_orjson_makes_no_difference(data: bytes) -> None:
    pytest.importorskip("orjson")
    with_orjson, without = outcomes(data)
    assert with_orjson == without


VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda values: some.lists(values) | some.dictionaries(some.text(), values),
)


@given(VALUES)
def test_orjson_makes_no_difference_to_anything(value: object) -> None:
    pytest.importorskip("orjson")
    with_orjson, without = outcomes(json.dumps(value).encode())
    assert with_orjson == without


def test_orjson_is_used_where_it_is_installed() -> None:
    orjson = pytest.importorskip("orjson")
    assert _json._quick is orjson.loads
