"""Everything public says what it is; every call what it needs, what a repeat does, and more."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

import cfaigw_billing
from cfaigw_billing import AsyncCloudflare, Cloudflare, resources, testing, types
from cfaigw_billing._async import resources as _resources
from cfaigw_billing._sync import resources as _sync

CALLS = {
    name: value
    for module in (_resources, _sync)
    for cls in vars(module).values()
    if inspect.isclass(cls) and cls.__module__ == module.__name__
    for name, value in ((f"{cls.__name__}.{n}", v) for n, v in vars(cls).items())
    if inspect.isfunction(value) and "Resource." in name and not name.endswith("__init__")
}
"""The methods of the resources, async and sync."""
COMPOSED = {
    *("wait", "create_and_wait", "reconcile", "recover"),
    *("credit_balances", "usage_histories", "runway", "runways"),
    *("watch", "metrics"),
}
"""Those that make several calls: they have no page of their own in the reference."""


def public() -> Iterator[Any]:
    for module in (cfaigw_billing, resources, types, testing):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) and value.__module__.startswith("cfaigw_billing"):
                yield pytest.param(value, id=f"{module.__name__}.{name}")


@pytest.mark.parametrize("cls", list(public()))
def test_every_public_class_and_what_it_can_do_is_described(cls: type) -> None:
    assert inspect.getdoc(cls)
    for name, value in vars(cls).items():
        is_ours = inspect.isfunction(value) or isinstance(value, property)
        if is_ours and not name.startswith("_"):
            assert inspect.getdoc(getattr(cls, name)), name


@pytest.mark.parametrize("name", CALLS)
def test_every_call_says_what_whoever_makes_it_has_to_know(name: str) -> None:
    text = inspect.getdoc(CALLS[name]) or ""
    assert text.partition("\n")[0].endswith((".", ":"))
    assert "Permission" in text
    assert "repeat" in text.lower()
    assert "Raises:" in text
    if name.rpartition(".")[2] not in COMPOSED:
        assert "Source: https://developers.cloudflare.com/api/" in text
    parameters = inspect.signature(CALLS[name]).parameters
    if {"amount", "threshold"} & parameters.keys():
        assert "cents" in text
    if "timeout" in parameters:
        assert "econds" in text


@pytest.mark.parametrize("client", [AsyncCloudflare, Cloudflare])
def test_the_units_of_the_clients_options_are_said(client: type) -> None:
    text = inspect.getdoc(client) or ""
    for option in ("timeout", "total_timeout", "max_retry_wait"):
        assert "econds" in text.partition(f"\n    {option}:")[2].partition("\n    max_retries")[0]
    assert "cents" in text
