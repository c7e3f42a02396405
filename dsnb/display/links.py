"""Which links are let through, and how they are written."""

from __future__ import annotations

import re
from html import escape
from typing import Final

# no relative ones: inside JupyterLab they lead to the server's own files and settings
_SAFE: Final = re.compile(r"(?:https?://|mailto:)[^\s\\]+", re.IGNORECASE)
_UNSAFE_IN_MARKDOWN: Final = re.compile(r"[^\w:/?#@!,;=+%.~&-]", re.ASCII)

SCHEMES: Final = frozenset({"http", "https", "mailto"})


def safe_link(url: str) -> bool:
    """Whether a link may be followed: to http, https or mailto, by a whole address."""
    return _SAFE.fullmatch(url) is not None


def html(url: str) -> str:
    """Return the beginning of a link."""
    return f'<a href="{escape(url)}" rel="noopener noreferrer">'


def markdown(url: str) -> str:
    """Return the destination of a link, such that nothing ends it early."""
    encoded = _UNSAFE_IN_MARKDOWN.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), url)
    return encoded.replace("&", "&amp;")
