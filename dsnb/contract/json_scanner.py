"""JSON's words, numbers and strings, read byte by byte as Rust's serde_json reads them.

An error knows how many bytes were read before it, as serde counts them.
"""

from __future__ import annotations

import re
from math import isinf

from dsnb.contract.serde import SerdeError

_SPACE = re.compile(rb"[ \t\n\r]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_DIGITS = re.compile(rb"[0-9]*")
_DIGIT = b"0123456789"
_HEX = b"0123456789abcdef"
_WORDS = {ord("n"): (b"null", None), ord("t"): (b"true", True), ord("f"): (b"false", False)}
_ESCAPES = dict(zip(b'"\\/bfnrt', '"\\/\b\f\n\r\t', strict=True))


class Scanner:
    """Bytes of JSON and a place in them."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._index = 0

    def _literal(self, *, ignored: bool = False) -> str | int | float | bool | None:
        """Read a word, a number or a string; serde looks less closely at one that nobody reads."""
        start = self._start()
        if start == ord('"'):
            return self._string(ignored=ignored)
        if start == ord("-") or start in _DIGIT:
            return self._number(ignored=ignored)
        if start not in _WORDS:
            raise self._broken("expected value")
        word, value = _WORDS[start]
        for letter in word:
            if self._take("EOF while parsing a value") != letter:
                raise self._stopped("expected ident")
        return value

    def _number(self, *, ignored: bool) -> int | float:
        begun, whole = self._index, True
        ended = "invalid number" if ignored else "EOF while parsing a value"
        self._index += self._next() == ord("-")
        if self._next() == ord("0"):
            self._index += 1
            if self._next() in _DIGIT:
                raise self._broken("invalid number")
        else:
            self._first_digit(ended)
        if self._next() == ord("."):
            self._index, whole = self._index + 1, False
            if self._next() not in _DIGIT:
                raise self._broken(ended if self._index == len(self._raw) else "invalid number")
            self._run(_DIGITS)
        if self._next() in b"eE":
            self._index, whole = self._index + 1, False
            self._index += self._next() in b"+-"
            self._first_digit(ended)
        return 0 if ignored else self._worth(self._raw[begun : self._index], whole=whole)

    def _first_digit(self, ended: str) -> None:
        if self._take(ended) not in _DIGIT:
            raise self._stopped("invalid number")
        self._run(_DIGITS)

    def _worth(self, digits: bytes, *, whole: bool) -> int | float:
        if whole and digits != b"-0" and len(digits) <= 20 and -(2**63) <= int(digits) < 2**64:
            return int(digits)
        number = float(digits)  # so serde reads integers beyond 64 bits, too
        if isinf(number):
            exponent = digits.lower().partition(b"e")[2].lstrip(b"+0")
            # serde gives up at the digit with which the exponent leaves 32 bits
            read = next((n for n in (10, 11) if n < len(exponent) and int(exponent[:n]) >= 2**31), len(exponent))
            self._index -= len(exponent) - read
            raise self._stopped("number out of range")
        return number

    def _string(self, *, ignored: bool = False) -> str:
        text = bytearray()
        self._index += 1
        while True:
            text += self._run(_PLAIN)
            ended = self._take("EOF while parsing a string")
            if ended == ord('"'):
                break
            if ended != ord("\\"):
                self._index -= ignored
                raise self._stopped("control character (\\u0000-\\u001F) found while parsing a string")
            text += self._escaped(ignored=ignored).encode("utf-8", "surrogatepass")
        try:
            return text.decode(errors="replace" if ignored else "strict")
        except UnicodeDecodeError:
            raise self._stopped("invalid unicode code point") from None

    def _escaped(self, *, ignored: bool) -> str:
        letter = self._take("EOF while parsing a string")
        if letter != ord("u"):
            if letter not in _ESCAPES:
                raise self._stopped("invalid escape")
            return _ESCAPES[letter]
        high = self._hex()
        if ignored or not 0xD800 <= high <= 0xDFFF:
            return chr(high)
        if high >= 0xDC00:
            raise self._stopped("lone leading surrogate in hex escape")
        for expected in b"\\u":
            if self._take("EOF while parsing a string") != expected:
                raise self._stopped("unexpected end of hex escape")
        low = self._hex()
        if not 0xDC00 <= low <= 0xDFFF:
            raise self._stopped("lone leading surrogate in hex escape")
        return chr(0x10000 + ((high - 0xD800) << 10) + low - 0xDC00)

    def _hex(self) -> int:
        digits = self._raw[self._index : self._index + 4].lower()
        if len(digits) < 4:
            self._index = len(self._raw)
            raise self._stopped("EOF while parsing a string")
        wrong = next((place for place, digit in enumerate(digits, 1) if digit not in _HEX), None)
        self._index += wrong or 4
        if wrong:
            raise self._stopped("invalid escape")
        return int(digits, 16)

    def _next(self) -> int:
        """Return the next byte as it is, 0 at the end."""
        return self._raw[self._index] if self._index < len(self._raw) else 0

    def _peek(self) -> int | None:
        """Return the next byte after white space, None at the end."""
        self._run(_SPACE)
        return self._raw[self._index] if self._index < len(self._raw) else None

    def _start(self) -> int:
        """Return the first byte of a value."""
        start = self._peek()
        if start is None:
            raise self._broken("EOF while parsing a value")
        return start

    def _take(self, ended: str) -> int:
        if self._index == len(self._raw):
            raise self._stopped(ended)
        self._index += 1
        return self._raw[self._index - 1]

    def _run(self, pattern: re.Pattern[bytes]) -> bytes:
        """Step over all that fits a pattern."""
        found = pattern.match(self._raw, self._index)
        if found is None:
            return b""
        self._index = found.end()
        return found.group()

    def _stopped(self, message: str) -> SerdeError:
        """Return a syntax error that lies behind what has been read."""
        return SerdeError(message, index=self._index, syntax=True)

    def _broken(self, message: str) -> SerdeError:
        """Return a syntax error that lies on the next byte."""
        return SerdeError(message, index=min(len(self._raw), self._index + 1), syntax=True)
