"""How tool calls cross a stream: which piece of the arguments comes with which generated token.

Up to V3.2-Exp the model wrote JSON, which is passed on token by token. Since V3.2 it writes DSML, and the API turns
that into JSON as it comes: quotation marks and separators are pieces of their own, and a string's tokens stand between
them (recorded 2025-04 to 2026-08). A call cut off by ``max_tokens`` ends where its DSML ended.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from dsnb.contract import Model, tokens
from dsnb.contract.prompt import answer
from dsnb.contract.templates.segment import DSML
from dsnb.emulator.engines.protocol import ToolCall
from dsnb.emulator.wire import dumps

_GAP = re.compile(r"[\s,:]*")
_Marks = list[tuple[int, str]]  # pieces of arguments, each with the place in the block that makes it known


@dataclass(frozen=True, slots=True)
class Delta:
    """Hold one delta of call ``index``: its opening (``text`` is None) or a piece of its arguments.

    ``token`` counts the tokens of the tool block, from 1, up to the one that makes the delta known.
    """

    token: int
    index: int
    text: str | None


def deltas(calls: Sequence[ToolCall], model: Model, *, forced: bool) -> list[Delta]:
    """Return the deltas of a reply's tool calls, in order."""
    written = [{"function": {"name": call.name, "arguments": call.arguments}} for call in calls]
    segments = [
        part for part in answer(model, content="", tool_calls=written, forced=forced) if part.where == "tool_calls"
    ]
    texts = [[part.text] if part.control else tokens.pieces(part.text) for part in segments]
    block = "".join(part.text for part in segments)
    ends = list(accumulate(len(text) for part in texts for text in part))
    dsml = any(part.control and part.text == DSML for part in segments)
    found: list[Delta] = []
    place = 0
    for index, call in enumerate(calls):
        place = _after(block, f'name="{call.name}">' if dsml else call.name, place)
        marks = _from_dsml(call.arguments, block, place) if dsml else []
        if "".join(piece for _, piece in marks) != call.arguments:
            marks = _as_it_stands(call.arguments, block, place)
        found.append(Delta(_token(ends, place), index, None))
        for end, piece in marks:
            place = max(place, end)  # a key that stands twice is not found where it was written
            if piece:
                found.append(Delta(_token(ends, place), index, piece))
    return found


def _as_it_stands(arguments: str, block: str, place: int) -> _Marks:
    """Return the tokens of the arguments, which stand in the block as they are."""
    if arguments == "{}":
        return [(_after(block, "}", place), arguments)]
    return _tokens(arguments, max(block.find(arguments, place), place))


def _from_dsml(arguments: str, block: str, place: int) -> _Marks:
    """Return what the API makes of DSML parameters; its pieces do not join to ``arguments`` that are no object."""
    marks: _Marks = []
    done = 0
    for gap, key, colon, written, value, end in _members(arguments):
        place = _after(block, f'name="{key}"', place) - len(key) - 1
        marks += [(place + 1, gap), (place + 1, '"'), *_tokens(key, place, inside=True)]
        place += len(key) + 1
        marks += [(place, '"'), (place, colon)]
        place = _after(block, '">', place)
        if isinstance(value, str):
            marks += [(place, '"'), *_tokens(value, place, inside=True), (place + len(value) + 2, '"')]
            place += len(value)
        else:
            marks += _tokens(written, place)
            place += len(written)
        done = end
    # A call without arguments sends one piece.
    return [*marks, (_after(block, "\n</", place), arguments[done:])]


def _members(arguments: str) -> Iterator[tuple[str, str, str, str, object, int]]:
    """Yield of each member what stands before its key, the key, what follows that, the value as text and as value.

    Last comes where the member ends. Stops at what is no member.
    """
    decode = json.JSONDecoder().raw_decode
    end = 0
    try:
        while arguments.startswith("{"):
            start = _skip(arguments, end or 1)
            key, after = decode(arguments, start)
            if not isinstance(key, str):
                return
            begin = _skip(arguments, after)
            value, stop = decode(arguments, begin)
            yield arguments[end:start], key, arguments[after:begin], arguments[begin:stop], value, stop
            end = stop
    except (ValueError, RecursionError):
        return


def _skip(text: str, position: int) -> int:
    found = _GAP.match(text, position)
    return found.end() if found else position


def _tokens(text: str, place: int, *, inside: bool = False) -> _Marks:
    """Return the tokens of a text that begins at ``place``; ``inside`` escapes them as parts of a JSON string."""
    pieces = tokens.pieces(text)
    ends = accumulate(map(len, pieces), initial=place)
    next(ends)
    return [(end, dumps(piece)[1:-1] if inside else piece) for end, piece in zip(ends, pieces, strict=True)]


def _after(block: str, text: str, place: int) -> int:
    """Return where ``text`` ends in the block, after ``place``."""
    found = block.find(text, place)
    return place if found < 0 else found + len(text)


def _token(ends: Sequence[int], place: int) -> int:
    """Return the number of the token that completes the block up to ``place``."""
    return min(bisect_left(ends, place), len(ends) - 1) + 1
