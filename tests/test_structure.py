"""How the package is cut: who may import whom, what an import costs, what is public."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from itertools import pairwise
from operator import attrgetter
from pathlib import Path

import attrs
import pytest

import cfaigw_billing
from cfaigw_billing import AsyncCloudflare, Cloudflare, errors, types
from cfaigw_billing._core.operations import ALL
from cfaigw_billing.types import Response

PACKAGE = Path(cfaigw_billing.__file__).parent
REPOSITORY = Path(__file__).parent.parent

# Imports go one way: a module imports only from those above it, but for `if TYPE_CHECKING`.
LAYERS = (
    "_compat",
    "_fork",
    "_clock",
    "_ratelimit",
    "_limiter",
    "_deadlines",
    "_json",
    "_extras",
    "_table",
    "_secret",
    "_http",
    "errors",
    "types._annotations",
    "types._derived",
    "types._records",
    "types._validators",
    "types._base",
    "types.money",
    "types.accounts",
    "types.balance",
    "types.invoices",
    "types.spending_limit",
    "types.topup",
    "types.usage",
    "types",
    "_compiled",
    "_codec",
    "_config",
    "_operations",
    "_retry",
    "_response",
    "_transport",
    "_request",
    "_executor",
    "_portal",
    "_sync_base",
    "_raw",
    "_sync_response",
    "_sync_raw",
    "_with_response",
    "_paging",
    "_reconciliation",
    "_topups",
    "_bulk",
    "_balances",
    "_sweep",
    "_resources",
    "_client",
    "_sync",
    "testing._limit",
    "testing._state",
    "testing._validation",
    "testing._messages",
    "testing._faults",
    "testing._delivery",
    "testing._operations",
    "testing._routes",
    "testing._control",
    "testing._server",
    "testing",
    "_pytest_plugin",
    "cli._errors",
    "cli._session",
    "cli._inputs",
    "cli._output",
    "cli.balances",
    "cli.reports",
    "cli.topups",
    "cli.local",
    "cli",
    "__main__",
)
ALONE = ("__init__", "_codegen")
"""They import nothing of the package: it imports what it is asked for, when it is asked."""


# Imports.


def modules() -> Iterator[tuple[str, Path]]:
    """The name within the package, and the file, of every module."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


MODULES = dict(modules())


class Imports(ast.NodeVisitor):
    """The modules of the package that a module imports when it is run."""

    def __init__(self, path: Path) -> None:
        self.found: set[str] = set()
        self._folder = ["cfaigw_billing", *path.relative_to(PACKAGE).parent.parts]
        self.visit(ast.parse(path.read_text(encoding="utf-8")))

    def visit_If(self, node: ast.If) -> None:
        checking = ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.orelse if checking else [*node.body, *node.orelse]:
            self.visit(statement)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        origin = self._folder[: len(self._folder) + 1 - node.level] if node.level else []
        source = ".".join([*origin, *filter(None, [node.module])])
        for alias in node.names:
            if source == "cfaigw_billing" and alias.name not in MODULES:
                self._add(getattr(getattr(cfaigw_billing, alias.name), "__module__", ""))
            elif f"{source}.{alias.name}".removeprefix("cfaigw_billing.") in MODULES:
                self._add(f"{source}.{alias.name}")
            else:
                self._add(source)

    def _add(self, module: str) -> None:
        if module.startswith("cfaigw_billing."):
            self.found.add(module.removeprefix("cfaigw_billing."))


def test_every_module_has_its_place() -> None:
    assert set(MODULES) == {*LAYERS, *ALONE}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_those_above_it(module: str) -> None:
    above = () if module in ALONE else LAYERS[: LAYERS.index(module)]
    assert Imports(MODULES[module]).found - {*above} == set()


def test_the_import_parser_sees_what_there_is() -> None:
    assert {"_json", "_codec", "types", "_secret"} <= Imports(MODULES["_request"]).found
    assert {"_sync", "cli._errors"} <= Imports(MODULES["cli._session"]).found
    assert "testing" in Imports(MODULES["cli.local"]).found
    assert "_portal" in Imports(MODULES["testing._server"]).found
    assert "_client" not in Imports(MODULES["_paging"]).found  # it is there for type checkers


COSTS = [
    # what is imported, what that must not load
    (
        "import cfaigw_billing",
        {"aiohttp", "anyio", "asyncio", "attr", "attrs", "cattrs", "multidict", "ssl", "yarl"},
    ),
    ("import cfaigw_billing.types", {"aiohttp", "anyio", "asyncio", "cattrs", "ssl"}),
    (
        "from cfaigw_billing import AsyncCloudflare",
        {
            "cfaigw_billing._io.portal",
            "cfaigw_billing._sync.client",
            "cfaigw_billing.testing",
            "rich",
            "typer",
        },
    ),
    ("from cfaigw_billing import Cloudflare", {"cfaigw_billing.testing", "rich", "typer"}),
    ("import cfaigw_billing._pytest_plugin", {"aiohttp", "anyio", "cattrs"}),
]


@pytest.mark.parametrize(("statement", "unused"), COSTS, ids=[row[0] for row in COSTS])
def test_an_import_loads_nothing_that_is_not_used(statement: str, unused: set[str]) -> None:
    loaded = python(f"{statement}; import sys; print(*sys.modules)").split()
    assert "cfaigw_billing" in loaded
    assert unused & set(loaded) == set()


def python(script: str) -> str:
    return subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
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
    "max_charge",
    "default_headers",
    "default_query",
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
        cfaigw_billing.Nothing  # noqa: B018  # type: ignore[attr-defined]


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


# What the fields of the types say.

UNITS = {
    # what the text of a number says, and the ending of the attribute that must stand beside it
    "in cents": "_money",
    "Unix seconds": "_datetime",
    "Unix milliseconds": "_datetime",
    "no unit of its own": "",
}


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
    """What is public and assigned or annotated in a class of `types`, and the string below it."""
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
    """What the statement is, if it is a string alone."""
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


def is_response(cls: str) -> bool:
    return issubclass(getattr(types, cls, object), Response)


# The version.


def test_the_version_is_the_same_everywhere() -> None:
    assert version("cfaigw_billing") == cfaigw_billing.__version__
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[([\d.]+)\] - \d{4}-\d\d-\d\d$", changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] == cfaigw_billing.__version__
