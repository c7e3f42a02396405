"""Arguments for a tool call: they satisfy the function's JSON schema and take their values from the message."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from dsnb.emulator.engines.fitting import fits
from dsnb.emulator.engines.mentions import Mentions
from dsnb.emulator.engines.pattern import sample
from dsnb.emulator.engines.words import word_list

_FORMATS = {
    "date": (r"\d{4}-\d{2}-\d{2}", "2026-11-16"),
    "date-time": (r"\d{4}-\d{2}-\d{2}T\S+", "2026-11-16T12:00:00Z"),
    "time": (r"\d{2}:\d{2}(:\d{2})?\S*", "12:00:00Z"),
    "email": (r"[^\s@]+@[^\s@]+\.\w+", "someone@example.com"),
    "hostname": (r"[A-Za-z][\w-]*(\.[\w-]+)+", "example.com"),
    "ipv4": (r"\d+\.\d+\.\d+\.\d+", "192.0.2.1"),
    "ipv6": (r"[0-9a-fA-F]*:[0-9a-fA-F:]+", "2001:db8::1"),
    "uri": (r"https?://\S+", "https://example.com/"),
    "uuid": (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "00000000-0000-4000-8000-000000000000"),
}
_DEEP = 8  # a schema that refers to itself may ask for more levels than any message fills
_MOST_ITEMS = 64  # members of a list without a bound of its own
_DIGITS = 24  # of a number; Decimal keeps 28 of them
_LONG = 400  # characters; a whole message longer than this is no argument

Schema = Mapping[str, Any]


def arguments(schema: object, mentions: Mentions) -> dict[str, Any]:
    """Return the arguments of one call, for the schema in a tool's ``parameters``."""
    root = schema if isinstance(schema, Mapping) else {}
    value, _ = _Filler(root, mentions).value({"type": "object", **root}, "", 0)
    return value if isinstance(value, dict) else {}


