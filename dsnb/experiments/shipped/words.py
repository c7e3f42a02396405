"""Texts of an exact number of tokens, which say nothing."""

from __future__ import annotations

import random
from typing import Final

# Each is one token of the V4 vocabulary, at the beginning of a text and after a space (a test counts them).
_TEXT: Final = (
    "back base bird black bread bridge button chair child circle city clear close cloud cold color cross deep design "
    "doctor door early earth empty engine face family field fish forest form front fruit full glass green hand heart "
    "high horse house image land late leaf left letter light line long low mark market metal model money music night "
    "note number open paper plan plane plant point power price quick quiet right river road round rule salt short "
    "small sound space square state step stone story strong table test town train tree value voice wall water west "
    "white window world yellow"
)
_WORDS: Final = tuple(_TEXT.split())


def words(tokens: int, seed: object = 0) -> str:
    """Return a text of so many tokens; the same for the same seed, and different from its first word on for others.

    A longer text of a seed begins with the shorter ones.
    """
    draw = random.Random(f"dsnb {seed}")  # noqa: S311 — a text is no secret
    return " ".join(draw.choices(_WORDS, k=tokens))
