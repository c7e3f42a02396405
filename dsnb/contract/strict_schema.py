"""The subset of JSON Schema that strict tools may use on the beta route.

From the guide 'Tool Calls', section strict mode, and from what the server was seen to answer (2026-07 to 2026-10): it
refuses more than the guide says about empty objects and nodes without a type, and takes a few things that the guide
forbids.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dsnb.contract.finding import noticed, rejected
from dsnb.contract.serde import unknown_variant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dsnb.contract.finding import Finding

TYPES = ("object", "string", "number", "integer", "boolean", "array", "null")
FORMATS = ("email", "hostname", "ipv4", "ipv6", "uuid")
# Forbidden by the guide, yet taken without effect (live 2026-07-27).
LOOSE = frozenset({"minLength", "maxLength", "minItems", "maxItems"})
_DEEPEST = 100  # a schema that a request can hold is below serde's 127 brackets


def shown(value: Any) -> str:
    """Return a JSON value as the server prints it inside a message."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def rejections(functions: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Tell what the beta route refuses about the functions of a request, if any of them is strict."""
    strict = [function.get("strict") is True for function in functions]
    if not any(strict):
        return
    if not all(strict):
        yield rejected("strict_mixed", f"tools[{strict.index(False)}].function.strict")
    for index, function in enumerate(functions):
        if strict[index]:
            root = function.get("parameters")
            yield from _node(root if root is not None else {}, f"tools[{index}].function.parameters", "", _DEEPEST)


def remarks(functions: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Tell what strict functions ask for that the server takes but does not enforce."""
    for index, function in enumerate(functions):
        if function.get("strict") is True:
            yield from _loose(function.get("parameters"), f"tools[{index}].function.parameters", _DEEPEST)


def _refused(where: str, path: str, reason: str, hint: str) -> Finding:
    return rejected("strict_schema", where, reason=f"{path}{reason}", hint=hint)


def _node(node: Any, where: str, path: str, levels: int) -> Iterator[Finding]:
    """Walk a schema; ``path`` is what the server writes before its reason inside an anyOf."""
    if not isinstance(node, dict) or levels == 0:
        yield _refused(where, path, "invalid type, expected a schema", f"Write {where} as a JSON Schema object.")
        return
    for name in ("$defs", "definitions", "$def"):
        for key, inner in _mapping(node.get(name)).items():
            yield from _node(inner, f"{where}.{name}.{key}", path, levels - 1)
    if "$ref" in node:
        return
    branches = node.get("anyOf")
    if isinstance(branches, list):
        yield from _branches(branches, where, path, levels)
    elif "type" not in node:
        hint = f"Say the `type` of {where}: strict mode wants `type`, `anyOf` or `$ref` in every place."
        yield _refused(where, path, "one of `type`, `anyOf`, `$ref` field is required", hint)
    yield from _typed(node, where, path, levels)


def _branches(branches: Sequence[Any], where: str, path: str, levels: int) -> Iterator[Finding]:
    for place, branch in enumerate(branches):
        at, inside = f"{where}.anyOf[{place}]", f"{path}field `anyOf`: "
        if isinstance(branch, dict) and "type" not in branch:
            nested = "field `anyOf`: " if "anyOf" in branch else ""
            hint = f"Write a schema with a `type` at {at}: resolve its $ref, or join its anyOf into the outer one."
            yield _refused(at, inside + nested, "missing field `type`", hint)
        else:
            yield from _node(branch, at, inside, levels - 1)


def _typed(node: Mapping[str, Any], where: str, path: str, levels: int) -> Iterator[Finding]:
    kinds = node.get("type")
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if kind is not None and kind not in TYPES:
            reason = str(unknown_variant(str(kind), TYPES))
            yield _refused(where, path, reason, f"Use one of the types {', '.join(TYPES)} at {where}.")
    if "format" in node and node["format"] not in FORMATS:
        reason = str(unknown_variant(str(node["format"]), FORMATS))
        yield _refused(where, path, reason, f"Use one of the formats {', '.join(FORMATS)} at {where}, or none.")
    if kinds == "object":
        yield from _object(node, where, path, levels)
    if kinds == "array":
        if "items" not in node:
            yield _refused(where, path, "missing field `items`", f"Say what the items of the array at {where} are.")
        else:
            yield from _node(node["items"], f"{where}.items", path, levels - 1)


def _object(node: Mapping[str, Any], where: str, path: str, levels: int) -> Iterator[Finding]:
    properties = _mapping(node.get("properties"))
    if not properties:
        yield rejected("strict_empty_object", where)
        return
    more = node.get("additionalProperties", False)
    if not isinstance(more, bool):
        reason = "invalid type: map, expected a boolean"
        yield _refused(where, path, reason, f"Set additionalProperties=False at {where}, with every property named.")
    required = node.get("required")
    missing = [name for name in properties if not isinstance(required, list) or name not in required]
    if missing:
        reason = f"all properties must be required, missing {', '.join(f'`{name}`' for name in missing)}"
        yield _refused(where, path, reason, f"List every property of {where} in `required`; let optional ones be null.")
    for name, inner in properties.items():
        yield from _node(inner, f"{where}.properties.{name}", path, levels - 1)


def _loose(node: Any, where: str, levels: int) -> Iterator[Finding]:
    if not isinstance(node, dict) or levels == 0:
        return
    for keyword in sorted(LOOSE & node.keys()):
        hint = f"Check the length yourself, and leave {keyword} out."
        yield noticed("strict_loose", where, detail=f"`{keyword}` is set", hint=hint)
    if node.get("type") == "object" and node.get("additionalProperties", True) is not False:
        hint = "Set additionalProperties=False."
        yield noticed("strict_loose", where, detail="`additionalProperties` is not false", hint=hint)
    for name, inner in _mapping(node.get("properties")).items():
        yield from _loose(inner, f"{where}.properties.{name}", levels - 1)
    for place, branch in enumerate(node["anyOf"] if isinstance(node.get("anyOf"), list) else ()):
        yield from _loose(branch, f"{where}.anyOf[{place}]", levels - 1)
    yield from _loose(node.get("items"), f"{where}.items", levels - 1)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
