"""A conversation: everything that was said, of which every model is sent what it wants to see."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Protocol, Self

from dsnb import archive
from dsnb.client.events import Event
from dsnb.client.reply import Reply
from dsnb.client.request import Messages
from dsnb.contract import Finding
from dsnb.errors import ConfigurationError


class _Asked(Protocol):
    """What a conversation asks: a session."""

    def ask(self, prompt: str | Messages, *, render: str | None = "auto", **options: Any) -> Reply: ...
    async def aask(self, prompt: str | Messages, *, render: str | None = "auto", **options: Any) -> Reply: ...
    def stream(self, prompt: str | Messages, **options: Any) -> Iterator[Event]: ...
    def astream(self, prompt: str | Messages, **options: Any) -> AsyncIterator[Event]: ...
    def lint(self, prompt: str | Messages, **options: Any) -> list[Finding]: ...


class Conversation:
    """Keep a history whole, and ask in it. Made by ``ds.conversation(...)``.

    ``messages`` is the history as a list of the API's messages, with all reasoning, tool calls and results;
    ``replies`` are the turns' replies, with tokens, cost and time. What is sent of it depends on the model that
    answers: R1 and V3.1 refuse earlier reasoning, V3.2 wants it within a turn, V4 and later want it all (guide
    'Thinking Mode'). So the model, and even the session, may change from one turn to the next.

    A turn that fails leaves no trace here; one that was cut off leaves what it had said, as far as the API would take
    it back. ``options`` are those of `dsnb.Session.ask`, for every turn; each turn may override them.
    """

    def __init__(
        self,
        session: _Asked | None = None,
        *,
        system: str | None = None,
        tools: Sequence[Any] | None = None,
        **options: Any,
    ) -> None:
        self.session = session
        self.messages: list[dict[str, Any]] = []
        self.replies: list[Reply] = []
        self.options = {**options, **({} if tools is None else {"tools": tools})}
        if system is not None:
            self.messages.append({"role": "system", "content": system})

    def ask(self, prompt: str | Messages, *, render: str | None = "auto", **options: Any) -> Reply:
        """Ask the next question, show the turn, and return its Reply; see `dsnb.Session.ask`.

        A list of messages is added as it is: for the results of tools that were run by hand.
        """
        return self._asked.ask(prompt, render=render, into=self, **self.options | options)

    async def aask(self, prompt: str | Messages, *, render: str | None = "auto", **options: Any) -> Reply:
        """Do as `ask` does, for an event loop."""
        return await self._asked.aask(prompt, render=render, into=self, **self.options | options)

    def stream(self, prompt: str | Messages, **options: Any) -> Iterator[Event]:
        """Ask the next question, and yield its events; nothing is displayed. See `dsnb.Session.stream`."""
        return self._asked.stream(prompt, into=self, **self.options | options)

    def astream(self, prompt: str | Messages, **options: Any) -> AsyncIterator[Event]:
        """Do as `stream` does, for an event loop."""
        return self._asked.astream(prompt, into=self, **self.options | options)

    def lint(self, prompt: str | Messages = "…", **options: Any) -> list[Finding]:
        """Return what the API would say if ``prompt`` were asked next, message by message; nothing is sent.

        What it would reject comes first, then what it would ignore, then what each message is billed for, in tokens
        of the prompt. See `dsnb.Session.lint`.
        """
        return self._asked.lint(prompt, into=self, **self.options | options)

    def fork(self, session: _Asked | None = None) -> Conversation:
        """Return a conversation with the same past and a future of its own, in ``session`` or the same one."""
        other = Conversation(session or self.session, **self.options)
        other.messages, other.replies = list(self.messages), list(self.replies)
        return other

    def take(self, prompt: Messages, reply: Reply) -> None:
        """Add a turn that has ended, unless nothing of it can be sent back to the API."""
        added = reply.messages
        if added:
            self.messages += [*map(dict, prompt), *added]
            self.replies.append(reply)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the conversation as JSON Lines: a head with its options, then each message, then each reply.

        The file is replaced whole or not at all. Tools are saved as their schemas, since a file holds no functions.
        """
        archive.save(path, self.messages, self.replies, self.options)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], session: _Asked | None = None, *, tools: Sequence[Any] | None = None
    ) -> Self:
        """Return the conversation that `save` wrote, ready to go on in ``session`` with ``tools``.

        Raises DsnbError for a file that is no conversation, and says where it is not.
        """
        loaded = cls(session)
        loaded.messages, loaded.replies, loaded.options = archive.load(path)
        if tools is not None:
            loaded.options["tools"] = tools
        return loaded

    def to_markdown(self) -> str:
        """Return the conversation as Markdown, in which nothing that a model wrote is more than text."""
        from dsnb.display.dialogue import bundle

        return bundle(self.messages, self.replies)["text/markdown"]

    @property
    def _asked(self) -> _Asked:
        if self.session is None:
            raise ConfigurationError(
                "This conversation has no session to ask: load it with Conversation.load(path, ds), or set "
                "chat.session = dsnb.connect()."
            )
        return self.session

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Conversation):
            return NotImplemented
        return self.messages == other.messages and self.replies == other.replies

    __hash__ = None  # type: ignore[assignment] # it grows

    def __len__(self) -> int:
        return len(self.messages)

    def __repr__(self) -> str:
        asked = sum(message.get("role") == "user" for message in self.messages)
        what = [f"{asked} question{'' if asked == 1 else 's'}", f"{len(self.messages)} messages"]
        usages = [reply.usage for reply in self.replies if reply.usage is not None]
        if usages:
            tokens = sum(usage.total_tokens or 0 for usage in usages)
            what.append(f"{tokens:,} tokens")
        return f"<Conversation {' · '.join(what)}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from dsnb.display.dialogue import bundle

        return bundle(self.messages, self.replies)
