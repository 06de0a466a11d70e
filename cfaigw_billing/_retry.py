"""When a failed attempt is repeated, and after how long.

The rule, as one pure function:

- What charges a card is never repeated. The service knows no idempotency key, so a repeat of a
  charge whose answer was lost is a second charge.
- Everything else is repeated when the failure says nothing about the request itself: the
  connection failed, the service was busy, the edge had no answer.
- Never sooner than the service asks for (`Retry-After`). Where it asks for more than
  `max_retry_wait`, the caller gets the error at once: during a rate-limit block of five minutes
  every early knock is a wasted request.
- Otherwise after an exponential back-off with full jitter (a random part of 0.5, 1, 2, 4, 8
  seconds), so that clients which failed together do not come back together.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite

from ._operations import Safety

STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 525), 530})
"""The statuses that say "not now"."""

_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 8.0


def wait_before_repeat(
    safety: Safety,
    retries_taken: int,
    *,
    max_retries: int,
    max_retry_wait: float,
    status_code: int | None,
    retry_after: float | None,
    jitter: float,
) -> float | None:
    """Seconds to wait before the next attempt, or `None` to give up.

    Args:
        status_code: The status of the answer; `None` where the connection failed.
        retry_after: The seconds that the service asked for.
        jitter: A random number from 0 to 1.
    """
    if safety is Safety.CHARGES or retries_taken >= max_retries:
        return None
    if status_code is not None and status_code not in STATUSES:
        return None
    if retry_after is not None and retry_after > max_retry_wait:
        return None
    backoff: float = jitter * min(_FIRST_BACKOFF * 2**retries_taken, _LONGEST_BACKOFF)
    return max(backoff, retry_after or 0.0)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that `Retry-After` asks for, given as a number or as a date."""
    value = headers.get("Retry-After")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value, now)
    return max(seconds, 0.0) if isfinite(seconds) else None


def _seconds_until(date: str, now: datetime) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return float("nan")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - now).total_seconds()
