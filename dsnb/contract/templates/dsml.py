"""The templates of V3.2, V4 and V4.1, which write tools and calls in DeepSeek's own markup (DSML).

Their wording is that of the public encoders (``encoding_dsv32``, ``encoding_dsv4``, ``encoding_dsv41``). Where the API
differs from them, a comment says so and when that was recorded. Nobody measured V4.1 but for one case: a public test
of 2026-10 found the encoder's count of three JSON-mode prompts without thinking in what the API billed for them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from dsnb.contract.settings import Settings
from dsnb.contract.templates.segment import (
    ASSISTANT,
    BOS,
    DSML,
    END_THINK,
    EOS,
    REMINDER,
    SYSTEM,
    THINK,
    USER,
    Segment,
    Segments,
    functions,
    json_text,
    markup,
)
from dsnb.contract.templates.turn import Call, Turn

_SPACE = re.compile(r"[ \t\r\n]*")


class V4:
    """Render the prompts of V4."""

    calls, invoke, parameter = "tool_calls", "invoke", "parameter"
    json_mode = '## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n{"type":"object"}'

    def prompt(self, turns: tuple[Turn, ...], settings: Settings, effort: str | None, *, blank_line: bool) -> Segments:
        """Yield the prompt.

        Reasoning is kept after the last user turn, and everywhere when tools are present; else it is dropped.
        """
        yield Segment(BOS, "start", control=True)
        first = turns[0] if turns and turns[0].role == "system" else None
        yield from self._head(first, settings, effort, blank_line=blank_line)
        before = "system" if first else "start"
        rest = turns[1:] if first else turns
        asked = max((index for index, turn in enumerate(rest) if self._asks(turn)), default=-1)
        for index, turn in enumerate(rest):
            if turn.role == "assistant":
                kept = settings.thinking and (self._keeps(settings) or index > asked)
                if before != "assistant":
                    yield from self._header(turn.where, before, thinking=kept)
                yield from self._said(turn, thought=kept, open_end=settings.prefix and index == len(rest) - 1)
            else:
                after = rest[index + 1].role if index + 1 < len(rest) else "end"
                yield from self._heard(turn, before, after)
            before = turn.role
        if not settings.prefix:
            yield from self._header("generation", before, thinking=settings.thinking)
            if settings.forced:
                yield from self._open_calls("generation")

    def answer(self, reasoning: str | None, content: str, calls: tuple[Call, ...], *, forced: bool) -> Segments:
        """Yield a reply as it was generated; a forced call's opening stands in the prompt instead."""
        if reasoning is not None:
            yield Segment(reasoning, "reasoning_content")
            yield Segment(END_THINK, "reasoning_content", control=True)
        yield Segment(content, "content")
        if calls:
            if not forced:
                yield from self._open_calls("tool_calls")
            yield from self._calls(calls, "tool_calls", generated=True)

    def _head(self, system: Turn | None, settings: Settings, effort: str | None, *, blank_line: bool) -> Segments:
        """Yield effort, system text, tools and JSON mode.

        A blank line parts what follows the system text from it. Without such text there is none, until 2026-07-31,
        when the API took over the encoders' empty system message (recorded; ``blank_line``).
        """
        if effort:
            yield Segment(self._effort(effort), "effort")
        text = system.content if system else ()
        yield from text
        gap = "\n\n" if blank_line or any(part.text for part in text) else ""
        if settings.tools:
            yield Segment(gap, "tools")
            before, after = self._preamble().split("%s")
            yield from markup(before, "tools")
            for position, (function, where) in enumerate(functions(settings.tools)):
                yield Segment(("\n" if position else "") + json_text(function, where), where)
            yield from markup(after, "tools")
            gap = "\n\n"
        if settings.json_mode:
            yield Segment(gap + self.json_mode, "response_format")

    def _effort(self, level: str) -> str:
        del level
        return _EFFORT

    def _preamble(self) -> str:
        return _TOOLS.format(calls=DSML + self.calls, invoke=DSML + self.invoke, parameter=DSML + self.parameter)

    def _asks(self, turn: Turn) -> bool:
        """Say whether reasoning before this turn is the past."""
        return turn.role in ("user", "tool")

    def _keeps(self, settings: Settings) -> bool:
        """Say whether all reasoning stays in the prompt."""
        return bool(settings.tools)

    def _heard(self, turn: Turn, before: str, after: str) -> Segments:
        """Yield a turn that is not the model's; neighbouring user and tool turns make one block."""
        del after
        if turn.role == "latest_reminder":
            yield Segment(REMINDER, turn.where, control=True)
        elif turn.role != "system":
            joined = before in ("user", "tool")
            yield Segment("\n\n", turn.where) if joined else Segment(USER, turn.where, control=True)
        if turn.role == "tool":
            yield Segment("<tool_result>", turn.where)
        yield from turn.content
        if turn.role == "tool":
            yield Segment("</tool_result>", turn.where)

    def _header(self, where: str, before: str, *, thinking: bool) -> Segments:
        del before
        yield Segment(ASSISTANT, where, control=True)
        yield Segment(THINK if thinking else END_THINK, where, control=True)

    def _said(self, turn: Turn, *, thought: bool, open_end: bool) -> Segments:
        """Yield a past answer, or the open beginning of this one.

        A prefix with reasoning and no content leaves the reasoning open (not measured).
        """
        if thought:
            yield Segment(turn.reasoning, f"{turn.where}.reasoning_content")
            if turn.content or turn.calls or not open_end:
                yield Segment(END_THINK, turn.where, control=True)
        yield from turn.content
        if turn.calls:
            where = f"{turn.where}.tool_calls"
            if turn.contentless:
                # Three tokens more without a content key (recorded 2026-05, 4 of 4). Why is not known: they count
                # here as if the calls were a turn of their own.
                yield from markup(EOS + ASSISTANT + END_THINK, where)
            yield from self._open_calls(where)
            yield from self._calls(turn.calls, where, generated=False)
        if not open_end:
            yield Segment(EOS, turn.where, control=True)

    def _open_calls(self, where: str) -> Segments:
        return markup(f"\n\n<{DSML}{self.calls}>\n", where)

    def _calls(self, calls: tuple[Call, ...], where: str, *, generated: bool) -> Segments:
        for call in calls:
            yield from markup(f"<{DSML}", where)
            yield Segment(f'{self.invoke} name="{call.name}">\n', where)
            for position, (key, value, string) in enumerate(_arguments(call.arguments, generated=generated)):
                yield Segment("\n<" if position else "<", where)
                yield Segment(DSML, where, control=True)
                yield Segment(f'{self.parameter} name="{key}" string="{string}">{value}</', where)
                yield Segment(DSML, where, control=True)
                yield Segment(f"{self.parameter}>", where)
            yield from markup(f"\n</{DSML}{self.invoke}>\n", where)
        yield from markup(f"</{DSML}{self.calls}>", where)


