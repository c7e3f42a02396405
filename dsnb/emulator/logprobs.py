"""Log probabilities for tokens: made up where no model is, but deterministic and of the recorded shape.

Each entry has ``token``, ``logprob``, ``bytes`` and ``top_logprobs``, an empty list unless alternatives were asked for;
the token itself comes first among them (recorded 2026-08-17).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from dsnb.emulator import draw
from dsnb.emulator.output import Event
from dsnb.emulator.wire import dumps

# Alternatives that could stand at most places of a text; top_logprobs asks for 20 at most.
_WORDS = (
    " the", " a", ",", ".", " and", " of", " to", " in", " is", " that", " it", " for", " with", " as", " on", " this",
    " be", " we", " by", " or", " not", "\n", " are", " can",
)  # fmt: skip


def entries(seed: int, channel: str, events: Iterable[Event], alternatives: int) -> str:
    """Return the array for some tokens of one channel (``content`` or ``reasoning_content``)."""
    return f"[{','.join(_entry(seed, channel, event.token, event.text, alternatives) for event in events)}]"


def given(events: Iterable[Event]) -> str:
    """Return the array of what a real model gave with some tokens, ``""`` if it gave nothing."""
    found = ",".join(event.logprobs for event in events if event.logprobs)
    return f"[{found}]" if found else ""


def entry(token: str, logprob: float, alternatives: Iterable[tuple[str, float]]) -> str:
    """Return one token's entry in the API's form."""
    top = ",".join(f"{{{_token(*pair)}}}" for pair in alternatives)
    return f'{{{_token(token, logprob)},"top_logprobs":[{top}]}}'


def ranked(seed: int, channel: str, position: int, piece: str, alternatives: int) -> list[tuple[str, float]]:
    """Return a token with its log probability, and after it the alternatives up to that many in all."""
    # Most tokens are near certain and a few are not: a cube of an even draw looks like the recorded values.
    logprob = _rounded(-3.0 * draw.fraction(seed, "logprob", channel, position, piece) ** 3)
    rest = -math.expm1(logprob)
    ranks = [(piece, logprob)]
    first = int(draw.fraction(seed, "alternatives", channel, position, piece) * len(_WORDS))
    others = [word for word in (*_WORDS[first:], *_WORDS[:first]) if word != piece]
    for other in others[: max(0, alternatives - 1)]:
        rest /= 2  # each alternative takes half of what is left, so that all together stay below 1
        ranks.append((other, _rounded(min(math.log(max(rest, 1e-30)), ranks[-1][1]))))
    return ranks


def _entry(seed: int, channel: str, position: int, piece: str, alternatives: int) -> str:
    ranks = ranked(seed, channel, position, piece, alternatives)
    return entry(*ranks[0], ranks[:alternatives])


def _token(text: str, logprob: float) -> str:
    spelled = ",".join(map(str, text.encode("utf-8", "replace")))
    return f'"token":{dumps(text)},"logprob":{dumps(logprob)},"bytes":[{spelled}]'


def _rounded(logprob: float) -> float:
    return float(f"{logprob:.8g}") + 0.0  # eight digits, as recorded; adding zero turns -0.0 into 0.0
