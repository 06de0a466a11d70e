"""The decision after each failure, and the waits: complete tables, written by hand."""

from __future__ import annotations

from math import inf

import pytest

from cfaigw_billing._core.operations import Safety
from cfaigw_billing._core.retry import Failure, Verdict, decide, wait_before_retry

RETRY, GIVE_UP, UNKNOWN = Verdict.RETRY, Verdict.GIVE_UP, Verdict.OUTCOME_UNKNOWN

DECISIONS = {
    (Safety.READS, Failure.NOT_SENT): RETRY,
    (Safety.READS, Failure.NO_ANSWER): RETRY,
    (Safety.READS, Failure.RATE_LIMITED): RETRY,
    (Safety.READS, Failure.THROTTLED): RETRY,
    (Safety.READS, Failure.BUSY): RETRY,
    (Safety.READS, Failure.UNCLEAR): GIVE_UP,
    (Safety.READS, Failure.REFUSED): GIVE_UP,
    (Safety.REPEATABLE, Failure.NOT_SENT): RETRY,
    (Safety.REPEATABLE, Failure.NO_ANSWER): RETRY,
    (Safety.REPEATABLE, Failure.RATE_LIMITED): RETRY,
    (Safety.REPEATABLE, Failure.THROTTLED): RETRY,
    (Safety.REPEATABLE, Failure.BUSY): RETRY,
    (Safety.REPEATABLE, Failure.UNCLEAR): GIVE_UP,
    (Safety.REPEATABLE, Failure.REFUSED): GIVE_UP,
    (Safety.CHARGES, Failure.NOT_SENT): RETRY,
    (Safety.CHARGES, Failure.NO_ANSWER): UNKNOWN,
    (Safety.CHARGES, Failure.RATE_LIMITED): RETRY,
    (Safety.CHARGES, Failure.THROTTLED): UNKNOWN,
    (Safety.CHARGES, Failure.BUSY): UNKNOWN,
    (Safety.CHARGES, Failure.UNCLEAR): UNKNOWN,
    (Safety.CHARGES, Failure.REFUSED): GIVE_UP,
    (Safety.UNKNOWN, Failure.NOT_SENT): RETRY,
    (Safety.UNKNOWN, Failure.NO_ANSWER): GIVE_UP,
    (Safety.UNKNOWN, Failure.RATE_LIMITED): RETRY,
    (Safety.UNKNOWN, Failure.THROTTLED): GIVE_UP,
    (Safety.UNKNOWN, Failure.BUSY): GIVE_UP,
    (Safety.UNKNOWN, Failure.UNCLEAR): GIVE_UP,
    (Safety.UNKNOWN, Failure.REFUSED): GIVE_UP,
}


def test_the_table_is_whole() -> None:
    assert len(DECISIONS) == len(Safety) * len(Failure)


@pytest.mark.parametrize(("safety", "failure"), DECISIONS)
def test_decide(safety: Safety, failure: Failure) -> None:
    assert decide(safety, failure) is DECISIONS[safety, failure]


NO = None
WAITS = [
    # taken, allowed, longest, remaining, asked for, jitter, wait
    (0, 2, 60.0, inf, NO, 0.0, 0.0),
    (0, 2, 60.0, inf, NO, 0.5, 0.25),
    (0, 2, 60.0, inf, NO, 1.0, 0.5),
    (1, 2, 60.0, inf, NO, 1.0, 1.0),
    (2, 9, 60.0, inf, NO, 1.0, 2.0),
    (3, 9, 60.0, inf, NO, 1.0, 4.0),
    (4, 9, 60.0, inf, NO, 1.0, 8.0),
    (5, 9, 60.0, inf, NO, 1.0, 8.0),
    (10_000, 10_001, 60.0, inf, NO, 1.0, 8.0),
    # No more repeats.
    (0, 0, 60.0, inf, NO, 1.0, NO),
    (2, 2, 60.0, inf, NO, 1.0, NO),
    (3, 2, 60.0, inf, NO, 1.0, NO),
    (2, 2, 60.0, inf, 1.0, 1.0, NO),
    # Never wait less than the service asks for.
    (0, 2, 60.0, inf, 0.0, 0.5, 0.25),
    (0, 2, 60.0, inf, 0.1, 0.5, 0.25),
    (0, 2, 60.0, inf, 7.0, 0.0, 7.0),
    (0, 2, 60.0, inf, 7.0, 1.0, 7.0),
    (4, 9, 60.0, inf, 7.0, 1.0, 8.0),
    # Nor waited for beyond the longest wait.
    (0, 2, 60.0, inf, 60.0, 0.5, 60.0),
    (0, 2, 60.0, inf, 60.1, 0.5, NO),
    (0, 2, 0.0, inf, 0.0, 0.5, 0.25),
    (0, 2, 0.0, inf, 0.1, 0.5, NO),
    (0, 2, inf, inf, 1e9, 0.5, 1e9),
    # No wait is begun that cannot end in time.
    (0, 2, 60.0, 0.3, NO, 0.5, 0.25),
    (0, 2, 60.0, 0.25, NO, 0.5, NO),
    (0, 2, 60.0, 0.0, NO, 0.0, NO),
    (0, 2, 60.0, -1.0, NO, 0.0, NO),
    (0, 2, 60.0, 5.0, 7.0, 0.5, NO),
    (0, 2, 60.0, 7.5, 7.0, 0.5, 7.0),
]


@pytest.mark.parametrize(
    ("taken", "allowed", "longest", "remaining", "asked", "jitter", "wait"), WAITS
)
def test_wait_before_repeat(
    taken: int,
    allowed: int,
    longest: float,
    remaining: float,
    asked: float | None,
    jitter: float,
    wait: float | None,
) -> None:
    assert wait == wait_before_retry(
        taken,
        max_retries=allowed,
        max_retry_wait=longest,
        remaining=remaining,
        retry_after=asked,
        jitter=jitter,
    )
