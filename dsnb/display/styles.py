"""The style sheets that html carries with it."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources


@cache
def style(name: str = "static") -> str:
    """Return a style sheet of the html, made small; ``static`` is the one that all html has."""
    css = resources.files("dsnb.display").joinpath(f"{name}.css").read_text("utf-8")
    css = " ".join(re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL).split())
    return re.sub(r" ?([{};:,>]) ?", r"\1", css).replace(";}", "}")
