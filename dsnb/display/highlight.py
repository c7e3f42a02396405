"""Colours for code: keywords, strings, numbers, comments and names, in languages that people show in notebooks.

Not by Pygments: a model writes the code, and on what is made for it a lexer of Pygments takes the square of its length
(measured: ten seconds for 19 kB of indented blank lines in Python). What follows reads every character once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from dsnb.display.text import html_code, legible

_HASH: Final = r"#[^\n]*"
_SLASHES: Final = r"//[^\n]*|/\*[\s\S]*?(?:\*/|\Z)"
_QUOTES: Final = r'"(?:\\.|[^"\\\n])*"?|' + r"'(?:\\.|[^'\\\n])*'?"
_CHARACTER: Final = r'"(?:\\.|[^"\\\n])*"?|' + r"'(?:\\.|[^'\\\n])'"  # 'a alone is a lifetime in Rust
_TRIPLE: Final = r'"""[\s\S]*?(?:"""|\Z)|' + r"'''[\s\S]*?(?:'''|\Z)|" + _QUOTES
_TEMPLATE: Final = r"`(?:\\.|[^`\\])*`?|" + _QUOTES

_PYTHON: Final = (
    "False None True and as assert async await break case class continue def del elif else except finally for from "
    "global if import in is lambda match nonlocal not or pass raise return self try while with yield"
)
_C: Final = (
    "auto bool break case catch char class const constexpr continue default delete do double else enum extern false "
    "float for if include inline int long namespace new nullptr private public return short signed sizeof static "
    "struct switch template this throw true try typedef typename union unsigned using virtual void while"
)
_JAVASCRIPT: Final = (
    "any as async await boolean break case catch class const continue default delete do else enum export extends "
    "false finally for from function if implements import in instanceof interface let new null number of return "
    "string super switch this throw true try type typeof undefined var void while yield"
)
_OTHERS: Final = (
    "abstract boolean chan defer end extends final finally fn func function go goto impl implements import in "
    "instanceof interface let loop map match mod mut none null package protected pub range select self super trait "
    "type undefined unsafe use var where NULL TRUE FALSE begin elseif end module local next repeat nothing"
)
_SHELL: Final = "case do done elif else esac export fi for function if in local return set then until while"
_SQL: Final = (
    "all and as asc between by case create delete desc distinct drop else end exists from full group having in index "
    "inner insert into is join key left like limit not null offset on or order outer over partition primary right "
    "select set table then union update values view when where with"
)
_CONSTANTS: Final = "true false null yes no"

# what a comment, a string and a keyword is, in families of languages
_FAMILIES: Final = {
    "python py": (_HASH, _TRIPLE, _PYTHON),
    "javascript js typescript ts jsx tsx": (_SLASHES, _TEMPLATE, _JAVASCRIPT),
    "c cpp c++ java go rust kotlin swift scala csharp c#": (_SLASHES, _CHARACTER, f"{_C} {_OTHERS}"),
    "r julia ruby": (_HASH, _TRIPLE, f"{_OTHERS} if else for while do return break true false def class using"),
    "bash sh shell zsh console": (_HASH, _QUOTES, _SHELL),
    "sql": (r"--[^\n]*|/\*[\s\S]*?(?:\*/|\Z)", _QUOTES, f"{_SQL} {_SQL.upper()}"),
    "json jsonc": (_SLASHES, _QUOTES, _CONSTANTS),
    "yaml yml toml ini dockerfile makefile": (_HASH, _QUOTES, _CONSTANTS),
    "css scss": (r"/\*[\s\S]*?(?:\*/|\Z)", _QUOTES, ""),
}
_DEFINING: Final = frozenset({"class", "def", "enum", "fn", "func", "function", "interface", "struct", "trait", "type"})

CLASSES: Final = frozenset("kscmf")  # of static.css: keyword, string, comment, number, function


def highlight(code: str, language: str) -> str:
    """Return the inside of ``<code>``, with spans around what the language knows."""
    family = _families().get(language)
    code = legible(code)
    return html_code(code) if family is None else "".join(_spans(code, *family))


def _spans(code: str, pattern: re.Pattern[str], keywords: frozenset[str]) -> Iterator[str]:
    end, defining = 0, False
    for found in pattern.finditer(code):
        kind, word = found.lastgroup, found[0]
        if kind == "word":
            kind = "k" if word in keywords else "f" if defining else None
            defining = word in _DEFINING
        if kind is not None:
            yield html_code(code[end : found.start()])
            yield f'<span class="{kind}">{html_code(word)}</span>'
            end = found.end()
    yield html_code(code[end:])


@cache
def _families() -> dict[str, tuple[re.Pattern[str], frozenset[str]]]:
    """Return the pattern and the keywords of each language."""
    families = {}
    for names, (comment, string, keywords) in _FAMILIES.items():
        number = r"\b\d(?:\w|\.(?=\d))*"
        pattern = rf"(?P<c>{comment})|(?P<s>{string})|(?P<f>@[\w.]+)|(?P<m>{number})|(?P<word>\w+)"
        for name in names.split():
            families[name] = re.compile(pattern), frozenset(keywords.split())
    return families
