"""Where the stream of an answer was cut, and another request went on with it: a mark in the text, a line below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from dsnb.client.reply import Reply
from dsnb.display import markdown as md
from dsnb.display import parts
from dsnb.display.parts import Part

MARK: Final = "┊"
_SIGN: Final = "\ue5ea"  # of the private use area, so nobody's: stands for the mark while an answer is read
_NEAR: Final = 80  # characters behind a seam in which the mark may stand instead


def line(reply: Reply) -> str:
    """Return the line that says how often an answer was cut."""
    count = len(reply.seams)
    times = {1: "once", 2: "twice"}.get(count, f"{count} times")
    return f"{MARK} The stream was cut and gone on with {times}."


def prose(answer: str, seams: Sequence[int]) -> Part:
    """Return an answer with a mark at each of its seams.

    A mark changes nothing of what is read: where it would, at the end of the word; and none in code and formulas.
    """
    plain, shown, signs = parts.prose(answer), answer, 0
    if _SIGN in answer:
        return plain
    marked = plain
    for seam in sorted(seams, reverse=True):  # so that those before keep their places
        for place in _places(answer, seam):
            tried = f"{shown[:place]}{_SIGN}{shown[place:]}"
            if _in_text(tried) == signs + 1 and _each(part := parts.prose(tried), _SIGN, "") == plain:
                shown, marked, signs = tried, part, signs + 1
                break
    html = marked.html.replace(_SIGN, f'<span class="dsnb-seam">{MARK}</span>')
    return replace(_each(marked, _SIGN, MARK), html=html)


def _places(answer: str, seam: int) -> Iterator[int]:
    """Yield where the mark of a seam may stand: there, or at the end of one of the next words."""
    yield seam
    yield from (place for place in range(seam + 1, min(seam + _NEAR, len(answer))) if answer[place] == " ")


def _in_text(answer: str) -> int:
    """Count the signs that stand in plain text, neither in code nor in formulas or addresses."""
    return sum(
        child.content.count(_SIGN)
        for block in md.blocks(answer)
        for token in block.tokens
        for child in token.children or ()
        if child.type == "text"
    )


def _each(part: Part, old: str, new: str) -> Part:
    return Part(part.html.replace(old, new), part.markdown.replace(old, new), part.plain.replace(old, new))
