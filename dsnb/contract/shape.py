"""What the fields of a request have to look like, and the reading of a request by that.

`request_shape` gives the types of a chat request at a contract's date, `COMPLETION` those of fill-in-the-middle.
`load` reads bytes by them: with Python's own `json` where all is well, once more as serde does where something is not.
"""

# ruff: noqa: D102 — `read` and `accepts` are documented once, on serde.Shape

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time
from functools import cache
from importlib import resources
from math import isfinite
from typing import TYPE_CHECKING, Any

from dsnb.contract.json_reader import Json
from dsnb.contract.serde import SerdeError, plain, unsigned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dsnb.contract.catalogue import Contract
    from dsnb.contract.serde import Shape, Source

_SHALLOW = 100  # brackets, surely below serde's limit of 127 wherever a value stands in a request
_SURROGATE = re.compile(rb"\\u[dD]")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A string, boolean or number; `expected` is what serde calls it."""

    expected: str
    fits: Callable[[Any], bool]
    optional: bool = False

    def read(self, source: Source) -> Any:
        return source.scalar(self.fits, self.expected)

    def accepts(self, value: Any) -> bool:
        return self.fits(value)


@dataclass(frozen=True, slots=True)
class Word:
    """One of a few words."""

    words: tuple[str, ...]
    optional: bool = False

    def read(self, source: Source) -> Any:
        return source.variant(self.words)

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and value in self.words


@dataclass(frozen=True, slots=True)
class Either:
    """Any JSON that passes a test, or the one complaint about it."""

    fits: Callable[[Any], bool]
    complaint: str
    optional: bool = False

    def read(self, source: Source) -> Any:
        value = plain(source.content())
        if not self.fits(value):
            raise SerdeError(self.complaint)
        return value

    def accepts(self, value: Any) -> bool:
        return self.fits(value) and _shallow(value, _SHALLOW)


@dataclass(frozen=True, slots=True)
class Maybe:
    """A value, null, or nothing at all."""

    shape: Shape
    optional: bool = True

    def read(self, source: Source) -> Any:
        return None if source.null() else self.shape.read(source)

    def accepts(self, value: Any) -> bool:
        return value is None or self.shape.accepts(value)


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list of alike values."""

    item: Shape
    optional: bool = False

    def read(self, source: Source) -> Any:
        return source.sequence(self.item)

    def accepts(self, value: Any) -> bool:
        return isinstance(value, list) and all(map(self.item.accepts, value))


@dataclass(frozen=True, slots=True)
class Struct:
    """An object with known fields; serde ignores all others."""

    name: str
    shapes: Mapping[str, Shape]
    optional: bool = False

    def read(self, source: Source) -> Any:
        return source.fields(self.name, self.shapes)

    def accepts(self, value: Any) -> bool:
        return isinstance(value, dict) and all(
            shape.accepts(value[key]) if key in value else shape.optional for key, shape in self.shapes.items()
        )


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: a function, or one that the server runs itself and that needs no more than its type."""

    function: Struct
    servers: Struct
    optional: bool = False

    def read(self, source: Source) -> Any:
        tool = source.fields(self.servers.name, self.servers.shapes)
        if tool["type"] == "function" and tool.get("function") is None:
            raise SerdeError("missing field `function`")
        return tool

    def accepts(self, value: Any) -> bool:
        served = isinstance(value, dict) and value.get("type") != "function"
        return self.servers.accepts(value) if served else self.function.accepts(value)


@dataclass(frozen=True, slots=True)
class Tagged:
    """An object whose kind stands in one of its fields; serde reads all of it before it judges the rest."""

    name: str
    tag: str
    kinds: Mapping[str, Struct]
    refused: Mapping[str, str]
    optional: bool = False

    def read(self, source: Source) -> Any:
        kind, rest = source.tagged(self.tag, self.name, tuple(self.kinds))
        if kind in self.refused:
            raise SerdeError(self.refused[kind])
        self.kinds[kind].read(rest)
        return {self.tag: kind, **plain(rest.value)}

    def accepts(self, value: Any) -> bool:
        kind = value.get(self.tag) if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind not in self.kinds or kind in self.refused:
            return False
        return self.kinds[kind].accepts(value) and _shallow(value, _SHALLOW)


@dataclass(frozen=True, slots=True)
class Content:
    """A message's text or a list of parts; `complaint` hides what is wrong with the parts where serde tried both."""

    parts: Sequence
    complaint: str
    hides: bool
    optional: bool = False

    def read(self, source: Source) -> Any:
        value = source.content()
        if isinstance(value, str):
            return value
        if not isinstance(value, list):
            raise SerdeError(self.complaint)
        try:
            return self.parts.read(source)
        except SerdeError:
            if self.hides:
                raise SerdeError(self.complaint) from None
            raise

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) or self.parts.accepts(value)


