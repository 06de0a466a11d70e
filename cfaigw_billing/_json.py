"""JSON as RFC 8259 has it: no NaN, no infinity, and one kind of error."""

from __future__ import annotations

import json
from typing import NoReturn


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_refuse)
_encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def loads(data: bytes) -> object:
    """Decode UTF-8 JSON; whatever is wrong with it is a `ValueError`."""
    try:
        return _decoder.decode(data.decode())
    except RecursionError:
        raise ValueError("nested too deeply") from None


def dumps(value: object) -> bytes:
    """Encode as compact UTF-8 JSON."""
    return _encoder.encode(value).encode()
