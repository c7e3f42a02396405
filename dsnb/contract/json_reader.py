"""JSON read as Rust's serde_json reads it: the same verdict, the same words, the same line and column.

Checked case by case against serde_json 1.0 with serde_path_to_error 0.1. Python's own `json` is far quicker: this
reader is only asked about requests that look wrong.
"""
# ruff: noqa: D102 — what a source answers is documented once, on serde.Source

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dsnb.contract.json_scanner import Scanner
from dsnb.contract.serde import Buffered, Pairs, SerdeError, mismatch, read_tag, require_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dsnb.contract.serde import Shape

DEPTH = 127  # serde_json refuses a 128th bracket inside the others, so that no request exhausts the server's stack


class Json(Scanner):
    """Bytes of JSON, read once from front to back by the shape of what they should hold."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self._depth = 0
        self._path: list[str] = []

    def document(self, shape: Shape) -> Any:
        """Return the one value that the bytes hold, or raise SerdeError."""
        value = shape.read(self)
        if self._peek() is not None:
            # axum's `Json` checks this in its later versions; which one the API runs is not known (confidence L)
            raise self._broken("trailing characters")
        return value

    def null(self) -> bool:
        if self._peek() != ord("n"):
            return False
        self._literal()
        return True

    def scalar(self, fits: Callable[[Any], bool], expected: str) -> Any:
        start = self._start()
        if start in b"[{":
            raise self._placed(mismatch([] if start == ord("[") else {}, expected))
        value = self._literal()
        try:
            fitting = fits(value)
        except SerdeError as error:
            raise self._placed(error) from None
        if not fitting:
            raise self._placed(mismatch(value, expected))
        return value

    def variant(self, names: Sequence[str]) -> str:
        start = self._start()
        if start not in b'"{':
            raise self._broken("expected value")
        if start == ord('"'):
            return read_tag(self, names)
        with self._inside("}"):  # serde reads {"name": null} as well
            name = read_tag(self, names)
            self._colon()
            self.scalar(lambda value: value is None, "unit")
            if self._peek() != ord("}"):
                raise self._stopped(_ended("}") if self._peek() is None else "expected value")
        return name

    def sequence(self, item: Shape) -> list[Any]:
        if self._start() != ord("["):
            self.scalar(_never, "a sequence")
        return self._items(item.read)

    def fields(self, name: str, shapes: Mapping[str, Shape]) -> dict[str, Any]:
        start = self._start()
        if start == ord("["):
            return self._listed(name, shapes)
        if start != ord("{"):
            self.scalar(_never, f"struct {name}")
        found: dict[str, Any] = {}
        with self._inside("}"):
            for key in self._keys():
                if key in found:
                    raise SerdeError(f"duplicate field `{key}`")
                value = self._value(key, shapes[key].read if key in shapes else Json.ignore)
                if key in shapes:
                    found[key] = value
            require_all(shapes, found)
        return found

    def tagged(self, tag: str, name: str, tags: Sequence[str]) -> tuple[str, Buffered]:
        if self._start() != ord("{"):
            self.scalar(_never, f"internally tagged enum {name}")
        chosen: str | None = None
        kept: list[tuple[str, Any]] = []
        with self._inside("}"):
            for key in self._keys():
                if key != tag:
                    kept.append((key, self._value(key, Json.content)))
                elif chosen is None:
                    chosen = self._value(key, lambda source: read_tag(source, tags))
                else:
                    raise SerdeError(f"duplicate field `{tag}`")
            if chosen is None:
                raise SerdeError(f"missing field `{tag}`")
        return chosen, Buffered(Pairs(tuple(kept)))

    def content(self) -> Any:
        start = self._start()
        if start == ord("["):
            return self._items(Json.content)
        if start != ord("{"):
            return self._literal()
        pairs: list[tuple[str, Any]] = []
        with self._inside("}"):
            pairs.extend((key, self._value(key, Json.content)) for key in self._keys())
        return Pairs(tuple(pairs))

    def ignore(self) -> None:
        """Step over a value that nothing reads: serde then looks at brackets and little else, however deep they are."""
        closers = bytearray()
        while True:
            start = self._start()
            opened = start in b"[{"
            if opened:
                self._index += 1
                closers.append(start + 2)  # in ASCII a bracket closes two places after it opens
            else:
                self._literal(ignored=True)
            while closers and self._peek() == closers[-1]:
                self._index += 1
                closers.pop()
                opened = False
            if not closers:
                return
            closer = chr(closers[-1])
            follows = self._peek()
            if follows is None:
                raise self._broken(_ended(closer))
            if not opened and follows != ord(","):
                raise self._broken(f"expected `,` or `{closer}`")
            self._index += not opened
            if closer == "}":
                self._key(ignored=True)
                self._colon()

    def _listed(self, name: str, shapes: Mapping[str, Shape]) -> dict[str, Any]:
        """Read the fields of an object from an array, in their order, as serde does."""
        found: dict[str, Any] = {}
        with self._inside("]"):
            for place, (key, shape) in enumerate(shapes.items()):
                if not self._more("]", first=place == 0):
                    elements = f"{len(shapes)} element{'s' * (len(shapes) > 1)}"
                    raise SerdeError(f"invalid length {place}, expected struct {name} with {elements}")
                found[key] = self._at(f"[{place}]", shape.read)
            if self._peek() != ord("]"):
                raise self._broken("trailing characters")
        return found

    @contextmanager
    def _inside(self, closer: str) -> Iterator[None]:
        """Read what stands between two brackets; an error that knows no place gets the one where serde gives up."""
        self._depth += 1
        if self._depth > DEPTH:
            raise self._broken("recursion limit exceeded")
        self._index += 1
        try:
            yield
        except SerdeError as error:
            if error.index is None:
                self._close(closer)
                error.index = self._index
            raise
        self._close(closer)
        self._depth -= 1

    def _close(self, closer: str) -> None:
        follows = self._peek()
        self._index += follows == ord(closer)
        if closer == "]" and follows == ord(","):
            self._index += 1
            self._peek()

    def _items(self, read: Callable[[Json], Any]) -> list[Any]:
        items: list[Any] = []
        with self._inside("]"):
            while self._more("]", first=not items):
                items.append(self._at(f"[{len(items)}]", read))
        return items

    def _keys(self) -> Iterator[str]:
        first = True
        while self._more("}", first=first):
            yield self._key()
            first = False

    def _more(self, closer: str, *, first: bool) -> bool:
        """Step over a comma to the next thing inside brackets, if there is one."""
        follows = self._peek()
        if follows == ord(closer):
            return False
        problem = None
        if follows is None:
            problem = _ended(closer)
        elif not first:
            if follows == ord(","):
                self._index += 1
                follows = self._peek()
                problem = {None: "EOF while parsing a value", ord(closer): "trailing comma"}.get(follows)
            else:
                problem = f"expected `,` or `{closer}`"
        if problem:
            raise self._unnamed(self._broken(problem)) if closer == "}" else self._broken(problem)
        return True

    def _key(self, *, ignored: bool = False) -> str:
        follows = self._peek()
        try:
            if follows != ord('"'):
                raise self._broken(_ended("}") if follows is None else "key must be a string")
            return self._string(ignored=ignored)
        except SerdeError as error:
            raise (error if ignored else self._unnamed(error)) from None

    def _value(self, key: str, read: Callable[[Json], Any]) -> Any:
        self._colon()
        return self._at(f".{key}" if self._path else key, read)

    def _colon(self) -> None:
        follows = self._peek()
        if follows != ord(":"):
            raise self._broken(_ended("}") if follows is None else "expected `:`")
        self._index += 1

    def _at(self, step: str, read: Callable[[Json], Any]) -> Any:
        self._path.append(step)
        try:
            return read(self)
        except SerdeError as error:
            if error.path is None:
                error.path = "".join(self._path)
            raise
        finally:
            self._path.pop()

    def _unnamed(self, error: SerdeError) -> SerdeError:
        """Place an error where serde_path_to_error knows no field: it writes "?", and nothing where that is all."""
        error.path = "".join(self._path) + ".?" if self._path else None
        return error

    def _placed(self, error: SerdeError) -> SerdeError:
        error.index = self._index
        return error


def _ended(closer: str) -> str:
    return f"EOF while parsing {'a list' if closer == ']' else 'an object'}"


def _never(_: Any) -> bool:
    return False
