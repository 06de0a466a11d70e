"""Drop, in a forked child, what belonged to threads and event loops of its parent.

A child inherits the objects and none of the threads. A loop that ran on one of them still says
that it is running, and a call that waits for it would wait for ever.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forgets(Protocol):
    """Something that holds threads, loops or locks."""

    def forget(self) -> None:
        """Drop them, without waiting for any."""


_forgetful: WeakSet[Forgets] = WeakSet()


def forget_in_child(thing: Forgets) -> None:
    """Have `thing` forget in every child that is forked from now on."""
    _forgetful.add(thing)


def _after_fork_in_child() -> None:
    for thing in list(_forgetful):
        thing.forget()


if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(after_in_child=_after_fork_in_child)
