"""From the keywords of `ask` to the body that the API takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dsnb.client.reply import Reply
from dsnb.errors import RequestError

Messages = Sequence[Mapping[str, Any]]

CHAT: Final = "/chat/completions"
BETA_CHAT: Final = "/beta/chat/completions"  # prefix completion and strict tools
COMPLETION: Final = "/beta/completions"  # fill-in-the-middle


@dataclass(frozen=True, slots=True)
class Request:
    """Hold one request: where it goes and its body, exactly as it will be sent."""

    path: str
    body: dict[str, Any]

    @property
    def stream(self) -> bool:
        """Whether the answer comes as a stream of events."""
        return bool(self.body.get("stream"))

    @property
    def beta(self) -> bool:
        """Whether it goes to a beta route."""
        return self.path.startswith("/beta/")

    @property
    def completion(self) -> bool:
        """Whether it asks for a text completion (fill-in-the-middle), not for a chat."""
        return self.path == COMPLETION

    @property
    def start(self) -> str:
        """The text that the answer goes on from: a prefix, or the prompt of a text completion."""
        return _text(self.body.get("prompt")) if self.completion else _text(self._prefix.get("content"))

    @property
    def start_reasoning(self) -> str:
        """The reasoning that a prefix goes on from."""
        return _text(self._prefix.get("reasoning_content"))

    @property
    def suffix(self) -> str:
        """The text that follows the answer of a text completion."""
        return _text(self.body.get("suffix")) if self.completion else ""

    @property
    def echo(self) -> str:
        """The prompt, where the endpoint is asked to repeat it before the answer."""
        return self.start if self.completion and self.body.get("echo") is True else ""

    @property
    def _prefix(self) -> Mapping[str, Any]:
        """The last message, where the answer goes on from it."""
        messages = self.body.get("messages")
        last = messages[-1] if isinstance(messages, list) and messages else None
        return last if isinstance(last, Mapping) and _is_prefix(last) else {}


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
    start: str | None = None,
    beta: bool = False,
    stream: bool = True,
    **others: Any,
) -> Request:
    """Build the chat request for a prompt (one user message) or a list of messages.

    What is None is left out, so that the API's defaults hold. Anything else passes untouched (``others``).
    A stream asks for its usage (``stream_options``).

    ``start`` is text that the answer goes on from (chat prefix completion). To begin the reasoning as well, end the
    messages with ``{"role": "assistant", "content": ..., "reasoning_content": ..., "prefix": True}`` instead. Either
    goes to the beta route by itself; ``beta`` sends any other request there, as strict tools need it.

    Raises RequestError for a prompt that is neither text nor a list of messages, and for a start that is no text or
    stands behind another.
    """
    messages = messages_of(prompt)
    begun = bool(messages) and _is_prefix(messages[-1])
    if start is not None and not isinstance(start, str):
        raise RequestError(f"start is {type(start).__name__}, not text: write the words that the answer begins with.")
    if start and begun:
        raise RequestError(
            "The answer has two beginnings: start=... and a last message with prefix=True. Leave one of them out."
        )
    if start:
        messages.append({"role": "assistant", "content": start, "prefix": True})
        begun = True
    body: dict[str, Any] = {"model": model, "messages": messages}
    if thinking is not None:
        body["thinking"] = {"type": "enabled" if thinking else "disabled"}
    optional = {
        "reasoning_effort": effort,
        "tools": None if tools is None else [dict(tool) for tool in tools],
        "tool_choice": tool_choice,
        "response_format": {"type": "json_object"} if json else None,
        "stop": _stop(stop),
        "max_tokens": max_tokens,
        "user_id": user_id,
        "temperature": temperature,
        "top_p": top_p,
    }
    return _request(BETA_CHAT if begun or beta else CHAT, body, optional, others, stream=stream)


def build_completion(
    prompt: str,
    *,
    model: str,
    suffix: str | None = None,
    max_tokens: int | None = None,
    echo: bool = False,
    logprobs: int | None = None,
    stop: str | Sequence[str] | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    thinking: bool | None = None,
    stream: bool = True,
    **others: Any,
) -> Request:
    """Build the request that has a text gone on with, up to ``suffix`` where there is one (fill-in-the-middle).

    ``max_tokens`` is 4096 at most, ``logprobs`` the number of likeliest tokens to tell at each place, 20 at most, and
    ``echo`` goes with neither ``suffix`` nor ``logprobs`` (reference 'Create FIM Completion'). The model never thinks
    here: ``thinking`` is for those who ask for it all the same, and are told so by the contract. Raises RequestError
    for a prompt or suffix that is no text.
    """
    if not isinstance(prompt, str):
        raise RequestError(
            f"A completion goes on with a text, not with {type(prompt).__name__}. "
            'Write complete("def area(r):\\n", suffix="..."); messages are for ask([...]).'
        )
    if suffix is not None and not isinstance(suffix, str):
        raise RequestError(f"suffix is {type(suffix).__name__}, not text: write what follows the gap.")
    body: dict[str, Any] = {"model": model, "prompt": prompt}
    optional = {
        "suffix": suffix,
        "max_tokens": max_tokens,
        "echo": echo or None,
        "logprobs": logprobs,
        "stop": _stop(stop),
        "temperature": temperature,
        "top_p": top_p,
        "thinking": {"type": "enabled"} if thinking else None,
    }
    return _request(COMPLETION, body, optional, others, stream=stream)


def continued(request: Request, begun: Reply, max_tokens: int | None) -> Request:
    """Return the request that has an answer gone on with which was cut: what there is of it is the prefix.

    ``max_tokens`` is what is left of the request's own limit, None where it has none.
    """
    given = request.body["messages"]
    kept = given[:-1] if given and _is_prefix(given[-1]) else given
    body = request.body | {"messages": [*kept, {**begun.message, "prefix": True}]}
    return Request(BETA_CHAT, body | ({} if max_tokens is None else {"max_tokens": max_tokens}))


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


def _request(
    path: str, body: dict[str, Any], optional: Mapping[str, Any], others: Mapping[str, Any], *, stream: bool
) -> Request:
    body.update({name: value for name, value in optional.items() if value is not None})
    body["stream"] = stream
    if stream:
        body["stream_options"] = {"include_usage": True}
    body.update(others)
    return Request(path, body)


def _stop(stop: str | Sequence[str] | None) -> str | list[str] | None:
    return stop if stop is None or isinstance(stop, str) else list(stop)


def _is_prefix(message: Mapping[str, Any]) -> bool:
    return message.get("role") == "assistant" and message.get("prefix") is True


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
