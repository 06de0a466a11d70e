"""Write the sync client: the modules of `_async/` without `await`.

    python .ci/codegen.py            write `_sync/`
    python .ci/codegen.py --check    fail, with a diff, if it is not current

The modules are copied as text, with the words of the table below replaced. So what may stand in
them is what reads the same in both: calls of the executor, of which the sync client has a blocking
one with the same methods. What differs more is written by hand, in modules of the same name.
"""

from __future__ import annotations

import difflib
import re
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "cfaigw_billing"
SOURCE, TARGET = PACKAGE / "_async", PACKAGE / "_sync"
TITLES = {
    "calls": "The calls that a client makes itself.",
    "client": "The sync client.",
    "metrics": "The state of accounts for Prometheus, kept up to date during a `with` block.",
    "paging": "Lists as iterators over all their pages.",
    "resources": "The methods of the sync client.",
    "responses": "The HTTP response around an answer, and the calls that give it.",
    "sweeps": "Run a sweep over accounts.",
    "watch": "The watch that users see: a context manager and an iterator.",
}
"""The modules that are generated, and their docstrings."""

MARK = "@" + "generated"  # in two parts, so that this file does not bear it
HEADER = (
    '"""{title}\n\n{mark} from `_async/{name}.py` by `python .ci/codegen.py`; do not edit.\n"""\n'
)

WORDS = (
    (r" \| AsyncIterable\[Params\[T\]\]", ""),
    (r"AsyncIterable, ", ""),
    (r"self\._executor: Executor = executor\b", "self._executor = BlockingExecutor(executor)"),
    (r"from \.\._io\.executor import Executor\n", "from .executor import BlockingExecutor\n"),
    (
        r"(from \.\._wire\.messages import HTTPRequest), Unread\n",
        r"\1\nfrom .executor import BlockingUnread\n",
    ),
    # These run on the loop.
    (r"from \.(refreshing|runway|topups|watching) import", r"from .._async.\1 import"),
    (r"\bExecutor\b", "BlockingExecutor"),
    (r"\bUnread\b", "BlockingUnread"),
    (r"\bAwaitable\[((?:[^][]|\[(?:[^][]|\[[^][]*\])*\])*)\]", r"\1"),
    (r"Awaitable, ", ""),
    (r"\ban async with\b|\ban `async with`", "a `with`"),
    (r"\basync (?=def|with|for)", ""),
    (r"\bawait ", ""),
    (r"\ba(closing|next)\b", r"\1"),
    (r"__a(enter|exit|iter|next)__", r"__\1__"),
    (r"\bStopAsyncIteration\b", "StopIteration"),
    (r"\ban async iterator\b", "an iterator"),
    (r"\bAsync(?=[A-Z])", ""),
)
"""What is replaced, in this order, everywhere: in code, docstrings and examples alike."""

ASYNC_ONLY = re.compile(r"^ +http_client[:=].*\n", re.MULTILINE)
"""An aiohttp session is bound to the caller's event loop, and the sync client has its own."""


def sync(name: str, source: str) -> str:
    """Return the text of a sync module."""
    body = source[source.index('"""\n', 3) + 4 :]
    body = ASYNC_ONLY.sub("", body).replace("ClientSession, ", "")
    for pattern, replacement in WORDS:
        body = re.sub(pattern, replacement, body)
    return HEADER.format(title=TITLES[name], mark=MARK, name=name) + body


def generate() -> dict[Path, str]:
    """Return the text of each generated module."""
    return {
        TARGET / f"{name}.py": sync(name, (SOURCE / f"{name}.py").read_text(encoding="utf-8"))
        for name in TITLES
    }


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


if __name__ == "__main__":
    sys.exit(main())
