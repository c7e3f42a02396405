r"""Formulas in model text: found outside code, held against a list of harmless TeX, written as Jupyter reads them.

DeepSeek writes ``\( \)`` and ``\[ \]``, at times ``$$ $$`` or a bare environment, and hardly ever ``$ $``: between
single dollars stands a formula only where prices cannot be meant. TeX that is not on the list is shown as code.
"""

from __future__ import annotations

import re
from functools import cache
from html import escape
from importlib import resources
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

OPEN: Final = "formulas that nothing closes"  # where the parser notes the lines in which they begin

_LONGEST: Final = 5000  # characters of one formula: more than people write, less than MathJax takes a second for
_MOST_LINES: Final = 200
_DEEPEST: Final = 40  # nested braces
_MOST_BACKSPACES: Final = 20  # negative spaces would otherwise move a formula over what stands beside it

_TOKEN: Final = re.compile(
    r"\\(?:(?P<command>[A-Za-z]+)|(?P<symbol>.))|(?P<brace>[{}])|(?P<bare>[$`]|@@|\\$)", re.DOTALL
)
_SYMBOLS: Final = frozenset(",:;!> \\{}|_#$%&'\"^~=.-/")
_EMPTY_COMMENT: Final = re.compile(r"(?<!\\)((?:\\\\)*)%[ \t]*\n")
_COMMENT: Final = re.compile(r"(?<!\\)(?:\\\\)*%")  # what it hides may be words: a percent sign that was meant as one
_LABEL: Final = re.compile(r"\\label\s*\{[^{}]*\}")  # would become an id
_ENVIRONMENT: Final = re.compile(r"\\(begin|end)(?:\s*\{([A-Za-z]+\*?)\})?")
# lengths that would move or stretch a formula beyond its place
_FAR: Final = re.compile(r"(?:\\\\\s*\*?\s*\[|\\hspace\*?\s*\{)\s*(?:-|\+|\.?\d{3})")
# the Markdown has \lt for <, which is no sign in text
_SIGN_IN_TEXT: Final = re.compile(r"\\(?:text\w*|mathmbox|[mhf]box|framebox)\s*\{[^{}]*[<>]")
_BACKSPACES: Final = re.compile(r"\\(?:!|neg(?:thin|med|thick)space)")

_INLINE: Final = {  # what opens a formula in a line: the whole of it, and whether it stands on a line of its own
    r"\(": (re.compile(r"\\\(((?:[^\\]|\\[^()\[\]])+)\\\)"), False),
    r"\[": (re.compile(r"\\\[((?:[^\\]|\\[^()\[\]])+)\\\]"), True),
    "$$": (re.compile(r"\$\$((?:[^\\$]|\\.)+)\$\$", re.DOTALL), True),
    "$": (re.compile(r"\$((?![\s$])(?:[^\\$]|\\.)*(?<![\s\\]))\$(?![\w$])", re.DOTALL), False),
}
_BLOCK: Final = (
    re.compile(r"\s*\\\[((?:[^\\]|\\[^()\[\]])+)\\\]\s*([.,;:]?)\s*", re.DOTALL),
    re.compile(r"\s*\$\$((?:[^\\$]|\\.)+)\$\$\s*([.,;:]?)\s*", re.DOTALL),
    re.compile(r"\s*(\\begin\{([a-z]+\*?)\}.+\\end\{\2\})\s*()", re.DOTALL),
)
# environments that are formulas by themselves, not parts of one
_STANDALONE: Final = re.compile(r"\\begin\{(?:align|alignat|equation|flalign|gather|multline)\*?\}")


def formulas(md: MarkdownIt) -> None:
    """Teach a Markdown parser formulas: its tokens are ``math`` and ``math_block``, with TeX that is fit to typeset.

    A formula that is not fit becomes a token of code.
    """
    md.inline.ruler.before("escape", "math", _inline)
    md.block.ruler.before("fence", "math_block", _block, {"alt": ["paragraph", "blockquote", "list"]})


def html(tex: str, *, display: bool) -> str:
    """Return html that Jupyter typesets."""
    opening, closing = (r"\[", r"\]") if display else (r"\(", r"\)")
    return f"<span>{opening} {escape(tex, quote=False)} {closing}</span>"


def markdown(tex: str, *, display: bool) -> str:
    """Return Markdown that Jupyter typesets, and that is no markup where formulas are unknown."""
    tex = tex.replace("<", r"\lt ").replace(">", r"\gt ")
    tex = tex.replace(r"\|", r"\Vert ").replace("|", r"\vert ")  # a bar would end the cell of a table
    tex = re.sub(r"\](?=[(:])|!(?=\[)", r"\g<0> ", tex)  # would begin a link
    return f"$${tex}$$" if display else f"${tex}$"


