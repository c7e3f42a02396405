"""What one request of a turn has said so far, and how much of that has been told."""

from __future__ import annotations

from io import StringIO
from typing import Any

from dsnb.client.tool_call import ToolCall
from dsnb.display import calls
from dsnb.display.growth import Growth, Piece, units
from dsnb.display.text import legible, line


class Round:
    """Hold what one request says: reasoning, answer, calls of tools and what came of them.

    ``thought`` is for how many seconds the model has been thinking. What a round tells is a small dict for JSON.
    Reasoning, and an answer that is ``prose``, are told twice: as text at once, and as html when it can be read.
    """

    __slots__ = ("_moved", "_pages", "_thought_told", "answer", "calls", "reasoning", "thought")

    def __init__(self, *, prose: bool = True) -> None:
        self.reasoning, self.answer = Passage(), Passage()
        self._pages = {"reasoning": Page(breaks=True)}
        if prose:
            self._pages["answer"] = Page()
        self.calls: list[Call] = []
        self.thought = 0.0
        self._thought_told = 0.0
        self._moved = False

    @property
    def calling(self) -> bool:
        """Whether a tool that was called has not ended."""
        return not all(call.ended for call in self.calls)

    def move(self, text: str) -> None:
        """Take for reasoning what was told as answer."""
        self.reasoning.add(text)
        self.answer = Passage()
        if "answer" in self._pages:
            self._pages["answer"] = Page()
        self._moved = True

    def end(self) -> None:
        """Read all texts to their ends: nothing more comes."""
        for page in self._pages.values():
            page.ended = True

    def call(self, tool: ToolCall) -> Call:
        """Return the call that a tool is called by; a new one if there is none."""
        call = self.find(tool)
        if call is None:
            call = Call(tool)
            self.calls.append(call)
        return call

    def find(self, tool: ToolCall) -> Call | None:
        """Return the call that a tool is called by, if there is one."""
        return next((call for call in reversed(self.calls) if call.tool is tool), None)

    def news(self) -> dict[str, Any]:
        """Return what has not been told, and take it as told."""
        news: dict[str, Any] = {}
        if self._moved:
            self._moved = False
            news["moved"] = True
        if self.thought != self._thought_told:
            self._thought_told = self.thought
            news["thought"] = round(self.thought, 3)
        texts = {"reasoning": self.reasoning.take(), "answer": self.answer.take()}
        told = {
            **texts,
            "read": {
                name: read
                for name, page in self._pages.items()
                if (read := page.take("" if (text := texts[name]) is None else text[1]))
            },
            "calls": [[place, *piece] for place, call in enumerate(self.calls) if (piece := call.take()) is not None],
            "results": [[place, calls.outcome(call.tool)] for place, call in enumerate(self.calls) if call.take_end()],
        }
        return news | {name: value for name, value in told.items() if value}

    def whole(self) -> dict[str, Any]:
        """Return all there is, in the form of `news`, for whoever has been told nothing."""
        return {
            "thought": round(self.thought, 3),
            "reasoning": (0, self.reasoning.text),
            "answer": (0, self.answer.text),
            "read": {name: page.whole() for name, page in self._pages.items()},
            "calls": [[place, call.name, 0, call.arguments.text] for place, call in enumerate(self.calls)],
            "results": [[place, calls.outcome(call.tool)] for place, call in enumerate(self.calls) if call.ended],
        }


class Page:
    """Hold the html of a text that grows, and know how much of it has been told."""

    __slots__ = ("_draft_told", "_growth", "_told", "ended")

    def __init__(self, *, breaks: bool = False) -> None:
        self.ended = False
        self._growth = Growth(breaks=breaks)
        self._told = 0
        self._draft_told: Piece | None = None

    def take(self, text: str) -> dict[str, Any]:
        """Read on, and return what has not been told: blocks, and the draft of the next if that is another."""
        growth = self._growth
        news: dict[str, Any] = {}
        growth.read(text)
        if self.ended:
            growth.finish()
        if len(growth.blocks) > self._told:
            news["blocks"] = growth.blocks[self._told :]
            self._told = len(growth.blocks)
        if growth.draft is not None and growth.draft is not self._draft_told:
            news["draft"] = growth.draft
        self._draft_told = growth.draft
        return news

    def whole(self) -> dict[str, Any]:
        """Return all that was told."""
        return {"blocks": self._growth.blocks[: self._told], "draft": self._draft_told}


class Call:
    """Hold a call of a tool: arguments that grow, and whether the tool has ``ended``."""

    __slots__ = ("_end_told", "_opened", "arguments", "ended", "tool")

    def __init__(self, tool: ToolCall) -> None:
        self.tool = tool
        self.arguments = Passage()
        self.ended = False
        self._opened = False
        self._end_told = False

    @property
    def name(self) -> str:
        """The name of the tool, as far as it has come, legible."""
        return line(self.tool.name)

    def take(self) -> tuple[str, int, str] | None:
        """Return the name and what has not been told of the arguments; a call opens with its name alone."""
        piece = self.arguments.take()
        if piece is None and self._opened:
            return None
        self._opened = True
        return self.name, *(piece or (0, ""))

    def take_end(self) -> bool:
        """Whether it has ended and that has not been told; take it as told."""
        fresh = self.ended and not self._end_told
        self._end_told = self.ended
        return fresh


class Passage:
    """Hold a text that grows, and know how much of it has been told; what it tells is legible."""

    __slots__ = ("_fresh", "_told", "_whole")

    def __init__(self) -> None:
        self._whole = StringIO()
        self._fresh: list[str] = []
        self._told = 0

    @property
    def text(self) -> str:
        """The whole text so far, legible."""
        return legible(self._whole.getvalue())

    def add(self, text: str) -> None:
        """Add what comes next."""
        self._whole.write(text)
        self._fresh.append(text)

    def take(self) -> tuple[int, str] | None:
        """Return what has not been told and where it begins, counted in UTF-16 units as a page counts."""
        text = legible("".join(self._fresh))
        if not text:
            return None
        offset = self._told
        self._fresh.clear()
        self._told += units(text)
        return offset, text
