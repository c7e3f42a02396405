"""The word lists of the script."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources


@cache
def word_list(name: str) -> frozenset[str]:
    """Return the list ``name`` of ``words.toml``."""
    return frozenset(_lists()[name].split())


@cache
def _lists() -> dict[str, str]:
    return tomllib.loads(resources.files("dsnb.emulator.engines").joinpath("words.toml").read_text("utf-8"))


def stem(word: str) -> str:
    """Return a word without its plural or verbal ending, so that ``rolls`` and ``rolling`` find ``roll``."""
    word = re.sub(r"(?<=\w{2})ies$", "y", word.casefold())
    word = re.sub(r"(?<=ch|sh)es$|(?<=[sxz])es$|(?<=\w{2}[^s])s$", "", word)
    return re.sub(r"(?<=\w{3})e$", "", re.sub(r"(?<=\w{4})(?:ing|ed)$", "", word))
