"""Server-sent events: from bytes, however they are cut, to frames (HTML Living Standard, section 9.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsnb.errors import MalformedReply

if TYPE_CHECKING:
    from collections.abc import Iterator

FRAME_LIMIT: Final = 16 * 2**20  # bytes; the longest real frames hold one token or one whole tool call

_BOM: Final = b"\xef\xbb\xbf"
_FIELDS: Final = (b"data:", b"event:", b"id:", b"retry:")
_LINE_ENDS: Final = (b"\n", b"\r")


# What follows ``event:`` (mostly nothing), and what follows ``data:``; None for a sign of life: a comment, a bare blank
# line, an event without data. A plain tuple: there is one for every token.
Frame = tuple[bytes, bytes | None]

_ALIVE: Final[Frame] = (b"", None)


class Frames:
    """Cut a byte stream into frames, at a cost linear in the bytes, in whatever pieces they come.

    ``stray`` is the beginning of the first line that is no part of the format; empty if there was none.
    """

    def __init__(self) -> None:
        self.stray = b""
        self._head: bytes | None = b""  # the very first bytes, while they may be a byte order mark
        self._line = bytearray()  # the last line, while it is unfinished
        self._data: list[bytes] = []  # the data lines of the last frame, while it is unfinished
        self._size = 0  # of those lines
        self._event = b""
        self._after_cr = False
        self._after_blank = True

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that these bytes complete; take them all before feeding more.

        Raises MalformedReply for a frame above 16 MiB, after the frames before it.
        """
        if self._head is not None:
            data = self._head + data
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._head = data
                return
            self._head = None
            data = data.removeprefix(_BOM)
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")  # the second half of CR LF
        if not data:
            return
        lines = data.splitlines()
        rest = b"" if data.endswith(_LINE_ENDS) else lines.pop()
        if lines:
            self._after_cr = not rest and data.endswith(b"\r")
            if self._line:
                lines[0] = bytes(self._line) + lines[0]
                self._line.clear()
            yield from self._read(lines)
        self._line += rest
        if self._size + len(self._line) > FRAME_LIMIT:
            raise _too_long()

    def finish(self) -> Iterator[Frame]:
        """Yield what the end of the input left unfinished, if anything: a whole frame, or the beginning of one."""
        line = ((self._head or b"") + self._line).strip()
        if line and not line.startswith((b"data:", b":")):
            if any(field.startswith(line) or line.startswith(field) for field in _FIELDS):
                line = b"data:" + line  # what it was going to be cannot be told: it counts as a frame cut short
            else:
                self.stray = self.stray or line[:200]
        yield from self._read([line, b""] if line else [b""])

    def _read(self, lines: list[bytes]) -> Iterator[Frame]:
        data = self._data
        for line in lines:
            self._size += len(line)
            if self._size > FRAME_LIMIT:
                raise _too_long()
            if line.startswith(b"data:"):
                data.append(line[6:] if line.startswith(b"data: ") else line[5:])
                self._after_blank = False
            elif not line:
                if data and (value := b"\n".join(data)):
                    yield self._event, value
                elif data or self._after_blank:
                    yield _ALIVE
                data.clear()
                self._size = 0
                self._event = b""
                self._after_blank = True
            else:
                self._size -= len(line)  # it is not kept
                self._after_blank = False
                if line.startswith(b":"):
                    yield _ALIVE
                else:
                    self._field(line)

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"event":
            self._event = value.strip()
        elif name == b"data":  # without a colon: a line of data that is empty
            self._data.append(b"")
        elif name not in {b"id", b"retry"}:
            self.stray = self.stray or line[:200]


def _too_long() -> MalformedReply:
    return MalformedReply(
        f"The endpoint sent a frame of more than {FRAME_LIMIT // 2**20} MiB: that is no stream of tokens. "
        "Check that the base URL is that of an API, and ask again."
    )
