"""JSON Schema as pydantic writes it, brought into the strict subset of the guide 'Tool Calls' where that can be.

What the subset has no keyword for (lengths, dates, the order of a tuple) goes into the description, so that the model
still reads it; the arguments are checked for it here. What the subset cannot say at all is an objection.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dsnb.contract import strict_schema

Schema = dict[str, Any]

_MAPS: Final = ("properties", "$defs", "patternProperties")
_DATA: Final = ("default", "const", "enum", "examples", "required")  # JSON values, in which a title is no title
_NUMBER: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_FORMATS: Final = {
    "date": "a date such as 2026-11-01",
    "date-time": "date and time such as 2026-11-01T12:30:00Z",
    "time": "a time such as 12:30:00",
    "duration": "a duration such as PT1H30M",
    "binary": "",
    "path": "a path",
}
_LOOKAROUND: Final = re.compile(r"\(\?(?!:)|\\\d")  # the guide does not say whose regular expressions it reads
_LARGEST: Final = 2_000  # nodes: a type is spelled out wherever it is used, and every prompt has to hold it


@dataclass(frozen=True, slots=True)
class Objection:
    """Say what strict mode cannot express: in which ``places`` (none: the whole), ``why``, and how to ``mend`` it."""

    places: tuple[str, ...]
    why: str
    mend: str

    @property
    def reason(self) -> str:
        """The places and the why, without a full stop."""
        return " ".join([*filter(None, [", ".join(f"`{place}`" for place in self.places)]), self.why])

    def __str__(self) -> str:
        return f"{self.reason}. {self.mend}"


def plain(schema: Mapping[str, Any]) -> Schema:
    """Return the schema of an object as pydantic means it, without titles, and with the object itself at its root."""
    tidied: Schema = _untitled(schema)
    while "$ref" in tidied:  # a type that holds itself stands among the definitions
        tidied = {**tidied["$defs"][_target(tidied)], "$defs": tidied["$defs"]}
    tidied.pop("description", None)  # it describes the whole tool, which says so elsewhere
    return tidied


def strict(schema: Schema) -> tuple[Schema, tuple[Objection, ...]]:
    """Bring a `plain` schema into the strict subset, and tell what that cannot express."""
    writer = _Writer(schema.get("$defs", {}))
    root = writer.node({name: value for name, value in schema.items() if name != "$defs"}, "")
    if writer.kept:
        root["$defs"] = writer.kept
    objections = tuple(Objection(tuple(places), *words) for words, places in writer.objections.items())
    if not objections:  # the contract, which knows what the server refuses, has the last word
        refused = strict_schema.rejections([{"strict": True, "parameters": root}])
        objections = tuple(
            Objection((), f"The server would refuse it: {f.message.rstrip('.')}", f.mend) for f in refused
        )
    return root, objections


class _Writer:
    """Write nodes of the strict subset; remember objections, and the definitions that are still needed."""

    def __init__(self, defs: Mapping[str, Schema]) -> None:
        self.objections: dict[tuple[str, str], dict[str, None]] = {}
        self.kept: dict[str, Schema] = {}
        self._defs = defs
        self._endless = {name for name in defs if name in _reached(defs[name], defs)}
        self._nodes = 0

    def node(self, schema: Schema, where: str) -> Schema:
        """Return one node, and all below it."""
        self._nodes += 1
        if self._nodes > _LARGEST:
            self._object("", f"It has more than {_LARGEST:,} places when written out", "Make its types simpler.")
            return {}
        if "$ref" in schema:
            return self._reference(schema, where)
        if "const" in schema:
            schema = {**schema, "enum": [schema["const"]]}
        if branches := schema.get("anyOf") or schema.get("oneOf"):
            return _described({"anyOf": self._branches(branches, where)}, schema)
        if "enum" in schema:
            return _described(self._choice(schema["enum"], where), schema)
        match schema.get("type"):
            case "object":
                return _described(self._fields(schema, where), schema)
            case "array":
                return self._list(schema, where)
            case "string":
                return _text(schema)
            case "integer" | "number":
                return _described({key: schema[key] for key in ("type", *_NUMBER) if key in schema}, schema)
            case "boolean":
                return _described({"type": "boolean"}, schema)
            case "null":
                self._object_to_null(where)
            case _:
                self._object(
                    where, "may be anything, and strict mode wants a type", "Give it a type hint such as `str`."
                )
        return {}

    def _object(self, where: str, why: str, mend: str) -> None:
        places = self.objections.setdefault((why, mend), {})
        if where:
            places[where] = None

    def _object_to_null(self, where: str) -> None:
        mend = "Let a value of its type stand for none, such as an empty text or list."
        self._object(where, "may be null, which strict mode does not know", mend)

    def _reference(self, schema: Schema, where: str) -> Schema:
        """Spell out what is referred to; only what holds itself stays a reference."""
        name = _target(schema)
        if name not in self._endless:
            return self.node({**self._defs[name], **{key: schema[key] for key in schema if key != "$ref"}}, where)
        if name not in self.kept:
            self.kept[name] = {}  # begun: it will be met again inside itself
            self.kept[name] = self.node(self._defs[name], name)
        return _described({"$ref": f"#/$defs/{name}"}, schema)

    def _branches(self, branches: Sequence[Schema], where: str) -> list[Schema]:
        """Return the branches of a union, each with a type: the server wants one, and takes no union in a union."""
        written: list[Schema] = []
        for branch in branches:
            if branch.get("type") == "null":
                self._object_to_null(where)
                continue
            node = self.node(branch, where)
            if "$ref" in node:
                why = "is a choice of types of which one holds itself, and strict mode cannot refer from a choice"
                self._object(where, why, "Use a list of that type, which may be empty.")
            written += node.get("anyOf", [node])
        return [node for place, node in enumerate(written) if node not in written[:place]]

    def _choice(self, values: Sequence[Any], where: str) -> Schema:
        kinds: dict[str, list[Any]] = {}
        for value in values:
            kinds.setdefault(_kind(value), []).append(value)
        if kinds.pop("null", None):
            self._object_to_null(where)
        nodes: list[Schema] = [{"type": kind, "enum": among} for kind, among in kinds.items()]
        return nodes[0] if len(nodes) == 1 else {"anyOf": nodes}

    def _fields(self, schema: Schema, where: str) -> Schema:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        inside = f"{where}." if where else ""
        if not properties:
            if schema.get("additionalProperties", False) is not False or "patternProperties" in schema:
                mend = "Name them in a dataclass, a TypedDict or a pydantic model."
                self._object(where, "is a dict, and strict mode wants its keys named", mend)
            elif where:
                self._object(where, "is an object without fields, which strict mode refuses", "Give it one.")
            else:
                self._object("", "It has no parameters, and strict mode wants at least one", "Give it one.")
        elif schema.get("additionalProperties", False) is not False:
            self._object(
                where, "takes fields beyond those that it names, and strict mode does not", "Forbid or name them."
            )
        for name in properties:
            if name not in required:
                mend = "Without a default the model always gives it."
                self._object(inside + name, "may be left out, and strict mode wants every parameter", mend)
        return {
            "type": "object",
            "properties": {name: self.node(inner, inside + name) for name, inner in properties.items()},
            "required": list(properties),
            "additionalProperties": False,
        }

    def _list(self, schema: Schema, where: str) -> Schema:
        kinds: list[Schema] = schema.get("prefixItems", [])
        items = schema.get("items", {"anyOf": kinds} if kinds else {})
        words = [_amount(schema, "Items", "item"), "no item twice" if schema.get("uniqueItems") else ""]
        if len({json.dumps(kind) for kind in kinds}) > 1:
            words.append(f"in this order: {', '.join(described(kind, self._defs) for kind in kinds)}")
        return _described({"type": "array", "items": self.node(items, f"{where}[]")}, schema, words)


def described(schema: Schema, defs: Mapping[str, Schema]) -> str:
    """Return in a few words what a value has to be."""
    if "$ref" in schema:
        target = defs.get(_target(schema), {})
        return described(target, defs) if "enum" in target else str(target.get("type", "object"))
    if "const" in schema or "enum" in schema:
        values = [json.dumps(value, ensure_ascii=False) for value in schema.get("enum", [schema.get("const")])]
        return " or ".join(values[:8]) + (" ..." if len(values) > 8 else "")
    branches = schema.get("anyOf") or schema.get("oneOf") or ()
    if branches:
        return " or ".join(dict.fromkeys(described(branch, defs) for branch in branches))
    kind = str(schema.get("type", "anything"))
    items = schema.get("items")
    return f"{kind} of {described(items, defs)}" if kind == "array" and items else kind


def _text(schema: Schema) -> Schema:
    node: Schema = {"type": "string"}
    words = [_amount(schema, "Length", "character")]
    form = schema.get("format", "")
    if form in strict_schema.FORMATS:
        node["format"] = form
    else:
        words.append(_FORMATS.get(form, f"format {form}" if form else ""))
    pattern = schema.get("pattern", "")
    if _LOOKAROUND.search(pattern):
        words.append(f"matches {pattern}")
    elif pattern:
        node["pattern"] = pattern
    return _described(node, schema, words)


def _described(node: Schema, schema: Schema, words: Sequence[str] = ()) -> Schema:
    """Describe a node as its schema does, and by what the subset has no keyword for."""
    examples = [json.dumps(example, ensure_ascii=False) for example in schema.get("examples", ())]
    words = [*filter(None, words), *([f"for example {', '.join(examples)}"] if examples else [])]
    description = schema.get("description", "")
    if words:
        description = f"{description} ({'; '.join(words)})" if description else "; ".join(words)
    return {**node, "description": description} if description else node


def _amount(schema: Schema, what: str, unit: str) -> str:
    least, most = schema.get(f"min{what}"), schema.get(f"max{what}")
    number = most if least is None else least
    units = unit if number == 1 and most in {None, 1} else f"{unit}s"
    if least is not None and most is not None:
        return f"exactly {least} {units}" if least == most else f"{least} to {most} {units}"
    return "" if number is None else f"at {'most' if least is None else 'least'} {number} {units}"


def _kind(value: Any) -> str:
    kinds = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
    return kinds.get(type(value), "string")


def _untitled(node: Any, *, names: bool = False) -> Any:
    """Leave out the titles that pydantic makes of names, and begin with the type.

    ``names``: the keys of this node are names, not keywords.
    """
    if isinstance(node, list):
        return [_untitled(inner) for inner in node]
    if not isinstance(node, Mapping):
        return node
    return {
        key: inner if key in _DATA and not names else _untitled(inner, names=key in _MAPS and not names)
        for key, inner in (node.items() if names else sorted(node.items(), key=lambda entry: entry[0] != "type"))
        if names or not (key == "title" and isinstance(inner, str))
    }


def _reached(schema: Schema, defs: Mapping[str, Schema]) -> set[str]:
    """Return the names of all definitions that a schema leads to."""
    found: set[str] = set()
    waiting = list(_references(schema))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _references(defs[name])
    return found


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(node.get("$ref"), str):
            yield _target(node)
        for inner in node.values():
            yield from _references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _references(inner)


def _target(node: Mapping[str, Any]) -> str:
    return str(node["$ref"]).removeprefix("#/$defs/")
