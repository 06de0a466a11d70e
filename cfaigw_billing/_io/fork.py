"""Drop the parent's threads, event loops and locks in a forked child.

A child inherits objects but no threads. An event loop of such a thread still says that it is
running, and a call that waits for it would wait forever.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forgets(Protocol):
    """An object that holds threads, loops or locks."""

    def forget(self) -> None:
        """Drop them without waiting."""


_forgetful: WeakSet[Forgets] = WeakSet()


def forget_in_child(thing: Forgets) -> None:
    """Call `thing.forget()` in every child that is forked from now on."""
    _forgetful.add(thing)


def _after_fork_in_child() -> None:
    for thing in list(_forgetful):
        thing.forget()


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_after_fork_in_child)