def _number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e308 and isfinite(value)


TEXT = Scalar("a string", lambda value: isinstance(value, str))
FLAG = Scalar("a boolean", lambda value: isinstance(value, bool))
NUMBER = Scalar("f32", _number)
U8 = Scalar("u8", lambda value: unsigned(value, "u8"))
U32 = Scalar("u32", lambda value: unsigned(value, "u32"))
ANYTHING = Either(lambda _: True, "")
STOP = Either(
    lambda value: isinstance(value, str) or (isinstance(value, list) and all(isinstance(word, str) for word in value)),
    "data did not match any variant of untagged enum Stop",  # the name is not recorded (confidence L)
)


def _is_choice(value: Any) -> bool:
    if isinstance(value, str):
        return value in {"none", "auto", "required"}
    function = value.get("function") if isinstance(value, dict) else None
    return isinstance(function, dict) and isinstance(function.get("name"), str)


CHOICE = Either(_is_choice, "expected one of `none`, `auto`, `required` or a tool")
SAMPLING: Mapping[str, Shape] = {
    "frequency_penalty": Maybe(NUMBER),
    "max_tokens": Maybe(U32),
    "presence_penalty": Maybe(NUMBER),
    "stop": Maybe(STOP),
    "stream": Maybe(FLAG),
    "stream_options": Maybe(Struct("ChatCompletionStreamOptions", {"include_usage": Maybe(FLAG)})),
    "temperature": Maybe(NUMBER),
    "top_p": Maybe(NUMBER),
}
COMPLETION = Struct(
    "CompletionRequest",
    {"model": TEXT, "prompt": TEXT, "suffix": Maybe(TEXT), "echo": Maybe(FLAG), "logprobs": Maybe(U32), **SAMPLING},
)


def request_shape(contract: Contract) -> Struct:
    """Return the shape of a chat request at the contract's date."""
    era = _era(contract.instant)
    efforts = dict.fromkeys((*era.efforts, *(word for model in contract.models for word in model.efforts)))
    thinks = any(model.thinking == "switch" for model in contract.models)
    return _request_shape(era, tuple(efforts), thinks)


def image_handling(contract: Contract) -> str:
    """Return what becomes of an image that a model cannot see: ``"rejected"`` or ``"ignored"``."""
    return _era(contract.instant).images


def load(raw: bytes, shape: Shape) -> Any:
    """Read bytes by a shape, and raise SerdeError with its place where serde would."""
    try:
        value, trusted = _quickly(raw)
        if trusted and shape.accepts(value):
            return value
        read = Json(raw).document(shape)
    except RecursionError:  # serde's limit holds, but our caller has used up the interpreter's
        raise SerdeError("recursion limit exceeded", index=len(raw), syntax=True) from None
    return value if isinstance(value, dict) else read


def _quickly(raw: bytes) -> tuple[Any, bool]:
    """Read bytes with Python's own json, and say whether serde surely reads the same."""
    doubts: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        unique = dict(items)
        if len(unique) != len(items):
            doubts.append("a key stands twice")
        return unique

    try:
        value = json.loads(raw.decode(), object_pairs_hook=pairs, parse_constant=doubts.append, parse_int=_whole)
        if _SURROGATE.search(raw):
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair fits into no UTF-8
    except (ValueError, RecursionError):
        return None, False
    return value, not doubts


def _whole(digits: str) -> int | float:
    return -0.0 if digits == "-0" else int(digits)  # serde reads minus zero as floating point


def _shallow(value: Any, levels: int) -> bool:
    """Say whether a value is surely neither too deep nor too large for serde."""
    if isinstance(value, dict):
        inner: Any = value.values()
    elif isinstance(value, list):
        inner = value
    else:
        return isinstance(value, str | bool | None) or _number(value)
    # strings are most of what there is, and always fit
    return levels > 0 and all(isinstance(item, str) or _shallow(item, levels - 1) for item in inner)


@dataclass(frozen=True, slots=True)
class _Era:
    """The facts of ``data/shapes.toml`` that hold at a time."""

    roles: tuple[str, ...]
    parts: tuple[str, ...]
    tool_types: tuple[str, ...]
    efforts: tuple[str, ...]
    fields: tuple[str, ...]
    content: str
    json_schema: str
    user_id: bool
    images: str


