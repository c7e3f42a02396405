"""A conversation as Jupyter stores it: who said what, what was called, and what all of it took.

Of a long one the last turns stand open. Those before are folded, each behind its question, and all of them behind a
line that says how many they are; plain text does not fold.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from dsnb.client.reply import Reply
from dsnb.client.tool_call import ToolCall
from dsnb.client.usage import Usage
from dsnb.display import calls, parts, summary, text
from dsnb.display.parts import Part
from dsnb.display.styles import style

_OPEN: Final = 6  # turns: about what a reader scrolls through
_NAMES: Final = {"system": "System", "user": "You", "assistant": "Model", "tool": "Tool"}
_PICTURES: Final = frozenset({"image", "image_url", "input_image"})

Message = Mapping[str, Any]


def bundle(messages: Sequence[Message], replies: Sequence[Reply] = ()) -> dict[str, str]:
    """Return the representations of a conversation by MIME type.

    ``messages`` are the API's, of whatever form; ``replies`` are those of its turns, and know what these took, which
    calls failed, and which turn was cut off. Nothing that anybody said is more than text.
    """
    return parts.bundle(list(_parts(messages, replies)), style() + style("question") + style("dialogue"), "dialogue")


def asked(messages: Sequence[Message]) -> Part | None:
    """Return what the last turn asks, folded behind its number and its first line; None where nothing is asked."""
    turns = [turn for turn in _turns(_said(messages, _Known(()))) if turn.question]
    if not turns:
        return None
    label, last = f"Turn {len(turns)}", turns[-1]
    question = "\n\n".join(said.content for said in last.said if said.role == "user")
    body = parts.prose(question, breaks=True, kind="question")
    return replace(
        parts.fold("asked", label, last.question, [body]), plain=f"{label}\n{parts.indented(question, '  ')}"
    )


def _parts(messages: Sequence[Message], replies: Sequence[Reply]) -> Iterator[Part]:
    turns = _turns(_said(messages, _Known(replies)))
    yield parts.head("Conversation", _about(messages, replies))
    if turns and not turns[0].question:  # what stands before the first question
        yield from turns.pop(0).parts()
    earlier, latest = turns[:-_OPEN], turns[-_OPEN:]
    if earlier:
        label = f"{len(earlier)} earlier turn{'' if len(earlier) == 1 else 's'}"
        yield parts.fold("earlier", label, earlier[0].question, [turn.folded() for turn in earlier])
    for turn in latest:
        yield from turn.parts()
    if (figures := _figures(replies)) is not None:
        yield figures


@dataclass(slots=True)
class _Said:
    """Hold what one message says; the results of the tools that it calls stand in ``calls``."""

    role: str
    name: str = ""
    content: str = ""
    reasoning: str = ""
    calls: list[tuple[ToolCall, bool]] = field(default_factory=list)  # and whether its seconds say something
    ending: str = ""

    @property
    def speaker(self) -> str:
        """Who says it."""
        who = _NAMES.get(self.role, text.line(self.role, 40) or "?")
        named = self.name and self.role != "tool"
        return f"{who} · {text.line(self.name, 40)}" if named else who

    def parts(self) -> Iterator[Part]:
        """Yield it as it is shown; plain text keeps to the right of who says it."""
        for part in self._parts():
            yield replace(part, plain=parts.indented(part.plain, "  "))

    def _parts(self) -> Iterator[Part]:
        if self.role == "tool":
            yield calls.orphan(text.line(self.name) or "result", self.content)
            return
        if self.reasoning:
            yield parts.reasoning(self.reasoning, "Reasoning")
        if self.content.strip():
            kind = {"assistant": "answer", "system": "system"}.get(self.role, "question")
            yield parts.prose(self.content, breaks=self.role != "assistant", kind=kind)
        for call, clocked in self.calls:
            yield calls.call(call, clocked=clocked)
        if not (self.reasoning or self.content.strip() or self.calls):
            yield parts.note("(nothing)")
        if self.ending:
            yield _ended(self.ending)


@dataclass(slots=True)
class _Turn:
    """Hold a question, and all that was said until the next."""

    said: list[_Said] = field(default_factory=list)

    @property
    def question(self) -> str:
        """The first line of the question, empty where there is none."""
        asked = next((said for said in self.said if said.role == "user"), None)
        return "" if asked is None else summary.first_line(asked.content) or "…"

    def parts(self) -> Iterator[Part]:
        """Yield it as it is shown, with who speaks wherever that changes."""
        before = ""
        for said in self.said:
            if said.speaker != before:
                before = said.speaker
                yield _label(before)
            yield from said.parts()

    def folded(self) -> Part:
        """Return the turn behind its question and the beginning of the last answer."""
        answer = next((said.content for said in reversed(self.said) if said.role == "assistant"), "")
        return parts.fold("turn", self.question, summary.first_line(answer), list(self.parts()))


class _Known:
    """Know what replies tell of messages and the messages themselves do not."""

    def __init__(self, replies: Sequence[Reply]) -> None:
        self._calls: dict[tuple[str, str | None], tuple[ToolCall, bool]] = {}
        self._endings: dict[tuple[str, str], str] = {}
        for reply in replies:
            for call in reply.tool_calls:
                self._calls[call.id, call.result] = call, summary.clocked(reply)
            if reply.outcome not in {"stop", "tool_calls"}:
                message = reply.message
                key = _content(message["content"]), _text(message.get("reasoning_content"))
                self._endings[key] = summary.ending(reply)

    def tell(self, said: _Said) -> None:
        """Add what is known to what was said."""
        said.ending = self._endings.get((said.content, said.reasoning), "") if said.role == "assistant" else ""
        for place, (call, _) in enumerate(said.calls):
            if (call.id, call.result) in self._calls:
                known, clocked = self._calls[call.id, call.result]
                call.failed, call.seconds = known.failed, known.seconds
                said.calls[place] = call, clocked


def _said(messages: Iterable[Message], known: _Known) -> list[_Said]:
    """Return what was said, with each result of a tool at the call that it answers, as far as there is one."""
    everything: list[_Said] = []
    waiting: dict[str, ToolCall] = {}
    for message in messages:
        role = _text(message.get("role"))
        content = _content(message.get("content"))
        if role == "tool":
            answered = waiting.pop(_text(message.get("tool_call_id")), None)
            if answered is None:
                everything.append(_Said(role, _text(message.get("tool_call_id")), content))
            else:
                answered.result = content
            continue
        said = _Said(role, _text(message.get("name")), content, _text(message.get("reasoning_content")))
        said.calls = [(call, False) for call in _calls(message.get("tool_calls"))]
        waiting |= {call.id: call for call, _ in said.calls}
        everything.append(said)
    for said in everything:
        known.tell(said)
    return everything


def _turns(everything: Iterable[_Said]) -> list[_Turn]:
    """Return what was said in turns: one begins with a question that something else was said before."""
    turns: list[_Turn] = []
    before = ""
    for said in everything:
        if not turns or (said.role == "user" and before != "user"):
            turns.append(_Turn())
        turns[-1].said.append(said)
        before = said.role
    return turns


def _label(speaker: str) -> Part:
    """Return who speaks: in Markdown a heading of a level that no text of others has, in text a line to the left."""
    return Part(
        f'<p class="dsnb-who"><small><b>{text.html(speaker)}</b></small></p>', f"## {text.markdown(speaker)}", speaker
    )


def _ended(how: str) -> Part:
    """Return how a turn ended that did not end well."""
    return Part(
        f'<p class="dsnb-note"><small><em>{text.html(how)}</em></small></p>', f"*{text.markdown(how)}*", f"({how})"
    )


def _calls(written: Any) -> Iterator[ToolCall]:
    for index, call in enumerate(written if isinstance(written, list | tuple) else ()):
        if not isinstance(call, Mapping):
            continue
        function = call.get("function")
        function = function if isinstance(function, Mapping) else {}
        arguments = _content(function.get("arguments"))
        yield ToolCall(index, _text(call.get("id")), _text(function.get("name")), arguments)


def _content(content: Any) -> str:
    """Return the text of a message; what is none is named in brackets."""
    if isinstance(content, str) or content is None:
        return content or ""
    if not isinstance(content, list | tuple):
        return json.dumps(content, ensure_ascii=False, default=repr)
    return "\n\n".join(map(_piece, content))


def _piece(piece: Any) -> str:
    if isinstance(piece, str):
        return piece
    kind = _text(piece.get("type")) if isinstance(piece, Mapping) else ""
    if isinstance(piece, Mapping) and isinstance(piece.get("text"), str):
        return str(piece["text"])
    return "[image]" if kind in _PICTURES else f"[{text.line(kind, 40) or 'something'}]"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _about(messages: Sequence[Message], replies: Sequence[Reply]) -> Iterator[str]:
    questions = sum(message.get("role") == "user" for message in messages)
    yield f"{questions:,} question{'' if questions == 1 else 's'}"
    yield f"{len(messages):,} message{'' if len(messages) == 1 else 's'}"
    yield from dict.fromkeys(word for reply in replies for word in _served(reply))


def _served(reply: Reply) -> Iterator[str]:
    yield summary.who(reply)[0]
    if reply.emulated:
        yield "emulated"


def _figures(replies: Sequence[Reply]) -> Part | None:
    """Return what the turns took together, as far as that is known."""
    usages = [reply.usage for reply in replies if reply.usage is not None]
    costs = [reply.cost for reply in replies if reply.cost is not None and reply.cost.usd is not None]
    total = sum(usages[1:], usages[0]) if usages else Usage()
    together = Reply(usage=total, cost=sum(costs[1:], costs[0]) if costs else None, emulated=True)
    values = list(summary.figures(together))
    if unknown := len(replies) - len(usages):
        values.append(("not known", f"{unknown} of {len(replies)} turns"))
    return parts.figures(values, summary.cached_share(total))
