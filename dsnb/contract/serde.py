"""How Rust's serde judges the shape of a value, and what it says about a wrong one.

The API is a Rust server: a malformed request is answered in serde's words. A `Shape` (see `shape.py`) asks a `Source`
for what it expects: `Json` (see `json_reader.py`) reads bytes, `Buffered` a value that serde has read before, as it
does for an enum whose tag may come last.
"""

# ruff: noqa: D102 — what a source answers is documented once, on Source

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_UNSIGNED = {"u8": 2**8, "u32": 2**32}


class SerdeError(Exception):
    """Say what serde objects to.

    `index` is the number of bytes read before the error and `path` the field it is in; whoever knows them fills them
    in on the way out. `syntax` tells broken JSON from a value of the wrong shape.
    """

    def __init__(self, message: str, *, index: int | None = None, syntax: bool = False) -> None:
        super().__init__(message)
        self.index = index
        self.path: str | None = None
        self.syntax = syntax

    def text(self, raw: bytes) -> str:
        """Return the error as serde prints it: its field before, its line and column behind."""
        read = raw[: self.index]
        line, column = read.count(b"\n") + 1, len(read) - (read.rfind(b"\n") + 1)
        field = "" if self.path is None else f"{self.path}: "
        return f"{field}{self} at line {line} column {column}"


@dataclass(frozen=True, slots=True)
class Pairs:
    """An object as it was read: every pair in its place, also a key that came twice."""

    items: tuple[tuple[str, Any], ...]


class Shape(Protocol):
    """What a value has to look like."""

    @property
    def optional(self) -> bool:
        """Whether the field may be missing."""
        ...

    def read(self, source: Source) -> Any:
        """Return the value from a source, or raise SerdeError in serde's words."""
        ...

    def accepts(self, value: Any) -> bool:
        """Say whether an ordinary Python value surely fits."""
        ...


class Source(Protocol):
    """Where a shape reads its value from: the questions that serde's types ask."""

    def null(self) -> bool:
        """Step over null and say whether there was one."""
        ...

    def scalar(self, fits: Callable[[Any], bool], expected: str) -> Any:
        """Return a string, number, boolean or null that fits."""
        ...

    def variant(self, names: Sequence[str]) -> str:
        """Return one of an enum's words."""
        ...

    def sequence(self, item: Shape) -> list[Any]:
        """Return the items of an array."""
        ...

    def fields(self, name: str, shapes: Mapping[str, Shape]) -> dict[str, Any]:
        """Return the known fields of an object; ``name`` is what serde calls its type."""
        ...

    def tagged(self, tag: str, name: str, tags: Sequence[str]) -> tuple[str, Buffered]:
        """Return the word in the field ``tag`` of an object, and the rest of the object."""
        ...

    def content(self) -> Any:
        """Return any JSON, objects as `Pairs`."""
        ...

    def ignore(self) -> None:
        """Step over a value that nothing reads."""
        ...


def plain(content: Any) -> Any:
    """Return what was read as ordinary Python values."""
    if isinstance(content, Pairs):
        return {key: plain(value) for key, value in content.items}
    return [plain(item) for item in content] if isinstance(content, list) else content


def unsigned(value: Any, width: str) -> bool:
    """Say whether a value is an unsigned integer of a width ("u8" or "u32")."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _UNSIGNED[width]


def mismatch(content: Any, expected: str) -> SerdeError:
    """Return serde's error for a value of another type, or for an integer out of its range."""
    out_of_range = expected in _UNSIGNED and isinstance(content, int) and not isinstance(content, bool)
    return SerdeError(f"invalid {'value' if out_of_range else 'type'}: {_described(content)}, expected {expected}")


def unknown_variant(variant: str, names: Sequence[str]) -> SerdeError:
    """Return serde's error for a word that is none of an enum's."""
    known = [f"`{name}`" for name in names]
    listed = f"one of {', '.join(known)}" if len(known) > 2 else " or ".join(known)
    return SerdeError(f"unknown variant `{variant}`, expected {listed}")


def _described(content: Any) -> str:
    match content:
        case None:
            return "null"
        case bool():
            return f"boolean `{str(content).lower()}`"
        case int():
            return f"integer `{content}`"
        case float():
            digits = format(Decimal(repr(content)), "f")
            return f"floating point `{digits if '.' in digits else f'{digits}.0'}`"
        case str():
            return f"string {_quoted(content)}"
        case list():
            return "sequence"
        case _:
            return "map"


def _quoted(text: str) -> str:
    """Quote a string as Rust prints it for debugging."""
    named = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
    return '"' + "".join(named.get(c) or (c if c.isprintable() else f"\\u{{{ord(c):x}}}") for c in text) + '"'


def require_all(shapes: Mapping[str, Shape], found: Mapping[str, Any]) -> None:
    """Raise serde's error for the first field that is missing."""
    for key, shape in shapes.items():
        if key not in found and not shape.optional:
            raise SerdeError(f"missing field `{key}`")


def read_tag(source: Source, tags: Sequence[str]) -> str:
    """Return a word that must be one of a few."""

    def known(tag: Any) -> bool:
        if isinstance(tag, str) and tag not in tags:
            raise unknown_variant(tag, tags)
        return isinstance(tag, str)

    tag: str = source.scalar(known, "variant identifier")
    return tag


def _never(_: Any) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Buffered:
    """A value that was read before: its errors know no place of their own."""

    value: Any

    def null(self) -> bool:
        return self.value is None

    def content(self) -> Any:
        return self.value

    def ignore(self) -> None:
        return

    def scalar(self, fits: Callable[[Any], bool], expected: str) -> Any:
        if not fits(self.value):
            raise mismatch(self.value, expected)
        return self.value

    def variant(self, names: Sequence[str]) -> str:
        return read_tag(self, names) if isinstance(self.value, str) else self.scalar(_never, "string or map")

    def sequence(self, item: Shape) -> list[Any]:
        if not isinstance(self.value, list):
            raise mismatch(self.value, "a sequence")
        return [item.read(Buffered(element)) for element in self.value]

    def fields(self, name: str, shapes: Mapping[str, Shape]) -> dict[str, Any]:
        if not isinstance(self.value, Pairs):
            raise mismatch(self.value, f"struct {name}" if name else "a map")
        found: dict[str, Any] = {}
        for key, value in self.value.items:
            if key in found:
                raise SerdeError(f"duplicate field `{key}`")
            if key in shapes:
                found[key] = shapes[key].read(Buffered(value))
        require_all(shapes, found)
        return found

    def tagged(self, tag: str, name: str, tags: Sequence[str]) -> tuple[str, Buffered]:
        if not isinstance(self.value, Pairs):
            raise mismatch(self.value, f"internally tagged enum {name}")
        chosen = [read_tag(Buffered(value), tags) for key, value in self.value.items if key == tag]
        if len(chosen) != 1:
            raise SerdeError(f"{'duplicate' if chosen else 'missing'} field `{tag}`")
        return chosen[0], Buffered(Pairs(tuple(pair for pair in self.value.items if pair[0] != tag)))
