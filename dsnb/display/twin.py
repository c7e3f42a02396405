"""From the tokens of Markdown to Markdown again: the same text, in which every sign of markup is ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Final

from markdown_it.token import Token

from dsnb.display import links, math, text
from dsnb.display.page import alignment, heading, language, shallow

# what viewers of Markdown draw or run instead of showing it
_DRAWN: Final = frozenset({"abc", "dot", "geojson", "graphviz", "math", "mermaid", "plantuml", "stl", "topojson"})
_MARKS: Final = {"left": ":--", "center": ":-:", "right": "--:", "": "---"}


def write(tokens: Sequence[Token], *, breaks: bool = False) -> str:
    """Return Markdown for the tokens of a block."""
    writer = _Writer("\\\n" if breaks else "\n")
    writer.write(tokens)
    return "\n".join(writer.lines)


def fence(content: str, name: str = "") -> str:
    """Return a fenced block of code that its content cannot close."""
    content = text.legible(content)
    longest = max(map(len, re.findall("`{3,}", content)), default=2)
    ticks = "`" * (longest + 1)
    end = "" if content.endswith("\n") or not content else "\n"
    return f"{ticks}{'' if name in _DRAWN else name}\n{content}{end}{ticks}"


class _Writer:
    """Write blocks as lines, each behind what the lists and quotations around it begin their lines with."""

    def __init__(self, softbreak: str) -> None:
        self.lines: list[str] = []
        self._softbreak = softbreak
        self._open: list[_Container] = []
        self._lists: list[_List] = []
        self._gap = False

    def write(self, tokens: Sequence[Token]) -> None:
        position = 0
        while position < len(tokens):
            token = tokens[position]
            if token.type == "table_open":
                end = next(i for i in count(position) if tokens[i].type == "table_close")
                self._add(self._table(tokens[position:end]))
                position = end
            else:
                self._take(token, tokens, position)
            position += 1

    def _take(self, token: Token, tokens: Sequence[Token], position: int) -> None:
        if token.type == "inline":
            before = tokens[position - 1]
            marks = "#" * heading(before.tag) + " " if before.type == "heading_open" else ""
            self._add((marks + self._line(token.children or ())).split("\n"))
        elif token.type in {"fence", "code_block"}:
            self._add(self._code(token.content, language(token.info)))
        elif token.type == "math_block":
            self._add([math.markdown(token.content, display=True)])
        elif token.type == "hr":
            self._add(["___"])  # no list begins with that
        elif token.type == "blockquote_open":
            self._open.append(_Container("> ", "> "))
        elif token.type in {"bullet_list_open", "ordered_list_open"}:
            tight = _tight(tokens, position)
            self._gap = self._gap and not (tight and self._lists and self._lists[-1].tight)
            self._lists.append(_List(tight))
        elif token.type == "list_item_open":
            self._gap = self._gap and not (self._lists[-1].tight and self._lists[-1].begun)
            self._lists[-1].begun = True
            marker = f"{token.info}{token.markup} "
            self._open.append(_Container(marker, " " * len(marker)))
        elif token.type in {"list_item_close", "blockquote_close"}:
            if not self._open[-1].begun:
                self._add([""])
            self._open.pop()
        elif token.type in {"bullet_list_close", "ordered_list_close"}:
            self._lists.pop()

    def _add(self, lines: Iterable[str]) -> None:
        if self._gap:
            self.lines.append("".join(outer.rest for outer in self._open if outer.begun).rstrip())
        for line in lines:
            self.lines.append(("".join(outer.prefix() for outer in self._open) + line).rstrip(" "))
        self._gap = True

    def _code(self, content: str, name: str) -> list[str]:
        if not self._open:
            return fence(content, name).split("\n")
        return [f"<pre><code>{text.entities(content)}</code></pre>"]  # one line, however it is indented

    def _table(self, tokens: Sequence[Token]) -> Iterator[str]:
        cells: list[str] = []
        marks: list[str] = []
        for token in tokens:
            if token.type == "inline":
                cells.append(self._line(token.children or ()).replace("\n", " "))
            elif token.type == "th_open":
                marks.append(_MARKS[alignment(token)])
            elif token.type == "tr_close":
                yield f"| {' | '.join(cells)} |"
                cells = []
            elif token.type == "thead_close":
                yield f"| {' | '.join(marks)} |"

    def _line(self, tokens: Sequence[Token]) -> str:
        parts: list[str] = []
        targets: list[str] = []
        for token in shallow(tokens):
            match token.type:
                case "text":
                    parts.append(text.markdown(token.content))
                case "code_inline":
                    parts.append(text.markdown_code(token.content))
                case "math":
                    parts.append(math.markdown(token.content, display=token.meta["display"]))
                case "softbreak":
                    parts.append(self._softbreak)
                case "hardbreak":
                    parts.append("\\\n")
                case "image":
                    label = text.markdown(token.content) or "🖼"
                    parts.append(f"[{label}]({links.markdown(str(token.attrGet('src')))})")
                case "link_open":
                    parts.append("[")
                    targets.append(str(token.attrGet("href")))
                case "link_close":
                    parts.append(f"]({links.markdown(targets.pop())})")
                case _:
                    parts.append(token.markup)
        return "".join(parts)


class _Container:
    """Hold what a list item or quotation puts before its first line, and before the others."""

    __slots__ = ("_first", "begun", "rest")

    def __init__(self, first: str, rest: str) -> None:
        self.begun = False
        self._first = first
        self.rest = rest

    def prefix(self) -> str:
        """Return what the next line begins with."""
        if self.begun:
            return self.rest
        self.begun = True
        return self._first


class _List:
    """Know whether a list is tight, and whether an item has begun."""

    __slots__ = ("begun", "tight")

    def __init__(self, tight: bool) -> None:
        self.tight = tight
        self.begun = False


def _tight(tokens: Sequence[Token], position: int) -> bool:
    """Whether the list that opens here is tight: the parser hides its paragraphs then."""
    level = tokens[position].level
    for following in count(position + 1):
        token = tokens[following]
        if token.level <= level:
            break
        if token.type == "paragraph_open" and token.level == level + 2:
            return token.hidden
    return False
