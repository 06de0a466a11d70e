"""The state of a watch: the events reported so far. `state` returns it as plain JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from math import isfinite
from typing import Any, cast

from attrs import evolve, field, frozen
from cattrs import BaseValidationError, Converter, transform_error
from cattrs.gen import make_dict_unstructure_fn

from .event import EpisodeKind

VERSION = 2


@frozen(kw_only=True)
class Subject:
    """The state of an account, or of the service, in a watch. Times are Unix seconds."""

    open: Mapping[EpisodeKind, float] = field(factory=dict[EpisodeKind, float])
    """The open episodes, and when they were first seen."""
    told: Mapping[str, int] = field(factory=dict[str, int])
    """How many events of each kind were reported, for their keys. Saved states have this name."""
    balance: float | None = None
    """The last balance, in cents."""
    at: float | None = None
    """When the balance was read."""
    near: bool = False
    """Whether the last forecast was below the threshold."""
    below_since: float | None = None
    """Since when the balance is below the threshold of the automatic top-up, without a rise."""
    failures: int = 0
    """How many looks have failed in a row."""
    failing_since: float | None = None
    """When the first of them failed."""
    failing: str | None = None
    """The kind of the last failure: `outage`, or else the name of the error."""


class WatchState:
    """The state of a watch: of all accounts and of the service."""

    def __init__(self) -> None:
        self.accounts: dict[str, Subject] = {}
        self.service = Subject()
        self.failing: Counter[str] = Counter()
        """How many accounts failed at their last look, by kind of failure."""

    def of(self, account_id: str | None) -> Subject:
        """Return the state of an account; `None`: of the service."""
        return self.service if account_id is None else self.accounts.get(account_id, Subject())

    def put(self, account_id: str | None, subject: Subject) -> None:
        """Set the state of an account; `None`: of the service."""
        if account_id is None:
            self.service = subject
            return
        for each, change in ((self.of(account_id), -1), (subject, 1)):
            if each.failing is not None:
                self.failing[each.failing] += change
        self.failing = +self.failing
        self.accounts[account_id] = subject

    def keep(self, account_ids: Collection[str]) -> None:
        """Keep these accounts, add those that are new and drop all others."""
        self.accounts = {name: self.of(name) for name in account_ids}
        self.failing = Counter(each.failing for each in self.accounts.values() if each.failing)

    @property
    def state(self) -> dict[str, Any]:
        """The state as plain JSON; `a | b` is the state of the accounts of both.

        For that it is flat, and the key of the service contains the first account, so that it
        differs between watches.
        """
        subjects = {f"account:{name}": each for name, each in self.accounts.items()}
        if self.service != Subject():
            subjects[f"service:{min(self.accounts, default='')}"] = self.service
        return {"version": VERSION, **_converter.unstructure(subjects)}

    @classmethod
    def from_state(cls, state: object) -> WatchState:
        """Return the state that the plain JSON describes.

        Raises:
            TypeError: It is not a mapping.
            ValueError: It is not a valid state, or one of another version.
        """
        told = cls()
        if state is None:
            return told
        if not isinstance(state, Mapping):
            raise TypeError(f"`state` must be a saved `watch.state`, not {type(state).__name__}")
        given = {**cast("Mapping[str, Any]", state)}
        version = given.pop("version", None)
        if version not in (1, VERSION):
            raise ValueError(
                f"`state` must be a saved `watch.state` of version {VERSION}, not {version!r:.40}"
            )
        try:
            if version == 1:
                given = _flat(**given)
            subjects = _converter.structure(given, dict[str, Subject])
        except BaseValidationError as error:
            wrong = transform_error(error, path="state")[0]
            raise ValueError(f"`state` must be a saved `watch.state`: {wrong:.200}") from None
        except (TypeError, ValueError, AttributeError):
            raise ValueError("`state` must be a saved `watch.state`: a part is missing") from None
        for key, subject in subjects.items():
            kind, _, name = key.partition(":")
            if kind == "account":
                told.put(name, subject)
            elif kind == "service":
                told.service = _both(told.service, subject)
            else:
                raise ValueError(f"`state` must be a saved `watch.state`, without {key!r:.80}")
        return told


def _flat(*, service: Any, accounts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a nested state of version 1, with the keys of version 2."""
    return {"service:": service, **{f"account:{name}": each for name, each in accounts.items()}}


def _both(one: Subject, other: Subject) -> Subject:
    """Merge the service states of two watches: `unreadable` if it is for one of them."""
    first, second = sorted((one, other), key=lambda each: bool(each.open), reverse=True)
    counts = {name: max(n, first.told.get(name, 0)) for name, n in second.told.items()}
    return evolve(first, told={**first.told, **counts})


def _number(value: Any, _: object) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise ValueError("must be a number")
    return value


def _truth(value: Any, _: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("must be true or false")
    return value


def _text(value: Any, _: object) -> str:
    if not isinstance(value, str):
        raise TypeError("must be text")
    return value


_converter = Converter(forbid_extra_keys=True)
_converter.register_structure_hook(float, _number)
_converter.register_structure_hook(int, _number)
_converter.register_structure_hook(bool, _truth)
_converter.register_structure_hook(str, _text)
_converter.register_unstructure_hook(
    Subject, make_dict_unstructure_fn(Subject, _converter, _cattrs_omit_if_default=True)
)
