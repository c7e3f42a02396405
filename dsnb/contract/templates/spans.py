"""The templates of V3, R1 and V3.1, which mark turns, calls and results with special tokens.

Their wording is that of the public model cards (function calling and JSON output: DeepSeek-V2.5 for V3 and R1;
DeepSeek-V3.1 for V3.1 and V3.2-Exp). All prompts recorded from 2025-03 to 2025-11, with tools and without, come out
exact; several tools at once, R1 with tools or history, forced calls and prefixes were not among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

from dsnb.contract.settings import Settings
from dsnb.contract.templates.segment import (
    ASSISTANT,
    BOS,
    END_THINK,
    EOS,
    THINK,
    USER,
    Segment,
    Segments,
    functions,
    json_text,
    markup,
)
from dsnb.contract.templates.turn import Call, Turn

_CALLS, _END_CALLS = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
_CALL, _SEPARATOR, _END_CALL = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"
_OUTPUTS, _END_OUTPUTS = "<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>"
_OUTPUT, _END_OUTPUT = "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>"


class V3:
    """Render the prompts of V3."""

    # A request with tools or JSON mode but no system message gets this one (recorded: 6 tokens).
    system = "You are a helpful Assistant."
    json_mode = "## Response Format\n\nReply with JSON object ONLY."
    between_calls = "\n"
    thinks = False

    def prompt(self, turns: tuple[Turn, ...], settings: Settings, effort: str | None, *, blank_line: bool) -> Segments:
        """Yield the prompt; these generations know neither effort nor the blank line."""
        del effort, blank_line
        yield Segment(BOS, "start", control=True)
        yield from self._head([turn for turn in turns if turn.role == "system"], settings)
        spoken = [turn for turn in turns if turn.role != "system"]
        before = "start"
        for index, turn in enumerate(spoken):
            after = spoken[index + 1].role if index + 1 < len(spoken) else "end"
            if turn.role == "assistant":
                if before in ("start", "user"):
                    yield from self._header(turn.where, thinking=turn.prefix and settings.thinking)
                yield from self._said(turn, open_end=settings.prefix and after == "end")
            elif turn.role == "tool":
                yield from self._result(turn, first=before != "tool", last=after != "tool")
            else:
                yield Segment(USER, turn.where, control=True) if before != "user" else Segment("\n\n", turn.where)
                yield from turn.content
            before = "tool" if turn.role == "tool" else "assistant" if turn.role == "assistant" else "user"
        if not settings.prefix:
            # After tool results the model goes on without a header of its own.
            if before != "tool":
                yield from self._header("generation", thinking=settings.thinking)
            if settings.forced:
                yield Segment(_CALLS, "generation", control=True)

    def answer(self, reasoning: str | None, content: str, calls: tuple[Call, ...], *, forced: bool) -> Segments:
        """Yield a reply as it was generated."""
        if reasoning is not None:
            yield from self._thought(reasoning, "reasoning_content")
        yield Segment(content, "content")
        if calls:
            yield from self._calls(calls, "tool_calls", begun=forced)

    def _head(self, system: list[Turn], settings: Settings) -> Segments:
        """Yield system text, tools and JSON mode, a blank line between two of them."""
        sections: list[list[Segment]] = [list(turn.content) for turn in system]
        if settings.tools:
            sections.append(list(self._tools(settings.tools)))
        if settings.json_mode:
            sections.append([Segment(self.json_mode, "response_format")])
        if self.system and sections and not system:
            sections.insert(0, [Segment(self.system, "start")])
        for position, section in enumerate(section for section in sections if any(part.text for part in section)):
            if position:
                yield Segment("\n\n", section[0].where)
            yield from section

    def _tools(self, tools: tuple[Mapping[str, Any], ...]) -> Segments:
        yield Segment("## Tools\n\n### Function\n\nYou have the following functions available:\n\n", "tools")
        for position, (function, where) in enumerate(functions(tools)):
            schema = json_text(function, where, indent=4)
            gap = "\n\n" if position else ""
            yield Segment(f"{gap}- `{function.get('name', '')}`:\n```json\n{schema}\n```", where)

    def _header(self, where: str, *, thinking: bool) -> Segments:
        del thinking
        yield Segment(ASSISTANT, where, control=True)

    def _said(self, turn: Turn, *, open_end: bool) -> Segments:
        if self.thinks and open_end and turn.reasoning:
            where = f"{turn.where}.reasoning_content"
            yield from self._thought(turn.reasoning, where) if turn.content else [Segment(turn.reasoning, where)]
        yield from turn.content
        if turn.calls:
            yield from self._calls(turn.calls, f"{turn.where}.tool_calls")
        if not open_end:
            yield Segment(EOS, turn.where, control=True)

    def _thought(self, reasoning: str, where: str) -> Segments:
        yield Segment(reasoning, where)
        yield Segment(END_THINK, where, control=True)

    def _calls(self, calls: tuple[Call, ...], where: str, *, begun: bool = False) -> Segments:
        if not begun:
            yield Segment(_CALLS, where, control=True)
        for position, call in enumerate(calls):
            if position and self.between_calls:
                yield Segment(self.between_calls, where)
            yield from self._call(call, where)
        yield Segment(_END_CALLS, where, control=True)

    def _call(self, call: Call, where: str) -> Segments:
        yield from markup(f"{_CALL}function{_SEPARATOR}", where)
        yield Segment(f"{call.name}\n```json\n{call.arguments}\n```", where)
        yield Segment(_END_CALL, where, control=True)

    def _result(self, turn: Turn, *, first: bool, last: bool) -> Segments:
        yield Segment(_OUTPUTS, turn.where, control=True) if first else Segment("\n", turn.where)
        yield from _output(turn)
        if last:
            yield Segment(_END_OUTPUTS, turn.where, control=True)


class R1(V3):
    """Render the prompts of R1: those of V3, with the reasoning opened for it."""

    thinks = True

    def _header(self, where: str, *, thinking: bool) -> Segments:
        yield Segment(ASSISTANT, where, control=True)
        if thinking:
            yield Segment(THINK, where, control=True)
            yield Segment("\n", where)

    def _thought(self, reasoning: str, where: str) -> Segments:
        """Yield the reasoning with the line breaks that R1 puts around its end and the API takes away (recorded)."""
        yield Segment(f"{reasoning}\n", where)
        yield Segment(END_THINK, where, control=True)
        yield Segment("\n\n", where)


class V31(V3):
    """Render the prompts of V3.1 (and V3.2-Exp): every answer begins with an open or a closed think tag."""

    system = ""
    json_mode = '## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n{"type":"object"}'
    between_calls = ""
    thinks = True

    def _tools(self, tools: tuple[Mapping[str, Any], ...]) -> Segments:
        yield Segment("## Tools\nYou have access to the following tools:\n", "tools")
        for function, where in functions(tools):
            schema = json_text(function.get("parameters", {}), f"{where}.parameters")
            description = f"Description: {function.get('description', '')}"
            yield Segment(f"\n### {function.get('name', '')}\n{description}\n\nParameters: {schema}\n", where)
        yield from markup(_V31_CALLING, "tools")

    def _header(self, where: str, *, thinking: bool) -> Segments:
        yield Segment(ASSISTANT, where, control=True)
        yield Segment(THINK if thinking else END_THINK, where, control=True)

    def _call(self, call: Call, where: str) -> Segments:
        yield Segment(_CALL, where, control=True)
        yield Segment(call.name, where)
        yield Segment(_SEPARATOR, where, control=True)
        yield Segment(call.arguments, where)
        yield Segment(_END_CALL, where, control=True)

    def _result(self, turn: Turn, *, first: bool, last: bool) -> Segments:
        del first, last
        yield from _output(turn)


def _output(turn: Turn) -> Segments:
    return chain(
        [Segment(_OUTPUT, turn.where, control=True)], turn.content, [Segment(_END_OUTPUT, turn.where, control=True)]
    )


_V31_CALLING = (
    "\nIMPORTANT: ALWAYS adhere to this exact format for tool use:\n"
    f"{_CALLS}{_CALL}tool_call_name{_SEPARATOR}tool_call_arguments{_END_CALL}{{additional_tool_calls}}{_END_CALLS}\n\n"
    "Where:\n\n"
    "- `tool_call_name` must be an exact match to one of the available tools\n"
    "- `tool_call_arguments` must be valid JSON that strictly follows the tool's Parameters Schema\n"
    "- For multiple tool calls, chain them directly without separators or spaces"
)
