"""Reasoning that a server leaves in the content: ``<think>`` at its beginning, up to ``</think>``."""

from __future__ import annotations

from dsnb.emulator.engines.protocol import CONTENT, REASONING

_OPEN, _CLOSE = "<think>", "</think>"


class Thoughts:
    """Sort content into reasoning and answer as it comes; only a tag that begins the content opens reasoning.

    Only the tags are dropped, with the blanks before the first and after the last. Where a server's own prompt opens
    the reasoning, nothing tells until it is over, and it stays content: such a server has a parser for it to turn on.
    """

    def __init__(self) -> None:
        self._state = "begin"  # then "reasoning", "gap" after the closing tag, and "answer"
        self._held = ""  # the end of what came, while it may be the beginning of a tag

    def feed(self, text: str) -> list[tuple[str, str]]:
        """Return what the next piece says: kinds and texts."""
        text, self._held = self._held + text, ""
        if self._state == "begin":
            visible = text.lstrip()
            if _OPEN.startswith(visible[: len(_OPEN)]) and len(visible) < len(_OPEN):
                self._held = text
                return []
            self._state = "reasoning" if visible.startswith(_OPEN) else "answer"
            text = visible[len(_OPEN) :] if self._state == "reasoning" else text
        said = []
        if self._state == "reasoning":
            thought, closed, text = text.partition(_CLOSE)
            if not closed:
                kept = _begun(thought)
                thought, self._held = thought[: len(thought) - kept], thought[len(thought) - kept :]
            said.append((REASONING, thought))
            self._state = "gap" if closed else "reasoning"
        if self._state == "gap":
            text = text.lstrip()
            self._state = "answer" if text else "gap"
        return [*(pair for pair in said if pair[1]), *([(CONTENT, text)] if text and self._state == "answer" else [])]

    def finish(self) -> list[tuple[str, str]]:
        """Return what was held back, which was no tag."""
        held, self._held = self._held, ""
        return [(REASONING if self._state == "reasoning" else CONTENT, held)] if held else []


def _begun(text: str) -> int:
    """Return how many characters at the end of ``text`` may begin a closing tag."""
    return next((size for size in range(len(_CLOSE) - 1, 0, -1) if text.endswith(_CLOSE[:size])), 0)
