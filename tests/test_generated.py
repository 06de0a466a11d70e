"""The sync client is generated, current, and the async one's twin in all but `await`."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import pytest

from cfaigw_billing import AsyncCloudflare, Cloudflare, _codegen
from cfaigw_billing._async import (
    client as _client,
)
from cfaigw_billing._async import (
    resources as _resources,
)
from cfaigw_billing._async import (
    with_response as _with_response,
)
from cfaigw_billing._sync.client import client as _sync

REPOSITORY = Path(__file__).parent.parent
MARK = "@" + "generated"  # so that this file does not bear it
IGNORED = {".git", ".venv", "build", "dist", "__pycache__"}


# Current.


GENERATED = (_codegen.SYNC, _codegen.SYNC_RESPONSE, _codegen.WITH_RESPONSE)


def test_regenerating_changes_no_byte() -> None:
    generated = _codegen.generate()
    assert tuple(generated) == GENERATED
    for path, text in generated.items():
        assert text.encode() == path.read_bytes()


def test_no_other_file_bears_the_mark() -> None:
    marked = [
        path.relative_to(REPOSITORY).as_posix()
        for path in REPOSITORY.rglob("*")
        if path.suffix in {".py", ".md", ".toml", ".pyi"}
        and not IGNORED & set(path.relative_to(REPOSITORY).parts)
        and MARK in path.read_text(encoding="utf-8")
    ]
    assert sorted(marked) == [f"cfaigw_billing/{path.name}" for path in GENERATED]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the generator with its sources and its products."""
    for path in (Path(_codegen.__file__), *_codegen.SOURCES, _codegen.RAW, *GENERATED):
        shutil.copy(path, tmp_path)
    return tmp_path


def generator(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(directory / "_codegen.py"), *arguments]
    return subprocess.run(  # noqa: S603  # our own
        command, capture_output=True, text=True, check=False, timeout=30
    )


def test_check_is_silent_about_a_current_file(copied: Path) -> None:
    checked = generator(copied, "--check")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_check_fails_and_shows_the_difference(copied: Path) -> None:
    facade = copied / "_sync.py"
    changed = facade.read_text(encoding="utf-8").replace("def send(", "def sent(")
    facade.write_text(changed, encoding="utf-8")
    checked = generator(copied, "--check")
    assert checked.returncode == 1
    difference = [line for line in checked.stderr.splitlines() if line.startswith(("- ", "+ "))]
    assert difference == [
        "-    def sent(self, params: Params[T], **options: Unpack[RequestOptions]) -> T:",
        "+    def send(self, params: Params[T], **options: Unpack[RequestOptions]) -> T:",
    ]
    assert facade.read_text(encoding="utf-8") == changed


@pytest.mark.parametrize("name", ["_sync.py", "_with_response.py"])
@pytest.mark.parametrize("state", ["changed", "missing"])
def test_writing_restores_the_file(state: str, name: str, copied: Path) -> None:
    facade = copied / name
    facade.unlink() if state == "missing" else facade.write_text("changed")
    assert generator(copied, "--check").returncode == 1
    assert generator(copied).returncode == 0
    assert facade.read_bytes() == (_codegen.HERE / name).read_bytes()


# What it does not know stops it.

