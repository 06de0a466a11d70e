"""Writes what follows from the source of the async client: the sync one, and more of both.

    python -m cfaigw_billing._codegen            write them
    python -m cfaigw_billing._codegen --check    fail, with a diff, if they are not current

It reads `_resources.py`, `_client.py` and `_raw.py` as text and copies slices of them: decorators,
signatures and docstrings stay as they were written, byte for byte, whatever the version of Python.
It imports nothing of the package, so that a broken facade cannot block its own repair.

`_sync.py` is the sync client, `_sync_response.py` its raw response. Of the bodies it knows these
shapes, and stops at any other with file and line:

- `return await self._client.send(…)` or `return AsyncX(…)` in a resource, or in a property: the
  same expression without `await` and with the sync names. It runs in the caller's thread, where
  bad arguments are noticed; the sync client's `send` takes the rest to the event loop;
- `return self._client.with_…` in a resource: the same;
- `return await function(self._client, …)` in a resource, for what takes several calls: the same
  function, run on the event loop with the async client;
- `return await async_function(self._client, …)`: its twin `function`, in the caller's thread;
- a coroutine of the client or of a response: one call through the portal; an async generator of a
  response: a call for each item;
- `return AsyncX(self, …)` in a method or property of the client: the sync twin of what is made;
- another property of the client: the async client's;
- `with_options` and `copy`: a client around the copy of the async one;
- the constructor of the client: it makes the async client.

`_with_response.py` has each resource, and the client, four times more: for `.with_raw_response` and
`.with_streaming_response`, async and sync. Their methods are those that make one call. They have
the same bodies: what differs is the client that they send with, and so what it answers.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = (HERE / "_resources.py", HERE / "_client.py")
RAW = HERE / "_raw.py"
SYNC = HERE / "_sync.py"
SYNC_RESPONSE = HERE / "_sync_response.py"
WITH_RESPONSE = HERE / "_with_response.py"

MARK = "@" + "generated"  # in two parts, so that this file does not bear it
HEADER = f'''\
"""{{}}

{MARK} by `python -m cfaigw_billing._codegen`; do not edit.
"""

from __future__ import annotations

'''
TITLES = {
    SYNC: "The sync client: the calls of the async one, without `await`.",
    SYNC_RESPONSE: "The response of the sync `.with_raw_response`: the async one, without `await`.",
    WITH_RESPONSE: "The calls of both clients, answering with HTTP responses.",
}

BASES = {
    "AsyncResource": "SyncResource",
    "AsyncCloudflare": "SyncClient",
    "AsyncAPIResponse": "SyncAPIResponse[T]",
}
"""The async classes whose sync twins, or their bases, are written by hand in `_sync_base.py`."""
CLIENT = "AsyncCloudflare"
INNER = {CLIENT: "async_client", "AsyncAPIResponse": "async_response"}
"""The classes whose twins hold one of them, and as what."""
FROM_BASE = {
    CLIENT: {"close", "__reduce__", "__aenter__", "__aexit__"},
    "AsyncAPIResponse": {"__init__", "__repr__", "_unread"},
}
"""The methods of those that the base of the twin provides, or that it does not need."""
PAGES = {"AsyncAccountPaginator": "AccountListResponse"}
"""What one page of a list is, for the lists that a call of the service stands behind."""
WRITTEN_BY_HAND = {
    "._sync_base": ("SyncResource", "SyncClient", "SyncAPIResponse"),
    "._sync_raw": ("RawClient", "StreamingClient", "ResponseContextManager"),
    "._raw": (
        "AsyncAPIResponse",
        "AsyncRawClient",
        "AsyncStreamingClient",
        "AsyncResponseContextManager",
        "ResponseGroup",
    ),
}
"""What the generated classes stand on, by module."""
THIRD_PARTY = {"aiohttp"}
COPIES = {"with_options", "copy"}
"""The methods of the client that make another client."""
BLOCKING = {"async with": "with", "async for": "for", " | AsyncIterable[Params[T]]": ""}
"""What signatures and docstrings say otherwise."""
ASYNC_ONLY = {"http_client"}
"""An aiohttp session is bound to the caller's event loop, and the sync client has its own."""


@dataclass(frozen=True)
class Flavour:
    """A way in which the calls answer with HTTP responses."""

    name: str
    """What the names of its classes end with."""
    answer: str
    """What its methods answer, around the type that they answer otherwise."""
    base: str
    """The base of its client."""
    is_sync: bool
    awaits: bool


FLAVOURS = (
    Flavour("WithRawResponse", "AsyncAPIResponse", "AsyncRawClient", is_sync=False, awaits=True),
    Flavour(
        "WithStreamingResponse", "AsyncResponseContextManager", "AsyncStreamingClient", False, False
    ),
    Flavour("WithRawResponse", "APIResponse", "RawClient", is_sync=True, awaits=False),
    Flavour(
        "WithStreamingResponse",
        "ResponseContextManager",
        "StreamingClient",
        is_sync=True,
        awaits=False,
    ),
)


