"""What an engine is: it says what the model answers, and leaves cutting, streaming and billing to the emulator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from dsnb.contract import Contract, Model, Settings, tokens
from dsnb.contract import settings as reading
from dsnb.contract.finding import Finding


@dataclass(frozen=True, slots=True)
class ToolCall:
    """Hold a tool call: the function's name, its arguments as JSON text, and its id (empty: the emulator makes one)."""

    name: str
    arguments: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold a whole answer, before ``max_tokens`` and stop strings cut it.

    ``reasoning`` is dropped where the request does not think. ``finish_reason`` is worked out when None.
    """

    content: str = ""
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """Hold what an engine may know: the request and its meaning, never traffic, cache or time.

    ``contract`` is that of the emulator's ``as_of``. ``ignored`` names what this model will not heed.
    """

    body: Mapping[str, Any]
    contract: Contract
    model: Model
    settings: Settings
    prompt_tokens: int
    ignored: tuple[Finding, ...] = ()
    seed: int = 0

    @property
    def messages(self) -> list[Mapping[str, Any]]:
        """Return the messages."""
        return list(self.body.get("messages", ()))

    @property
    def last_user(self) -> str:
        """Return the text of the last user message, ``""`` without one."""
        users = [message for message in self.messages if message.get("role") == "user"]
        return text(users[-1]) if users else ""

    @property
    def instructions(self) -> str:
        """Return the text of the system messages."""
        return "\n".join(text(message) for message in self.messages if message.get("role") == "system")

    @property
    def roles(self) -> Counter[str]:
        """Return how many messages each role has, in the order of their first."""
        return Counter(str(message.get("role")) for message in self.messages)

    def without_prefix(self) -> EngineRequest:
        """Return the same request before an assistant message was begun for the model to go on with."""
        body = {**self.body, "messages": self.messages[:-1]}
        settings = reading.settings(body, self.model)
        return replace(self, body=body, settings=settings, prompt_tokens=tokens.prompt_tokens(body, self.model))


class Engine(Protocol):
    """Say what the model answers; the same request and seed must give the same answer."""

    def answer(self, request: EngineRequest) -> Answer:
        """Return the answer to ``request``."""
        ...


def text(message: Mapping[str, Any]) -> str:
    """Return the text of a message, its parts joined where it has several."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list | tuple) else ()
    found = [part.get("text") for part in parts if isinstance(part, Mapping)]
    return "\n".join(part for part in found if isinstance(part, str))
