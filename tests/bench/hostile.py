"""What texts made to take long cost when they are eight times as long: 8× the CPU time is linear, 64× would not be."""

import json
import time
from collections.abc import Callable, Iterable

from dsnb.client.dialects import OPENAI_COMPATIBLE
from dsnb.client.failures import failure
from dsnb.client.reply import Reply
from dsnb.display import markdown as md
from dsnb.display.bundle import bundle
from dsnb.display.growth import Growth
from tests.client.streams import call, chunk, content, decode
from tests.display.test_markdown import CODE_PIECES, LANGUAGES, SLOW

TIMES = 8
PARAGRAPH = "Some *words* with `code`, \\( x_1^2 \\) and **more** of it, as models write.\n\n- a list\n- of two\n\n"

Work = Callable[[int], object]  # does the work on a text of so many pieces


def markdown(piece: str) -> Work:
    """Return the work of reading a text, and writing it as html and Markdown."""
    return lambda size: [(block.html, block.markdown) for block in md.blocks((piece * size)[:size])]


def growing(piece: str) -> Work:
    """Return the work of reading a text while it comes, five characters at a time."""

    def read(size: int) -> None:
        growth, text = Growth(), (piece * size)[:size]
        for at in range(0, size, 5):
            growth.read(text[at : at + 5])
        growth.finish()

    return read


def code(language: str, piece: str) -> Work:
    """Return the work of colouring code."""
    return lambda size: md.html(f"```{language}\n{piece * size}\n```")


def tags(piece: str) -> Work:
    """Return the work of looking for think tags, in many chunks and in one."""
    return lambda size: decode(*content(*[piece] * size, piece * size * 20), dialect=OPENAI_COMPATIBLE)


def fragments(size: int) -> object:
    """Put the arguments of one tool call together from many chunks."""
    return decode(*[chunk({"tool_calls": [call(0, "a", "f", "abc")]})] * size)


def bytewise(size: int) -> object:
    """Read one long line byte by byte."""
    line = chunk({"content": "a" * size})
    return decode(*(line[at : at + 1] for at in range(len(line))))


def errors(piece: bytes) -> Work:
    """Return the work of reading an error from a page and from JSON."""
    return lambda size: (
        failure(500, {}, b"<html>" + piece * size),
        failure(500, {}, json.dumps({"error": {"message": (piece * size).decode()}}).encode()),
    )


# each with the pieces of the shorter text
GROUPS: dict[str, tuple[int, Iterable[tuple[str, Work]]]] = {
    "Markdown": (3_000, [(repr(piece), markdown(piece)) for piece in SLOW]),
    "Markdown that comes in pieces": (3_000, [(repr(piece), growing(piece)) for piece in [*SLOW, "word ", "a\n\n"]]),
    "code": (6_000, [(f"{name} {piece!r}", code(name, piece)) for name in LANGUAGES for piece in CODE_PIECES]),
    "think tags": (1_000, [(repr(piece), tags(piece)) for piece in (" ", "<", "`</think>", "</think", "\n")]),
    "fragments of a tool call": (5_000, [("", fragments)]),
    "a line, byte by byte": (25_000, [("", bytewise)]),
    "errors": (25_000, [(repr(piece), errors(piece)) for piece in (b"<", b"<script>", b"<script", b"sk-", b" ")]),
    "an ordinary reply": (300, [("", lambda size: bundle(Reply(PARAGRAPH * size, PARAGRAPH * (size // 5))))]),
}


def seconds(work: Work, size: int) -> float:
    """Return the CPU time of some work, the best of three."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        work(size)
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    """Print the worst of each group, and how many times as long it takes."""
    for name, (size, works) in GROUPS.items():
        worst, what, took = 0.0, "", 0.0
        for label, work in works:
            small, large = seconds(work, size), seconds(work, size * TIMES)
            ratio = large / max(small, 0.003)  # of less than that, a clock knows little
            if ratio > worst:
                worst, what, took = ratio, label, large
        print(f"  {name} × {TIMES}: at most {worst:.1f}× the time {what and f'({what}) '}= {took:.2f} s")


if __name__ == "__main__":
    main()
