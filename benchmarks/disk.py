"""What a distribution and all that it needs take on disk."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement


def size(name: str) -> tuple[float, int]:
    """Megabytes and number of the files of a distribution and its dependencies, without extras.

    Without compiled `.pyc` files too: whether there are any is up to what installed it.
    """
    files = [file for each in closure(name) for file in _files(distribution(each))]
    return sum(file.stat().st_size for file in files) / 2**20, len(files)


def closure(name: str, found: frozenset[str] = frozenset()) -> frozenset[str]:
    """The distribution and those that it needs here."""
    if name in found:
        return found
    found |= {name}
    for line in distribution(name).requires or ():
        needed = Requirement(line)
        if needed.marker is None or needed.marker.evaluate({"extra": ""}):
            found = closure(needed.name.lower().replace("_", "-"), found)
    return found


def _files(installed: Distribution) -> Iterator[Path]:
    listed = [Path(str(installed.locate_file(file))) for file in installed.files or ()]
    if "editable" in (installed.read_text("direct_url.json") or ""):  # lists a pointer alone
        listed += _package(installed.metadata["Name"])
    return (file for file in listed if file.suffix != ".pyc" and file.is_file())


def _package(name: str) -> Iterator[Path]:
    package = find_spec(name)
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent.rglob("*")
