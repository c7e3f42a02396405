"""A conversation that grows, as the cache sees it: what is new is rendered, encoded and hashed; the rest is known.

A prompt is settled up to where its last question begins: whatever is asked later, the messages before that are written
as they are now. (V3.2 and V4 leave earlier reasoning out as soon as something new is asked, and sort the results of
tools within a block.) So a strand keeps the tokens and units of its settled part, and each prompt adds its own end.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import islice
from typing import Any

from dsnb.contract import prompt
from dsnb.contract.cache import Left, Prefixes, units
from dsnb.contract.catalogue import Model
from dsnb.contract.settings import settings
from dsnb.contract.templates.turn import calls
from dsnb.contract.tokens import completion_ids, ids

_Message = Mapping[str, Any]
_QUESTION: _Message = {"role": "user", "content": "?"}  # stands for whatever is asked next
_NOT_ASKING = frozenset({"assistant", "system", "latest_reminder"})


class Strand:
    """Hold the messages of one conversation, and what each prompt along it comes to.

    ``body`` is a request; what it holds besides its messages is that of every prompt here. The messages are copied, so
    that nobody changes them afterwards. Not safe for use by several threads at once.
    """

    def __init__(self, body: _Message, model: Model) -> None:
        self.model = model
        self.messages: list[dict[str, Any]] = []
        self.size = 0  # how much is kept here, in tokens or as much
        self._body = {key: value for key, value in body.items() if key != "messages"}
        self._meant = settings(self._body, model)
        self._unit = model.generation.cache.unit
        # what is settled: where each block of questions begins, how many tokens precede it, and all tokens and units
        self._starts = [0]
        self._offsets = [0]
        self._ids = array("I")
        self._units: list[bytes] = []
        self._plain = 0  # how many messages are rendered one after the other
        self._prompts: dict[int, tuple[Prefixes, array[int]]] = {}
        self._replies: dict[tuple[object, ...], Left] = {}

    def common(self, messages: Sequence[_Message]) -> int:
        """Return how many of the messages stand here, in their order."""
        low, high = 0, min(len(self.messages), len(messages))
        middle = high  # most often it is all of them
        while low < high:
            same = self.messages[low:middle] == messages[low:middle]
            low, high = (middle, high) if same else (low, middle - 1)
            middle = (low + high + 1) // 2
        return low

    def grow(self, messages: Sequence[_Message]) -> None:
        """Take the messages that come after those which stand here already."""
        for message in messages[len(self.messages) :]:
            self.messages.append(_copied(message))
            if self._plain == len(self.messages) - 1 and self._goes_on(self._plain):
                self._plain += 1

    def branch(self, count: int) -> Strand:
        """Return a strand of the first ``count`` messages, with what is known of them."""
        other = Strand(self._body, self.model)
        other.grow(self.messages[:count])
        last = bisect_right(self._starts, count) - 1
        other._starts, other._offsets = self._starts[: last + 1], self._offsets[: last + 1]
        other._ids = self._ids[: self._offsets[last]]
        other._units = self._units[: self._offsets[last] // self._unit]
        other.size = self.size  # of which it shares most
        other._prompts = {place: known for place, known in self._prompts.items() if place <= count}
        other._replies = {said: known for said, known in self._replies.items() if said[0] in other._prompts}
        return other

    def prompt(self, count: int) -> Prefixes:
        """Return the prompt of the request that the first ``count`` messages make."""
        return self._prompt(count)[0]

    def left(self, count: int, said: _Message) -> Left:
        """Return what that request left in the cache if a message is its reply, as it was generated."""
        thought = said.get("reasoning_content")
        # Whoever thought said so first: without the reasoning nothing that was generated is known.
        if said.get("role") != "assistant" or (self._meant.thinking and not isinstance(thought, str)):
            return Left(self.prompt(count))
        return self.answered(
            count,
            content=said["content"] if isinstance(said.get("content"), str) else "",
            reasoning=thought if self._meant.thinking else None,
            calls=tuple((call.name, call.arguments) for call in calls(said.get("tool_calls"))),
        )

    def answered(
        self,
        count: int,
        *,
        content: str,
        reasoning: str | None,
        calls: tuple[tuple[str, str], ...],
        finished: bool = True,
        billed: int | None = None,
    ) -> Left:
        """Return what that request left in the cache with this reply; ``calls`` are names and arguments.

        ``finished`` and ``billed`` are `completion_ids`' ``thinking_finished`` and ``billed``.
        """
        said = (count, content, reasoning, calls, finished, billed)
        if (known := self._replies.get(said)) is None:
            reply = completion_ids(
                self.model,
                content=content,
                reasoning=reasoning,
                tool_calls=[{"function": {"name": name, "arguments": arguments}} for name, arguments in calls],
                forced=self._meant.forced,
                thinking_finished=finished,
                billed=billed,
            )
            known = self._replies[said] = Left(*self._whole(count, reply))
            self.size += len(known.prompt.units)
        return known

    def _prompt(self, count: int) -> tuple[Prefixes, array[int]]:
        """Return a prompt, and its tokens behind the last whole unit."""
        if (known := self._prompts.get(count)) is None:
            known = self._prompts[count] = self._rendered(count)
            self.size += len(known[0].units) + len(known[1])
        return known

    def _rendered(self, count: int) -> tuple[Prefixes, array[int]]:
        messages = self.messages[:count]
        start = self._settled(count)
        if not start:
            tail = ids(prompt.segments(self._body | {"messages": messages}, self.model))
            return self._ended(0, tail)
        self._settle(start)
        meant = replace(self._meant, prefix=messages[-1].get("prefix") is True)
        tail = ids(prompt.further(messages[start - 1 :], meant, self.model))
        return self._ended(self._offsets[bisect_right(self._starts, start) - 1], tail)

    def _ended(self, offset: int, tail: array[int]) -> tuple[Prefixes, array[int]]:
        whole = offset // self._unit
        rest = self._ids[whole * self._unit : offset] + tail
        before = self._units[:whole]
        found = before + units(rest, self._unit, before[-1] if before else b"")
        return Prefixes(offset + len(tail), found), rest[len(rest) // self._unit * self._unit :]

    def _whole(self, count: int, reply: array[int]) -> tuple[Prefixes, Prefixes]:
        asked, rest = self._prompt(count)
        last = asked.units[-1] if asked.units else b""
        return asked, Prefixes(asked.length + len(reply), [*asked.units, *units(rest + reply, self._unit, last)])

    def _goes_on(self, place: int) -> bool:
        """Whether a message changes nothing before it: no system message, and no result of a call further up."""
        message = self.messages[place]
        if message.get("role") == "system":
            return place == 0  # V3 and V3.1 move the others to the head of the prompt
        if message.get("role") != "tool":
            return True
        before = (told for told in reversed(self.messages[:place]) if told.get("role") == "assistant")
        return any(calls(told.get("tool_calls")) for told in islice(before, 1))

    def _settled(self, count: int) -> int:
        """Return where the block of messages begins in which the first ``count`` ask last, 0 if that is not known."""
        if count > self._plain:
            return 0
        # V3.2 keeps the reasoning of a tool loop as long as the loop goes on.
        apart = {*_NOT_ASKING, "tool"} if self.model.generation.reasoning == "tool_loop" else _NOT_ASKING
        start = count - 1
        while start > 0 and self.messages[start].get("role") in apart:
            start -= 1
        while start > 0 and self.messages[start - 1].get("role") != "assistant":
            start -= 1
        return max(start, 0)

    def _settle(self, start: int) -> None:
        """Render and encode what was not settled yet before message ``start``."""
        for place in range(self._starts[-1] + 1, start + 1):
            roles = [message.get("role") for message in self.messages[place - 1 : place + 1]]
            if roles[0] != "assistant" or roles[1:] == ["assistant"]:
                continue
            last = self._starts[-1]
            told = [*self.messages[max(last - 1, 0) : place], _QUESTION]
            asked = f"messages[{len(told) - 1}]"
            body = self._body | {"messages": told}
            parts = prompt.further(told, self._meant, self.model) if last else prompt.segments(body, self.model)
            known = [part for part in parts if not part.where.startswith((asked, "generation"))]
            self._ids += ids(known)
            self._starts.append(place)
            self.size += len(self._ids) - self._offsets[-1]
            self._offsets.append(len(self._ids))
        whole = len(self._units) * self._unit
        self._units += units(self._ids[whole:], self._unit, self._units[-1] if self._units else b"")


def _copied(message: _Message) -> dict[str, Any]:
    """Return a message that shares nothing which can be changed."""
    if all(isinstance(value, str) or value is None for value in message.values()):
        return dict(message)
    return deepcopy(dict(message))
