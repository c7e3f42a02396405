"""The answer to what no scenario knows: an honest account of the request itself."""

from __future__ import annotations

from dsnb.emulator.engines.protocol import EngineRequest

_QUOTE = 160  # characters: about two lines


def report(request: EngineRequest) -> str:
    """Return Markdown that says what arrived, and that no model read it."""
    model, settings = request.model, request.settings
    day = f"{request.contract.instant:%Y-%m-%d}"
    lines = [
        "This is the **dsnb emulator**: no model has read your message, so here is what the request was.",
        "",
        f"- **Model:** `{model.served}` ({model.build}), by the contract of {day}",
        f"- **Messages:** {_roles(request)}; {_counted(request.prompt_tokens, 'prompt token')}",
        f"- **Thinking:** {_thinking(request)}",
    ]
    tools = [f"`{tool['function']['name']}`" for tool in settings.tools]
    if tools:
        lines.append(f"- **Tools offered:** {', '.join(tools)}; name one in your message to have it called")
    if request.ignored:
        ignored = dict.fromkeys(f"`{finding.where}`" for finding in request.ignored)
        lines.append(f"- **Without effect here:** {', '.join(ignored)}")
    begun = _begun(request.last_user)
    lines += ["", f"Your last message {begun}" if begun else "There was no user message."]
    return "\n".join(lines)


def reasoning(request: EngineRequest) -> str:
    """Return what the emulator 'thinks' before a report: what it is about to say, in the first person plural."""
    tools = len(request.settings.tools)
    offered = (
        f"{_counted(tools, 'tool')} offered, none of them named in the message" if tools else "no tools are offered"
    )
    return (
        f"We are the dsnb emulator, so we cannot think about the question; we report on the request instead. "
        f"We see {_roles(request)}, {_counted(request.prompt_tokens, 'prompt token')} in all. Thinking is "
        f"{_thinking(request)}, and {offered}. We will name the model and its date, count the messages by role, "
        f"list what this model ignores, and quote how the last user message begins."
    )


def _roles(request: EngineRequest) -> str:
    return (
        ", ".join(f"{count} {role}" for role, count in request.roles.items())
        + " "
        + ("message" if request.roles.total() == 1 else "messages")
    )


def _thinking(request: EngineRequest) -> str:
    if not request.settings.thinking:
        return "off"
    return f"on, effort `{request.settings.effort}`" if request.settings.effort else "on"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _begun(message: str) -> str:
    """Return how ``message`` begins, as a Markdown quotation."""
    words = " ".join(message.split())
    if not words:
        return ""
    if len(words) <= _QUOTE:
        return f"reads:\n\n> {words}"
    return f"begins:\n\n> {words[:_QUOTE].rsplit(' ', 1)[0]} …"