class V41(V4):
    """Render the prompts of V4.1: a token for system text, a number for effort, a space in the tags."""

    calls, invoke, parameter = " calls", " invoke", " parameter"
    json_mode = (
        "## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n"
        '{"type": "json_object"}'  # live prompt counts of 2026-10-04
    )
    budgets: Mapping[str, int] = {"low": 25, "high": 50, "max": 100}

    def _head(self, system: Turn | None, settings: Settings, effort: str | None, *, blank_line: bool) -> Segments:
        if system or effort or settings.tools or settings.json_mode:
            yield Segment(SYSTEM, system.where if system else "start", control=True)
        yield from super()._head(system, settings, effort, blank_line=blank_line)

    def _effort(self, level: str) -> str:
        return (
            f"Reasoning Effort: {self.budgets[level]} "
            "(range 1-100, the higher the value, the more thorough the reasoning)\n\n"
        )

    def _asks(self, turn: Turn) -> bool:
        return turn.role in ("user", "tool", "system")

    def _heard(self, turn: Turn, before: str, after: str) -> Segments:
        if turn.role == "system":
            yield Segment(SYSTEM, turn.where, control=True)
        yield from super()._heard(turn, before, after)


class V32(V4):
    """Render the prompts of V3.2: results in a block of their own, reasoning only after the last user turn."""

    calls = "function_calls"

    def _preamble(self) -> str:
        return _V32_TOOLS.format(calls=DSML + self.calls, invoke=DSML + self.invoke, parameter=DSML + self.parameter)

    def _asks(self, turn: Turn) -> bool:
        return turn.role == "user"

    def _keeps(self, settings: Settings) -> bool:
        del settings
        return False

    def _heard(self, turn: Turn, before: str, after: str) -> Segments:
        if turn.role != "tool":
            yield from super()._heard(turn, "user" if before == "user" else "start", after)
            return
        opening = "" if before == "tool" else "\n\n<function_results>"
        yield Segment(f"{opening}\n<result>", turn.where)
        yield from turn.content
        yield Segment("</result>" if after == "tool" else "</result>\n</function_results>", turn.where)

    def _header(self, where: str, before: str, *, thinking: bool) -> Segments:
        if before != "tool":
            yield from super()._header(where, before, thinking=thinking)
            return
        yield Segment("\n\n", where)
        yield Segment(THINK if thinking else END_THINK, where, control=True)


