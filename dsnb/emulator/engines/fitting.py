"""Whether a value that a message mentions satisfies a JSON schema, as far as tools' schemas go."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Schema = Mapping[str, Any]

_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}
_BOUNDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "exclusiveMaximum": lambda value, bound: value < bound,
    "multipleOf": lambda value, bound: value % bound == 0,
    "minLength": lambda value, bound: len(value) >= bound,
    "maxLength": lambda value, bound: len(value) <= bound,
    "minItems": lambda value, bound: len(value) >= bound,
    "maxItems": lambda value, bound: len(value) <= bound,
    "pattern": lambda value, bound: re.search(bound, value) is not None,
}


def fits(schema: object, value: object, refer: Callable[[object], Schema]) -> bool:
    """Return whether ``value`` satisfies ``schema``; ``refer`` gives what a ``$ref`` points to."""
    if not isinstance(schema, Mapping):
        return schema is not False
    if "$ref" in schema:
        return fits(refer(schema["$ref"]), value, refer)
    kinds = schema.get("type")
    named = [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list | tuple) else []
    if named and not any(kind in _KINDS and _KINDS[kind](value) for kind in named):
        return False
    if not _among(schema, value) or not _bounded(schema, value):
        return False
    branches = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(branches, list | tuple) and not any(fits(branch, value, refer) for branch in branches):
        return False
    if isinstance(value, list):
        return all(fits(schema.get("items", True), member, refer) for member in value)
    return not isinstance(value, dict) or _complete(schema, value, refer)


def _among(schema: Schema, value: object) -> bool:
    choices = [schema["const"]] if "const" in schema else schema.get("enum")
    # True and 1 are equal to Python and different to JSON.
    return not isinstance(choices, list | tuple) or any(
        choice == value and isinstance(choice, bool) == isinstance(value, bool) for choice in choices
    )


def _bounded(schema: Schema, value: object) -> bool:
    for name, holds in _BOUNDS.items():
        try:
            if name in schema and not holds(value, schema[name]):
                return False
        except (TypeError, ValueError, ArithmeticError, re.error):
            continue  # a bound for another type, or none at all
    return True


def _complete(schema: Schema, value: dict[str, Any], refer: Callable[[object], Schema]) -> bool:
    properties = schema.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    required = schema.get("required")
    if isinstance(required, list | tuple) and not all(name in value for name in required):
        return False
    if schema.get("additionalProperties") is False and not all(name in properties for name in value):
        return False
    return all(fits(properties.get(name, True), member, refer) for name, member in value.items())
