"""Text that was given and text that the model wrote, joined: shown as a diff is, line by line.

For prefix and fill-in-the-middle completion, where the answer alone is half a thing. What was given stands back; every
line that the model had a part in is marked, and in a line that both wrote the model's part is marked once more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from html import unescape
from importlib import resources
from itertools import chain
from typing import Final

from dsnb.client.reply import Reply
from dsnb.display import twin
from dsnb.display.highlight import highlight
from dsnb.display.text import html_code, legible

_FENCE: Final = re.compile(r"(?m)^ {0,3}(?P<ticks>`{3,}|~{3,})[ \t]*(?P<name>[\w+#.-]{0,20})[^\n]*(?:\n|\Z)")
_RUN: Final = re.compile(r'<span class="(?P<kind>\w)">(?P<word>[^<]*)</span>|(?P<text>[^<]+)')
# a completion says nowhere what language it is in; the first row that fits is it
_SIGNS: Final = (
    ("python", re.compile(r"(?m)^[ \t]*(?:def \w+\(|class \w+[^\n]*:$|import \w+|from \w[\w.]* import |@\w+$)")),
    ("cpp", re.compile(r"(?m)^[ \t]*(?:#include\b|public (?:static|class) |func \w+\(|(?:pub )?fn \w+\()|\bstd::")),
    ("javascript", re.compile(r"(?m)^[ \t]*(?:export |async )*(?:function |const \w+ =|let \w+ =)|=> ?\{")),
    ("sql", re.compile(r"(?im)^[ \t]*(?:select [^\n]+\sfrom|insert into|create table)\b")),
    ("html", re.compile(r"(?i)^\s*<(?:!doctype|html|div|body)\b")),
    ("json", re.compile(r'^\s*[\[{]\s*(?:"|$)')),
)
_READ: Final = 20_000  # characters in which a language is looked for

Run = tuple[str, str]  # kind of token (of `highlight`, or empty), text


def fits(reply: Reply) -> bool:
    """Whether a reply goes on from a text, or up to one, and so is to be shown joined."""
    return bool(reply.start or reply.suffix)


def html(reply: Reply) -> str:
    """Return the joined text as html, without its style."""
    given, wrote, after = _pieces(reply)
    whole = given + wrote + after
    language = _language(whole, code=bool(after))
    kind = "prose" if language is None else "joined"
    first, last = len(given), len(given) + len(wrote)
    rows = "\n".join(_row(line, first, last) for line in _lines(whole, language or ""))
    return f'<pre class="dsnb-{kind}"><code>{rows}</code></pre>'


def markdown(reply: Reply) -> str:
    """Return the joined text as a fenced block of Markdown, in the form of a diff: ``+`` marks the model's lines."""
    return twin.fence("\n".join(_marked(reply)), "diff")


def plain(reply: Reply) -> str:
    """Return the joined text with ``+`` before the lines that the model had a part in."""
    return "\n".join(_marked(reply))


@cache
def style() -> str:
    """Return the style sheet of the html, as it is written."""
    return resources.files("dsnb.display").joinpath("joined.css").read_text("utf-8")


def _pieces(reply: Reply) -> tuple[str, str, str]:
    return legible(reply.start), legible(reply.answer), legible(reply.suffix)


def _marked(reply: Reply) -> Iterator[str]:
    given, wrote, after = _pieces(reply)
    start, first, last = 0, len(given), len(given) + len(wrote)
    for line in (given + wrote + after).removesuffix("\n").split("\n"):
        end = start + len(line)
        yield f"{'+' if _touched(start, end, first, last) else ' '} {line}".rstrip()
        start = end + 1


def _touched(start: int, end: int, first: int, last: int) -> bool:
    """Whether the model wrote of a line: a character of it, or, where it is empty, the newline that ends it."""
    return max(start, first) < min(end, last) or (start == end and first <= start < last)


def _row(line: tuple[int, list[Run]], first: int, last: int) -> str:
    """Return the html of one line, cut where the model's part begins and ends."""
    start, runs = line
    end = start + sum(len(text) for _, text in runs)
    before, wrote, after = [], [], []
    at = start
    for kind, text in runs:
        one, two = max(first - at, 0), max(last - at, 0)
        before.append(_span(kind, text[:one]))
        wrote.append(_span(kind, text[one:two]))
        after.append(_span(kind, text[two:]) if two < len(text) else "")
        at += len(text)
    if not _touched(start, end, first, last):
        return f'<span class="dsnb-line">{"".join(chain(before, wrote, after))}</span>'
    head, ours, tail = "".join(before), "".join(wrote), "".join(after)
    kind = "both" if head or tail else "new"
    return f'<span class="dsnb-{kind}">{head}<ins>{ours}</ins>{tail}</span>'


def _span(kind: str, text: str) -> str:
    words = html_code(text)
    return f'<span class="{kind}">{words}</span>' if kind and words else words


def _lines(whole: str, language: str) -> Iterator[tuple[int, list[Run]]]:
    """Yield the lines of a text as runs, each with where it begins."""
    start, at = 0, 0
    runs: list[Run] = []
    for kind, text in chain.from_iterable(_runs(code, name) for code, name in _parts(whole, language)):
        for number, piece in enumerate(text.split("\n")):
            if number:
                yield start, runs
                at += 1
                start, runs = at, []
            if piece:
                runs.append((kind, piece))
                at += len(piece)
    if runs:
        yield start, runs


def _runs(code: str, language: str) -> Iterator[Run]:
    """Yield code in pieces of one colour each."""
    for found in _RUN.finditer(highlight(code, language)):
        yield found["kind"] or "", unescape(found["word"] or found["text"])


def _parts(whole: str, language: str) -> Iterator[tuple[str, str]]:
    """Yield a text in pieces of one language each: what stands in fences, and around them."""
    at, ticks, name = 0, "", "" if _FENCE.search(whole) else language
    for found in _FENCE.finditer(whole):
        if ticks and (not found["ticks"].startswith(ticks) or found["name"]):
            continue
        yield whole[at : found.start()], name
        yield found[0], ""
        at = found.end()
        ticks, name = ("", "") if ticks else (found["ticks"], found["name"].lower())
    yield whole[at:], name


def _language(whole: str, *, code: bool) -> str | None:
    """Return the language of a text as far as it shows, None for what looks like prose."""
    beginning = whole[:_READ]
    if _FENCE.search(beginning):
        return ""
    found = next((name for name, sign in _SIGNS if sign.search(beginning)), None)
    return "" if found is None and code else found
