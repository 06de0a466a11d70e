"""Values as JSON, and the methods that pydantic calls to check, write and describe them.

With these, an answer can be a field of a pydantic model, and the result of a FastAPI route. The
package does not depend on pydantic: only pydantic calls them.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Self

from attrs import frozen

_ATTRIBUTE = r"(?m)^    (\w+): (.+(?:\n {8}.+)*)"
"""One of the attributes that a docstring lists."""


@frozen(kw_only=True)
class Property:
    """One property of the JSON of a value."""

    name: str
    """Its name."""
    schema: Mapping[str, str]
    """The other entries of its JSON schema, such as a `description`."""
    written: Any
    """Its type in JSON."""
    read: Any = None
    """The type to accept; `None`: it is not read."""
    required: bool = True
    """Whether it is required when reading."""
    always: bool = True
    """Whether it is always written."""


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
        from pydantic_core import core_schema as made

        read: dict[str, Any] = {}
        written: dict[str, Any] = {}
        for each in cls._properties():
            if each.read is not None:
                read[each.name] = made.typed_dict_field(
                    handler.generate_schema(each.read), required=each.required
                )
            written[each.name] = made.typed_dict_field(
                handler.generate_schema(each.written), required=each.always
            )
        data = made.no_info_after_validator_function(cls._from_dict, made.typed_dict_schema(read))
        return made.json_or_python_schema(
            json_schema=data,
            python_schema=made.union_schema([made.is_instance_schema(cls), data]),
            serialization=made.plain_serializer_function_ser_schema(
                _written, return_schema=made.typed_dict_schema(written)
            ),
            ref=f"{cls.__module__}.{cls.__qualname__}:{id(cls)}",  # the form that pydantic's have
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        """Describe the value and its properties to pydantic."""
        reference = handler(schema)
        found = handler.resolve_ref_schema(reference)
        found["title"] = cls.__name__
        if cls.__doc__:
            found["description"] = inspect.cleandoc(cls.__doc__).partition("\n\n")[0]
        for each in cls._properties():
            if each.name in found["properties"]:
                found["properties"][each.name].update(each.schema)
        return reference


def _written(value: Any) -> object:
    """Return the data of a value; nested values are data already."""
    return value.to_dict() if hasattr(value, "to_dict") else value


@cache
def descriptions(cls: Any) -> dict[str, str]:
    """Return the descriptions of attributes in the docstrings of the class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(inspect.getmro(cls)):
        listed = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")[2]
        found |= {name: " ".join(text.split()) for name, text in re.findall(_ATTRIBUTE, listed)}
    return found


def plain_digits(number: Decimal) -> str:
    """Return a number as text, exact, without an exponent and without zeros at its end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
