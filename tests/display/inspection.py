"""How a page would read html and Markdown: which elements there are, and what MathJax would take for a formula."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from markdown_it import MarkdownIt

from dsnb.display import math
from dsnb.display.styles import style

_TEXT = {"p", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "span", "a", "br", "hr"}
_TEXT |= {"em", "strong", "s", "table", "thead", "tbody", "tr", "th", "td"}
_FRAME = {"div", "style", "small", "b", "i", "ins", "details", "summary"}
_SHEETS = [style(name) for name in ("static", "dialogue", "findings", "joined", "portions", "question", "cache")]
_VOID = {"br", "hr", "img", "input", "meta", "link", "base", "embed", "source", "track", "area", "col", "wbr"}
_ATTRIBUTES = {
    "href": re.compile(r"(?i)(https?://|mailto:)\S+"),
    "rel": re.compile("noopener noreferrer"),
    "class": re.compile(r"language-[a-z0-9+#.-]+|[kscmf]|dsnb(-[a-z]+)?( dsnb-[a-z]+)?"),
    "dir": re.compile("auto"),
    "align": re.compile("left|center|right"),
    "start": re.compile(r"\d+"),
    "open": re.compile(""),
    "style": re.compile(r"background-size: \d+% 100%|text-align:(left|center|right)"),
}
_ILLEGIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# the html that our Markdown has: around replies, and around characters that would be read as something else
_OURS = re.compile("</?(?:details|summary|i|span|code|pre)>")
_MATH_START = re.compile(r"\\\(|\\\[|\$\$?|\\begin\s*\{|\\(?:eq)?ref\s*\{")
_MATH_SPAN = re.compile(r"(?s)\\\( (?P<inline>.*) \\\)|\\\[ (?P<display>.*) \\\]")


@dataclass
class Page(HTMLParser):
    """Read html; ``elements`` are tags with attributes, ``strings`` what MathJax searches, each without a break."""

    elements: list = field(default_factory=list)
    strings: list = field(default_factory=list)
    text: str = ""
    open: list = field(default_factory=list)

    def __post_init__(self):
        super().__init__(convert_charrefs=True)
        self._run = ""

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag != "br":
            self._break()
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        self._break()
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            assert data.startswith(style())
            for sheet in _SHEETS:  # our own, and nothing else
                data = data.replace(sheet, "", 1)
            assert data == ""
            return
        self.text += data
        if not {"code", "pre"} & set(self.open):
            self._run += data

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data!r}")

    handle_decl = unknown_decl = handle_pi = handle_comment

    def _break(self):
        if self._run:
            self.strings.append(self._run)
        self._run = ""

    @classmethod
    def read(cls, html):
        page = cls()
        page.feed(html)
        page.close()
        page._break()
        assert not page.open, f"left open: {page.open}"
        return page


def assert_harmless(html, *, tags=_TEXT):
    """Hold html against what may stand in it, and its text against what MathJax would do with it."""
    page = _assert_allowed(html, tags)
    for string in page.strings:
        if _MATH_START.search(string) and string != "$":
            formula = _MATH_SPAN.fullmatch(string)
            assert formula, f"MathJax would look for a formula in {string!r}"
            assert math.fit(formula["inline"] or formula["display"])
    return page


def assert_markdown_harmless(markdown, *, tags=_TEXT | _FRAME):
    """Hold Markdown against what viewers make of it that obey raw html, with Jupyter's formulas and without."""
    for line in outside_fences(markdown).split("\n"):
        assert "<" not in _OURS.sub("", line), line
    page = _assert_allowed(_HTML_ON.render(markdown), tags)
    # marked, in JupyterLab, unescapes brackets in the text of a link before it reads that text
    _assert_allowed(_HTML_ON.render(re.sub(r"\\([\[\]])", r"\1", markdown)), tags)
    text, formulas = remove_math(markdown)
    for string in _assert_allowed(_HTML_ON.render(text), tags).strings:
        for number in re.findall(r"@@(\d+)@@", string):
            formula = formulas[int(number)]
            assert formula.startswith("@@") or math.fit(formula.strip("$")), formula
        assert string in {"$", "\\"} or not _MATH_START.search(string), string
    return page


def assert_bundle_harmless(data, *, frame=frozenset()):
    """Hold all that a bundle has against what may stand in it; return its pages of html and of Markdown.

    ``frame`` are tags that this bundle has in its Markdown and others have not.
    """
    assert not _ILLEGIBLE.search("".join(data.values()))
    page = assert_harmless(data["text/html"], tags=_TEXT | _FRAME)
    return page, assert_markdown_harmless(data["text/markdown"], tags=_TEXT | _FRAME | frame)


def _assert_allowed(html, tags):
    page = Page.read(html)
    for tag, attributes in page.elements:
        assert tag in tags, f"<{tag}>"
        for name, value in attributes.items():
            assert name in _ATTRIBUTES, f"{name}={value!r}"
            assert _ATTRIBUTES[name].fullmatch(value or ""), f"{name}={value!r}"
    return page


def outside_fences(markdown):
    """Return Markdown without its fenced code."""
    return re.sub(r"(?ms)^(`{3,})[^`\n]*\n(?:.*?\n)??\1$", "", markdown)


def remove_math(text):
    """Take the formulas out of Markdown as JupyterLab does before it renders (removeMath, packages/rendermime)."""
    formulas, start, end, last, braces = [], None, None, None, 0
    restore = False
    if "`" in text or "~~~" in text:
        restore = True
        hide = lambda found: found[0].replace("$", "~D")  # noqa: E731
        text = text.replace("~", "~T")
        text = re.sub(r"(?m)^(?P<fence>`{3,}|(~T){3,})[^`\n]*\n([\s\S]*?)^(?P=fence)`*$", hide, text)
        text = re.sub(r"(?m)(^|[^\\])(`+)([^\n]*?[^`\n])\2(?!`)", hide, text)
    unhide = (lambda t: re.sub("~([TD])", lambda f: "~" if f[1] == "T" else "$", t)) if restore else (lambda t: t)
    pieces = re.split(r"(?i)(\$\$?|\\(?:begin|end)\{[a-z]*\*?\}|\\[{}$]|[{}]|(?:\n\s*)+|@@\d+@@|\\\\[()[\]])", text)

    def take(first, final):
        formulas.append(unhide("".join(pieces[first : final + 1])))
        pieces[first : final + 1] = [f"@@{len(formulas) - 1}@@", *[""] * (final - first)]

    at = 1
    while at < len(pieces):
        piece = pieces[at]
        if piece.startswith("@"):
            pieces[at] = f"@@{len(formulas)}@@"
            formulas.append(piece)
        elif start is not None:
            if piece == end:
                if braces:
                    last = at
                else:
                    take(start, at)
                    start = end = last = None
            elif re.search(r"\n.*\n", piece):
                if last is not None:
                    at = last
                    take(start, at)
                start, end, last, braces = None, None, None, 0
            elif piece == "{":
                braces += 1
            elif piece == "}" and braces:
                braces -= 1
        elif piece in {"$", "$$"}:
            start, end, braces = at, piece, 0
        elif piece in {"\\\\(", "\\\\["}:
            start, end, braces = at, {"(": "\\\\)", "[": "\\\\]"}[piece[-1]], 0
        elif piece[1:6] == "begin":
            start, end, braces = at, "\\end" + piece[6:], 0
        at += 2
    if start is not None and last is not None:
        take(start, last)
    return unhide("".join(pieces)), formulas


_HTML_ON = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
