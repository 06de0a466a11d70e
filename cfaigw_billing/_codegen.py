"""Writes `_sync.py`, the sync facade, from the source of the async client.

    python -m cfaigw_billing._codegen            write it
    python -m cfaigw_billing._codegen --check    fail, with a diff, if it is not current

It reads `_resources.py` and `_client.py` as text and copies slices of them: decorators, signatures
and docstrings stay as they were written, byte for byte, whatever the version of Python. It imports
nothing of the package, so that a broken facade cannot block its own repair.

Of the bodies it knows seven shapes, and stops at any other with file and line:

- `return await self._client.send(…)` or `return AsyncX(…)` in a resource, or in a property: the
  same expression without `await` and with the sync names. It runs in the caller's thread, where
  bad arguments are noticed; the sync client's `send` takes the rest to the event loop;
- `return await function(self._client, …)` in a resource, for what takes several calls: the same
  function, run on the event loop with the async client;
- `return await async_function(self._client, …)`: its twin `function`, in the caller's thread;
- a coroutine of the client: one call through the portal;
- `return AsyncX(self, …)` in a method of the client: the sync twin of what is made;
- a property of the client: the async client's;
- the constructor of the client: it makes the async client.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import re
import sys
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = (HERE / "_resources.py", HERE / "_client.py")
TARGET = HERE / "_sync.py"

MARK = "@" + "generated"  # in two parts, so that this file does not bear it
HEADER = f'''\
"""The sync client: the calls of the async one, without `await`.

{MARK} from _resources.py and _client.py by `python -m cfaigw_billing._codegen`; do not edit.
"""

from __future__ import annotations

'''

BASES = {"AsyncResource": "SyncResource", "AsyncCloudflare": "SyncClient"}
"""The async classes whose sync twins, or their bases, are written by hand in `_sync_base.py`."""
CLIENT = "AsyncCloudflare"
FROM_BASE = {"close", "__reduce__", "__aenter__", "__aexit__"}
"""The methods of the client that its base provides."""
BLOCKING = {"async with": "with", "async for": "for", " | AsyncIterable[Params[T]]": ""}
"""What signatures and docstrings say otherwise."""
ASYNC_ONLY = {"http_client"}
"""An aiohttp session is bound to the caller's event loop, and the sync client has its own."""


def main() -> int:
    """Write the facade, or check that it is current."""
    text = generate()
    if "--check" not in sys.argv:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    present = TARGET.read_text(encoding="utf-8") if TARGET.exists() else ""
    diff = difflib.unified_diff(
        present.splitlines(keepends=True), text.splitlines(keepends=True), "present", "generated"
    )
    sys.stderr.writelines(diff)
    return int(present != text)


def generate() -> str:
    """The text of the facade."""
    modules = {"SyncResource": "._sync_base", "SyncClient": "._sync_base", CLIENT: "._client"}
    classes: list[str] = []
    for path in SOURCES:
        source = Source(path)
        modules |= source.imports()
        classes += source.classes()
    body = "\n\n\n".join(classes) + "\n"
    return HEADER + _import_lines(body, modules) + "\n\n" + body


