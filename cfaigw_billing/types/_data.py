"""Values as JSON, and the methods that pydantic calls to check, write and describe them.

With these, an answer can be a field of a pydantic model, and the result of a FastAPI route. The
package does not depend on pydantic: only pydantic calls them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from ._schema import Property


class Data:
    """A value that can be written as JSON, and that pydantic can read again."""

    __slots__ = ()

    def to_dict(self) -> dict[str, object]:
        """Return the value as JSON data."""
        raise NotImplementedError

    def to_json(self, *, indent: int | None = None) -> str:
        """Return `to_dict()` as JSON text; with `indent`, on several lines."""
        return json.dumps(self.to_dict(), indent=indent)

    @classmethod
    def _from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make a value from data that pydantic has checked."""
        raise NotImplementedError

    @classmethod
    def _properties(cls) -> Iterable[Property]:
        """Return the properties of the data, in their order."""
        raise NotImplementedError

    @classmethod
    def __get_pydantic_core_schema__(cls, _: object, handler: Any) -> Any:
        """Tell pydantic to accept the value itself or its data, and to write its data."""
        from . import _schema

        return _schema.core_schema(cls, handler)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        """Describe the value and its properties to pydantic."""
        from . import _schema

        return _schema.json_schema(cls, schema, handler)


def plain_digits(number: Decimal) -> str:
    """Return a number as text, exact, without an exponent and without zeros at its end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
