"""The prompt as the model sees it, and the reply as the model writes it.

What the API counts, caches and bills is one text that it builds from messages, tools and settings. This module builds
the same text for every generation.

Text from outside is never read as a special token: who writes ``<｜User｜>`` or ``</think>`` writes ordinary text. The
API seems to do the same (M): a call of 2026-08 with such tags in its history was billed for them as text (recorded),
and recorded logprobs spell its special tokens ``<｜end▁of▁thinking｜>`` and ``<｜｜end▁of▁sentence｜｜>``, as nothing
in the public vocabulary is called. (The web chat of 2025-01 still read them.)

Images are one placeholder token here; what a picture really costs (up to 1,024 tokens, V4.1) is not counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dsnb.contract.catalogue import Model
from dsnb.contract.settings import Settings, settings
from dsnb.contract.templates import TEMPLATES, Segment
from dsnb.contract.templates.segment import BOS
from dsnb.contract.templates.turn import calls, turns

__all__ = ["Segment", "answer", "fill_in_middle", "further", "headless", "render", "segments"]

_FIRST = "messages[0]"


def segments(body: Mapping[str, Any], model: Model) -> tuple[Segment, ...]:
    """Return the prompt of a request, cut by where each part comes from.

    Every special token is a segment of its own, so that token boundaries fall on both its sides: the text between two
    of them can be encoded, and kept, by itself. Raises `RequestError` for tools that are no JSON.
    """
    meant = settings(body, model)
    effort = meant.effort if meant.effort in model.effort_text else None
    template = TEMPLATES[model.generation.template]
    parts = template.prompt(turns(body.get("messages")), meant, effort, blank_line=model.tools_newline)
    return tuple(part for part in parts if part.text)


def headless(meant: Settings) -> Settings:
    """Return the settings of a prompt whose head is left out: all that it decides is whether there are tools."""
    return replace(meant, tools=({},) if meant.tools else (), json_mode=False)  # one without a name is soon written


def further(messages: Sequence[Mapping[str, Any]], meant: Settings, model: Model) -> Iterator[Segment]:
    """Yield the end of a prompt: what follows ``messages[0]``, an assistant's message, to which it answers.

    So a prompt that grew is rendered from there on only; ``meant`` is `headless`. Without system messages, which some
    templates move.
    """
    parts = TEMPLATES[model.generation.template].prompt(turns(messages), meant, None, blank_line=False)
    for part in parts:
        if part.where.startswith(_FIRST):  # the head has gone by
            break
    for part in parts:
        if part.text and not part.where.startswith(_FIRST):
            yield part


def render(body: Mapping[str, Any], model: Model) -> str:
    """Return the prompt of a request as one text, special tokens written out as the public encoders write them."""
    return "".join(part.text for part in segments(body, model))


def answer(
    model: Model,
    *,
    content: str,
    reasoning: str | None = None,
    tool_calls: Sequence[Mapping[str, Any]] = (),
    forced: bool = False,
) -> tuple[Segment, ...]:
    """Return a finished reply as the model generated it, without its end-of-sentence token, which is not billed.

    ``reasoning`` is None where the model did not think. ``tool_calls`` have the API's own form; with ``forced`` their
    opening was part of the prompt.
    """
    template = TEMPLATES[model.generation.template]
    parts = template.answer(reasoning, content, calls(tool_calls), forced=forced)
    return tuple(part for part in parts if part.text)


def fill_in_middle(body: Mapping[str, Any]) -> tuple[Segment, ...]:
    """Return the prompt of a fill-in-the-middle request (``prompt`` and ``suffix``).

    From the model card of DeepSeek-V2.5; what the API counts for one was not measured.
    """
    before, after = (value if isinstance(value := body.get(key), str) else "" for key in ("prompt", "suffix"))
    parts = [Segment(BOS, "start", control=True)]
    if after:
        parts += [Segment("<｜fim▁begin｜>", "start", control=True), Segment(before, "prompt")]
        parts += [Segment("<｜fim▁hole｜>", "start", control=True), Segment(after, "suffix")]
        parts += [Segment("<｜fim▁end｜>", "generation", control=True)]
    else:
        parts += [Segment(before, "prompt")]
    return tuple(part for part in parts if part.text)
