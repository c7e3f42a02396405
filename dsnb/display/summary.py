"""A reply in a few words and figures, for everything that shows one."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from dsnb.client.reply import Reply
from dsnb.client.usage import Usage
from dsnb.display.text import legible, line

OUTCOMES: Final = {
    "length": "cut off at its limit of tokens",
    "tool_calls": "waits for the results of its tool calls",
    "content_filter": "stopped by the content filter",
    "insufficient_system_resource": "stopped: the endpoint ran out of resources",
    "aborted": "aborted by the endpoint",
    "truncated": "cut off: the stream ended before the reply was complete",
    "stalled": "stalled: no new token came for too long",
    "interrupted": "interrupted",
    "empty": "empty: it ended well and said nothing",
}
_CELLS: Final = 8  # of the bar
_OWN_NAMES: Final = frozenset({"", "deepseek", "emulator"})


def who(reply: Reply) -> list[str]:
    """Return who answered, and how: the model first."""
    model = line(reply.model or reply.asked_model or "unknown model")
    words = [model]
    if reply.model and reply.asked_model and reply.model != reply.asked_model:
        words.append(f"asked for as {line(reply.asked_model)}")
    if reply.emulated:
        words.append("emulated")
    if reply.served_by not in _OWN_NAMES:
        words.append(f"served by {line(reply.served_by)}")
    if reply.reasoning is not None:
        words.append("thinking")
    if len(reply.rounds) > 1:
        words.append(f"{len(reply.rounds)} requests")
    if reply.attempts > max(len(reply.rounds), 1):
        words.append(f"{reply.attempts} attempts")
    return words


def ending(reply: Reply) -> str:
    """Say how a reply ended, empty where it ended as it should."""
    if reply.outcome == "tool_calls" and reply.tool_calls and reply.tool_calls[-1].result is not None:
        return "ended while it was still calling tools"
    return "" if reply.outcome == "stop" else OUTCOMES.get(reply.outcome, line(reply.outcome))


def thought(reply: Reply) -> str:
    """Say how long the model thought."""
    words = ["Reasoning"]
    if reply.usage is not None and reply.usage.reasoning_tokens is not None:
        words.append(f"{reply.usage.reasoning_tokens:,} tokens")
    timing = reply.timing
    if clocked(reply) and timing.first_token is not None and timing.first_answer is not None:
        words.append(seconds(timing.first_answer - timing.first_token))
    return " · ".join(words)


def first_line(text: str) -> str:
    """Return the first line of a text that says something, without the marks of Markdown."""
    beginning = legible(text[:2000]).strip(" \n\t#>*_`-").partition("\n")[0]
    return line(beginning.replace("**", "").replace("`", ""), 100)


def figures(reply: Reply) -> Iterator[tuple[str, str]]:
    """Yield what a reply took, as names and values; what is not known is left out."""
    usage = reply.usage or Usage()
    if usage.prompt_tokens is not None:
        yield "prompt", f"{usage.prompt_tokens:,}"
    if usage.cache_hit_tokens is not None:
        share = cached_share(usage)
        yield "cached", f"{usage.cache_hit_tokens:,}" + (f" ({share:.0%})" if share else "")
    if usage.completion_tokens is not None:
        yield "completion", f"{usage.completion_tokens:,}"
    if usage.reasoning_tokens:
        yield "reasoning", f"{usage.reasoning_tokens:,}"
    if reply.cost is not None and reply.cost.usd is not None:
        yield "cost", money(reply.cost.usd)
    if clocked(reply):
        if reply.timing.first_token is not None:
            yield "first token", seconds(reply.timing.first_token)
        if speed := _speed(reply):
            yield "speed", f"{speed:,.{1 if speed < 10 else 0}f} tokens/s"
        if reply.timing.total:
            yield "total", seconds(reply.timing.total)


def _speed(reply: Reply) -> float:
    """Return the tokens of a second while they came, 0 where that is not known, or tools took part of the time."""
    timing, usage = reply.timing, reply.usage or Usage()
    came = timing.total - (timing.first_token or 0)
    if len(reply.rounds) > 1 or timing.first_token is None or not usage.completion_tokens or came <= 0:
        return 0.0
    return usage.completion_tokens / came


def cached_share(usage: Usage | None) -> float:
    """Return which part of the prompt came from the cache, 0 where that is not known."""
    if usage is None or not usage.prompt_tokens or not usage.cache_hit_tokens:
        return 0.0
    return min(usage.cache_hit_tokens / usage.prompt_tokens, 1.0)


def bar(share: float) -> str:
    """Return a share drawn with characters."""
    full = round(share * _CELLS)
    return "▰" * full + "▱" * (_CELLS - full)


def clocked(reply: Reply) -> bool:
    """Whether the seconds of a reply say something that lasts.

    Those of the emulator are how busy this machine was. They would make the stored outputs of a notebook differ from
    one run to the next, so only the live panel shows them.
    """
    return not reply.emulated


def money(usd: Decimal) -> str:
    """Return dollars with three significant digits, and cents from a dollar up."""
    if usd >= 1 or not usd:
        return f"${usd:,.2f}" if usd else "$0"
    return f"${usd.quantize(Decimal(1).scaleb(usd.adjusted() - 2)):f}"


def seconds(duration: float) -> str:
    """Return a duration as people say it."""
    if duration < 10:
        return f"{duration:.2f} s"
    if duration < 120:
        return f"{duration:.0f} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes} min {rest} s"
