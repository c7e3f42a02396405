"""The conversations that were planned lately: which reply said what, and the messages as a model is sent them.

A conversation only grows, most often, so what was found of it before is kept: that it still begins with the same
messages and replies is soon told, and what is new in it is all that is looked at.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from operator import is_
from threading import RLock
from typing import Any, Final

from dsnb.client.reply import Reply
from dsnb.contract import Model
from dsnb.contract.passback import rendered
from dsnb.contract.strand import copied
from dsnb.conversation import Conversation

_MOST: Final = 8  # conversations; what is kept of one are its messages


class Spoken:
    """Hold the messages of one conversation, copied, and where each round of its replies stands among them."""

    def __init__(self, chat: Conversation) -> None:
        self.messages: list[dict[str, Any]] = []
        self.rounds: list[tuple[Reply, int]] = []  # and the place of its message
        self._chat = weakref.ref(chat)
        self._replies: list[Reply] = []
        self._all_found = True
        self._told: dict[tuple[str, bool, bool], list[dict[str, Any]]] = {}

    def begins(self, chat: Conversation) -> bool:
        """Whether a conversation is the one that was seen here, and only grew."""
        count = len(self._replies)
        return (
            self._chat() is chat
            and self._all_found
            and len(chat.replies) >= count
            and all(map(is_, chat.replies, self._replies))
            and chat.messages[: len(self.messages)] == self.messages
        )

    def grow(self, chat: Conversation) -> None:
        """Take what is new in a conversation that begins so."""
        self.messages += map(copied, chat.messages[len(self.messages) :])
        new = chat.replies[len(self._replies) :]
        self._replies += new
        place = self.rounds[-1][1] + 1 if self.rounds else 0
        for each in [each for reply in new for each in (reply.rounds or (reply,))]:
            said = each.message
            found = next((at for at in range(place, len(self.messages)) if self.messages[at] == said), None)
            if found is None:  # left out of the history, as an answer is that was not the JSON which was wanted
                self._all_found = False
            else:
                self.rounds.append((each, found))
                place = found + 1

    def told(self, model: Model, *, thinking: bool, tools: bool) -> list[dict[str, Any]]:
        """Return the messages such that each request to the model was a beginning of them.

        V3.2 was sent the reasoning of a tool loop as long as that lasted. Here it stays, and the template leaves it
        out.
        """
        told = self._told.setdefault((model.generation.reasoning, thinking, tools), [])
        for message in self.messages[len(told) :]:
            told += rendered([message], model, thinking=thinking, tools=tools)
        return told


class Conversations:
    """Keep what is known of the conversations used last. Guarded by ``lock``, as are those that it returns."""

    def __init__(self) -> None:
        self.lock = RLock()
        self._known: OrderedDict[int, Spoken] = OrderedDict()

    def of(self, chat: Conversation) -> Spoken:
        """Return what a conversation has come to."""
        known = self._known.pop(id(chat), None)
        if known is None or not known.begins(chat):
            known = Spoken(chat)
        known.grow(chat)
        self._known[id(chat)] = known
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        return known


CONVERSATIONS: Final = Conversations()
