"""What replies and conversations are shown as: parts, each of them said in html, in Markdown and in plain text.

Whatever text comes in is shown and never obeyed: no markup, no scripts, no images, no links but to http, https and
mailto.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dsnb.display import markdown as md
from dsnb.display import summary, text
from dsnb.display.styles import style

_PORTION: Final = 24  # blocks, as in panel.js: about two screens
_BEGINS: Final = re.compile(r"<(?:p|h\d)[ >]")  # with which the next begins
_PORTIONED: Final = '<div class="dsnb-portion">'


@dataclass(frozen=True, slots=True)
class Part:
    """Hold the same thing three times, for the three representations of a bundle."""

    html: str
    markdown: str
    plain: str


def bundle(parts: Sequence[Part], sheet: str, kind: str = "") -> dict[str, str]:
    """Return parts as Jupyter stores them, by MIME type; ``sheet`` is the style of the html."""
    if any(_PORTIONED in part.html for part in parts):
        sheet += style("portions")
    frame = f'<div class="dsnb{kind and f" dsnb-{kind}"}"><style>{sheet}</style>'
    return {
        "text/html": "\n".join([frame, *(part.html for part in parts), "</div>"]),
        "text/markdown": "\n\n".join(part.markdown for part in parts),
        "text/plain": "\n\n".join(part.plain for part in parts),
    }


def head(name: str, others: Iterable[str], ending: str = "") -> Part:
    """Return the line above: who or what it is, more about it, and how it ended if that was not well."""
    others = list(others)
    html, markdown = [f"<b>{text.html(name)}</b>"], [f"**{text.markdown(name)}**"]
    html += map(text.html, others)
    markdown += map(text.markdown, others)
    if ending:
        html.append(f"<em>{text.html(ending)}</em>")
        markdown.append(f"*{text.markdown(ending)}*")
    return Part(
        f'<p class="dsnb-head"><small>{" · ".join(html)}</small></p>',
        " · ".join(markdown),
        " · ".join([name, *others, *filter(None, [ending])]),
    )


def prose(content: str, *, breaks: bool = False, kind: str = "answer") -> Part:
    """Return text as the Markdown that it is written in; with ``breaks`` each of its newlines is kept."""
    blocks = md.blocks(content, breaks=breaks)
    return Part(
        f'<div class="dsnb-{kind}">{_html(blocks)}</div>',
        "\n\n".join(block.markdown for block in blocks),
        text.legible(content),
    )


def reasoning(content: str, label: str, *, opened: bool = False) -> Part:
    """Return reasoning, folded behind its first line unless ``opened``."""
    thoughts = md.blocks(content, breaks=True)
    first = summary.first_line(content)
    return Part(
        f'<details class="dsnb-reasoning"{" open" if opened else ""}><summary>{text.html(label)} '
        f"<i>{text.html(first)}</i></summary>\n<div>{_html(thoughts)}</div></details>",
        "\n\n".join(
            [
                f"<details><summary>{text.markdown_html(label)} <i>{text.markdown_html(first)}</i></summary>",
                *(block.markdown for block in thoughts),
                "</details>",
            ]
        ),
        f"{label}\n{indented(content)}",
    )


def fold(kind: str, label: str, first: str, body: Sequence[Part]) -> Part:
    """Return parts folded behind a label and the first line of what they say; plain text does not fold."""
    return Part(
        f'<details class="dsnb-{kind}"><summary>{text.html(label)} <i>{text.html(first)}</i></summary>\n'
        f"<div>{''.join(part.html for part in body)}</div></details>",
        "\n\n".join(
            [
                f"<details><summary>{text.markdown_html(label)} <i>{text.markdown_html(first)}</i></summary>",
                *(part.markdown for part in body),
                "</details>",
            ]
        ),
        "\n\n".join(part.plain for part in body),
    )


def failure(error: Exception) -> Part:
    """Return an error in its own words."""
    name, lines = type(error).__name__, str(error).splitlines()
    words = "<br>\n".join(map(text.html, lines))
    return Part(
        f'<p class="dsnb-error"><b>{name}</b>: {words}</p>',
        f"**{name}**: " + "\\\n".join(map(text.markdown, lines)),
        f"{name}: {text.legible(str(error))}",
    )


def note(words: str) -> Part:
    """Return a remark beside what was said."""
    return Part(
        f'<p class="dsnb-note"><small>{text.html(words)}</small></p>', f"*{text.markdown(words)}*", text.legible(words)
    )


def figures(values: Iterable[tuple[str, str]], share: float) -> Part | None:
    """Return names and values in one line, with a bar for the cached ``share``; None where there are none."""
    values = list(values)
    if not values:
        return None
    drawn = f' <span class="dsnb-bar" style="background-size: {share:.0%} 100%"></span>' if share else ""
    html = " · ".join(
        f"<span>{name} <b>{text.html(value)}</b>{drawn if name == 'cached' else ''}</span>" for name, value in values
    )
    typed = f" {summary.bar(share)}" if share else ""
    plain = " · ".join(f"{name} {value}{typed if name == 'cached' else ''}" for name, value in values)
    return Part(f'<p class="dsnb-figures"><small>{html}</small></p>', text.markdown(plain), plain)


def indented(content: str, prefix: str = "│ ") -> str:
    """Return plain text with something before each of its lines."""
    return "\n".join(f"{prefix}{row}".rstrip() for row in text.legible(content).split("\n"))


def _html(blocks: Iterable[md.Block]) -> str:
    """Return html of blocks; that of many in portions, of which a page draws those in sight (see panel.js)."""
    portions: list[list[str]] = [[]]
    for html in (block.html for block in blocks):
        if len(portions[-1]) >= _PORTION and _BEGINS.match(html):
            portions.append([])
        portions[-1].append(html)
    whole = map("".join, portions)
    return next(whole) if len(portions) == 1 else "".join(f"{_PORTIONED}{each}</div>" for each in whole)
