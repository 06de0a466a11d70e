"""The sync client is generated, current, and the async one's twin in all but `await`."""

from __future__ import annotations

import inspect
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import pytest

from cfaigw_billing import AsyncCloudflare, Cloudflare
from cfaigw_billing._async import client as _client
from cfaigw_billing._async import resources as _resources
from cfaigw_billing._sync import client as _sync_client
from cfaigw_billing._sync import resources as _sync_resources

REPOSITORY = Path(__file__).parent.parent
GENERATOR = ".ci/codegen.py"
MARK = "@" + "generated"  # so that this file does not bear it
IGNORED = {".git", ".venv", "build", "dist", "__pycache__"}


# Current.

GENERATED: dict[Path, str] = runpy.run_path(str(REPOSITORY / GENERATOR))["generate"]()


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_regenerating_changes_no_byte(path: Path) -> None:
    assert GENERATED[path].encode() == path.read_bytes()


def test_no_other_file_bears_the_mark() -> None:
    marked = [
        path
        for path in REPOSITORY.rglob("*")
        if path.suffix in {".py", ".md", ".toml", ".pyi"}
        and not IGNORED & set(path.relative_to(REPOSITORY).parts)
        and MARK in path.read_text(encoding="utf-8")
    ]
    assert sorted(marked) == sorted(GENERATED)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the generator and of the package, free to be broken."""
    for folder in (".ci", "cfaigw_billing/_async", "cfaigw_billing/_sync"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    return tmp_path


def generator(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(directory / GENERATOR), *arguments]
    return subprocess.run(  # noqa: S603  # our own
        command, capture_output=True, text=True, check=False, timeout=60
    )


def test_check_is_silent_about_a_current_file(copied: Path) -> None:
    checked = generator(copied, "--check")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_check_fails_and_shows_the_difference(copied: Path) -> None:
    facade = copied / "cfaigw_billing/_sync/calls.py"
    changed = facade.read_text(encoding="utf-8").replace("def send(self, p", "def sent(self, p")
    facade.write_text(changed, encoding="utf-8")
    checked = generator(copied, "--check")
    assert checked.returncode == 1
    difference = [line for line in checked.stderr.splitlines() if line.startswith(("- ", "+ "))]
    assert difference == [
        "-    def sent(self, params: Params[T], **options: Unpack[ReadOptions]) -> T:",
        "+    def send(self, params: Params[T], **options: Unpack[ReadOptions]) -> T:",
    ]
    assert facade.read_text(encoding="utf-8") == changed


@pytest.mark.parametrize("name", ["client.py", "responses.py"])
@pytest.mark.parametrize("state", ["changed", "missing"])
def test_writing_restores_the_file(state: str, name: str, copied: Path) -> None:
    facade = copied / "cfaigw_billing/_sync" / name
    facade.unlink() if state == "missing" else facade.write_text("changed")
    assert generator(copied, "--check").returncode == 1
    assert generator(copied).returncode == 0
    assert facade.read_bytes() == (REPOSITORY / "cfaigw_billing/_sync" / name).read_bytes()


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_nothing_asynchronous_is_left(path: Path) -> None:
    code = re.sub(r'"""(?s:.*?)"""', "", GENERATED[path])
    assert not re.search(r"\b(async|await|Executor|aiter|anext)\b", code)


# Twins.


def classes(*modules: Any) -> dict[str, type]:
    """Return the classes that the modules define, by name, without the base of the resources."""
    return {
        name: value
        for module in modules
        for name, value in cast("dict[str, object]", vars(module)).items()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and name.removeprefix("Async") != "Resource"
    }


EVERY_ASYNC_CLASS = classes(_resources, _client)
EVERY_SYNC_CLASS = classes(_sync_resources, _sync_client)
ASYNC_CLASSES = {n: cls for n, cls in EVERY_ASYNC_CLASS.items() if "Response" not in n}


def twin(cls: type) -> type:
    return EVERY_SYNC_CLASS[sync_name(cls.__name__)]


def sync_name(text: str) -> str:
    return re.sub(r"\bAsync(?=[A-Z])", "", text)


def members(cls: type) -> dict[str, Any]:
    """The public methods and properties that the class adds, close among them."""
    return {n: v for n, v in inspect.getmembers_static(cls) if not n.startswith("_")}


PAIRS = [
    pytest.param(cls, name, id=f"{cls.__name__}.{name}")
    for cls in ASYNC_CLASSES.values()
    for name in members(cls)
]


def test_every_async_class_has_its_twin_and_no_twin_is_without() -> None:
    assert set(EVERY_SYNC_CLASS) == set(map(sync_name, EVERY_ASYNC_CLASS))


@pytest.mark.parametrize("cls", ASYNC_CLASSES.values(), ids=list(ASYNC_CLASSES))
def test_twins_have_the_same_members(cls: type) -> None:
    assert set(members(twin(cls))) == set(members(cls))
    assert plainly(without_http_client(inspect.getdoc(cls))) == inspect.getdoc(twin(cls))


@pytest.mark.parametrize(("cls", "name"), PAIRS)
def test_twins_are_alike_in_all_but_await(cls: type, name: str) -> None:
    ours, theirs = members(cls)[name], members(twin(cls))[name]
    assert type(ours) is type(theirs)
    assert plainly(inspect.getdoc(ours)) == inspect.getdoc(theirs)
    assert getattr(ours, "__deprecated__", None) == getattr(theirs, "__deprecated__", None)
    if isinstance(ours, (cached_property, property)):
        ours, theirs = getter(ours), getter(theirs)
    assert not inspect.iscoroutinefunction(theirs)
    assert inspect.signature(theirs) == sync_signature(inspect.signature(ours))


def getter(of: Any) -> Callable[[Any], Any]:
    function: Any = of.fget if isinstance(of, property) else of.func
    return cast("Callable[[Any], Any]", function)


def test_the_constructors_differ_in_the_session_alone() -> None:
    ours = inspect.signature(AsyncCloudflare)
    parameters = [p for p in ours.parameters.values() if p.name != "http_client"]
    assert len(parameters) == len(ours.parameters) - 1
    assert inspect.signature(Cloudflare) == ours.replace(parameters=parameters)


def sync_signature(signature: inspect.Signature) -> inspect.Signature:
    """Return the expected signature of the twin; annotations are text, so that names can change."""
    parameters = [
        parameter.replace(annotation=plainly(parameter.annotation))
        for parameter in signature.parameters.values()
    ]
    answer = sync_name(signature.return_annotation)
    return signature.replace(parameters=parameters, return_annotation=answer)


def plainly(text: Any) -> Any:
    """Convert a text about the async client to one about the sync client."""
    if not isinstance(text, str):
        return text
    text = text.replace("an `async with`", "a `with`").replace("an async iterator", "an iterator")
    return re.sub(
        r"\basync (?=with|for)|\bawait |\bAsync(?=ClientOptions)| \| AsyncIterable\[Params\[T\]\]",
        "",
        text,
    )


def without_http_client(text: str | None) -> str:
    assert text is not None
    return re.sub(r"^ *http_client: .*\n", "", text, flags=re.MULTILINE)


# The same calls, answering with HTTP responses.

WITHOUT_RESPONSE = {
    "AsyncCloudflare": {
        "close": "sends nothing",
        "copy": "makes a client",
        "with_options": "makes a client",
        "rate_limit": "sends nothing",
        "rate_limits": "sends nothing",
        "send_many": "many calls: no one response",
    },
    "AsyncTopupResource": {
        "create_and_wait": "several calls",
        "wait": "several calls",
        "reconcile": "several calls",
        "recover": "several calls",
    },
    "AsyncBillingResource": {
        "credit_balances": "many calls",
        "usage_histories": "many calls",
        "runway": "two calls",
        "runways": "many calls",
        "watch": "many calls, again and again",
        "iter_invoices": "a call for each page",
        "metrics": "many calls",
    },
}
"""Methods without `.with_raw_response` and `.with_streaming_response`, and why."""
ANSWERS = {
    ("Raw", "Async"): "AsyncAPIResponse",
    ("Streaming", "Async"): "AsyncResponseContextManager",
    ("Raw", ""): "APIResponse",
    ("Streaming", ""): "ResponseContextManager",
}
EVERY_FLAVOUR = pytest.mark.parametrize(("way", "prefix"), ANSWERS, ids=lambda it: it or "sync")
PAGES = {"AsyncAccountPaginator": "AccountListResponse"}
"""The type of one page of each list that comes from a call of the service."""
WAYS = {"with_raw_response", "with_streaming_response"}


def wrapped(cls: type, way: str, prefix: str) -> type:
    name = f"{prefix}{sync_name(cls.__name__)}With{way}Response"
    return (EVERY_ASYNC_CLASS | EVERY_SYNC_CLASS)[name]


@EVERY_FLAVOUR
@pytest.mark.parametrize("cls", ASYNC_CLASSES.values(), ids=list(ASYNC_CLASSES))
def test_every_method_answers_with_a_response_but_for_these(
    cls: type, way: str, prefix: str
) -> None:
    left_out = set(WITHOUT_RESPONSE.get(cls.__name__, ())) | WAYS
    assert set(members(wrapped(cls, way, prefix))) == set(members(cls)) - left_out
    assert left_out <= set(members(cls))


@EVERY_FLAVOUR
@pytest.mark.parametrize(("cls", "name"), PAIRS)
def test_the_methods_around_responses_take_the_same(
    cls: type, name: str, way: str, prefix: str
) -> None:
    if name in WAYS | set(WITHOUT_RESPONSE.get(cls.__name__, ())):
        return
    ours: Any = members(cls)[name]
    theirs: Any = inspect.getattr_static(wrapped(cls, way, prefix), name)
    assert type(ours) is type(theirs)
    assert getattr(ours, "__deprecated__", None) == getattr(theirs, "__deprecated__", None)
    if isinstance(ours, (cached_property, property)):
        group = inspect.signature(getter(ours)).return_annotation
        expected = f"{prefix}{sync_name(group)}With{way}Response"
        assert inspect.signature(getter(theirs)).return_annotation == expected
        return
    call = theirs.__wrapped__ if hasattr(theirs, "__deprecated__") else theirs
    assert inspect.iscoroutinefunction(call) is ((way, prefix) == ("Raw", "Async"))
    before, after = inspect.signature(ours), inspect.signature(theirs)
    assert before.parameters == after.parameters
    answer = PAGES.get(before.return_annotation, before.return_annotation)
    assert after.return_annotation == f"{ANSWERS[way, prefix]}[{answer}]"


def test_there_is_no_other_class() -> None:
    ways = [wrapped(cls, *it).__name__ for cls in ASYNC_CLASSES.values() for it in ANSWERS]
    plain = [name for cls in ASYNC_CLASSES for name in (cls, sync_name(cls))]
    assert sorted(ways + plain) == sorted(EVERY_ASYNC_CLASS | EVERY_SYNC_CLASS)
