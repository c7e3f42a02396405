"""Which values the parameters of a request may have, and which of them are without effect.

The rules are rows of the catalogue (`Model.parameters`); the order is that of DeepSeek's public request code.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from dsnb.contract import strict_schema
from dsnb.contract.error_bodies import rows
from dsnb.contract.finding import noticed, notices, rejected

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from dsnb.contract.catalogue import Contract, Model, ParameterRule
    from dsnb.contract.finding import Finding
    from dsnb.contract.settings import Settings

ORDER = (
    "n",
    "frequency_penalty",
    "presence_penalty",
    "max_tokens",
    "temperature",
    "top_p",
    "logprobs",
    "top_logprobs",
    "stop",
    "stream_options",
    "user_id",
)
_NAME = re.compile(r"[a-zA-Z0-9_-]+")
# what JSON Schema's own schema says of the keywords that people get wrong
_KEYWORDS: dict[str, tuple[str, type]] = {
    "properties": ("object", dict),
    "required": ("array", list),
    "enum": ("array", list),
    "anyOf": ("array", list),
}


def rejections(
    body: Mapping[str, Any], model: Model, settings: Settings, names: Sequence[str] = ORDER
) -> Iterator[Finding]:
    """Tell every value that the API refuses, in its order."""
    for name in names:
        if body.get(name) is not None and name in model.parameters:
            yield from _rejection(name, body, model, settings)


def tool_rejections(
    body: Mapping[str, Any], model: Model, settings: Settings, contract: Contract, *, beta: bool
) -> Iterator[Finding]:
    """Tell what the API refuses about ``tools`` and ``tool_choice``."""
    tools = body.get("tools") or []
    if tools:
        yield from refusal("tools", None, model, settings)
    functions = [(index, tool["function"]) for index, tool in enumerate(tools) if tool.get("function")]
    most, count = contract.wire.tools_count, len(tools)
    if most and count > most:
        yield rejected("tools_count", "tools", maximum=most, count=count)
    longest = contract.wire.tool_name_length
    for index, function in functions:
        where, name = f"tools[{index}].function.name", function["name"]
        if not _NAME.fullmatch(name):
            yield rejected("tool_name_pattern", where, index=index)
        elif len(name) > longest:
            yield rejected("tool_name_length", where, index=index, maximum=longest, length=len(name))
    choice = body.get("tool_choice")
    if choice == "none":
        return  # what does not reach the prompt is not looked at either
    seen: set[str] = set()
    for index, function in functions:
        if function["name"] in seen:
            yield rejected("tool_names_unique", f"tools[{index}].function.name", name=function["name"])
        seen.add(function["name"])
        if function.get("parameters") is not None:
            yield from _schema(function["name"], function["parameters"], f"tools[{index}].function.parameters")
    if beta:
        yield from strict_schema.rejections([function for _, function in functions])
    yield from _choice(choice, seen, model, settings)


def refusal(name: str, value: object, model: Model, settings: Settings) -> Iterator[Finding]:
    """Tell that a model does not take a parameter at all, or not this value of it."""
    rule = model.parameters.get(name)
    if rule is None or rule.message is None or not _applies(rule.rejected_when, settings):
        return
    if not rule.rejected_values or value in rule.rejected_values:
        yield rejected(rule.message, name, model=model.name, parameter=name)


def remarks(body: Mapping[str, Any], model: Model, settings: Settings) -> Iterator[Finding]:
    """Tell every parameter that the API takes without effect."""
    yield from unheeded(body, model, settings)
    asked = body.get("reasoning_effort") if model.thinking == "switch" else None
    if asked not in {None, "none"} and not settings.thinking:
        yield noticed("effort_ignored", "reasoning_effort")


def unheeded(
    body: Mapping[str, Any], model: Model, settings: Settings, names: Sequence[str] = ORDER
) -> Iterator[Finding]:
    """Tell which of some parameters have no effect, or not the one that they ask for."""
    for name in names:
        rule = model.parameters.get(name)
        if rule and body.get(name) is not None:
            yield from _remark(rule, body[name], settings)


def foreign(body: Mapping[str, Any], known: Collection[str]) -> Iterator[Finding]:
    """Tell every field that is none of the API's; ``known`` are those that it reads."""
    for name in body:
        if name not in known:
            instead = notices()["unknown"].get(name, f"Leave {name} out.")
            yield noticed("parameter_unknown", name, parameter=name, hint=instead)


