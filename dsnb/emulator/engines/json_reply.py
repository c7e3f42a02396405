"""The answer in JSON mode: the fields that the prompt shows or names, else a description of the request."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from dsnb.emulator.engines.arguments import arguments
from dsnb.emulator.engines.mentions import Mentions
from dsnb.emulator.engines.protocol import EngineRequest, text

_KEYS = re.compile(r"[\"'`]?([A-Za-z_]\w*)[\"'`]?\s*:")
_NAMES = re.compile(r"(?:^|,)\s*[\"'`]?([A-Za-z_]\w*)[\"'`]?\s*(?=,|$)")
_LISTED = re.compile(
    r"\b(?:keys?|fields?|propert(?:y|ies)|attributes?)\b[^.:\n]*?((?:[\"'`]\w+[\"'`](?:,? (?:and )?|$)?)+)",
    re.IGNORECASE,
)


_READ = 20_000  # characters of a message in which a form is looked for


def json_reply(request: EngineRequest) -> str:
    """Return a JSON object as text."""
    value = _asked(request) or _described(request)
    return json.dumps(value, ensure_ascii=False, indent=2)


def _asked(request: EngineRequest) -> dict[str, Any] | None:
    """Return an object of the form that the prompt gives, a later message before an earlier one."""
    told = [message for message in reversed(request.messages) if message.get("role") in ("user", "system")]
    texts = [text(message)[:_READ] for message in told]
    for prompt in texts:
        schema = next(_schemas(prompt), None)
        if schema is not None:
            return arguments(schema, Mentions(_without_form(request.last_user)))
    return None


def _schemas(prompt: str) -> Iterator[Mapping[str, Any]]:
    """Yield a schema for every form in ``prompt``: a JSON schema, an example object, an outline, a list of names."""
    objects = [value for value in _objects(prompt) if isinstance(value, dict) and value]
    # Where several examples stand side by side, the last is the output: an input comes before it.
    for value in reversed(objects):
        yield value if isinstance(value.get("properties"), dict) else _schema(value)
    for match in re.finditer(r"\{([^{}]*)\}", prompt):
        names = _KEYS.findall(match[1]) or _NAMES.findall(match[1])
        if names:
            yield _strings(names)
    for match in _LISTED.finditer(prompt):
        yield _strings(re.findall(r"\w+", re.sub(r"\band\b", "", match[1])))


def _objects(prompt: str) -> Iterator[Any]:
    position = prompt.find("{")
    while position >= 0:
        try:
            value, end = json.JSONDecoder().raw_decode(prompt, position)
            yield value
        except (ValueError, RecursionError):
            end = position + 1
        position = prompt.find("{", end)


def _schema(example: object) -> dict[str, Any]:
    """Return the schema that ``example`` is an instance of; its values stay as defaults."""
    if isinstance(example, dict):
        properties = {name: _schema(value) for name, value in example.items()}
        return {"type": "object", "properties": properties, "required": list(properties)}
    if isinstance(example, list):
        return {
            "type": "array",
            "items": _schema(example[0]) if example else {"type": "string"},
            "minItems": min(len(example), 1),
        }
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (type(None), "null")):
        if isinstance(example, kind):
            return {"type": name, "default": example}
    # An example's words are not an answer: say whose text this is instead of repeating them.
    return {"type": "string", "default": "(dsnb emulator)"}


def _strings(names: list[str]) -> dict[str, Any]:
    properties = {name: {"type": "string", "default": "(dsnb emulator)"} for name in dict.fromkeys(names)}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _without_form(prompt: str) -> str:
    """Return the message without the objects in it: they show the form, not values."""
    return re.sub(r"\{[^{}]*\}", " ", re.sub(r"\{[^{}]*\}", " ", prompt))


def _described(request: EngineRequest) -> dict[str, Any]:
    return {
        "from": "the dsnb emulator: scripted, no model wrote this",
        "model": request.model.served,
        "messages": dict(request.roles),
        "prompt_tokens": request.prompt_tokens,
        "last_user_message": request.last_user[:200],
    }
