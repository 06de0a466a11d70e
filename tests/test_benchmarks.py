"""The benchmarks run and print their table. What they measure is up to the machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own module
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_they_print_a_table_of_the_rows_that_are_asked_for() -> None:
    run = benchmarks("--quick", "alone", "import")
    assert run.returncode == 0, run.stderr
    headings = [line for line in run.stdout.splitlines() if line and not line.startswith(" ")]
    assert [line.partition(":")[0] for line in headings] == ["alone", "import"]
    assert "beside" in run.stdout
    assert "≤ 1.00" in run.stdout  # the aim, whatever came of it
    assert "≤ 1.15" in run.stdout


def test_they_name_the_rows_where_there_is_none_such() -> None:
    run = benchmarks("nothing")
    assert run.returncode == 2
    assert "no such row: nothing (there are balance, uvloop, " in run.stderr


def test_they_write_only_what_a_whole_run_has_measured() -> None:
    run = benchmarks("--write", "import")
    assert run.returncode == 2
    assert "--write is for a whole run" in run.stderr


def test_the_backtest_prints_figures_that_a_seed_repeats() -> None:
    first, second = (benchmarks("runway", "--quick", "--seed", "7") for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("seed 7\n")
    assert "| **all made up** |" in first.stdout
    assert first.stdout == second.stdout
