"""All types in public signatures can be imported from public modules."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import cfaigw_billing
from cfaigw_billing import journal, resources, types

PUBLIC = {
    name: getattr(module, name)
    for module in (cfaigw_billing, journal, resources, types)
    for name in module.__all__
}
CLASSES = {name: cls for name, cls in PUBLIC.items() if inspect.isclass(cls)}
WITHIN = {"Derived", "Progress", "Secret", "Unread"}
"""Descriptors, a kind of `str` and protocols: a caller meets them as what they stand for."""


def annotated(cls: type) -> Iterator[tuple[str, Any]]:
    """The text of every public annotation of a class, and what its names mean."""
    for name, member in inspect.getmembers_static(cls):
        if name.startswith("_") and name not in (
            "__iter__",
            "__aiter__",
            "__enter__",
            "__aenter__",
        ):
            continue
        function = getattr(member, "func", getattr(member, "fget", member))
        if inspect.isfunction(function) and function.__module__.startswith("cfaigw_billing"):
            for text in function.__annotations__.values():
                yield str(text), sys.modules[function.__module__]
    for text in inspect.get_annotations(cls).values():
        yield str(text), sys.modules[cls.__module__]


@pytest.mark.parametrize("name", CLASSES)
def test_what_a_public_signature_names_is_public(name: str) -> None:
    if issubclass(CLASSES[name], BaseException):
        return  # they are made by the SDK
    hidden = {
        word
        for text, module in annotated(CLASSES[name])
        for word in re.findall(r"[A-Z]\w+", text)
        if getattr(getattr(module, word, None), "__module__", "").startswith("cfaigw_billing")
    }
    assert hidden - PUBLIC.keys() - WITHIN == set()


@pytest.mark.parametrize("name", resources.__all__)
def test_the_resources_are_those_of_the_clients(name: str) -> None:
    assert PUBLIC[name].__module__.startswith(
        "cfaigw_billing._async" if name.startswith("Async") else "cfaigw_billing._sync"
    )
    assert name.removeprefix("Async") in resources.__all__
    assert f"Async{name.removeprefix('Async')}" in resources.__all__


def test_the_resources_are_all_listed() -> None:
    assert resources.__all__ == sorted(resources.__all__)
    made = {name for name in vars(resources) if name[0].isupper()}
    assert made == set(resources.__all__)