def _arguments(text: str, *, generated: bool) -> Sequence[tuple[str, str, str]]:
    """Return each argument's name, its value as written in DSML, and whether that is a string.

    Values other than strings stand as the model wrote them in a reply, and written anew without spaces in a history
    (recorded 2026-07; the encoders would put spaces). What is no JSON object becomes one argument, as in the encoders.
    """
    try:
        values = json.loads(text)
        written = _as_written(text) if generated else {}
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        return [("arguments", text, "true")]
    return [
        (key, value, "true")
        if isinstance(value, str)
        else (key, written.get(key) or json_text(value, "arguments", compact=True), "false")
        for key, value in values.items()
    ]


def _as_written(text: str) -> dict[str, str]:
    """Return the values of a JSON object as they stand in ``text``."""
    decoder = json.JSONDecoder()

    def skip(position: int) -> int:
        found = _SPACE.match(text, position)
        return found.end() if found else position

    values: dict[str, str] = {}
    position = skip(skip(0) + 1)
    while text[position : position + 1] == '"':
        key, position = decoder.raw_decode(text, position)
        start = skip(skip(position) + 1)
        _, end = decoder.raw_decode(text, start)
        values[key] = text[start:end]
        position = skip(skip(end) + 1)
    return values


_EFFORT = (
    "Reasoning Effort: Absolute maximum with no shortcuts permitted.\n"
    "You MUST be very thorough in your thinking and comprehensively decompose the problem to resolve the root cause, "
    "rigorously stress-testing your logic against all potential paths, edge cases, and adversarial scenarios.\n"
    "Explicitly write out your entire deliberation process, documenting every intermediate step, considered "
    "alternative, and rejected hypothesis to ensure absolutely no assumption is left unchecked.\n\n"
)

_TOOLS = """## Tools

You have access to a set of tools to help answer the user's question. You can invoke tools by writing a \
"<{calls}>" block like the following:

<{calls}>
<{invoke} name="$TOOL_NAME">
<{parameter} name="$PARAMETER_NAME" string="true|false">$PARAMETER_VALUE</{parameter}>
...
</{invoke}>
<{invoke} name="$TOOL_NAME2">
...
</{invoke}>
</{calls}>

String parameters should be specified as is and set `string="true"`. For all other types (numbers, booleans, arrays, \
objects), pass the value in JSON format and set `string="false"`.

If thinking_mode is enabled (triggered by <think>), you MUST output your complete reasoning inside \
<think>...</think> BEFORE any tool calls or final response.

Otherwise, output directly after </think> with tool calls or final response.

### Available Tool Schemas

%s

You MUST strictly follow the above defined tool name and parameter schemas to invoke tool calls.
"""

_V32_TOOLS = """## Tools
You have access to a set of tools you can use to answer the user's question.
You can invoke functions by writing a "<{calls}>" block like the following as part of your reply to the user:
<{calls}>
<{invoke} name="$FUNCTION_NAME">
<{parameter} name="$PARAMETER_NAME" string="true|false">$PARAMETER_VALUE</{parameter}>
...
</{invoke}>
<{invoke} name="$FUNCTION_NAME2">
...
</{invoke}>
</{calls}>
String and scalar parameters should be specified as is without any escaping or quotes, while lists and objects should \
use JSON format. The "string" attribute should be set to "true" for string type parameters and "false" for other types \
(numbers, booleans, arrays, objects).
If the thinking_mode is enabled, then after function results you should strongly consider outputting a thinking block. \
Here is an example:
<{calls}>
...
</{calls}>
<function_results>
...
</function_results>
<think>...thinking about results</think>
Here are the functions available in JSONSchema format:
<functions>
%s
</functions>
"""
