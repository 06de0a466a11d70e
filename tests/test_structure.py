"""How the package is cut: who may import whom, what an import costs, what is public."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib.metadata import version
from itertools import pairwise
from operator import attrgetter
from pathlib import Path

import attrs
import pytest

import cfaigw_billing
from cfaigw_billing import AsyncCloudflare, Cloudflare, errors, types
from cfaigw_billing._core.operations import ALL
from cfaigw_billing.types._base import Shown

PACKAGE = Path(cfaigw_billing.__file__).parent
REPOSITORY = Path(__file__).parent.parent

# Imports.

ORDER = (
    *("_wire", "_show", "types", "errors", "_core", "journal"),
    *("_io", "_charges", "_async", "_sync", "testing", "cli"),
)
"""The folders (and `errors.py`): each imports only from those before it."""
APART = {
    ("_show", "_wire"),
    ("types", "errors"),
    ("errors", "types"),
    ("errors", "_show"),
    ("_io", "journal"),
}
"""Neighbours in that order which know nothing of each other."""
FACES = {"", "__main__", "_lazy", "_version", "_pytest_plugin", "resources"}
"""The modules at the top. They hand names on, or are handed to other programs."""


def modules() -> Iterator[tuple[str, Path]]:
    """The name within the package, and the file, of every module."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield name.removesuffix("__init__").removesuffix("."), path


MODULES = dict(modules())