def fit(tex: str) -> str | None:
    """Return the TeX of a formula as one line, None where it is not fit to typeset."""
    if len(tex) > _LONGEST:
        return None
    tex = _EMPTY_COMMENT.sub(r"\1", tex)
    if _COMMENT.search(tex):
        return None
    tex = " ".join(_LABEL.sub("", tex).split())
    commands, _ = _harmless()
    depth = 0
    for token in _TOKEN.finditer(tex):
        if (command := token["command"]) is not None:
            known = command in commands
        elif (symbol := token["symbol"]) is not None:
            known = symbol in _SYMBOLS
        elif (brace := token["brace"]) is not None:
            depth += 1 if brace == "{" else -1
            known = 0 <= depth <= _DEEPEST
        else:
            known = False
        if not known:
            return None
    if not tex or depth or not _environments_match(tex):
        return None
    if _FAR.search(tex) or _SIGN_IN_TEXT.search(tex) or len(_BACKSPACES.findall(tex)) > _MOST_BACKSPACES:
        return None
    return tex


def _environments_match(tex: str) -> bool:
    _, known = _harmless()
    open_ones: list[str] = []
    for which, name in _ENVIRONMENT.findall(tex):
        if name not in known:
            return False
        if which == "begin":
            open_ones.append(name)
        elif not open_ones or open_ones.pop() != name:
            return False
    return not open_ones


@cache
def _harmless() -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of the commands and of the environments that may be typeset."""
    lines = resources.files("dsnb.display").joinpath("tex.txt").read_text("utf-8").splitlines()
    words = " ".join(text for text in lines if not text.startswith("#"))
    commands, _, environments = words.removeprefix(" [commands]").partition("[environments]")
    return frozenset(commands.split()), frozenset(environments.split())


def _inline(state: StateInline, silent: bool) -> bool:
    start, source = state.pos, state.src
    opening = source[start : start + 2]
    if opening not in _INLINE:
        opening = opening[:1]
    if opening not in _INLINE or (opening == "$" and start and source[start - 1].isalnum()):
        return False
    if source.find({"(": r"\)", "[": r"\]"}.get(opening[-1], opening), start + len(opening), start + _LONGEST) < 0:
        return False
    pattern, display = _INLINE[opening]
    found = pattern.match(source, start, start + _LONGEST)
    if found is None:
        return False
    if not silent:
        tex = fit(found[1])
        token = state.push("code_inline" if tex is None else "math", "", 0)
        token.content = " ".join(found[0].split()) if tex is None else tex
        token.meta = {"display": display}
    state.pos = found.end()
    return True


def _block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    if state.is_code_block(first):
        return False
    begin = state.bMarks[first] + state.tShift[first]
    opening = state.src[begin : begin + 2]
    if opening == r"\[":
        pattern, closing = _BLOCK[0], r"\]"
    elif opening == "$$":
        pattern, closing = _BLOCK[1], "$$"
    elif environment := _STANDALONE.match(state.src, begin):
        pattern, opening = _BLOCK[2], environment[0]
        closing = opening.replace("begin", "end")
    else:
        return False
    end = _closing_line(state, first, last, opening, closing)
    if end is None:
        if last - first < _MOST_LINES:  # what still comes could close it, and so change what this line is
            state.env.setdefault(OPEN, []).append(first)
        return False
    found = pattern.fullmatch(state.getLines(first, end, state.blkIndent, False))
    if found is None:
        return False
    if not silent:
        body, point = found.groups()[0], found.groups()[-1]
        tex = fit(body + point)
        token = state.push("fence" if tex is None else "math_block", "", 0)
        token.content = f"{found[0].strip()}\n" if tex is None else tex
        token.info = "latex" if tex is None else ""
        token.map = [first, end]
        state.line = end
    return True


def _closing_line(state: StateBlock, first: int, last: int, opening: str, closing: str) -> int | None:
    """Return the number of the line after the one that closes a formula, None where another opens before that."""
    for number in range(first, min(last, first + _MOST_LINES)):
        if number > first and not state.isEmpty(number) and state.sCount[number] < state.blkIndent:
            return None
        begin = state.bMarks[number] + state.tShift[number]
        if state.src.find(closing, begin + 2 * (number == first), state.eMarks[number]) >= 0:
            return number + 1
        if number > first and state.src.startswith(opening, begin):
            return None
    return None
