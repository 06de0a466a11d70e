"""Import the names of a package when they are first used."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module


def attribute(package: str, modules: Mapping[str, str], name: str) -> object:
    """Return an attribute of a package, and store it there.

    Args:
        package: The `__name__` of the package.
        modules: By name, the module that has it, relative to the package.
        name: The name.

    Raises:
        AttributeError: The package has no such name.
    """
    if name not in modules:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    value: object = getattr(import_module(modules[name], package), name)
    setattr(sys.modules[package], name, value)
    return value
