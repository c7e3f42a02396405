"""A conversation that grows, as the cache sees it: what is new is rendered, encoded and hashed; the rest is known.

A prompt is settled up to where its last question begins: whatever is asked later, the messages before that are written
as they are now. (V3.2 and V4 leave earlier reasoning out as soon as something new is asked, and sort the results of
tools within a block.) So a strand keeps the tokens and units of its settled part, and each prompt adds its own end.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import groupby, islice
from typing import Any

from dsnb.contract import prompt
from dsnb.contract.cache import Left, Prefixes, units
from dsnb.contract.catalogue import Model
from dsnb.contract.prompt import Segment
from dsnb.contract.settings import settings
from dsnb.contract.templates.turn import calls
from dsnb.contract.tokens import completion_ids, ids

_Message = Mapping[str, Any]
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
        self._headless = prompt.headless(self._meant)
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
            self.messages.append(copied(message))
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
        """Render and encode a prompt from the last block on that is settled, and settle what it asks no more."""
        start = self._settled(count)
        place = bisect_right(self._starts, start) - 1
        begin = self._starts[place]
        messages = self.messages[max(begin - 1, 0) : count]
        parts: Iterable[Segment]
        if begin:
            meant = replace(self._headless, prefix=True) if _begun(messages[-1]) else self._headless
            parts = prompt.further(messages, meant, self.model)
        else:
            parts = prompt.segments(self._body | {"messages": messages}, self.model)
        starts = [index for index in range(begin + 1, start + 1) if self._asks_anew(index)]
        if not starts:
            return self._ended(self._offsets[place], ids(parts))
        tail = array("I")
        for block, told in groupby(parts, lambda part: bisect_right(starts, _index(part.where, max(begin - 1, 0)))):
            if block < len(starts):
                self._ids += ids(told)
                self._starts.append(starts[block])
                self._offsets.append(len(self._ids))
            else:
                tail = ids(told)
        whole = len(self._units) * self._unit
        self._units += units(self._ids[whole:], self._unit, self._units[-1] if self._units else b"")
        self.size += len(self._ids) - self._offsets[place]
        return self._ended(len(self._ids), tail)

    def _asks_anew(self, index: int) -> bool:
        """Whether a block of questions begins with a message: the first behind an answer."""
        before, role = self.messages[index - 1].get("role"), self.messages[index].get("role")
        return before == "assistant" and role != "assistant"

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


def _index(where: str, first: int) -> int:
    """Return to which message a part of a prompt belongs, ``first`` being that which it calls the first."""
    if where.startswith("messages["):
        return first + int(where[len("messages[") : where.index("]")])
    return sys.maxsize if where == "generation" else 0


def _begun(message: _Message) -> bool:
    return message.get("role") == "assistant" and message.get("prefix") is True


def copied(message: _Message) -> dict[str, Any]:
    """Return a message that shares nothing which can be changed."""
    if all(isinstance(value, str) or value is None for value in message.values()):
        return dict(message)
    return deepcopy(dict(message))
