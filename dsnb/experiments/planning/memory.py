"""The conversations that were planned lately, so that the next turn of one costs what is new in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, Final

from dsnb.client.request import messages_of
from dsnb.contract.strand import Strand
from dsnb.experiments.planning.asked import Asked, Frame

_Key = tuple[object, ...]


class Memory:
    """Keep strands up to ``capacity`` tokens in all, the one used longest ago goes first. Guarded by ``lock``."""

    def __init__(self, capacity: int) -> None:
        self.lock = RLock()
        self._capacity = capacity
        self._strands: list[tuple[_Key, Strand]] = []  # the one used last comes last

    def strand(self, frame: Frame, messages: Sequence[Mapping[str, Any]]) -> Strand:
        """Return a strand that begins with the messages: one that does already, or one that grew or branched."""
        key = (frame.model, frame.meant)
        best, shared = None, 0
        for mine, known in reversed(self._strands):
            if mine == key and (common := known.common(messages)) > shared:
                best, shared = known, common
                if shared == len(messages):
                    break
        if best is None:
            strand = Strand(frame.body, frame.model)
        elif shared == len(messages) or shared == len(best.messages):
            strand = best
        else:
            strand = best.branch(shared)
        if not all(isinstance(message, Mapping) for message in messages[shared:]):
            messages_of(messages)  # which says where something else stands
        strand.grow(messages)
        self._strands = [entry for entry in self._strands if entry[1] is not strand]
        self._strands.append((key, strand))
        return strand

    def trim(self) -> None:
        """Forget what is too much; what was used last stays, however long it is."""
        size = 0
        for place in range(len(self._strands) - 1, -1, -1):
            size += self._strands[place][1].size
            if size > self._capacity and place < len(self._strands) - 1:
                del self._strands[: place + 1]
                return


@dataclass(slots=True)
class Places:
    """Find the strands of the requests of one plan; the longest come first, so that the others lie along them.

    Within one plan a list of messages stands still, and whether it begins another one is told by comparing the two.
    """

    memory: Memory
    planned: Asked
    _known: list[tuple[Frame, Sequence[Mapping[str, Any]], Strand]] = field(default_factory=list)

    def of(self, asked: Asked) -> Strand:
        """Return the strand that begins with a request's messages."""
        messages = asked.messages
        count = len(messages)
        for frame, longer, strand in self._known:
            if frame is asked.frame and longer[:count] == messages:
                return strand
        strand = self.memory.strand(asked.frame, messages)
        self._known.append((asked.frame, messages, strand))
        return strand

    def after(self, asked: Asked) -> Mapping[str, Any]:
        """Return the message that follows a request's own: in the planned one, else in the longest that begins so.

        Empty where there is none. What other plans have shown is not looked at: that may be another conversation.
        """
        messages, count = asked.messages, len(asked.messages)
        lists = [(self.planned.frame, self.planned.messages), *((frame, longer) for frame, longer, _ in self._known)]
        for frame, longer in lists:
            if frame is asked.frame and len(longer) > count and longer[:count] == messages:
                return longer[count]
        return {}


MEMORY: Final = Memory(capacity=8_000_000)  # 32 MB of tokens: eight full contexts of a million
