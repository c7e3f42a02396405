"""What a docstring says about each parameter, and what it says besides.

The small libraries for this lose text: docstring-parser (0.18) drops what follows the parameters and writes the rest
anew, griffe takes a quarter of a second to load. Here the names of the parameters are known beforehand, which makes it
simple: a section counts only where it speaks of one of them, and all other text stays as it was written.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Final

_GOOGLE: Final = re.compile(
    r"(?:Args|Arguments|Params|Parameters|(?:Keyword|Other) (?:Args|Arguments|Parameters)|Attributes):\s*"
)
_GOOGLE_ENTRY: Final = re.compile(r"\*{0,2}(\w+)\s*(?:\((?:[^()]|\([^()]*\))*\))?\s*:(?!:)\s*(.*)")
_NUMPY: Final = re.compile(r"(?:Other )?Parameters|Attributes")
_NUMPY_ENTRY: Final = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?")
_UNDERLINE: Final = re.compile(r"-{3,}\s*")
_FIELD: Final = re.compile(r"[:@](param|parameter|arg|argument|key|keyword|type)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)")


def read(docstring: str, names: Collection[str]) -> tuple[str, dict[str, str]]:
    """Return a docstring without what it says about the parameters ``names``, and that by name.

    Reads the styles of Google, NumPy and reStructuredText (``:param x:``).
    """
    lines = inspect.cleandoc(docstring).splitlines()
    found: dict[str, str] = {}
    kept: list[str] = []
    place = 0
    while place < len(lines):
        end, entries = place + 1, {}
        if _GOOGLE.fullmatch(lines[place]):
            end = _end_of_block(lines, place + 1)
            entries = _google(lines[place + 1 : end], names)
        elif _NUMPY.fullmatch(lines[place].strip()) and _UNDERLINE.fullmatch("".join(lines[place + 1 : place + 2])):
            end = _end_of_section(lines, place + 2)
            entries = _numpy(lines[place + 2 : end], names)
        elif (match := _FIELD.fullmatch(lines[place])) and match[2] in names:
            end = _end_of_block(lines, place + 1)
            about = {} if match[1] == "type" else {match[2]: _joined([match[3], *lines[place + 1 : end]])}
            found |= about
            place = end
            continue
        if entries:
            found |= entries
            kept.append("")
        else:
            end = place + 1
            kept.append(lines[place])
        place = end
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip(), {name: text for name, text in found.items() if text}


def _google(lines: list[str], names: Collection[str]) -> dict[str, str]:
    entries: dict[str, list[str]] = {}
    current: list[str] = []
    indent = min((_indent(line) for line in lines if line.strip()), default=0)
    for line in lines:
        match = _GOOGLE_ENTRY.fullmatch(line.strip()) if _indent(line) == indent else None
        if match and match[1] in names:
            entries[match[1]] = current = [match[2]]
        elif match:
            current = []  # something else is spoken of
        else:
            current.append(line)
    return {name: _joined(text) for name, text in entries.items()}


def _numpy(lines: list[str], names: Collection[str]) -> dict[str, str]:
    entries: dict[str, str] = {}
    heads = [place for place, line in enumerate(lines) if line.strip() and not _indent(line)]
    for head, end in pairwise([*heads, len(lines)]):
        match = _NUMPY_ENTRY.fullmatch(lines[head].strip())
        for name in re.findall(r"\w+", match[1]) if match else ():
            if name in names:
                entries[name] = _joined(lines[head + 1 : end])
    return entries


def _end_of_block(lines: list[str], start: int) -> int:
    """Return where the indented lines end; blank ones behind them belong to what follows."""
    end = start
    for place in range(start, len(lines)):
        if lines[place].strip():
            if not _indent(lines[place]):
                break
            end = place + 1
    return end


def _end_of_section(lines: list[str], start: int) -> int:
    """Return where the next underlined heading stands."""
    for place in range(start, len(lines) - 1):
        if lines[place].strip() and _UNDERLINE.fullmatch(lines[place + 1].strip()):
            return place
    return len(lines)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _joined(lines: list[str]) -> str:
    """Return the lines of a description as running text; blank lines between paragraphs stay."""
    return "\n\n".join(_paragraphs(lines))


def _paragraphs(lines: list[str]) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", "\n".join(lines)):
        if words := " ".join(paragraph.split()):
            yield words
