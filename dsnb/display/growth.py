"""Markdown that is read while it is being written: each block once, and the one that is not finished now and then."""

from __future__ import annotations

import re
from typing import Final

from dsnb.display import markdown as md

_READS: Final = 4  # characters looked through for each that came, in search of blocks that are finished
_GROWN: Final = 1 / 3  # by how much a draft grows before it is made anew, so that all drafts take four times the text
_LEAST: Final = 40  # characters by which it grows at least: a few words, some tenths of a second
_LONGEST: Final = 16_000  # characters of a draft; what goes on longer is text until it is finished
_FENCE: Final = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)
_BREAK: Final = re.compile(r"^[^\S\n]*(?![^\W\d_])", re.MULTILINE)  # before a line that begins with no letter
_NOTHING_BUT_MARKS: Final = re.compile(r"[-=*+#>`~|:_$\\\d.()\s]*")

Piece = tuple[int, str]  # where it ends in the text, in UTF-16 units, and its html


class Growth:
    r"""Turn a text that grows into html, block by block, by the renderer of the final bundle.

    ``blocks`` are finished: they are what the whole text will show in the end, and each is rendered once. ``draft`` is
    the html of what comes after them, as far as it was read, and void as soon as a block is finished. Both know where
    they end in the text. What they cost, together, is linear in the text, however it is written and cut into pieces.
    With ``breaks`` each newline of the text is kept.
    """

    __slots__ = ("_breaks", "_credit", "_done", "_read", "_tail", "blocks", "draft")

    def __init__(self, *, breaks: bool = False) -> None:
        self._breaks = breaks
        self.blocks: list[Piece] = []
        self.draft: Piece | None = None
        self._tail = ""  # what is in no block yet
        self._done = 0  # where it begins, in UTF-16 units
        self._read = 0  # characters of it that have been looked through, all of them whole lines
        self._credit = 0

    def read(self, text: str) -> None:
        """Read on in a text that is `legible`."""
        self._tail += text
        self._credit += _READS * len(text)
        lines = self._tail.rfind("\n") + 1
        if self._read < lines <= self._credit and self._may_end(lines):
            self._credit -= lines
            found, end = md.finished(self._tail[:lines], breaks=self._breaks)
            self._finish(found, end)
            self._read = lines - end
        drafted = 0 if self.draft is None else self.draft[0] - self._done
        if drafted + max(_LEAST, drafted * _GROWN) <= len(self._tail) <= _LONGEST:
            self._sketch()

    def _may_end(self, lines: int) -> bool:
        """Whether the lines that came could end a block: code ends with a fence, prose before no line that is prose."""
        if self._tail.startswith(("```", "~~~")):
            ends = _FENCE.search(self._tail, self._read, lines)
        elif self._tail[0].isalpha():
            ends = _BREAK.search(self._tail, self._read, lines - 1)
        else:
            return True
        if not ends:
            self._read = lines
        return bool(ends)

    def finish(self) -> None:
        """Take what there is for the whole."""
        self._finish(md.blocks(self._tail, breaks=self._breaks), len(self._tail))

    def _finish(self, found: list[md.Block], end: int) -> None:
        if not found:
            return
        ends = [*(block.start for block in found[1:]), end]
        start = 0
        for block, until in zip(found, ends, strict=True):
            self._done += units(self._tail[start:until])
            self.blocks.append((self._done, block.html))
            start = until
        self._tail = self._tail[end:]
        self.draft = None

    def _sketch(self) -> None:
        """Render what is not finished, up to a last line that says not yet what it is."""
        lines, _, last = self._tail.rpartition("\n")
        sketched = (lines if _NOTHING_BUT_MARKS.fullmatch(last) else self._tail).rstrip()  # which html would not show
        if sketched:
            self.draft = (self._done + units(sketched), md.html(sketched, breaks=self._breaks))


def units(text: str) -> int:
    """Return the length of a text in UTF-16 units, as a page counts."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