class _Filler:
    """Fill one schema; every method returns a value and whether the message mentioned it."""

    def __init__(self, root: Schema, mentions: Mentions) -> None:
        self._root = root
        self._mentions = mentions

    def value(self, schema: object, key: str, depth: int) -> tuple[Any, bool]:
        if not isinstance(schema, Mapping) or depth > _DEEP:
            return (None, False) if schema is not True else self._string({}, key)
        if "$ref" in schema:
            return self.value(self._referred(schema["$ref"]), key, depth + 1)
        if "const" in schema:
            return schema["const"], False
        if _list(schema.get("enum")):
            return self._choice(schema, key)
        for word in ("anyOf", "oneOf"):
            if _list(schema.get(word)):
                return self._branch(schema, schema[word], key, depth)
        if _list(schema.get("allOf")):
            return self.value(self._merged(schema), key, depth + 1)
        kind = _kind(schema)
        if kind == "object":
            return self._object(schema, key, depth)
        if kind == "array":
            return self._array(schema, key, depth)
        if kind in ("integer", "number"):
            return self._number(schema, key, whole=kind == "integer")
        if kind == "boolean":
            return self._boolean(schema, key)
        return (None, False) if kind == "null" else self._string(schema, key)

    def _referred(self, reference: object) -> Schema:
        """Return the subschema at a pointer such as ``#/$defs/Node``."""
        node: Any = self._root
        for part in str(reference).removeprefix("#").strip("/").split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            node = node.get(name, {}) if isinstance(node, Mapping) and name else node
        return node if isinstance(node, Mapping) else {}

    def _merged(self, schema: Schema) -> Schema:
        merged: dict[str, Any] = {name: value for name, value in schema.items() if name != "allOf"}
        for part in schema["allOf"]:
            found = self._referred(part["$ref"]) if isinstance(part, Mapping) and "$ref" in part else part
            for name, value in found.items() if isinstance(found, Mapping) else ():
                if name == "properties":
                    value = {**merged.get(name, {}), **value}
                elif name == "required":
                    value = [*merged.get(name, ()), *value]
                merged[name] = value
        return merged

    def _choice(self, schema: Schema, key: str) -> tuple[Any, bool]:
        choices = schema["enum"]
        said = self._mentions.pair(key)
        for choice in choices:
            if said is not None and str(choice).casefold() == str(said).casefold():
                return choice, True
        for choice in sorted(choices, key=lambda choice: -len(str(choice))):
            if str(choice) and self._heard(choice):
                return choice, True
        return schema.get("default", choices[0]), False

    def _branch(self, schema: Schema, branches: Sequence[Any], key: str, depth: int) -> tuple[Any, bool]:
        rest = {name: value for name, value in schema.items() if name not in ("anyOf", "oneOf")}
        first: tuple[Any, bool] = (None, False)
        for branch in branches:
            if isinstance(branch, Mapping):
                value, mentioned = self.value({**rest, **branch}, key, depth + 1)
                if mentioned:
                    return value, True
                first = (value, False) if first[0] is None else first
        return first

    def _object(self, schema: Schema, key: str, depth: int) -> tuple[Any, bool]:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        said = self._mentions.pair(key) if key else None
        if isinstance(said, dict) and fits(schema, said, self._referred):
            return said, True
        # A schema that does not say what is required is asked for whole, as its author most likely meant.
        required = schema.get("required", list(properties))
        required = [name for name in required if isinstance(name, str)] if _sequence(required) else []
        filled: dict[str, Any] = {}
        mentioned = False
        for name in (*properties, *(name for name in required if name not in properties)):
            subschema = properties.get(name, {})
            if name not in required and not self._wanted(name, subschema):
                continue
            filled[name], found = self.value(subschema, name, depth + 1)
            mentioned |= found
        return filled, mentioned

    def _wanted(self, name: str, schema: object) -> bool:
        """Return whether the message names an optional property or one of its choices."""
        if self._mentions.pair(name) is not None:
            return True
        if not isinstance(schema, Mapping):
            return False
        if _kind(schema) == "boolean":
            return self._named(name)
        return bool(_list(schema.get("enum"))) and self._choice(schema, name)[1]

    def _array(self, schema: Schema, key: str, depth: int) -> tuple[Any, bool]:
        items = schema.get("items", {})
        items = self._referred(items["$ref"]) if isinstance(items, Mapping) and "$ref" in items else items
        least, most = _whole(schema.get("minItems"), 0), _whole(schema.get("maxItems"), _MOST_ITEMS)
        values = [value for value in self._listed(items, key, depth, least) if fits(items, value, self._referred)]
        mentioned = bool(values)
        while len(values) < least:
            values.append(self.value(items, key, depth + 1)[0])
        return values[:most], mentioned

    def _listed(self, items: object, key: str, depth: int, least: int) -> list[Any]:
        """Return the values that the message offers for a list."""
        mentions = self._mentions
        said = mentions.pair(key)
        found = said if isinstance(said, list) else mentions.structure(list)
        if isinstance(found, list):
            return found
        schema = items if isinstance(items, Mapping) else {}
        if _list(schema.get("enum")):
            return [choice for choice in schema["enum"] if self._heard(choice)]
        kind = _kind(schema)
        if kind in ("integer", "number"):
            numbers = [number for text in mentions.numbers() if (number := _parsed(text)) is not None]
            return [_within(schema, number, whole=kind == "integer") for number in numbers]
        if kind == "string":
            return [said] if isinstance(said, str) else mentions.all_quoted() or mentions.names()
        if kind == "null" or depth >= _DEEP - 1:
            return []
        value, mentioned = self.value(items, key, depth + 1)
        return [value] if mentioned or least else []

    def _heard(self, choice: object) -> bool:
        """Return whether the message has the word ``choice``."""
        return re.search(rf"(?<!\w){re.escape(str(choice))}(?!\w)", self._mentions.text, re.IGNORECASE) is not None

    def _number(self, schema: Schema, key: str, *, whole: bool) -> tuple[Any, bool]:
        said = self._mentions.pair(key)
        number = _parsed(said)
        if number is not None:
            self._mentions.number()
        else:
            number = _parsed(self._mentions.number())
        if number is not None:
            return _within(schema, number, whole=whole), True
        default = schema.get("default")
        if isinstance(default, int | float) and not isinstance(default, bool):
            return default, False
        return _within(schema, Decimal(1), whole=whole), False

    def _boolean(self, schema: Schema, key: str) -> tuple[Any, bool]:
        said = self._mentions.pair(key)
        if str(said).casefold() in ("true", "yes", "on", "1"):
            return True, True
        if str(said).casefold() in ("false", "no", "off", "0"):
            return False, True
        if self._named(key):
            return True, True
        return bool(schema.get("default", False)), False

    def _named(self, key: str) -> bool:
        return (
            re.search(rf"(?<!no )(?<!not )\b{re.escape(key.replace('_', ' '))}\b", self._mentions.text, re.IGNORECASE)
            is not None
        )

    def _string(self, schema: Schema, key: str) -> tuple[Any, bool]:
        value = self._mentioned(schema, key)
        if value is not None:
            return _fitted(schema, value), True
        if isinstance(schema.get("default"), str):
            return schema["default"], False
        if isinstance(schema.get("pattern"), str):
            return sample(schema["pattern"]) or key, False
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]][1], False
        whole = self._mentions.text.strip()
        return _fitted(schema, whole if whole and len(whole) <= _LONG else key or "value"), False

    def _mentioned(self, schema: Schema, key: str) -> str | None:
        """Return the text that the message offers for a string, the surest kind of mention first."""
        mentions = self._mentions
        shape = schema.get("pattern") if isinstance(schema.get("pattern"), str) else None
        if shape is None and schema.get("format") in _FORMATS:
            shape = rf"^{_FORMATS[schema['format']][0]}$"
        if shape is not None:
            expression = _compiled(shape)
            if expression is None:
                return None
            said = mentions.pair(key)
            if said is not None and expression.search(str(said)):
                return str(said)
            word = mentions.word(expression.search) or mentions.name(expression.search)
            return word.rstrip(".?!:") if word and not expression.search(word) else word
        said = mentions.pair(key)
        if said is not None:
            return said if isinstance(said, str) else str(said)
        parts = {word.casefold() for word in re.findall(r"[A-Za-z][a-z]*", key)}
        found: str | None = None
        if parts & word_list("dated"):
            found = mentions.date()
        if found is None and parts & word_list("numeric"):
            return mentions.number() or "0"
        if found is None and parts & word_list("numbered"):
            found = mentions.number()
        if found is None and parts & word_list("upper"):
            found = mentions.name(str.isupper)
        if found is None and parts & word_list("whole_text"):
            return mentions.quoted() or mentions.text.strip()[:_LONG]
        return found or mentions.quoted() or mentions.name() or mentions.thing() or mentions.date()


