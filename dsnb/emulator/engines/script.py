"""The default engine: scenarios, tools that the message names, JSON on demand, gaps filled in, else a report."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from dsnb.emulator.engines.infill import infill
from dsnb.emulator.engines.intent import Call, calls
from dsnb.emulator.engines.json_reply import json_reply
from dsnb.emulator.engines.protocol import Answer, EngineRequest, ToolCall, rest, text
from dsnb.emulator.engines.report import reasoning, report

_READ = 5_000  # characters of a message that are looked through for what it wants
_QUESTION = 400  # characters of it that may ask for a scenario
_RESULT = 400  # characters of a tool's result that are repeated


@dataclass(frozen=True, slots=True)
class Scenario:
    """Hold one hand-written answer and what the last user message must look like to get it."""

    match: re.Pattern[str]
    reasoning: str
    answer: str


class ScriptEngine:
    """Answer from a script; every text says that the emulator wrote it."""

    def answer(self, request: EngineRequest) -> Answer:
        """Return the answer, without reasoning where the request does not think."""
        if request.prompt is not None:
            return Answer(infill(request.prompt, request.suffix))
        answer = _continued(request) if request.settings.prefix else _whole(request)
        return answer if request.settings.thinking else replace(answer, reasoning=None)


def _whole(request: EngineRequest) -> Answer:
    settings = request.settings
    results = request.results
    if settings.tools and (settings.forced or not results):
        said, orders = request.last_user[:_READ], request.instructions[:_READ]
        found = calls(said, settings.tools, forced=settings.forced, instructions=orders)
        if found:
            return _calling(found)
    if settings.json_mode:
        return Answer(json_reply(request), "We are the dsnb emulator; the request wants JSON, so we fill in its form.")
    if results:
        return Answer(
            _reported(results), "We are the dsnb emulator; the tools have answered, so we repeat what they said."
        )
    for scenario in scenarios():
        if scenario.match.search(request.last_user[:_QUESTION]):
            return Answer(scenario.answer, scenario.reasoning)
    return Answer(report(request), reasoning(request))


def _calling(found: list[Call]) -> Answer:
    names = ", ".join(dict.fromkeys(call.name for call in found))
    thought = (
        f"We are the dsnb emulator; the message asks for {names}, so we call that with the values that it mentions."
    )
    return Answer(
        "", thought, tuple(ToolCall(call.name, json.dumps(call.arguments, ensure_ascii=False)) for call in found)
    )


def _reported(results: list[tuple[str, str]]) -> str:
    lines = []
    for name, result in results:
        failure = _failure(result)
        said = f": {_short(result)}" if failure is None else f" failed: {_short(failure)}"
        lines.append(f"- `{name or 'tool'}`{said}")
    return "\n".join(["The tools answered (repeated by the dsnb emulator, which understood none of it):", "", *lines])


def _failure(result: str) -> str | None:
    """Return what went wrong, where a result says that something did: a JSON object with an ``error``."""
    try:
        found = json.loads(result)
    except (ValueError, RecursionError):
        return None
    error = found.get("error") if isinstance(found, dict) else None
    if not error:
        return None
    return error if isinstance(error, str) else json.dumps(error, ensure_ascii=False)


def _short(result: str) -> str:
    words = " ".join(result.split())
    return words if len(words) <= _RESULT else f"{words[:_RESULT]} …"


def _continued(request: EngineRequest) -> Answer:
    """Go on with the text of the same request without the prefix; where they differ, go on honestly."""
    whole, prefix = _whole(request.without_prefix()), text(request.messages[-1])
    if not whole.content.startswith(prefix):
        whole = Answer(_going_on(prefix))
    return rest(whole, request)


def _going_on(prefix: str) -> str:
    """Return a continuation of a text that the script did not begin."""
    fence = re.search(r"```(\w*)[^\n]*\n[^`]*\Z", prefix)
    if fence:
        comment = (
            "//" if fence[1] in ("c", "cpp", "go", "java", "javascript", "js", "rust", "ts", "typescript") else "#"
        )
        return f'{comment} Scripted by the dsnb emulator: no model wrote this.\nprint("hello")\n```\n'
    gap = "" if not prefix or prefix[-1].isspace() else " "
    return f"{gap}… and so the dsnb emulator goes on: it has no script for the {len(prefix)} characters given."


@cache
def scenarios() -> tuple[Scenario, ...]:
    """Return the hand-written scenarios, in the order in which they are tried."""
    path = resources.files("dsnb.emulator.engines").joinpath("scenarios.toml")
    rows = tomllib.loads(path.read_text("utf-8"))["scenario"]
    return tuple(
        Scenario(re.compile(row["match"], re.IGNORECASE), row["reasoning"].strip(), row["answer"].strip())
        for row in rows
    )
