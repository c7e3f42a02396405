"""What an engine is: it says what the model answers, and leaves cutting, streaming and billing to the emulator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from dsnb.contract import Contract, Model, Settings, tokens
from dsnb.contract import settings as reading
from dsnb.contract.finding import Finding

# What a reply is made of: text of two kinds, the openings of tool calls, and their arguments.
REASONING, CONTENT, CALL, ARGUMENTS = "reasoning", "content", "call", "arguments"


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

    ``contract`` is that of the emulator's ``as_of``. ``ignored`` names what this model will not heed. A chat request
    has ``messages``; one of fill-in-the-middle completion has ``prompt`` and ``suffix``, and wants their middle.
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
    def prompt(self) -> str | None:
        """Return the text before the gap that is to be filled in, None in a chat."""
        return self.body.get("prompt")

    @property
    def suffix(self) -> str:
        """Return the text after the gap, ``""`` without one."""
        return self.body.get("suffix") or ""

    @property
    def last_user(self) -> str:
        """Return the text of the last user message, ``""`` without one; without a chat the prompt."""
        if self.prompt is not None:
            return self.prompt
        users = [message for message in self.messages if message.get("role") == "user"]
        return text(users[-1]) if users else ""

    @property
    def instructions(self) -> str:
        """Return the text of the system messages."""
        return "\n".join(text(message) for message in self.messages if message.get("role") == "system")

    @property
    def results(self) -> list[tuple[str, str]]:
        """Return the name and result of each tool that answered since the last user message, if a tool spoke last.

        The beginning of the answer, in a prefix request, does not count as spoken.
        """
        names: dict[object, str] = {}
        results: list[tuple[str, str]] = []
        messages = self.messages[:-1] if self.settings.prefix else self.messages
        for message in messages:
            role = message.get("role")
            if role == "user":
                results = []
            elif role == "assistant":
                called = message.get("tool_calls") or ()
                names |= {call.get("id"): call.get("function", {}).get("name", "") for call in called}
            elif role == "tool":
                results.append((names.get(message.get("tool_call_id"), ""), text(message)))
        return results if messages and messages[-1].get("role") == "tool" else []

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


def rest(answer: Answer, request: EngineRequest) -> Answer:
    """Return what is left to say of an answer that the last message of a prefix request has begun.

    Once the text has begun the thinking is over; before that, reasoning in the message is the beginning of it. An
    answer that does not begin as the message does is taken for the rest already.
    """
    if not request.settings.prefix:
        return answer
    begun = request.messages[-1]
    prefix, thought = text(begun), begun.get("reasoning_content")
    reasoning = "" if prefix else (answer.reasoning or "").removeprefix(thought or "")
    return replace(answer, content=answer.content.removeprefix(prefix), reasoning=reasoning)


def text(message: Mapping[str, Any]) -> str:
    """Return the text of a message, its parts joined where it has several."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list | tuple) else ()
    found = [part.get("text") for part in parts if isinstance(part, Mapping)]
    return "\n".join(part for part in found if isinstance(part, str))