def main() -> int:
    """Write the modules, or check that they are current."""
    stale = False
    for path, text in generate().items():
        present = path.read_text(encoding="utf-8") if path.exists() else ""
        stale |= present != text
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
            continue
        lines = present.splitlines(keepends=True), text.splitlines(keepends=True)
        sys.stderr.writelines(difflib.unified_diff(*lines, f"present {path.name}", "generated"))
    return int(stale and "--check" in sys.argv)


def generate() -> dict[Path, str]:
    """The text of each generated module."""
    sources = [Source(path) for path in SOURCES]
    raw = Source(RAW)
    twins = [text for source in sources for text in source.classes()]
    wrapped = [cls for flavour in FLAVOURS for it in sources for cls in it.wrapped(flavour)]
    modules = {
        CLIENT: "._client",
        "APIResponse": f".{SYNC_RESPONSE.stem}",
        **dict.fromkeys(PAGES.values(), ".types"),
    }
    for module, names in WRITTEN_BY_HAND.items():
        modules |= dict.fromkeys(names, module)
    for source in (raw, *sources):
        modules = source.imports() | modules
    response = raw.classes("AsyncAPIResponse")
    return {
        SYNC: _module(SYNC, twins, modules),
        SYNC_RESPONSE: _module(SYNC_RESPONSE, response, modules),
        WITH_RESPONSE: _module(WITH_RESPONSE, wrapped, modules),
    }


def _module(path: Path, classes: list[str], modules: dict[str, str]) -> str:
    body = "\n\n\n".join(classes) + "\n"
    return HEADER.format(TITLES[path]) + _import_lines(path, body, modules) + "\n\n" + body