SHAPES: dict[str, tuple[str, int]] = {
    # the source, and the line that is to blame
    "a body of two statements": (
        '''
class AsyncThing(AsyncResource):
    """A thing."""

    async def get(self) -> int:
        """It."""
        params = Params()
        return await self._client.send(params)
''',
        5,
    ),
    "a return of something else": (
        '''
class AsyncThing(AsyncResource):
    """A thing."""

    async def get(self) -> int:
        """It."""
        return await self._other()
''',
        5,
    ),
    "a plain method with a value": (
        '''
class AsyncThing(AsyncResource):
    """A thing."""

    @property
    def size(self) -> int:
        """How big."""
        return 1
''',
        6,
    ),
    "an attribute": (
        '''
class AsyncThing(AsyncResource):
    """A thing."""

    size = 1
''',
        5,
    ),
    "a class without a docstring": (
        """
class AsyncThing(AsyncResource):
    size = 1
""",
        2,
    ),
    "a constructor of a resource": (
        '''
class AsyncThing(AsyncResource):
    """A thing."""

    def __init__(self) -> None:
        """It."""
''',
        5,
    ),
    "a class of another family": (
        '''
class AsyncThing(Exception):
    """A thing."""
''',
        2,
    ),
    "a class without a base": (
        '''
class AsyncThing:
    """A thing."""
''',
        2,
    ),
    "an async generator of the client": (
        '''
class AsyncCloudflare:
    """The client."""

    async def all(self) -> object:
        """Them."""
        yield 1
''',
        5,
    ),
    "positional-only parameters": (
        '''
class AsyncCloudflare:
    """The client."""

    async def get(self, path: str, /) -> int:
        """It."""
        return await self._get(path)
''',
        5,
    ),
    "any number of positional parameters": (
        '''
class AsyncCloudflare:
    """The client."""

    async def get(self, *paths: str) -> int:
        """It."""
        return await self._get(*paths)
''',
        5,
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_unknown_shape_stops_the_generator_at_its_line(
    shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, line = SHAPES[shape]
    source = tmp_path / "_things.py"
    source.write_text(text)
    monkeypatch.setattr(_codegen, "SOURCES", (source,))
    with pytest.raises(SystemExit, match=rf"^{re.escape(str(source))}:{line}: no rule for "):
        _codegen.generate()


RESPONSES: dict[str, tuple[str, int]] = {
    "an attribute of the response": (
        '''
class AsyncAPIResponse(Generic[T]):
    """A response."""

    size = 1
''',
        5,
    ),
    "a response without a docstring": (
        """
class AsyncAPIResponse(Generic[T]):
    size = 1
""",
        2,
    ),
    "a plain method of the response": (
        '''
class AsyncAPIResponse(Generic[T]):
    """A response."""

    def size(self) -> int:
        """How big."""
        return 1
''',
        5,
    ),
    "a plain generator of the response": (
        '''
class AsyncAPIResponse(Generic[T]):
    """A response."""

    def parts(self) -> Generator[bytes]:
        """It, bit by bit."""
        yield b""
''',
        5,
    ),
    "positional-only parameters of the response": (
        '''
class AsyncAPIResponse(Generic[T]):
    """A response."""

    async def read(self, size: int, /) -> bytes:
        """It."""
        return b""
''',
        5,
    ),
}


@pytest.mark.parametrize("shape", RESPONSES)
def test_an_unknown_shape_of_the_response_stops_it_too(
    shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, line = RESPONSES[shape]
    source = tmp_path / "_raw.py"
    source.write_text(text)
    monkeypatch.setattr(_codegen, "RAW", source)
    with pytest.raises(SystemExit, match=rf"^{re.escape(str(source))}:{line}: no rule for "):
        _codegen.generate()


# Twins.

ASYNC_CLASSES: dict[str, type] = {
    name: value
    for module in (_resources, _client)
    for name, value in vars(module).items()
    if isinstance(value, type) and value.__module__ == module.__name__ and name != "AsyncResource"
}


def twin(cls: type) -> type:
    found: type = getattr(_sync, sync_name(cls.__name__))
    return found


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
    generated = {
        n for n, v in vars(_sync).items() if inspect.isclass(v) and v.__module__ == _sync.__name__
    }
    assert generated == {sync_name(name) for name in ASYNC_CLASSES}


@pytest.mark.parametrize("cls", ASYNC_CLASSES.values(), ids=list(ASYNC_CLASSES))
def test_twins_have_the_same_members(cls: type) -> None:
    beside = {"async_client", "portal"}  # the way to the async client
    assert set(members(twin(cls))) - beside == set(members(cls))
    assert without_http_client(inspect.getdoc(cls)) == inspect.getdoc(twin(cls))


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
    """What the twin's should be: the annotations are text, so that names can be replaced."""
    parameters = [
        parameter.replace(annotation=plainly(parameter.annotation))
        for parameter in signature.parameters.values()
    ]
    answer = sync_name(signature.return_annotation)
    return signature.replace(parameters=parameters, return_annotation=answer)


def plainly(text: Any) -> Any:
    """What is said of the async client, as it is of the other."""
    if not isinstance(text, str):
        return text
    return re.sub(
        r"\basync (?=with|for)|\bAsync(?=ClientOptions)| \| AsyncIterable\[Params\[T\]\]", "", text
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
        "send_many": "many calls: no one response",
    },
    "AsyncTopupResource": {
        "create_and_wait": "several calls",
        "wait": "several calls",
        "reconcile": "several calls",
    },
    "AsyncBillingResource": {
        "credit_balances": "many calls",
        "iter_invoices": "a call for each page",
    },
}
"""What is left out of `.with_raw_response` and `.with_streaming_response`, and why."""
ANSWERS = {
    ("Raw", "Async"): "AsyncAPIResponse",
    ("Streaming", "Async"): "AsyncResponseContextManager",
    ("Raw", ""): "APIResponse",
    ("Streaming", ""): "ResponseContextManager",
}
EVERY_FLAVOUR = pytest.mark.parametrize(("way", "prefix"), ANSWERS, ids=lambda it: it or "sync")
WAYS = {"with_raw_response", "with_streaming_response"}


def wrapped(cls: type, way: str, prefix: str) -> type:
    name = f"{prefix}{sync_name(cls.__name__)}With{way}Response"
    found: type = getattr(_with_response, name)
    return found


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
    assert inspect.iscoroutinefunction(inspect.unwrap(theirs)) is (
        (way, prefix) == ("Raw", "Async")
    )
    before, after = inspect.signature(ours), inspect.signature(theirs)
    assert before.parameters == after.parameters
    answer = _codegen.PAGES.get(before.return_annotation, before.return_annotation)
    assert after.return_annotation == f"{ANSWERS[way, prefix]}[{answer}]"


def test_nothing_else_is_in_the_module() -> None:
    classes = {
        name
        for name, value in vars(_with_response).items()
        if isinstance(value, type) and value.__module__ == _with_response.__name__
    }
    assert classes == {
        wrapped(cls, way, prefix).__name__
        for cls in ASYNC_CLASSES.values()
        for way, prefix in ANSWERS
    }
