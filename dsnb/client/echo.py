"""The prompt that a text completion repeats before its answer, when ``echo`` asks for it."""

from __future__ import annotations


class Echo:
    """Swallow a prompt at the beginning of a text that comes in pieces; what is not the prompt passes.

    Compared in halves of UTF-16 characters, since a piece may end inside a pair of surrogates.
    """

    def __init__(self, prompt: str) -> None:
        self._prompt = _units(prompt)
        self._at = 0

    def feed(self, text: str) -> str:
        """Take the next piece; return what of it is no echo, with all that was held back where it never was one."""
        if self._at == len(self._prompt):
            return text
        units = _units(text)
        expected = self._prompt[self._at : self._at + len(units)]
        if units.startswith(expected):
            self._at += len(expected)
            return _text(units[len(expected) :])
        return self.rest() + text

    def rest(self) -> str:
        """Return what was held back: the text ended, or went another way, before the whole prompt had come."""
        held = b"" if self._at == len(self._prompt) else self._prompt[: self._at]
        self._prompt, self._at = b"", 0
        return _text(held)


def _units(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def _text(units: bytes) -> str:
    return units.decode("utf-16-le", "surrogatepass")
