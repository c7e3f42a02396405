"""Reasoning that a host leaves in the content, between ``<think>`` and ``</think>``."""

from __future__ import annotations

from io import StringIO
from typing import Final

from dsnb.client.events import Event
from dsnb.client.text import well_formed

OPEN: Final = "<think>"
CLOSE: Final = "</think>"
_QUOTES: Final = frozenset("`\"'")


class ThinkTags:
    """Sort content into reasoning and answer, piece by piece, as the tags come by.

    Only a ``<think>`` that begins the content opens reasoning. Where the host's prompt has already opened it, a
    ``</think>`` alone shows that all content so far was reasoning; one in quotes, or after a ``<think>`` further
    down, is text about the tag. Texts stay as they are; only the tags, and blanks before the first, are dropped.
    """

    def __init__(self, reasoning: StringIO, answer: StringIO) -> None:
        self._reasoning = reasoning
        self._answer = answer
        self._blanks = StringIO()  # what comes before the first visible character
        self._last = ""
        self._held = ""  # the end of the text so far, while it may be the beginning of a tag
        self._begun = False
        self._thinking = False
        self._may_close = True

    def feed(self, text: str, events: list[Event]) -> None:
        """Take the next piece of content; what it says is added to ``events``."""
        text, self._held = self._held + text, ""
        if not self._begun:
            if not (visible := text.lstrip()):
                self._blanks.write(text)
                return
            if len(visible) < len(OPEN) and OPEN.startswith(visible):
                self._held = text
                return
            self._begun = True
            if visible.startswith(OPEN):
                self._thinking = True
                text = visible.removeprefix(OPEN)
            else:
                text = self._blanks.getvalue() + text
        start = 0
        while self._may_close:
            at = text.find(CLOSE, start)
            if at < 0:
                text, self._held = _without_tag_start(text)
                break
            self._say(text[start:at], events)
            self._close(events)
            start = at + len(CLOSE)
        self._say(text[start:], events)

    def finish(self, events: list[Event]) -> None:
        """Let go of what was held back."""
        if not self._begun:
            self._held = self._blanks.getvalue() + self._held
        text, self._held = self._held, ""
        self._begun, self._may_close = True, False
        self._say(text, events)

    def _close(self, events: list[Event]) -> None:
        """Take a closing tag."""
        if not self._thinking and self._last in _QUOTES:
            self._say(CLOSE, events)
            return
        self._may_close = False
        if self._thinking:
            self._thinking = False
        elif OPEN in (so_far := self._answer.getvalue()):
            self._say(CLOSE, events)
        else:
            self._reasoning.write(so_far)
            self._answer.seek(0)
            self._answer.truncate()
            events.append(Event("reasoning", well_formed(so_far), moved=True))

    def _say(self, text: str, events: list[Event]) -> None:
        if text:
            kind, target = ("reasoning", self._reasoning) if self._thinking else ("answer", self._answer)
            target.write(text)
            self._last = text[-1]
            events.append(Event(kind, well_formed(text)))


def _without_tag_start(text: str) -> tuple[str, str]:
    """Cut off an end of text that may be the beginning of the closing tag."""
    at = text.rfind("<", -len(CLOSE) + 1)
    return (text[:at], text[at:]) if at >= 0 and CLOSE.startswith(text[at:]) else (text, "")
