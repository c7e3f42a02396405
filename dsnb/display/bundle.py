"""A reply as Jupyter stores it: html, Markdown and plain text that say the same, and need no kernel to be read.

The html carries its style with it and reads well without, since GitHub, mail and untrusted notebooks take styles and
classes away.
"""

from __future__ import annotations

from collections.abc import Iterator

from dsnb.client.reply import Reply
from dsnb.display import calls, joined, parts, seams, summary
from dsnb.display.findings import sentence
from dsnb.display.parts import Part
from dsnb.display.styles import style
from dsnb.errors import DsnbError


def bundle(reply: Reply, error: DsnbError | None = None, asked: Part | None = None) -> dict[str, str]:
    """Return the representations of a reply by MIME type; ``error`` says why it is only a part.

    ``asked`` is the question, where the turn is one of a conversation.

    A turn of several rounds is told step by step: what was thought and said, what was called, what came of it. What
    it took is told once, for all of it.
    """
    rounds = reply.rounds or (reply,)
    sheet = style() + (style("joined") if any(map(_goes_on, rounds)) else "") + (style("question") if asked else "")
    return parts.bundle(list(_parts(reply, error, asked)), sheet)


def figures_line(reply: Reply) -> str:
    """Return the tokens, cost and times of a reply as one line of text."""
    figures = _figures(reply)
    return figures.plain if figures is not None else ""


def _parts(reply: Reply, error: DsnbError | None, asked: Part | None) -> Iterator[Part]:
    model, *others = summary.who(reply)
    yield parts.head(model, others, "failed" if error is not None else summary.ending(reply))
    if asked is not None:
        yield asked
    rounds = reply.rounds or (reply,)
    alone = len(rounds) == 1 and not reply.answer and not reply.tool_calls  # there is nothing but reasoning to read
    for each in rounds:
        yield from _round(each, last=each is rounds[-1], alone=alone)
    if error is not None:
        yield parts.failure(error)
    for note in reply.notes:
        yield parts.note(sentence(note))
    if (figures := _figures(reply)) is not None:
        yield figures


def _round(reply: Reply, *, last: bool, alone: bool) -> Iterator[Part]:
    """Yield what one request of a turn came to; the model calls tools after all that it says."""
    if reply.reasoning:
        yield parts.reasoning(reply.reasoning, summary.thought(reply), opened=alone)
    if not last and not reply.tool_calls:  # a turn goes on for tools, or because this was not the JSON that it wants
        yield calls.refused(reply.answer)
    elif _goes_on(reply):
        yield Part(joined.html(reply), joined.markdown(reply), joined.plain(reply))
    elif reply.answer:
        yield seams.prose(reply.answer, reply.seams)
    if reply.seams:
        yield parts.note(seams.line(reply))
    for call in reply.tool_calls:
        yield calls.call(call, clocked=summary.clocked(reply))


def _goes_on(reply: Reply) -> bool:
    return joined.fits(reply) and bool(reply.answer)


def _figures(reply: Reply) -> Part | None:
    return parts.figures(summary.figures(reply), summary.cached_share(reply.usage))