def _rejection(name: str, body: Mapping[str, Any], model: Model, settings: Settings) -> Iterator[Finding]:
    rule, value = model.parameters[name], body[name]
    if rule.message is None or value is False:
        return
    if not rule.rejected_values and (refused := list(refusal(name, value, model, settings))):
        yield from refused
        return
    if rule.needs and body.get(rule.needs) is not True:
        alone = f"{rule.message}_alone"
        yield rejected(alone if alone in rows() else rule.message, name)
    elif isinstance(value, int | float):
        if _outside(value, rule):
            yield rejected(rule.message, name, maximum=_shown(rule.maximum))
    elif isinstance(value, list) and rule.max_items is not None and len(value) > rule.max_items:
        yield rejected(rule.message, name, count=len(value), maximum=rule.max_items)
    elif isinstance(value, str) and rule.max_length is not None and len(value) > rule.max_length:
        yield rejected(rule.message, name, length=len(value), maximum=rule.max_length)


def _outside(value: float, rule: ParameterRule) -> bool:
    low, high = rule.minimum, rule.maximum
    below = low is not None and (value < low or (rule.exclusive_minimum and value == low))
    above = high is not None and (value > high or (rule.exclusive_maximum and value == high))
    return below or above


def _shown(bound: float | None) -> float | int | None:
    return int(bound) if bound is not None and bound == int(bound) else bound


def _applies(when: str, settings: Settings) -> bool:
    return when == "always" or when == ("thinking" if settings.thinking else "chat")


def _remark(rule: ParameterRule, value: Any, settings: Settings) -> Iterator[Finding]:
    if _applies(rule.ignored_when, settings):
        modes = {
            "always": ("in any mode", ""),
            "thinking": ("while the model thinks", ", or switch thinking off"),
            "chat": ("while thinking is off", ", or switch thinking on"),
        }
        when, instead = modes[rule.ignored_when]
        yield noticed("parameter_ignored", rule.name, parameter=rule.name, when=when, instead=instead)
    elif rule.raised_to is not None and isinstance(value, int | float) and value < rule.raised_to:
        yield noticed("parameter_raised", rule.name, parameter=rule.name, least=rule.raised_to)


def _choice(choice: Any, names: set[str], model: Model, settings: Settings) -> Iterator[Finding]:
    named = choice["function"]["name"] if isinstance(choice, dict) else None
    if not names:
        return  # without tools every choice is taken
    if named is not None and named not in names:
        yield rejected("tool_choice_unknown", "tool_choice", name=named)
    yield from refusal("tool_choice", "named" if named is not None else choice, model, settings)


def _schema(name: str, schema: Any, where: str) -> Iterator[Finding]:
    """Tell what keeps the parameters of a function from being the JSON Schema of an object."""
    if not isinstance(schema, dict):
        found = strict_schema.shown(schema)
        fields = {"expected": "object", "keyword": "parameters", "article": "an"}
        yield rejected("tool_schema_invalid", where, name=name, found=found, **fields)
        return
    if schema.get("type") != "object":
        yield rejected("tool_schema_type", where, name=name, found=strict_schema.shown(schema.get("type")))
    yield from _keywords(name, schema, where)


def _keywords(name: str, schema: Any, where: str) -> Iterator[Finding]:
    if not isinstance(schema, dict):
        return
    for keyword, (expected, kind) in _KEYWORDS.items():
        if keyword in schema and not isinstance(schema[keyword], kind):
            fields = {"expected": expected, "keyword": keyword, "article": "an"}
            found = strict_schema.shown(schema[keyword])
            yield rejected("tool_schema_invalid", f"{where}.{keyword}", name=name, found=found, **fields)
    properties = schema.get("properties")
    for key, inner in properties.items() if isinstance(properties, dict) else ():
        yield from _keywords(name, inner, f"{where}.properties.{key}")
    yield from _keywords(name, schema.get("items"), f"{where}.items")
