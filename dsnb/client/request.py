"""From the keywords of `ask` to the body that the API takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsnb.errors import RequestError

Messages = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Request:
    """Hold one request: where it goes and its body, exactly as it will be sent."""

    path: str
    body: dict[str, Any]

    @property
    def stream(self) -> bool:
        """Whether the answer comes as a stream of events."""
        return bool(self.body.get("stream"))


def build(
    prompt: str | Messages,
    *,
    model: str,
    thinking: bool | None = None,
    effort: str | None = None,
    tools: Sequence[Mapping[str, Any]] | None = None,
    tool_choice: str | Mapping[str, Any] | None = None,
    json: bool = False,
    stop: str | Sequence[str] | None = None,
    max_tokens: int | None = None,
    user_id: str | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    stream: bool = True,
    **others: Any,
) -> Request:
    """Build the chat request for a prompt (one user message) or a list of messages.

    What is None is left out, so that the API's defaults hold. Anything else passes untouched (``others``).
    A stream asks for its usage (``stream_options``). Raises RequestError for a prompt that is neither text nor a list
    of messages.
    """
    body: dict[str, Any] = {"model": model, "messages": messages_of(prompt)}
    if thinking is not None:
        body["thinking"] = {"type": "enabled" if thinking else "disabled"}
    optional = {
        "reasoning_effort": effort,
        "tools": None if tools is None else [dict(tool) for tool in tools],
        "tool_choice": tool_choice,
        "response_format": {"type": "json_object"} if json else None,
        "stop": stop if stop is None or isinstance(stop, str) else list(stop),
        "max_tokens": max_tokens,
        "user_id": user_id,
        "temperature": temperature,
        "top_p": top_p,
    }
    body.update({name: value for name, value in optional.items() if value is not None})
    body["stream"] = stream
    if stream:
        body["stream_options"] = {"include_usage": True}
    body.update(others)
    return Request("/chat/completions", body)


def messages_of(prompt: str | Messages) -> list[dict[str, Any]]:
    """Return the message list for a prompt; raise RequestError where it is neither text nor messages."""
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    if isinstance(prompt, Mapping | bytes) or not isinstance(prompt, Sequence):
        raise RequestError(
            f"A prompt is a text or a list of messages, not {type(prompt).__name__}. "
            'Write ask("..."), or ask([{"role": "user", "content": "..."}]).'
        )
    messages: list[dict[str, Any]] = []
    for index, message in enumerate(prompt):
        if not isinstance(message, Mapping):
            raise RequestError(
                f"messages[{index}] is {type(message).__name__}, not a message. "
                'A message is a dict such as {"role": "user", "content": "..."}; a Reply gives its own as `.message`.'
            )
        messages.append(dict(message))
    return messages
