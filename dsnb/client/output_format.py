"""JSON output: what it asks of the model, and what is made of the answer. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from dsnb.client.json_text import NotJson, read
from dsnb.client.reply import CUT, Reply
from dsnb.client.text import quote
from dsnb.errors import InvalidOutput, RequestError

_MOST_BLANKS: Final = 500  # in a row: no indentation is as deep, and about 10 seconds of a model that writes no more
_MOST_PROBLEMS: Final = 8
_VALUE: Final = "value"  # the key under which an object carries what is none


class JsonOutput:
    """Know what ``json=True`` or ``json=SomeType`` means for a turn.

    ``wanted`` is True, or any type that pydantic can read: a model, a dataclass, a TypedDict (of typing_extensions
    before Python 3.12), ``list[Model]``, ``dict[str, float]``, a union of such. JSON mode knows objects only, so a
    type that is none travels as ``{"value": ...}`` and is handed out without. Raises RequestError for anything else.
    """

    def __init__(self, wanted: Any) -> None:
        self.adapter: TypeAdapter[Any] | None = None
        self.schema: dict[str, Any] | None = None
        self._wrapped = False
        if wanted is True:
            return
        if wanted is False or wanted is None or isinstance(wanted, str | Mapping):
            raise RequestError(
                f"json={quote(repr(wanted), 60)} names no form of answer: write json=True, or a type such as a "
                "pydantic model, a dataclass, or list[Model]."
            )
        try:
            self.adapter = TypeAdapter(wanted)
            schema = self.adapter.json_schema()
        except (PydanticUserError, PydanticInvalidForJsonSchema, TypeError, NameError) as error:
            name = getattr(wanted, "__name__", repr(wanted))
            problem = quote(str(error).partition("For further information")[0], 200)
            raise RequestError(f"json={quote(name, 60)} cannot be written as a JSON Schema: {problem}") from error
        self._wrapped = not _is_object(schema, schema.get("$defs", {}))
        self.schema = _in_object(schema) if self._wrapped else schema

    @property
    def instruction(self) -> str:
        """What the model is told, empty for ``json=True``; it has the word "JSON" that JSON mode insists on."""
        if self.schema is None:
            return ""
        written = json.dumps(self.schema, ensure_ascii=False)
        return f"Answer with one JSON object and nothing else. It must fit this JSON Schema:\n{written}"

    def instructed(self, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the messages with the instruction at the end of the system message, or as one; for a type only.

        Messages that have it already stay as they are. With ``json=True`` the words are the caller's: the API refuses
        JSON mode where no message says "json".
        """
        copies = [dict(message) for message in messages]
        words = self.instruction
        if not words:
            return copies
        if not copies or copies[0].get("role") != "system":
            return [{"role": "system", "content": words}, *copies]
        content = copies[0].get("content")
        if isinstance(content, list):
            if not any(isinstance(part, Mapping) and part.get("text") == words for part in content):
                copies[0]["content"] = [*content, {"type": "text", "text": words}]
        elif not content:
            copies[0]["content"] = words
        elif isinstance(content, str) and not content.endswith(words):
            copies[0]["content"] = f"{content}\n\n{words}"
        return copies

    def parse(self, reply: Reply) -> Any:
        """Return the value that the answer holds, as the type that was asked for.

        A start that was given counts as part of the answer. An answer that was cut off behind its last brace is whole.
        Raises InvalidOutput, with the reply and with every problem in words that the model can act on.
        """
        text = reply.start + reply.answer
        try:
            value, text = read(text)
        except NotJson as error:
            raise _unread(reply, text, str(error)) from None
        if self.adapter is None:
            return value
        carried = self._wrapped and isinstance(value, dict) and value.keys() == {_VALUE}
        try:
            return self.adapter.validate_json(json.dumps(value[_VALUE], ensure_ascii=False) if carried else text)
        except ValidationError as error:
            problems = tuple(_problems(error, _VALUE if carried else ""))
        except Exception as error:  # a validator is somebody's code, and met a value that it did not expect
            problems = (quote(f"{type(error).__name__}: {error}", 200),)
        raise InvalidOutput(
            f"The answer is JSON, but not as asked: {'; '.join(problems)}. "
            "Say in the prompt what is wanted there, or loosen the type.",
            problems=problems,
            reply=reply,
        )

    def correction(self, reply: Reply, error: InvalidOutput) -> list[dict[str, Any]]:
        """Return the messages that have the model try again: its own, and one that says what was wrong with it."""
        message = reply.message
        message["content"] = _without_blanks(message["content"])
        problems = "\n".join(f"- {problem}" for problem in error.problems)
        words = (
            f"This is not what was asked for:\n{problems}\nAnswer again, with the whole JSON object and nothing else."
        )
        return [message, {"role": "user", "content": words}]


