"""What one turn came to: the answer, how it was reached, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dsnb.client.tool_call import ToolCall
from dsnb.client.usage import Usage
from dsnb.contract import Cost, Finding

CUT = frozenset({"truncated", "stalled", "interrupted"})  # outcomes of a reply that is not whole


@dataclass(frozen=True, slots=True)
class Timing:
    """Tell where a turn's seconds went; None for what did not happen.

    ``queued`` is the time spent on keep-alives before the first token, ``first_token`` and ``first_answer`` count
    from the sending of the request to the first token of any kind and of the answer (or of a tool call), ``total``
    to the end.
    """

    queued: float = 0.0
    first_token: float | None = None
    first_answer: float | None = None
    total: float = 0.0

    def __repr__(self) -> str:
        parts = [f"total={self.total:.2f} s"]
        if self.first_token is not None:
            parts.insert(0, f"first_token={self.first_token:.2f} s")
        if self.queued:
            parts.insert(0, f"queued={self.queued:.2f} s")
        return f"Timing({', '.join(parts)})"


@dataclass(slots=True)
class Reply:
    """Hold what one turn came to. ``str(reply)`` is the answer.

    ``outcome`` says how it ended: the API's own finish reasons (``stop``, ``length``, ``tool_calls``,
    ``content_filter``, ``insufficient_system_resource``, ``aborted``) or ours (``truncated``: the stream ended
    before it was complete; ``stalled``: no new token for too long; ``interrupted``: somebody stopped it; ``empty``:
    it ended well and said nothing). ``finish_reason`` is what the endpoint wrote, None if it wrote nothing.

    ``usage`` is None where the endpoint never told (a stream cut before its last chunk); ``cost`` is unknown then.
    ``model`` is the model that the reply names, ``asked_model`` the one asked for, ``served_by`` the endpoint;
    ``emulated`` says that it was an emulator of dsnb, which needs no model.
    ``notes`` are what the contract had to say about the request: what the model ignores, what costs extra.

    A turn that took several requests, because tools were called or JSON had to be asked for again, has a Reply for
    each of them in ``rounds``. Reasoning, tool calls, tokens, cost and time are then those of all rounds.

    ``answer`` is only what the model wrote. Where it went on from a text that was given (prefix and fill-in-the-middle
    completion), ``start`` is that text (``start_reasoning`` that of the reasoning), ``suffix`` the one that follows,
    and `text` all of it. ``parsed`` is the value of an answer that was asked for as JSON. ``seams`` are the places in
    the answer (characters from its beginning) at which a stream was cut, and another request went on with it.
    """

    answer: str = ""
    reasoning: str | None = None
    tool_calls: list[ToolCall] = field(default_factory=list)
    outcome: str = "interrupted"
    finish_reason: str | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    timing: Timing = field(default_factory=Timing)
    id: str | None = None
    model: str | None = None
    asked_model: str = ""
    served_by: str = ""
    emulated: bool = False
    created: int | None = None
    fingerprint: str | None = None
    trace_id: str | None = None
    attempts: int = 1
    logprobs: dict[str, Any] | None = None
    notes: tuple[Finding, ...] = ()
    rounds: tuple[Reply, ...] = ()
    start: str = ""
    start_reasoning: str = ""
    suffix: str = ""
    parsed: Any = None
    seams: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """Return the answer between what was given before and after it."""
        return self.start + self.answer + self.suffix

    @property
    def message(self) -> dict[str, Any]:
        """Return the assistant message to append to a history, whole.

        ``content`` is never null, ``reasoning_content`` is there whenever the model thought, and ``tool_calls`` only
        if there are any: the shape that V4 and later require (Thinking Mode guide).
        """
        if self.rounds:
            return self.rounds[-1].message
        message: dict[str, Any] = {"role": "assistant", "content": self.start + self.answer}
        if self.reasoning is not None or self.start_reasoning:
            message["reasoning_content"] = self.start_reasoning + (self.reasoning or "")
        if self.tool_calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in self.tool_calls
            ]
        return message

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Return all messages that this turn adds to a history, such that the API accepts what comes after them.

        That is its own messages and the results of its tools. Left out are what was no valid JSON and was asked for
        again, calls that were cut off, and a message in which nothing was said; so this can be empty.
        """
        added: list[dict[str, Any]] = []
        rounds = self.rounds or (self,)
        for reply in rounds:
            if reply is rounds[-1] or reply.tool_calls:
                added += _messages(reply)
        return added

    def __str__(self) -> str:
        return self.answer

    def __repr__(self) -> str:
        shown = self.answer if len(self.answer) <= 60 else self.answer[:57] + "…"
        parts = [repr(shown), self.outcome]
        if self.tool_calls:
            parts.append(f"calls {', '.join(call.name for call in self.tool_calls)}")
        if self.usage is not None:
            parts.append(f"{self.usage.prompt_tokens} + {self.usage.completion_tokens} tokens")
        if self.cost is not None and self.cost.usd is not None:
            parts.append(f"${self.cost.usd:.6f}")
        parts.append(f"{self.timing.total:.2f} s")
        return f"<Reply {' · '.join(parts)}>"


def _messages(reply: Reply) -> list[dict[str, Any]]:
    """Return what one request adds to a history: its message, if anything is in it, and the results of its calls."""
    message = reply.message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": call.result}
        for call in reply.tool_calls
        if call.result is not None
    ]
    if len(results) < len(reply.tool_calls) and reply.outcome in CUT:
        del message["tool_calls"]
        results = []
    said = message["content"] or message.get("tool_calls") or (reply.reasoning and reply.outcome not in CUT)
    return [message, *results] if said else []