class Source:
    """One module of the async client, as text and as a tree."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)

    def imports(self) -> dict[str, str]:
        """The module that each imported name, and its sync twin, comes from."""
        found: dict[str, str] = {}
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom):
                module = "." * node.level + (node.module or "")
                for alias in node.names:
                    twin = _sync(alias.name).removeprefix("async_")
                    found[alias.name] = found[twin] = module
            elif isinstance(node, ast.Assign):  # a type variable
                found |= {ast.unparse(target): f".{self.path.stem}" for target in node.targets}
        return found

    def classes(self) -> list[str]:
        """The sync twin of every class."""
        nodes = [node for node in self.tree.body if isinstance(node, ast.ClassDef)]
        return [self._class(node) for node in nodes if BASES.get(node.name) != "SyncResource"]

    def _class(self, node: ast.ClassDef) -> str:
        base = BASES.get(node.name) or next(
            (BASES.get(ast.unparse(base)) for base in node.bases), None
        )
        if base is None:
            raise self._unknown(node, "a class that is neither a resource nor the client")
        members = [f"    {self._docstring(node)}"]
        for member in node.body[1:]:
            if not isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef)):
                raise self._unknown(member, "something that is not a method")
            if member.name not in FROM_BASE:
                members.append(self._method(member, in_client=node.name == CLIENT))
        return f"class {_sync(node.name)}({base}):\n" + "\n\n".join(members)

    def _method(self, node: ast.FunctionDef | ast.AsyncFunctionDef, *, in_client: bool) -> str:
        if node.args.posonlyargs or node.args.vararg:
            raise self._unknown(node, "a parameter without a name to pass it by")
        if any(isinstance(child, (ast.Yield, ast.YieldFrom)) for child in ast.walk(node)):
            raise self._unknown(node, "a generator")
        cached = any(ast.unparse(it) == "cached_property" for it in node.decorator_list)
        if node.name == "__init__":
            if not in_client:
                raise self._unknown(node, "a constructor of a resource")
            body = self._constructor(node)
        elif in_client and not isinstance(node, ast.AsyncFunctionDef) and not cached:
            body = f"return {self._delegation(node)}"
        elif in_client and isinstance(node, ast.AsyncFunctionDef):
            call = f"self.async_client.{node.name}({', '.join(_arguments(node))})"
            body = f"{self._concealing(node)}return self.portal.call(lambda: {call})"
        else:
            body = f"return {self._expression(node)}"
        decorators = [f"    @{self._slice(decorator)}\n" for decorator in node.decorator_list]
        return "".join([*decorators, f"    {self._signature(node)}", f"        {body}"])

    def _signature(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
        """From `def` to the end of the docstring, where there is one."""
        lines = self.text.splitlines(keepends=True)
        last = node.body[0].end_lineno if ast.get_docstring(node) else node.body[0].lineno - 1
        text = "".join(lines[node.lineno - 1 : last])
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
        if len(node.body) > 2 or not isinstance(statement, ast.Return):
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
        if re.match(r"Async\w+\(", text):
            return _sync(text)
        raise self._unknown(
            node, "a return that is neither a send, nor a procedure, nor an Async… made"
        )

    def _delegation(self, node: ast.FunctionDef) -> str:
        """What a plain method or property of the client answers."""
        if any(ast.unparse(it) == "property" for it in node.decorator_list):
            return f"self.async_client.{node.name}"
        statement = node.body[-1]
        made = (
            self._slice(statement.value)
            if isinstance(statement, ast.Return) and statement.value
            else ""
        )
        if not re.match(r"Async\w+\(\s*self\b", made):
            raise self._unknown(node, "a plain method of the client that makes no Async…")
        return _sync(made)

    def _constructor(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
        names = [arg.arg for arg in node.args.kwonlyargs if arg.arg not in ASYNC_ONLY]
        arguments = "".join(f"                {name}={name},\n" for name in names)
        made = f"super().__init__(\n            {CLIENT}(\n{arguments}            ),\n        )"
        return self._concealing(node) + made

    def _concealing(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
        """The statements that hide secrets from whoever shows the local variables of a frame."""
        lines = [self._slice(statement) for statement in node.body]
        return "".join(f"{line}\n        " for line in lines if re.search(r" = conceal\w*\(", line))

    def _slice(self, node: ast.AST) -> str:
        text = ast.get_source_segment(self.text, node)
        assert text is not None
        return text

    def _unknown(self, node: ast.stmt, what: str) -> SystemExit:
        return SystemExit(f"{self.path}:{node.lineno}: no rule for {what}")


def _sync(text: str) -> str:
    """The text with the names of our async classes replaced by those of their sync twins."""
    return re.sub(r"\bAsync(?=[A-Z])", "", text)


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    positional = [arg.arg for arg in node.args.args[1:]]
    keywords = [f"{arg.arg}={arg.arg}" for arg in node.args.kwonlyargs]
    options = [f"**{node.args.kwarg.arg}"] if node.args.kwarg else []
    return positional + keywords + options


def _import_lines(body: str, modules: dict[str, str]) -> str:
    tree = ast.parse(body)
    defined = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    local = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    by_module: dict[str, list[str]] = defaultdict(list)
    for name in sorted(used - defined - local - set(dir(builtins)), key=_import_order):
        if name not in modules:
            sys.exit(f"{TARGET.name} would use {name!r}, which no source imports by name")
        by_module[modules[name]].append(name)
    standard = sorted(module for module in by_module if not module.startswith("."))
    ours = sorted(module for module in by_module if module.startswith("."))
    blocks = ["".join(_import_line(m, by_module[m]) for m in group) for group in (standard, ours)]
    return "\n".join(block for block in blocks if block)


def _import_order(name: str) -> tuple[int, str]:
    """Constants, classes, the rest: as the linter wants them."""
    if len(name) > 1 and name.isupper():
        return 0, name
    return (1 if name[0].isupper() else 2), name


def _import_line(module: str, names: list[str]) -> str:
    line = f"from {module} import {', '.join(names)}\n"
    if len(line) <= 100:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")\n"


if __name__ == "__main__":
    sys.exit(main())