class Blanks:
    """Watch an answer for endless white space, which JSON mode may write until its limit (guide 'JSON Output').

    >>> blanks = Blanks()
    >>> if blanks.feed(event.text): ...  # nothing more will come of it: stop the stream
    """

    def __init__(self) -> None:
        self._count = 0

    def feed(self, text: str) -> bool:
        """Take the next piece of the answer; return whether it ends with more blanks than any JSON needs."""
        said = len(text.rstrip())
        self._count = len(text) - said + (0 if said else self._count)
        return self._count > _MOST_BLANKS


def _without_blanks(content: str) -> str:
    """Take endless white space off the end: nobody needs to pay for it twice."""
    said = content.rstrip()
    return said if not said or len(content) - len(said) > _MOST_BLANKS else content


def _unread(reply: Reply, text: str, problem: str) -> InvalidOutput:
    """Return the error for an answer that is no JSON, by what is most likely behind it."""
    if not text.strip():
        what = f"The answer is {'only white space' if text else 'empty'}, where JSON was asked for"
        problem = "it is empty"
        mend = "DeepSeek's JSON mode does this now and then: ask again, and show an example of the JSON in the prompt."
    elif len(_without_blanks(text)) < len(text):
        what = "The answer ran into endless white space before the JSON was complete"
        problem = "it ran into white space before it was complete"
        mend = "JSON mode does this where it is not told what to write: show an example of the JSON in the prompt."
    elif reply.outcome == "length":
        what = "The JSON was cut off at its limit of tokens"
        problem = "it was cut off: write less"
        mend = "Raise max_tokens, or ask for less."
    elif reply.outcome in CUT:
        what = f"The JSON is not complete (the reply is {reply.outcome})"
        problem = "it is not complete"
        mend = "Ask again."
    else:
        what = f"The answer is not JSON: {problem}"
        problem = f"it is not JSON: {problem}"
        mend = "Ask again; show an example of the JSON in the prompt if it stays so."
    return InvalidOutput(f"{what}. {mend}", problems=(problem,), reply=reply)


def _problems(error: ValidationError, whole: str) -> Iterator[str]:
    """Yield what is wrong, field by field."""
    for problem in error.errors(include_url=False, include_context=False)[:_MOST_PROBLEMS]:
        if problem["type"] == "json_invalid":  # which pydantic's own parser says: it goes less deep than Python's
            yield "it is nested too deep"
            continue
        place = (whole + "".join(_step(step) for step in problem["loc"])).removeprefix(".")
        found = "" if problem["type"] == "missing" else f", not {_shown(problem['input'])}"
        yield f"{place or 'the whole'}: {quote(problem['msg'], 150)}{found}"
    if (more := error.error_count() - _MOST_PROBLEMS) > 0:
        yield f"and {more} more"


def _step(step: int | str) -> str:
    return f"[{step}]" if isinstance(step, int) else f".{quote(step, 60)}"


def _shown(value: Any) -> str:
    """Return a value in a few words; a large or deep one by its kind."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return quote(str(value), 40) if abs(value) < 1e40 else "so large a number"
        case str():
            return repr(quote(value, 40))
        case dict():
            return "an object"
        case _:
            return "a list"


def _is_object(schema: Mapping[str, Any], definitions: Mapping[str, Any], seen: frozenset[str] = frozenset()) -> bool:
    """Whether all that fits a schema is an object."""
    name = re.sub(r"^#/\$defs/", "", str(schema.get("$ref", "")))
    if name:
        return name not in seen and _is_object(definitions.get(name, {}), definitions, seen | {name})
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        return all(_is_object(branch, definitions, seen) for branch in branches)
    return schema.get("type") == "object"


def _in_object(schema: dict[str, Any]) -> dict[str, Any]:
    inner = {key: value for key, value in schema.items() if key != "$defs"}
    outer: dict[str, Any] = {"type": "object", "properties": {_VALUE: inner}, "required": [_VALUE]}
    return outer | ({"$defs": schema["$defs"]} if "$defs" in schema else {})
