"""Model text, read as Markdown: blocks that know their html, and the same in Markdown that is safe to show.

Nothing is passed through. The text is parsed with html switched off, and what was understood is written anew: as html
by `dsnb.display.page`, as Markdown by `dsnb.display.twin`, each of which escapes every text that it writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.image import image
from markdown_it.rules_inline.link import link
from markdown_it.token import Token

from dsnb.display import math, page, twin
from dsnb.display.links import safe_link
from dsnb.display.text import legible

_DEEPEST: Final = 24  # nested lists (two levels each) and quotations
_LIMIT: Final = (
    30  # the parser's own, below which it drops text; brackets within brackets cost as many times their text
)
_CLOSED: Final = frozenset({"heading_open", "hr", "math_block", "fence"})
_CLOSED_BY_EMPTY_LINE: Final = frozenset({"paragraph_open", "table_open", "blockquote_open"})
_LONGEST_LINK: Final = 2000  # characters of a link's text


@dataclass(frozen=True, slots=True)
class Block:
    """Hold one block of a text: a paragraph, a list, a table, a piece of code.

    ``start`` is where it begins in the text, once that is `legible`. With ``breaks`` each newline of the text is kept.
    """

    start: int
    source: str
    breaks: bool
    tokens: tuple[Token, ...]

    @property
    def html(self) -> str:
        """The block as html: allowed tags and attributes only, links to http, https and mailto, nothing that loads."""
        return page.write(self.tokens, self.source, breaks=self.breaks)

    @property
    def markdown(self) -> str:
        """The block as Markdown in which no markup is the model's, even where raw html in Markdown is obeyed."""
        return twin.write(self.tokens, breaks=self.breaks)


def blocks(text: str, *, breaks: bool = False) -> list[Block]:
    """Return the blocks of a text.

    A block does not depend on those before it (reference links, which would, are not read): whoever reads on from
    where one starts reads the same.
    """
    return list(_read(legible(text), {}, breaks=breaks))


def finished(text: str, *, breaks: bool = False) -> tuple[list[Block], int]:
    """Return the blocks at the beginning of a text that nothing which may follow can change, and where they end.

    The text is `legible`, and ends with a whole line: half of one says not yet what it is.
    """
    notes: dict[str, list[int]] = {}
    found = list(_read(text, notes, breaks=breaks))
    if found and not _closed(found[-1], text):
        found.pop()
    end = found[-1].start + len(found[-1].source) if found else 0
    if notes:
        line = text.split("\n", min(notes[math.OPEN]))[-1]  # from which on nothing is certain
        end = min(end, len(text) - len(line))
        found = [block for block in found if block.start + len(block.source) <= end]
        end = found[-1].start + len(found[-1].source) if found else 0
    return found, end


def html(text: str, *, breaks: bool = False) -> str:
    """Return a whole text as html."""
    return "".join(block.html for block in blocks(text, breaks=breaks))


def markdown(text: str, *, breaks: bool = False) -> str:
    """Return a whole text as Markdown that is safe to show."""
    return "\n\n".join(block.markdown for block in blocks(text, breaks=breaks))


def _read(source: str, notes: dict[str, list[int]], *, breaks: bool) -> Iterator[Block]:
    lines = source.splitlines(keepends=True)
    starts = list(accumulate(map(len, lines), initial=0))
    for tokens in _groups(_PARSER.parse(source, notes)):
        first, after = tokens[0].map or [0, len(lines)]
        piece = source[starts[first] : starts[min(after, len(lines))]]
        if any(token.level >= _DEEPEST for token in tokens):
            tokens = [Token("code_block", "code", 0, content=piece)]
        yield Block(starts[first], piece, breaks, tuple(tokens))


def _closed(last: Block, text: str) -> bool:
    """Whether the last block of a text is over: by itself, or by an empty line where it ends with one."""
    opening = last.tokens[0]
    if opening.type == "fence" and opening.markup:
        first, _, rest = last.source.rstrip("\n").rpartition("\n")
        end = rest.expandtabs(4)
        marks = end.strip(" ")
        indented = len(end) - len(end.lstrip(" ")) >= 4  # which is code
        return bool(first) and not indented and len(marks) >= len(opening.markup) and set(marks) == {opening.markup[0]}
    if opening.type in _CLOSED_BY_EMPTY_LINE:
        return last.start + len(last.source) < len(text) or last.source.endswith("\n\n")
    return opening.type in _CLOSED


def _groups(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Cut the tokens of a text into those of its blocks."""
    group: list[Token] = []
    for token in tokens:
        group.append(token)
        if token.level == 0 and token.nesting <= 0:
            yield group
            group = []


def _link(state: StateInline, silent: bool) -> bool:
    return _link_closes(state) and link(state, silent)


def _image(state: StateInline, silent: bool) -> bool:
    return _link_closes(state) and image(state, silent)


def _link_closes(state: StateInline) -> bool:
    """Whether a link can begin here; the rules themselves would look through the rest of the text at every bracket."""
    return state.src[state.pos] in "[!" and state.src.find("](", state.pos + 1, state.pos + _LONGEST_LINK) >= 0


def _parser() -> MarkdownIt:
    md = MarkdownIt("commonmark", {"html": False, "maxNesting": _LIMIT})
    md.enable(["table", "strikethrough"]).disable(["reference", "html_block", "html_inline"])
    md.validateLink = safe_link  # type: ignore[method-assign] # documented to be replaced
    md.inline.ruler.at("link", _link)
    md.inline.ruler.at("image", _image)
    math.formulas(md)
    return md


_PARSER: Final = _parser()
