"""What the default engine writes into the gap of a text: a comment or a name that fits there, and says who wrote it.

Code that could be read around the gap is meant to stay readable when the gap is filled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = "emulated_by_dsnb"  # a name fits wherever an expression, a parameter or a definition's name does
_READ = 20_000  # characters on either side of the gap that are looked at
_DEEPEST = 20  # braces that are closed


@dataclass(frozen=True, slots=True)
class Language:
    """Hold what a comment, an empty value and the opening of a block look like."""

    comment: str
    value: str
    opens: str


_PYTHON = Language("#", "None", ":")
_BRACES = Language("//", "0;", "{")
_SQL = Language("--", "NULL", "(")
# The first pattern that is found names the language.
_KNOWN = (
    (r"^\s*(?:async\s+)?def\b|^\s*class\b[^{;\n]*$|^\s*from\s+[\w.]+\s+import\b|^\s*import\s+[\w., ]*$", _PYTHON),
    (r"^\s*(?:if|for|while|elif|else|try|except|with)\b[^{}\n]*:\s*(?:#.*)?$|^\s*#\s", _PYTHON),
    (r"[{};]\s*(?://.*)?$|^\s*//|^\s*#include\b", _BRACES),
    (r"(?i)^\s*(?:select|insert\s+into|update|delete\s+from|create\s+table)\b", _SQL),
    (r"^\s*[\w.]+\s*=\s|^\s*[\w.]+\s*=$|^\s*\w+\(|^\s*return\b", _PYTHON),
)
# What a line ends with before an expression is to come, and before a name.
_EXPECTS = re.compile(
    r"(?:[-=+*/%<>&|^~!?(\[{,]"
    r"|\b(?:return|in|and|or|not|is|if|elif|while|yield|await|else|assert|lambda|new|case|where|AND|OR|WHERE))\s*$"
)
_NAMES = re.compile(
    r"(?:\.|\b(?:def|class|import|from|as|const|let|var|function|struct|enum|interface|SELECT|FROM|BY))\s*$"
)
_WORD = re.compile(r"(?<!\w)[A-Za-z_]\w*\Z")
_QUOTED = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
_LONG_QUOTES = ('"' * 3, "'" * 3)


def infill(prompt: str, suffix: str) -> str:
    """Return a text to stand between ``prompt`` and ``suffix``; it is never empty."""
    language = _language(f"{prompt[-_READ:]}\n{suffix[:_READ]}")
    if language is None:
        return _prose(prompt, suffix)
    note = f"Filled in by the dsnb emulator, not by a model: {_counted(prompt, 'before')}, {_counted(suffix, 'after')}."
    return _Gap(prompt[-_READ:], suffix[:_READ], language, note).filled()


def _language(code: str) -> Language | None:
    return next((language for pattern, language in _KNOWN if re.search(pattern, code, re.MULTILINE)), None)


def _prose(prompt: str, suffix: str) -> str:
    before = "" if not prompt or prompt[-1].isspace() else " "
    after = "" if not suffix or suffix[0].isspace() else " "
    counted = f"{_counted(prompt, 'before')}, {_counted(suffix, 'after')}"
    return f"{before}[The dsnb emulator fills this gap, and no model: {counted}.]{after}"


def _counted(text: str, where: str) -> str:
    return f"{len(text):,} character{'' if len(text) == 1 else 's'} {where}"


class _Gap:
    """Look at a gap in code: at what stands before it on its line, at the block around it, and at what follows."""

    def __init__(self, prompt: str, suffix: str, language: Language, note: str) -> None:
        self._prompt = prompt
        self._suffix = suffix
        self._language = language
        self._note = f"{language.comment} {note}"
        self._line = prompt.rpartition("\n")[2]
        self._fresh = not self._line.strip()  # nothing but white space before the gap on its line
        self._last = suffix[:1] in ("", "\n", "\r")  # nothing after it
        self._above = next((line for line in reversed(self._code().split("\n")) if line.strip()), "")
        self._opens = self._above.rstrip().endswith(language.opens)

    def filled(self) -> str:
        """Return the text for the gap."""
        open_text = self._open_text()
        if open_text:
            return self._words(open_text)
        line = _QUOTED.sub("", self._line)
        if self._fresh:
            return self._lines("")
        if self._language.comment in line:
            return self._lines("\n") if self._last else f" {self._note} "
        quote = next((mark for mark in line if mark in "\"'"), "")
        if quote:
            return f"emulated by dsnb{quote if self._last else ''}"
        if self._opens and (self._last or self._language is _PYTHON or self._suffix[0] in " \t"):
            return self._lines("\n")
        return self._inside()

    def _inside(self) -> str:
        """Return what fits into a line that has begun."""
        space = "" if self._line[-1].isspace() or self._line[-1] in "([{.~!" else " "
        if _NAMES.search(self._line):
            return space + _NAME
        if _EXPECTS.search(self._line):
            return space + (f"{self._language.value}  {self._note}" if self._last else _NAME)
        if self._last:
            return self._lines("\n")
        return "_emulated" if _WORD.search(self._line) else " "

    def _lines(self, begin: str) -> str:
        """Return a comment on a line of its own, after ``begin``; where a block needs a statement, with one."""
        indent, bare = self._indent()
        lead = indent if begin else indent.removeprefix(self._line)
        statement = "pass  " if bare and self._language is _PYTHON else ""
        return f"{begin}{lead}{statement}{self._note}{self._end()}"

    def _indent(self) -> tuple[str, bool]:
        """Return how deep the gap is, and whether a block begins there that nothing after the gap fills."""
        header = _white(self._above)
        if not self._opens:
            return (self._line if self._fresh else header), False
        below = next((line for line in self._suffix.split("\n") if line.strip()), "")
        inside = _white(self._line + below if self._fresh and not self._last else below)
        filled = bool(below) and len(inside) > len(header)
        if self._fresh and len(self._line) > len(header):
            return self._line, not filled
        return (inside if filled else header + ("\t" if header.startswith("\t") else "    ")), not filled

    def _end(self) -> str:
        """Return what parts a line of the gap's own from what follows."""
        if not self._suffix:
            return "\n" + self._closing()
        if self._last:
            return ""
        return f"\n{self._line}" if self._fresh and self._suffix[0] not in " \t" else "\n"

    def _closing(self) -> str:
        """Return the braces that a text without a suffix has left open."""
        code = self._code() if self._language is _BRACES else ""
        missing = min(max(code.count("{") - code.count("}"), 0), _DEEPEST)
        return "".join(f"{'    ' * level}}}\n" for level in reversed(range(missing)))

    def _open_text(self) -> str:
        """Return the mark of a text of several lines in which the gap stands."""
        marks = _LONG_QUOTES if self._language is _PYTHON else ()
        return next((mark for mark in marks if self._prompt.count(mark) % 2), "")

    def _words(self, mark: str) -> str:
        said = "Filled in by the dsnb emulator, not by a model."
        if mark in self._suffix:
            return said
        return f"{said}{mark}{'' if self._last and self._suffix else chr(10)}"

    def _code(self) -> str:
        """Return what stands before the gap, without comments at the ends of lines."""
        comment = re.escape(self._language.comment)
        return re.sub(rf"(?m)(?:^|(?<=\s)){comment}.*", "", self._prompt)


def _white(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]
