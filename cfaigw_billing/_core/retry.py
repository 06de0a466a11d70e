"""Decide about a failed attempt: repeat it, give up, or report an unknown outcome.

Two questions, two pure functions.

`decide`: what may be done? It depends only on the effect of a second request (`Safety`) and on the
kind of failure (`Failure`):

- A call that only reads, or stores the same again, is repeated if the failure is not about the
  request itself: the connection failed, the service was busy, the edge had no answer.
- A charge, or a call with unknown effects, is repeated only if it is certain that the service never
  saw it: there was no connection, or the rate limiter in front of the service refused it, as
  `Retry-After` shows. A 429 without that header, or with a `Ratelimit` with requests left, may come
  from elsewhere, even from behind the service. The service has no idempotency key, so a repeat may
  be a second charge. If the answer to a charge is missing or cannot be understood, the outcome is
  unknown, and the caller gets an error that says so.

`wait_before_retry`: how long to wait?

- Never less than `Retry-After`. If that is more than `max_retry_wait`, the caller gets the error at
  once: during a rate-limit block of five minutes, every earlier request is wasted.
- Otherwise an exponential back-off with full jitter (a random part of 0.5, 1, 2, 4, 8 seconds), so
  that clients that failed at the same time do not repeat at the same time.
- Do not wait if the wait would end after the caller's `total_timeout`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from math import isfinite

from .._wire.messages import parse_date
from .operations import Safety

BUSY_STATUSES = frozenset({408, 425, 500, 502, 503, 504, *range(520, 525), 530})
"""The statuses that say "not now" (429 apart)."""

_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 8.0


class Failure(Enum):
    """The kinds of failure."""

    NOT_SENT = "no connection was made, so nothing was sent"
    NO_ANSWER = "it was sent, and no complete answer came"
    RATE_LIMITED = "429: the limiter in front of the service refused it"
    THROTTLED = "429 without the headers of that limiter: it is not known who refused it, and when"
    BUSY = "a status that says “not now”"
    UNCLEAR = "an answer that is not an envelope, or a failure inside the service"
    REFUSED = "the service understood it and refused"


class Verdict(Enum):
    """The consequences of a failure."""

    RETRY = "repeat it"
    GIVE_UP = "tell the caller what happened"
    OUTCOME_UNKNOWN = "tell the caller that the card may have been charged"


_PASSING = {
    Failure.NOT_SENT,
    Failure.NO_ANSWER,
    Failure.RATE_LIMITED,
    Failure.THROTTLED,
    Failure.BUSY,
}
_UNSEEN = {Failure.NOT_SENT, Failure.RATE_LIMITED}


def decide(safety: Safety, failure: Failure) -> Verdict:
    """Return what to do after a failed attempt."""
    if safety in (Safety.READS, Safety.REPEATABLE):
        return Verdict.RETRY if failure in _PASSING else Verdict.GIVE_UP
    if failure in _UNSEEN:
        return Verdict.RETRY
    if safety is Safety.UNKNOWN:
        return Verdict.GIVE_UP
    return Verdict.GIVE_UP if failure is Failure.REFUSED else Verdict.OUTCOME_UNKNOWN


def wait_before_retry(
    retries_taken: int,
    *,
    max_retries: int,
    max_retry_wait: float,
    remaining: float,
    retry_after: float | None,
    jitter: float,
) -> float | None:
    """Return the seconds to wait before the next attempt; `None`: give up.

    Args:
        remaining: The seconds until the caller's deadline.
        retry_after: The seconds that the service asked for.
        jitter: A random number from 0 to 1.
    """
    if retries_taken >= max_retries:
        return None
    if retry_after is not None and retry_after > max_retry_wait:
        return None
    backoff = jitter * min(_FIRST_BACKOFF * 2.0 ** min(retries_taken, 10), _LONGEST_BACKOFF)
    wait = max(backoff, retry_after or 0.0)
    return wait if wait < remaining else None


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds of `Retry-After`, which is a number or a date."""
    value = headers.get("Retry-After")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value, now)
    return max(seconds, 0.0) if isfinite(seconds) else None


def _seconds_until(date: str, now: datetime) -> float:
    moment = parse_date(date)
    return float("nan") if moment is None else (moment - now).total_seconds()