def _kind(schema: Schema) -> str:
    kind: Any = schema.get("type")
    if _sequence(kind):
        kind = next((name for name in kind if name != "null"), "null")
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _within(schema: Schema, number: Decimal, *, whole: bool) -> int | float:
    """Return the number nearest to ``number`` that the bounds allow."""
    step = _real(schema.get("multipleOf")) or Decimal(int(whole))
    gap = step or Decimal("0.000001")
    low, above = _real(schema.get("minimum")), _real(schema.get("exclusiveMinimum"))
    high, below = _real(schema.get("maximum")), _real(schema.get("exclusiveMaximum"))
    bottom = max([bound for bound in (low, None if above is None else above + gap) if bound is not None], default=None)
    top = min([bound for bound in (high, None if below is None else below - gap) if bound is not None], default=None)
    number = number if bottom is None else max(number, bottom)
    number = number if top is None else min(number, top)
    if step:
        number = (number / step).to_integral_value() * step
        if bottom is not None and number < bottom:
            number += step
        elif top is not None and number > top:
            number -= step
    return int(number) if number == number.to_integral_value() else float(number)


def _fitted(schema: Schema, value: str) -> str:
    least, most = _whole(schema.get("minLength"), 0), _whole(schema.get("maxLength"), len(value))
    return value[:most].ljust(least, ".")


def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError, FutureWarning):  # a warning where warnings are errors
        return None


def _parsed(value: object) -> Decimal | None:
    """Return the number that a text or value is, None where it is none or beyond all sense."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value).replace(",", ""))
    except InvalidOperation:
        return None
    return number if number.is_finite() and number.adjusted() < _DIGITS else None


def _real(value: object) -> Decimal | None:
    return _parsed(value) if isinstance(value, int | float) else None


def _whole(value: object, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default


def _sequence(value: object) -> bool:
    return isinstance(value, list | tuple)


def _list(value: object) -> bool:
    return _sequence(value) and bool(value)
