"""The prompt templates of each generation: how messages, tools and settings become one text.

``spans`` holds those that mark everything with special tokens (V3, R1, V3.1), ``dsml`` those that write tools and
calls in DeepSeek's own markup (V3.2, V4, V4.1). Every template cuts its text into `Segment`s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from dsnb.contract.settings import Settings
from dsnb.contract.templates.dsml import V4, V32, V41
from dsnb.contract.templates.segment import Segment, Segments
from dsnb.contract.templates.spans import R1, V3, V31
from dsnb.contract.templates.turn import Call, Turn


class Template(Protocol):
    """Render the prompt of a request, and the text that the model writes for a reply."""

    def prompt(self, turns: tuple[Turn, ...], settings: Settings, effort: str | None, *, blank_line: bool) -> Segments:
        """Yield the prompt; ``effort`` is the level that writes its text, ``blank_line`` precedes a bare tool block."""
        ...

    def answer(self, reasoning: str | None, content: str, calls: tuple[Call, ...], *, forced: bool) -> Segments:
        """Yield a finished reply as it was generated, without its end-of-sentence token."""
        ...


TEMPLATES: Mapping[str, Template] = {
    "v3": V3(),
    "r1": R1(),
    "v3.1": V31(),
    "v3.2": V32(),
    "v4": V4(),
    "v4.1": V41(),
}

__all__ = ["TEMPLATES", "Call", "Segment", "Segments", "Template", "Turn"]