def imports(module: str) -> set[str]:
    """The modules of the package that a module imports, for type checkers alone or not."""
    path = MODULES[module]
    folder = ["cfaigw_billing", *path.relative_to(PACKAGE).parent.parts]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {f"{alias.name}." for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = folder[: len(folder) + 1 - node.level] if node.level else []
            source = ".".join([*origin, *filter(None, [node.module])]) + "."
            names = [f"{source}{alias.name}." for alias in node.names]
            found |= {name if ours(name) in MODULES else source for name in names}
    return {ours(name) for name in found if name.startswith("cfaigw_billing.")}


def ours(name: str) -> str:
    return name.removeprefix("cfaigw_billing.").removesuffix(".")


GRAPH = {module: imports(module) for module in MODULES}


def folder_of(module: str) -> str:
    return module.partition(".")[0]


@pytest.mark.parametrize("module", sorted(MODULES.keys() - FACES))
def test_folders_import_one_way(module: str) -> None:
    folder = folder_of(module)
    before = {*ORDER[: ORDER.index(folder) + 1], *FACES}
    assert {other for other in GRAPH[module] if folder_of(other) not in before} == set()
    assert {(folder, folder_of(other)) for other in GRAPH[module]} & APART == set()


def test_no_module_is_in_a_circle() -> None:
    graph = {module: others - FACES for module, others in GRAPH.items() if module not in FACES}
    # The face of a folder hands on the names of its modules, which do not import it.
    tuple(TopologicalSorter(graph).static_order())  # raises, with the circle


def test_no_chain_of_imports_is_longer_than_twelve_modules() -> None:
    faces = {module for module, path in MODULES.items() if path.name == "__init__.py"}
    graph = {module: others - faces for module, others in GRAPH.items() if module not in faces}
    level: dict[str, int] = {}
    for module in TopologicalSorter(graph).static_order():
        level[module] = 1 + max((level[other] for other in graph[module]), default=0)
    assert {module for module in level if level[module] > 12} == set()


def test_folders_and_modules_can_be_taken_in_at_a_glance() -> None:
    folders = Counter(path.parent.name for path in MODULES.values())
    assert max(folders.values()) <= 16  # with `__init__`
    long = {
        module: lines
        for module, path in MODULES.items()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    methods = {"_async.resources", "_sync.resources"}
    assert long.keys() <= methods, "with docstrings longer than they are"


def test_the_import_parser_sees_what_there_is() -> None:
    assert {"_wire.strict_json", "_core.codec", "types"} <= GRAPH["_core.request"]
    assert "cli._errors" in GRAPH["cli._session"]
    assert "testing" in GRAPH["cli.local"]
    assert "_io.portal" in GRAPH["testing._server"]


COSTS = [
    # what is imported, what that must not load
    (
        "import cfaigw_billing",
        {"aiohttp", "anyio", "asyncio", "attr", "attrs", "cattrs", "multidict", "ssl", "yarl"},
    ),
    ("from cfaigw_billing.journal import SQLiteJournal", {"psycopg", "cfaigw_billing.testing"}),
    ("import cfaigw_billing.types", {"aiohttp", "anyio", "asyncio", "cattrs", "ssl"}),
    (
        "from cfaigw_billing import AsyncCloudflare",
        {
            "cfaigw_billing._io.portal",
            "cfaigw_billing._sync.client",
            "cfaigw_billing.testing",
            "cfaigw_billing._core.reconciliation",
            "cfaigw_billing.types.invoices",
            "cfaigw_billing.types.spending_limit",
            "cfaigw_billing.types.topup",
            "anyio",
            "cattrs",
            "html",
            "rich",
            "click",
        },
    ),
    (
        "from cfaigw_billing import Cloudflare",
        {"cfaigw_billing.testing", "cattrs", "rich", "click"},
    ),
    ("import cfaigw_billing._pytest_plugin", {"aiohttp", "anyio", "cattrs"}),
]


@pytest.mark.parametrize(("statement", "unused"), COSTS, ids=[row[0] for row in COSTS])
def test_an_import_loads_nothing_that_is_not_used(statement: str, unused: set[str]) -> None:
    loaded = python(f"{statement}; import sys; print(*sys.modules)").split()
    assert "cfaigw_billing" in loaded
    assert unused & set(loaded) == set()


def python(script: str) -> str:
    return subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    ).stdout


# What is public.

CALLS = {
    # the path of each method, its parameters, what it answers
    "accounts.list": ("AccountListParams", "AccountListResponse"),
    "ai_gateway.billing.credit_balance": (
        "BillingCreditBalanceParams",
        "BillingCreditBalanceResponse",
    ),
    "ai_gateway.billing.usage_history": (
        "BillingUsageHistoryParams",
        "BillingUsageHistoryResponse",
    ),
    "ai_gateway.billing.invoice_history": (
        "BillingInvoiceHistoryParams",
        "BillingInvoiceHistoryResponse",
    ),
    "ai_gateway.billing.invoice_preview": (
        "BillingInvoicePreviewParams",
        "BillingInvoicePreviewResponse",
    ),
    "ai_gateway.billing.topup.create": ("TopupCreateParams", "TopupCreateResponse"),
    "ai_gateway.billing.topup.status": ("TopupStatusParams", "TopupStatusResponse"),
    "ai_gateway.billing.topup.limits": ("TopupLimitsParams", "TopupLimitsResponse"),
    "ai_gateway.billing.topup.eligibility": (
        "TopupEligibilityParams",
        "TopupEligibilityResponse",
    ),
    "ai_gateway.billing.topup.config.get": ("ConfigGetParams", "ConfigGetResponse"),
    "ai_gateway.billing.topup.config.create": ("ConfigCreateParams", "ConfigCreateResponse"),
    "ai_gateway.billing.topup.config.delete": ("ConfigDeleteParams", "object"),
    "ai_gateway.billing.spending_limit.get": (
        "SpendingLimitGetParams",
        "SpendingLimitGetResponse",
    ),
    "ai_gateway.billing.spending_limit.create": ("SpendingLimitCreateParams", "object"),
    "ai_gateway.billing.spending_limit.delete": ("SpendingLimitDeleteParams", "object"),
}

NESTED = {
    "PaymentMethod",
    "TopupConfig",
    "History",
    "Invoice",
    "Pagination",
    "InvoiceLine",
    "InvoiceLinePeriod",
    "InvoiceLinePricing",
    "InvoiceLinePretaxCreditAmount",
    "Config",
}

ERRORS = {
    # each error, and what it is a kind of
    "CloudflareError": "Exception",
    "APIError": "CloudflareError",
    "APIConnectionError": "APIError",
    "APITimeoutError": "APIConnectionError",
    "APIResponseValidationError": "APIError",
    "APIStatusError": "APIError",
    "BadRequestError": "APIStatusError",
    "AuthenticationError": "APIStatusError",
    "PaymentRequiredError": "APIStatusError",
    "PermissionDeniedError": "APIStatusError",
    "NotFoundError": "APIStatusError",
    "ConflictError": "APIStatusError",
    "UnprocessableEntityError": "APIStatusError",
    "RateLimitError": "APIStatusError",
    "InternalServerError": "APIStatusError",
}

ARGUMENTS = {
    "api_token",
    "api_email",
    "api_key",
    "account_id",
    "base_url",
    "timeout",
    "total_timeout",
    "max_retries",
    "max_retry_wait",
    "max_requests_per_second",
    "max_charge",
    "default_headers",
    "default_query",
    "journal",
}

OPTIONS = {"extra_headers", "extra_query", "extra_body", "timeout"}


def test_the_calls_are_these() -> None:
    assert {o.name: (o.params.__name__, o.result.__name__) for o in ALL} == CALLS


@pytest.mark.parametrize("cls", [AsyncCloudflare, Cloudflare])
@pytest.mark.parametrize("call", CALLS)
def test_every_call_is_a_method_with_keywords_only(call: str, cls: type) -> None:
    parameters = inspect.signature(attrgetter(call)(cls())).parameters.values()
    assert {parameter.kind.name for parameter in parameters} == {"KEYWORD_ONLY", "VAR_KEYWORD"}
    taken = {field.name for field in attrs.fields(getattr(types, CALLS[call][0]))}
    given = {p.name for p in parameters if p.kind.name == "KEYWORD_ONLY"}
    assert taken - given == ({"cursor"} if call == "accounts.list" else set())
    assert given <= taken


def test_every_method_takes_the_options() -> None:
    assert set(cfaigw_billing.RequestOptions.__annotations__) == OPTIONS
    assert set(cfaigw_billing.ReadOptions.__annotations__) == {*OPTIONS, "max_age"}


@pytest.mark.parametrize(
    ("cls", "arguments"),
    [(AsyncCloudflare, {*ARGUMENTS, "http_client"}), (Cloudflare, ARGUMENTS)],
)
def test_the_clients_take_these_keywords(cls: type, arguments: set[str]) -> None:
    parameters = inspect.signature(cls).parameters
    assert arguments <= set(parameters)
    assert {parameter.kind.name for parameter in parameters.values()} == {"KEYWORD_ONLY"}


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_is_public_and_of_its_kind(name: str) -> None:
    error = getattr(cfaigw_billing, name)
    assert ERRORS[name] in [base.__name__ for base in error.__mro__[1:]]


def test_what_is_public_is_listed_and_there() -> None:
    assert cfaigw_billing.__all__ == sorted(cfaigw_billing.__all__)
    assert {"AsyncCloudflare", "Cloudflare", "Money", "types", *ERRORS} <= {*cfaigw_billing.__all__}
    assert {n for n in definitions(MODULES["errors"]) if inspect.isclass(getattr(errors, n))} <= {
        *cfaigw_billing.__all__
    }
    names = python("from cfaigw_billing import *; print(*dir())").split()
    assert set(cfaigw_billing.__all__) <= set(names)
    with pytest.raises(AttributeError, match="Nothing"):
        getattr(cfaigw_billing, "Nothing")  # noqa: B009  # checkers know that it is not there


def test_every_type_is_listed_and_there() -> None:
    assert types.__all__ == sorted(types.__all__)
    called = {name for row in CALLS.values() for name in row} - {"object"}
    assert called | NESTED <= set(types.__all__)
    defined = {
        name
        for module, path in MODULES.items()
        if module.startswith("types.") and not module.startswith("types._")
        for name in definitions(path)
    }
    base = {"AccountParams", "Params", "Response"}
    assert set(types.__all__) == defined | base
    assert [name for name in types.__all__ if not hasattr(types, name)] == []


def definitions(path: Path) -> Iterator[str]:
    """The public classes and aliases that a module defines."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        names = [node.name] if isinstance(node, ast.ClassDef) else map(ast.unparse, targets)
        yield from (name for name in names if name[0].isupper())


# Docstrings of fields.

UNITS = {
    # what the text of a number says, and the ending of the attribute that must stand beside it
    "in cents": "_money",
    "Unix seconds": "_datetime",
    "Unix milliseconds": "_datetime",
    "without a unit": "",
}


HELP = ("in cents", "whole cents", "Unix seconds", "Unix milliseconds")
"""The units that the docstring of a class repeats."""


@attrs.frozen
class Field:
    """A field as it is written in `types`."""

    cls: str
    name: str
    annotation: str
    text: str | None

    @property
    def sibling(self) -> str:
        """The attribute that must stand beside it, by its unit."""
        ending = next((e for unit, e in UNITS.items() if unit in (self.text or "")), "_unit")
        return self.name.removesuffix("_cents") + ending


def fields() -> Iterator[Field]:
    """Yield the public attributes of classes in `types`, with their docstrings."""
    sources = [path for module, path in MODULES.items() if module.startswith("types.")]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sources]
    for cls in (node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)):
        for node, below in pairwise([*cls.body, None]):
            if isinstance(node, ast.AnnAssign):
                name, annotation = ast.unparse(node.target), ast.unparse(node.annotation)
            elif isinstance(node, ast.Assign):
                name, annotation = ast.unparse(node.targets[0]), ""
            else:
                continue
            if not name.startswith("_"):
                yield Field(cls.name, name, annotation, string(below))


def string(node: ast.stmt | None) -> str | None:
    """Return the text of a statement that is only a string."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return str(node.value.value)
    return None


FIELDS = list(fields())


def test_every_field_is_documented() -> None:
    assert len(FIELDS) > 100
    assert [field for field in FIELDS if not field.text] == []


def test_every_number_of_an_answer_says_its_unit_and_has_its_sibling() -> None:
    numbers = [f for f in FIELDS if "float" in f.annotation and is_response(f.cls)]
    assert {field.sibling for field in numbers} > {"balance_money", "min_money", "created_datetime"}
    there = {(field.cls, field.name) for field in FIELDS}
    assert [field for field in numbers if (field.cls, field.sibling) not in there] == []


def test_the_docstring_of_a_class_shows_the_units_of_its_fields() -> None:
    """`help()` shows no strings below fields."""
    told = [f for f in FIELDS if f.annotation and any(unit in (f.text or "") for unit in HELP)]
    told = [f for f in told if "ClassVar" not in f.annotation and hasattr(types, f.cls)]
    assert len(told) > 25
    missing = [
        (field.cls, field.name)
        for field in told
        if f"{field.name}: {(field.text or '').split()[0]}"
        not in (getattr(types, field.cls).__doc__ or "")
    ]
    assert missing == []


def is_response(cls: str) -> bool:
    return issubclass(getattr(types, cls, object), Shown)


# The version.


def test_the_version_is_the_same_everywhere() -> None:
    assert version("cfaigw_billing") == cfaigw_billing.__version__
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[([\d.]+)\] - \d{4}-\d\d-\d\d$", changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] == cfaigw_billing.__version__
