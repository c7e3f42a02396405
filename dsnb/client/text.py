"""Text from outside, made safe to keep and to quote."""

from __future__ import annotations

import re
from typing import Final

_SURROGATE: Final = re.compile("[\ud800-\udfff]")

_KEYS: Final = (
    # "Your api key: ****0000 is invalid" shows a key's end, and a key of four characters whole (recorded 2025-2026)
    (re.compile(r"(?i)(\bapi[ _-]?key[^:=：\n]{0,20}[:=：]\s*)(?!//)\S+"), r"\1[hidden]"),
    (re.compile(r"(?i)\b(bearer\s+)\S+"), r"\1[hidden]"),
    (re.compile(r"(?i)\b(?:sk|pk|rk|gsk|hf|xai|key|nvapi)[-_][\w-]{4,}(?:[.*…]+[\w-]*)*"), "[hidden]"),
    (re.compile(r"(?<![\w-])[\w-]*\*{3,}[\w*-]*"), "[hidden]"),
)


def well_formed(text: str) -> str:
    """Return text that can be encoded: halves of a surrogate pair are joined, a lone half becomes U+FFFD.

    JSON can carry half a character as an escape, and proxies that cut JavaScript strings do send such halves.
    """
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def quote(text: str, limit: int = 500) -> str:
    """Return text fit for an error message: one line, printable, without API keys, at most ``limit`` characters."""
    text = text[: 20 * limit]  # no more is looked at: an endpoint may answer with anything
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    for pattern, replacement in _KEYS:
        text = pattern.sub(replacement, text)
    return text if len(text) <= limit else text[: limit - 1] + "…"