@cache
def _changes() -> tuple[dict[str, Any], ...]:
    text = resources.files("dsnb.contract").joinpath("data", "shapes.toml").read_text("utf-8")
    return tuple(tomllib.loads(text)["change"])


def _era(instant: datetime) -> _Era:
    return _facts(sum(datetime.combine(row["since"], time(), UTC) <= instant for row in _changes()))


@cache
def _facts(count: int) -> _Era:
    facts: dict[str, Any] = {}
    for row in _changes()[:count]:
        facts |= row
    values: dict[str, Any] = {}
    for field in fields(_Era):
        value = facts[field.name]
        values[field.name] = tuple(value) if isinstance(value, list) else value
    return _Era(**values)


@cache
def _request_shape(era: _Era, efforts: tuple[str, ...], thinks: bool) -> Struct:
    shapes: dict[str, Shape] = {"messages": Sequence(_message(era)), "model": TEXT, **SAMPLING}
    shapes |= {"n": Maybe(U8), "logprobs": Maybe(FLAG), "top_logprobs": Maybe(U8)}
    shapes |= {"response_format": Maybe(_format(era)), "parallel_tool_calls": Maybe(FLAG)}
    shapes |= {"tools": Maybe(Sequence(_tool(era))), "tool_choice": Maybe(CHOICE)}
    if thinks:
        kinds = ("adaptive", "enabled", "disabled")  # "adaptive" is accepted, undocumented, and means "enabled"
        shapes["thinking"] = Maybe(Struct("ThinkingOptions", {"type": Word(kinds)}))
    if efforts:
        shapes["reasoning_effort"] = Maybe(Word(efforts))
    if era.user_id:
        shapes["user_id"] = Maybe(TEXT)
    shapes |= dict.fromkeys(era.fields, Maybe(ANYTHING))
    return Struct("ChatCompletionRequest", shapes)


def _message(era: _Era) -> Tagged:
    block = "ChatCompletionRequestContentBlock"
    image = Struct("ChatCompletionImageUrl", {"url": TEXT, "detail": Maybe(TEXT)})
    contents: dict[str, dict[str, Shape]] = {
        "text": {"text": TEXT},
        "image_url": {"image_url": image},
        "file": {"file_id": Maybe(TEXT), "file_data": Maybe(TEXT), "filename": Maybe(TEXT)},
    }
    parts = Sequence(Tagged(block, "type", {part: Struct("", contents[part]) for part in era.parts}, {}))
    untagged = "data did not match any variant of untagged enum ChatCompletionRequestContent"
    both = era.content == "untagged"
    content = Content(parts, untagged if both else "content should be a string or a list", hides=both)
    text: Shape = TEXT if both else content
    called = Struct("ChatCompletionRequestFunctionCall", {"name": TEXT, "arguments": TEXT})
    call = Struct("ChatCompletionRequestToolCall", {"id": TEXT, "type": Word(("function",)), "function": called})
    name = Maybe(TEXT)
    kinds: dict[str, dict[str, Shape]] = {
        "system": {"content": content, "name": name},
        "user": {"content": content, "name": name},
        "assistant": {
            "content": Maybe(text),
            "name": name,
            "prefix": Maybe(FLAG),
            "reasoning_content": Maybe(TEXT),
            "tool_calls": Maybe(Sequence(call)),
        },
        "tool": {"content": text, "tool_call_id": TEXT},
        "latest_reminder": {"content": content},
    }
    return Tagged("ChatCompletionRequestMessage", "role", {role: Struct("", kinds[role]) for role in era.roles}, {})


def _format(era: _Era) -> Tagged:
    kinds: dict[str, dict[str, Shape]] = {"json_object": {}, "json_schema": {}, "regex": {"regex": TEXT}, "text": {}}
    refusal = {"json_schema": "response_format.type `json_schema` is unavailable now"}
    refused = refusal if era.json_schema == "misshapen" else {}
    name = "ChatCompletionResponseFormat"
    return Tagged(name, "type", {kind: Struct("", fields) for kind, fields in kinds.items()}, refused)


def _tool(era: _Era) -> Shape:
    name = "ChatCompletionTool"
    definition: dict[str, Shape] = {"name": TEXT, "description": Maybe(TEXT)}
    definition |= {"parameters": Maybe(ANYTHING), "strict": Maybe(FLAG)}
    function = Struct("ChatCompletionFunctionDefinition", definition)
    whole = Struct(name, {"type": Word(era.tool_types), "function": function})
    if era.tool_types == ("function",):
        return whole
    return Tool(whole, Struct(name, {"type": Word(era.tool_types), "function": Maybe(function)}))
