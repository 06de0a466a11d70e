"""The JSON of a value, property by property, for pydantic: what it reads, writes and describes.

The package does not depend on pydantic: only pydantic asks for this, and so it is installed then.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

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


def core_schema(cls: Any, handler: Any) -> Any:
    """Return how pydantic is to read and write the values of a type."""
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


def json_schema(cls: Any, schema: Any, handler: Any) -> Any:
    """Return how pydantic is to describe the values of a type."""
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