class Source:
    """One module of the async client, as text and as a tree."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.lines = self.text.splitlines(keepends=True)
        self.encoded = self.text.encode().splitlines(keepends=True)  # columns are counted in bytes
        self.tree = ast.parse(self.text)

    def imports(self) -> dict[str, str]:
        """The module that each imported name, and its sync twin, comes from."""
        found: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom):
                module = "." * node.level + (node.module or "")
                for alias in node.names:
                    twin = _sync(alias.name).removeprefix("async_")
                    found[alias.name] = found[twin] = module
        for statement in self.tree.body:
            if isinstance(statement, ast.Assign):  # a type variable
                found |= {ast.unparse(it): f".{self.path.stem}" for it in statement.targets}
        return found

    def classes(self, *only: str) -> list[str]:
        """The sync twin of every class, or of some."""
        return [self._class(node) for node in self._nodes() if not only or node.name in only]

    def wrapped(self, flavour: Flavour) -> list[str]:
        """Every class, with methods that answer with HTTP responses."""
        return [self._wrapped_class(node, flavour) for node in self._nodes()]

    def _nodes(self) -> list[ast.ClassDef]:
        nodes = [node for node in self.tree.body if isinstance(node, ast.ClassDef)]
        return [node for node in nodes if node.name != "AsyncResource"]

    def _class(self, node: ast.ClassDef) -> str:
        base = BASES.get(node.name) or next(
            (BASES.get(ast.unparse(base)) for base in node.bases), None
        )
        if base is None:
            raise self._unknown(node, "a class that is neither a resource nor the client")
        members = [f"    {self._docstring(node)}"]
        for member in self._methods(node):
            if member.name not in FROM_BASE.get(node.name, ()):
                members.append(self._method(member, INNER.get(node.name)))
        return f"class {_sync(node.name)}({base}):\n" + "\n\n".join(members)

    def _methods(self, node: ast.ClassDef) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        found: list[ast.FunctionDef | ast.AsyncFunctionDef] = []
        for member in node.body[1:]:
            if not isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef)):
                raise self._unknown(member, "something that is not a method")
            found.append(member)
        return found

    def _wrapped_class(self, node: ast.ClassDef, flavour: Flavour) -> str:
        is_client = node.name == CLIENT
        name = f"{node.name}{flavour.name}"
        base = flavour.base if is_client else f'ResponseGroup["{CLIENT}{flavour.name}"]'
        members = [f'    """As `{node.name}`, answering with HTTP responses."""']
        for member in self._methods(node):
            text = self._wrapped_method(member, node.name, flavour)
            if text:
                members.append(text)
        header = f"class {name}({base}):"
        text = "\n\n".join(members)
        if flavour.is_sync:
            header, text = _sync(header), _sync(text)
        if len(header) > 100:
            header = header.replace("(", "(\n    ", 1).replace("):", "\n):")
        return f"{header}\n{text}"

    def _wrapped_method(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, owner: str, flavour: Flavour
    ) -> str | None:
        """A method that makes one call, or a property that leads to some; `None` for the others."""
        last = node.body[-1]
        text = self._slice(last.value) if isinstance(last, ast.Return) and last.value else ""
        returns = self._slice(node.returns) if node.returns else ""
        made = re.match(r"(Async\w+)\(\s*self(?:\._client)?\b", text)
        if re.match(r"await self(\._client)?\.send\(", text):
            answer, body = returns, text
        elif made and made[1] in PAGES:
            assert isinstance(last, ast.Return)
            assert isinstance(last.value, ast.Call)
            params = self._slice(last.value.args[1])
            arguments = f"            {params},\n            **options,\n"
            answer, body = PAGES[made[1]], f"await self._client.send(\n{arguments}        )"
        elif made and made[1] == returns and returns.endswith("Resource"):
            decorators = "".join(f"    @{self._slice(it)}\n" for it in node.decorator_list)
            client = "self" if owner == CLIENT else "self._client"
            return (
                f"{decorators}    def {node.name}(self) -> {returns}{flavour.name}:\n"
                f"        {self._slice(node.body[0])}\n"
                f"        return {returns}{flavour.name}({client})"
            )
        else:
            return None
        if not flavour.awaits:
            body = body.removeprefix("await ")
        decorators = "".join(f"    @{self._slice(it)}\n" for it in node.decorator_list)
        signature = "".join(self.lines[node.lineno - 1 : node.body[0].lineno - 1]).strip()
        signature = signature.removesuffix(f"-> {returns}:").removeprefix("async ")
        summary = (ast.get_docstring(node) or "").partition("\n\n")[0]
        summary = summary.replace("\n", "\n        ")
        return (
            f"{decorators}    {'async ' if flavour.awaits else ''}{signature}"
            f"-> {flavour.answer}[{answer}]:\n"
            f'        """{summary}\n\n'
            f"        The HTTP response of what `{owner}.{node.name}` does: see there.\n"
            f'        """\n'
            f"        {self._copied(node)}return {body}"
        )

    def _method(self, node: ast.FunctionDef | ast.AsyncFunctionDef, inner: str | None) -> str:
        if node.args.posonlyargs or node.args.vararg:
            raise self._unknown(node, "a parameter without a name to pass it by")
        decorators = "".join(f"    @{self._slice(it)}\n" for it in node.decorator_list)
        body = self._body(node, inner)
        return f"{decorators}    {self._signature(node)}        {body}"

    def _body(self, node: ast.FunctionDef | ast.AsyncFunctionDef, inner: str | None) -> str:
        kinds = {ast.unparse(it) for it in node.decorator_list}
        yields = any(isinstance(child, (ast.Yield, ast.YieldFrom)) for child in ast.walk(node))
        call = f"self.{inner}.{node.name}({', '.join(_arguments(node))})"
        if yields and not (inner == "async_response" and isinstance(node, ast.AsyncFunctionDef)):
            raise self._unknown(node, "a generator")
        if node.name == "__init__":
            if not inner:
                raise self._unknown(node, "a constructor of a resource")
            return self._constructor(node)
        if node.name in COPIES:
            return f"{self._copied(node)}return self._copied({call})"
        if yields:
            return f"return self._each({call})"
        if inner and isinstance(node, ast.AsyncFunctionDef):
            way = "self._call" if inner == "async_response" else "self.portal.call"
            return f"{self._copied(node)}return {_portal_call(call, way)}"
        if inner and "property" in kinds and not self._makes(node):
            return f"return self.{inner}.{node.name}"
        if inner and "property" not in kinds:
            return f"return {self._made(node)}"
        return f"{self._copied(node)}return {self._expression(node)}"

    def _signature(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
        """From `def` to the end of the docstring, where there is one."""
        last = node.body[0].end_lineno if ast.get_docstring(node) else node.body[0].lineno - 1
        text = "".join(self.lines[node.lineno - 1 : last])
        for name in ASYNC_ONLY:
            text = re.sub(rf"^ +{name}: .*\n", "", text, flags=re.MULTILINE)
        for spelled, plain in BLOCKING.items():
            text = text.replace(spelled, plain)
        return _sync(text.strip().removeprefix("async ")) + "\n"

    def _docstring(self, node: ast.ClassDef) -> str:
        if not ast.get_docstring(node):
            raise self._unknown(node, "a class without a docstring")
        text = self._slice(node.body[0])
        for name in ASYNC_ONLY:
            text = re.sub(rf"^ +{name}: .*\n", "", text, flags=re.MULTILINE)
        return text

    def _expression(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
        statement = node.body[-1]
        more = [it for it in node.body[1:-1] if not isinstance(it, ast.ImportFrom)]
        if more or not isinstance(statement, ast.Return):
            raise self._unknown(node, "a body that is more than one return")
        text = self._slice(statement.value) if statement.value else ""
        if text.startswith("await self._client.send("):
            return _sync(text.removeprefix("await "))
        if re.match(r"await async_\w+\(\s*self\._client\b", text):
            return text.removeprefix("await async_")
        if re.match(r"await \w+\(\s*self\._client\b", text):
            call = text.removeprefix("await ").replace("self._client", "self._client.async_client")
            if "\n" not in call:
                return f"self._client.portal.call(lambda: {call})"
            call = call.replace("\n", "\n    ")
            return f"self._client.portal.call(\n            lambda: {call}\n        )"
        if re.match(r"Async\w+\(|self\._client\.with_\w+\.", text):
            return _sync(text)
        raise self._unknown(
            node, "a return that is neither a send, nor a procedure, nor an Async… made"
        )

    def _made(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
        """What a plain method of the client makes."""
        if not self._makes(node):
            raise self._unknown(node, "a plain method of the client that makes no Async…")
        return _sync(self._slice(node.body[-1]).removeprefix("return "))

    def _makes(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        """Whether something is made that works on the client."""
        return re.match(r"return Async\w+\(\s*self\b", self._slice(node.body[-1])) is not None

    def _constructor(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
        names = [arg.arg for arg in node.args.kwonlyargs if arg.arg not in ASYNC_ONLY]
        arguments = "".join(f"                {name}={name},\n" for name in names)
        made = f"super().__init__(\n            {CLIENT}(\n{arguments}            ),\n        )"
        return self._copied(node) + made

    def _copied(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
        """The imports, what checks arguments, and what hides secrets from whoever shows a frame."""
        lines = [self._slice(statement) for statement in node.body]
        known = r" = conceal\w*\(|^check_\w+\(|^from \S+ import "
        ends = {"from": "\n\n        "}
        return "".join(
            f"{_sync(line)}{ends.get(line.split()[0], chr(10) + ' ' * 8)}"
            for line in lines
            if re.search(known, line)
        )

    def _slice(self, node: ast.expr | ast.stmt) -> str:
        # `ast.get_source_segment` splits the whole source each time.
        lines = self.encoded[node.lineno - 1 : node.end_lineno]
        lines[-1] = lines[-1][: node.end_col_offset]
        lines[0] = lines[0][node.col_offset :]
        return b"".join(lines).decode()

    def _unknown(self, node: ast.stmt, what: str) -> SystemExit:
        return SystemExit(f"{self.path}:{node.lineno}: no rule for {what}")


def _portal_call(call: str, way: str) -> str:
    line = f"{way}(lambda: {call})"
    if len(line) <= 85:  # after the indent and `return`
        return line
    return f"{way}(\n            lambda: {call}\n        )"


def _sync(text: str) -> str:
    """The text with the names of our async classes replaced by those of their sync twins."""
    return re.sub(r"\bAsync(?=[A-Z])", "", text)


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    positional = [arg.arg for arg in node.args.args[1:]]
    keywords = [f"{arg.arg}={arg.arg}" for arg in node.args.kwonlyargs]
    options = [f"**{node.args.kwarg.arg}"] if node.args.kwarg else []
    return positional + keywords + options


def _import_lines(path: Path, body: str, modules: dict[str, str]) -> str:
    tree = ast.parse(body)
    defined = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    local = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    by_module: dict[str, list[str]] = defaultdict(list)
    for name in sorted(used - defined - local - set(dir(builtins)), key=_import_order):
        if name not in modules:
            sys.exit(f"{path.name} would use {name!r}, which no source imports by name")
        by_module[modules[name]].append(name)
    checked = by_module.pop(f".{WITH_RESPONSE.stem}", [])  # imported where it is used, if at all
    if checked:
        by_module["typing"].append("TYPE_CHECKING")
        by_module["typing"].sort(key=_import_order)
    groups: list[list[str]] = [[], [], []]  # of the standard library, of others, ours
    for module in sorted(by_module):
        ours, others = module.startswith("."), module in THIRD_PARTY
        groups[2 if ours else 1 if others else 0].append(_import_line(module, by_module[module]))
    text = "\n".join("".join(group) for group in groups if group)
    if checked:
        lines = _import_line(f".{WITH_RESPONSE.stem}", checked).splitlines(keepends=True)
        text += "\nif TYPE_CHECKING:\n" + "".join(f"    {line}" for line in lines)
    return text


def _import_order(name: str) -> tuple[int, str]:
    """Constants, classes, the rest: as the linter wants them."""
    if len(name) > 1 and name.isupper():
        return 0, name
    return (1 if name[0].isupper() else 2), name.lower()


def _import_line(module: str, names: list[str]) -> str:
    line = f"from {module} import {', '.join(names)}\n"
    if len(line) <= 100:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")\n"


if __name__ == "__main__":
    sys.exit(main())
