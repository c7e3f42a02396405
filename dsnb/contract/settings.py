"""What a request means to a model: its switches and defaults, read the way the API reads them.

Reading never fails: ``requests.check`` tells what the API rejects; here a value of the wrong kind counts as absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dsnb.contract.catalogue import Model


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold what one request asks for, with the defaults filled in.

    ``effort`` is a level (``low``, ``high``, ``max``), None without thinking or where the model has no levels.
    ``max_tokens`` is the request's when ``explicit_max_tokens``, else the model's default. ``tools`` are those that
    reach the prompt; ``forced`` says that the answer must call one. ``prefix``: the answer continues the last message.
    """

    thinking: bool
    effort: str | None
    max_tokens: int
    explicit_max_tokens: bool
    tools: tuple[Mapping[str, Any], ...]
    forced: bool
    json_mode: bool
    stream: bool
    include_usage: bool
    logprobs: bool
    top_logprobs: int
    stop: tuple[str, ...]
    prefix: bool
    strict_tools: bool


# Tokens that fill-in-the-middle completion writes at most: 4K (guide 'FIM Completion'). That it is the default as well
# is an inference (confidence L).
COMPLETION_TOKENS = 4096
_COMPLETION = ("max_tokens", "stop", "stream", "stream_options")  # what it shares with chat


def settings(body: Mapping[str, Any], model: Model) -> Settings:
    """Return what ``body`` means to ``model``.

    ``thinking.type: "disabled"`` wins over any effort (live 2026-09-20), and the effort ``none`` disables thinking as
    well (reference 'Create Chat Completion', 2026-09). ``tool_choice: "none"`` keeps the tools out of the prompt (live
    2026-07-27), and a named one lets only that tool in (recorded 2026-07).
    """
    tools = _objects(body.get("tools"))
    choice = body.get("tool_choice")
    named = _get(_get(choice, "function"), "name")
    if choice == "none":
        tools = ()
    elif named is not None:
        tools = tuple(tool for tool in tools if _get(tool.get("function"), "name") == named)
    thinking, effort = _thinking(body, model, tools=bool(tools))
    default = model.default_max_tokens["chat" if not thinking else "max" if effort == "max" else "thinking"]
    max_tokens = _integer(body.get("max_tokens"))
    last = (_objects(body.get("messages")) or (None,))[-1]
    return Settings(
        thinking=thinking,
        effort=effort,
        max_tokens=default if max_tokens is None else max_tokens,
        explicit_max_tokens=max_tokens is not None,
        tools=tools,
        forced=bool(tools) and (named is not None or choice == "required"),
        json_mode=_get(body.get("response_format"), "type") == "json_object",
        stream=body.get("stream") is True,
        include_usage=_get(body.get("stream_options"), "include_usage") is True,
        logprobs=body.get("logprobs") is True,
        top_logprobs=_integer(body.get("top_logprobs")) or 0,
        stop=_texts(body.get("stop")),
        prefix=_get(last, "role") == "assistant" and _get(last, "prefix") is True,
        strict_tools=bool(tools) and all(_get(tool.get("function"), "strict") is True for tool in tools),
    )


def completion_settings(body: Mapping[str, Any], model: Model) -> Settings:
    """Return what a fill-in-the-middle request means: no thinking, no tools, and ``logprobs`` as a number.

    ``logprobs: 0`` asks for those of the chosen tokens alone (reference 'Create FIM Completion', 2026-09).
    """
    logprobs = _integer(body.get("logprobs"))
    return replace(
        settings({key: value for key, value in body.items() if key in _COMPLETION}, model),
        thinking=False,
        effort=None,
        max_tokens=_integer(body.get("max_tokens")) or min(COMPLETION_TOKENS, model.max_output),
        logprobs=logprobs is not None,
        top_logprobs=logprobs or 0,
    )


def _thinking(body: Mapping[str, Any], model: Model, *, tools: bool) -> tuple[bool, str | None]:
    """Return whether the model thinks, and at which level."""
    asked = body.get("reasoning_effort")
    effort = model.efforts.get(asked, model.effort_default) if isinstance(asked, str) else model.effort_default
    if model.thinking == "switch":
        switch = _get(body.get("thinking"), "type")
        on = switch == "enabled" or (switch != "disabled" and model.thinking_default)
        on = on and effort != "none"
    else:
        on = model.thinking == "always"
    if not on or (tools and not model.thinking_with_tools):
        return False, None
    return True, model.effort_default if effort == "none" else effort


def _get(value: object, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _objects(value: object) -> tuple[Mapping[str, Any], ...]:
    return tuple(item for item in value if isinstance(item, Mapping)) if isinstance(value, (list, tuple)) else ()


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, (list, tuple)) else ()
