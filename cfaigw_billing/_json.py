"""JSON as RFC 8259 has it: no NaN, no infinity, and one kind of error."""

from __future__ import annotations

import json
from typing import NoReturn


class _ConstantError(ValueError):
    """Python would read a word that JSON does not have."""


def _refuse(constant: str) -> NoReturn:
    raise _ConstantError(f"{constant} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_refuse)
_encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def loads(data: bytes) -> object:
    """Decode UTF-8 JSON; whatever is wrong with it is a `ValueError`."""
    try:
        return _decoder.decode(data.decode())
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON from character {error.pos}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 from byte {error.start}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except _ConstantError:
        raise
    except ValueError:  # Python's own limit
        raise ValueError("a number of thousands of digits") from None


def dumps(value: object) -> bytes:
    """Encode as compact UTF-8 JSON."""
    return _encoder.encode(value).encode()
