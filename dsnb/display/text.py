r"""Text from outside, made fit to show: harmless in a terminal, in html, and in Markdown.

Jupyter typesets math wherever it finds its delimiters in the text of an html output, after Markdown has been
rendered, whatever the author meant by them. It joins text across ``<br>`` and comments, and never across a ``<span>``:
``<span>$</span>`` stays a dollar, while ``\$`` and ``&#36;`` do not (seen in JupyterLab 4.6). Its search for math in
Markdown, before that is rendered, knows no entities: there it is ``<span>&#36;</span>``.
"""

from __future__ import annotations

import re
from html import escape
from typing import Final

from dsnb.client.text import well_formed

# Controls other than newline and tab (ESC moves a terminal's cursor, CR goes back over what was read), the separators
# that some programs take for newlines, and the characters that reorder what is read (CVE-2021-42574).
_ILLEGIBLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_LEGIBLE: Final = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n\r"},  # their pictures: ␛ for ESC
    ord("\r"): "",
    0x7F: "␡",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    **dict.fromkeys((0x2028, 0x2029), "\n"),
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), ""),
}

# a backslash that MathJax, or Jupyter's search for math, would take for the beginning of something
_BACKSLASH: Final = r"\\(?=[\\()\[\]{}$]|begin|end|(?:eq)?ref|$)"
_MATH: Final = re.compile(rf"\$|{_BACKSLASH}")
_MARKUP: Final = re.compile(rf"(?P<math>\$|{_BACKSLASH})|(?P<entity>[&<>\[\]`])|[\\*_~|]")
_MARKUP_AT_START: Final = re.compile(r"[#+\-=:]|\d{1,9}(?=[.)](?:\s|$))")
_MARKUP_IN_BACKTICKS: Final = re.compile(r"[&<`$\\|]|^\s*$")
_MARKUP_IN_CODE: Final = re.compile(r"[&<>`$\\*_\[\]{}|~@\n]")
# marked, which renders Markdown in JupyterLab, takes backslashes before brackets away and then reads what is left
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "[": "&#91;", "]": "&#93;", "`": "&#96;"}

RIGHT_TO_LEFT: Final = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]")


def legible(text: str) -> str:
    """Return text without what changes how other text is read; control characters become visible pictures.

    Works on the pieces of a text as on the whole, since each character is treated for itself.
    """
    text = well_formed(text)
    return text.translate(_LEGIBLE) if _ILLEGIBLE.search(text) else text


def line(text: str, limit: int = 80) -> str:
    """Return the beginning of a text as one legible line of at most ``limit`` characters."""
    words = " ".join(legible(text[: 20 * limit]).split())
    return words if len(words) <= limit else words[: limit - 1].rstrip() + "…"


def html(text: str) -> str:
    """Return html that shows a text as it is, and that MathJax leaves alone."""
    return _MATH.sub(r"<span>\g<0></span>", escape(legible(text)))


def html_code(text: str) -> str:
    """Return the inside of ``<code>`` or ``<pre>``, which MathJax skips."""
    return escape(legible(text), quote=False)


def markdown(text: str) -> str:
    """Return one line of Markdown that shows a text as it is, even where raw html in Markdown is obeyed."""
    words = re.sub(r"[ \t\n]+", " ", legible(text))
    escaped = _MARKUP.sub(_escape, words)
    start = _MARKUP_AT_START.match(escaped)
    if start is None:
        return escaped
    at = start.end() if start[0].isdigit() else 0
    return f"{escaped[:at]}\\{escaped[at:]}"


def markdown_code(text: str) -> str:
    """Return Markdown for inline code: in backticks, or in entities where Markdown or Jupyter would misread those."""
    text = legible(text).replace("\n", " ")
    if _MARKUP_IN_BACKTICKS.search(text):
        return f"<code>{entities(text)}</code>"
    return f"`{text}`" if text == text.strip() else f"` {text} `"


def entities(text: str) -> str:
    """Return one line of html in which nothing is left that could be read as Markdown, not even a newline."""
    return _MARKUP_IN_CODE.sub(lambda found: f"&#{ord(found[0])};", legible(text))


def markdown_html(text: str) -> str:
    """Return one line of html that shows a text as it is where html stands in Markdown."""
    return re.sub(r"&#(?:36|92);", r"<span>\g<0></span>", entities(text))


def _escape(found: re.Match[str]) -> str:
    text = found[0]
    if found["math"]:
        return f"<span>&#{ord(text)};</span>"
    return _ENTITIES[text] if found["entity"] else f"\\{text}"
