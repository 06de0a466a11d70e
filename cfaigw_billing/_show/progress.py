"""Progress of many calls: a bar, or a function of the caller."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from .extras import needed

Progress = bool | Callable[[int, int | None], object]
"""`True`: a tqdm bar. Or a function of the accounts done and of all accounts, if known."""


@contextmanager
def reporting(progress: Progress, total: int | None) -> Generator[Callable[[int], object]]:
    """Yield the function to call with the number of accounts done."""
    if not (isinstance(progress, bool) or callable(progress)):
        raise TypeError(f"`progress` must be True, False or a callable, not {progress!r:.40}")
    if progress is False:
        yield lambda _: None
    elif callable(progress):
        yield lambda done: progress(done, total)
    else:
        with needed("`progress=True`", "notebook"):
            from tqdm.auto import tqdm
        with tqdm(total=total, unit="account") as bar:
            yield lambda done: bar.update(done - bar.n)
