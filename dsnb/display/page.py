"""From the tokens of Markdown to html: everything is escaped here, and sanitised once more."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Final

import nh3
from markdown_it.token import Token

from dsnb.display import links, math, text
from dsnb.display.highlight import CLASSES, highlight

_BLOCKS: Final = {
    "blockquote": "blockquote",
    "bullet_list": "ul",
    "list_item": "li",
    "ordered_list": "ol",
    "paragraph": "p",
    "table": "table",
    "tbody": "tbody",
    "td": "td",
    "th": "th",
    "thead": "thead",
    "tr": "tr",
}
_DIRECTED: Final = frozenset({"p", "ul", "ol", "blockquote", "table", "h3", "h4", "h5", "h6"})
_SPANS: Final = {"em": "em", "strong": "strong", "s": "s", "link": "a"}
_DEEPEST: Final = 12  # spans within spans; more of them say nothing and cost browsers much
_LANGUAGE: Final = re.compile(r"[A-Za-z0-9+#.-]{1,20}")


def write(tokens: Sequence[Token], source: str, *, breaks: bool = False) -> str:
    """Return html for the tokens of a block."""
    right_to_left = text.RIGHT_TO_LEFT.search(source) is not None
    return _CLEANER.clean("".join(_blocks(tokens, "<br>\n" if breaks else "\n", right_to_left)))


def language(info: str) -> str:
    """Return the language that a fence names, empty where that is no plain name."""
    name = info.split(maxsplit=1)[0] if info.strip() else ""
    return name.lower() if _LANGUAGE.fullmatch(name) else ""


def heading(tag: str) -> int:
    """Return the level of a heading: two below what the model says, since it stands inside somebody's document."""
    return min(int(tag[1]) + 2, 6)


def shallow(tokens: Sequence[Token]) -> Iterator[Token]:
    """Yield the tokens of a line without spans that lie too deep in others."""
    depth = 0
    for token in tokens:
        if token.nesting < 0:
            depth -= 1
        if token.nesting == 0 or depth < _DEEPEST:
            yield token
        if token.nesting > 0:
            depth += 1


def code(content: str, name: str) -> str:
    """Return html for a piece of code."""
    kind = f' class="language-{escape(name)}"' if name else ""
    return f"<pre><code{kind}>{highlight(content, name)}</code></pre>\n"


def _blocks(tokens: Sequence[Token], softbreak: str, right_to_left: bool) -> Iterator[str]:
    for token in tokens:
        kind, _, edge = token.type.rpartition("_")
        if token.type == "inline":
            yield from _line(token.children or (), softbreak)
        elif token.type in {"fence", "code_block"}:
            yield code(token.content, language(token.info))
        elif token.type == "math_block":
            yield f"<p>{math.html(token.content, display=True)}</p>\n"
        elif token.type == "hr":
            yield "<hr>\n"
        elif token.hidden:  # the paragraph of a tight list
            yield "" if edge == "open" else "\n"
        elif edge == "close":
            yield f"</{_tag(kind, token)}>\n"
        else:
            yield _opening(_tag(kind, token), token, right_to_left)


def _tag(kind: str, token: Token) -> str:
    return f"h{heading(token.tag)}" if kind == "heading" else _BLOCKS[kind]


def _opening(tag: str, token: Token, right_to_left: bool) -> str:
    attributes = ' dir="auto"' if right_to_left and tag in _DIRECTED else ""
    if tag == "ol" and isinstance(start := token.attrGet("start"), int):
        attributes += f' start="{start}"'
    if tag in {"th", "td"} and (align := alignment(token)):
        attributes += f' align="{align}"'
    return f"<{tag}{attributes}>"


def alignment(token: Token) -> str:
    """Return how a cell of a table is aligned: left, center, right, or empty."""
    return str(token.attrGet("style") or "").removeprefix("text-align:")


def _line(tokens: Sequence[Token], softbreak: str) -> Iterator[str]:
    for token in shallow(tokens):
        kind, _, edge = token.type.rpartition("_")
        if token.type == "text":
            yield text.html(token.content)
        elif token.type == "code_inline":
            yield f"<code>{text.html_code(token.content)}</code>"
        elif token.type == "math":
            yield math.html(token.content, display=token.meta["display"])
        elif token.type == "softbreak":
            yield softbreak
        elif token.type == "hardbreak":
            yield "<br>\n"
        elif token.type == "image":  # which would be loaded: a link says as much
            yield f"{links.html(str(token.attrGet('src')))}{text.html(token.content) or '🖼'}</a>"
        elif edge == "close":
            yield f"</{_SPANS[kind]}>"
        elif kind == "link":
            yield links.html(str(token.attrGet("href")))
        else:
            yield f"<{_SPANS[kind]}>"


def _attribute(tag: str, name: str, value: str) -> str | None:
    """Let an attribute pass, or not."""
    allowed: dict[tuple[str, str], Callable[[str], object]] = {
        ("code", "class"): re.compile(r"language-[a-z0-9+#.-]{1,20}").fullmatch,
        ("span", "class"): CLASSES.__contains__,
        ("a", "href"): links.safe_link,
        ("th", "align"): {"left", "center", "right"}.__contains__,
        ("td", "align"): {"left", "center", "right"}.__contains__,
        ("ol", "start"): str.isdigit,
    }
    if name in {"dir", "rel"}:
        return value
    return value if allowed[tag, name](value) else None


_ATTRIBUTES: Final = {
    "a": {"href"},
    "code": {"class"},
    "span": {"class"},
    "th": {"align"},
    "td": {"align"},
    "ol": {"start", "dir"},
    **{tag: {"dir"} for tag in _DIRECTED - {"ol"}},
}
_CLEANER: Final = nh3.Cleaner(
    tags={*_BLOCKS.values(), *_SPANS.values(), "h3", "h4", "h5", "h6", "pre", "code", "span", "br", "hr"},
    attributes=_ATTRIBUTES,
    attribute_filter=_attribute,
    url_schemes=set(links.SCHEMES),
    link_rel="noopener noreferrer",
)
