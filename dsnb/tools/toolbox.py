"""All tools of a request: how they are told to the API, and what becomes of the model's calls."""

from __future__ import annotations

import inspect
import math
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from dsnb.client.stopping import Stop
from dsnb.client.tool_call import ToolCall
from dsnb.contract import Finding
from dsnb.errors import RequestError
from dsnb.tools import calling
from dsnb.tools.arguments import BadArguments
from dsnb.tools.definition import Tool
from dsnb.tools.results import clean, excuse
from dsnb.tools.signature import origin

_CUT = (
    "The reply was cut off before its calls were complete, so none of them was executed. "
    "Call again, with shorter arguments or in fewer calls."
)
_NO_TIME = "The time for this turn ran out before the tool could begin."


class Toolbox:
    """Hold what ``tools=[...]`` of a request means, and run what the model calls.

    Takes tools, functions, pydantic models and dataclasses (made into tools as `tool` does), and schemas as the API
    takes them, which pass untouched and cannot be run here. ``strict`` tells whether every function is strict, which
    is what the beta route wants: as soon as one is not, none is, and ``notes`` say because of which, with the mend.
    Raises RequestError for two functions of one name and for what cannot be a tool.
    """

    def __init__(self, tools: Sequence[Tool[..., Any] | Callable[..., Any] | Mapping[str, Any]] = ()) -> None:
        if isinstance(tools, Mapping | str) or not isinstance(tools, Sequence):
            raise RequestError(f"tools is a list of tools, not {type(tools).__name__}. Write tools=[...].")
        self._entries = [entry if isinstance(entry, Tool | Mapping) else Tool(entry) for entry in tools]
        self._tools = {entry.name: entry for entry in self._entries if isinstance(entry, Tool)}
        names = [name for name in map(_name, self._entries) if name is not None]
        for name in names:
            if names.count(name) > 1:
                raise RequestError(f'Two tools are named {name}. Give one another name: tool(name="...")(function).')
        for name, entry in self._tools.items():
            if entry.unbound:
                raise RequestError(
                    f"{name} is a method without its object. Give the method of an object, as in [thing.{name}]."
                )
        self._given = {name for name in names if name not in self._tools}
        wishes = [_strict(entry) for entry in self._entries]
        self.strict = True in wishes and False not in wishes
        self.notes: tuple[Finding, ...] = () if self.strict else tuple(self._notes(alone=True not in wishes))

    @property
    def schemas(self) -> list[dict[str, Any]]:
        """The tools as they are sent."""
        return [self._schema(entry) for entry in self._entries]

    def runnable(self, calls: Sequence[ToolCall]) -> bool:
        """Tell whether all calls can be answered here; not so those of a tool that was given as a mere schema."""
        return not any(call.name in self._given for call in calls)

    def run(
        self,
        calls: Sequence[ToolCall],
        *,
        complete: bool = True,
        seconds: float | None = None,
        stop: Stop | None = None,
    ) -> Iterator[ToolCall]:
        """Run all calls at once, and yield each as soon as it has its answer.

        The answer is the call's ``result``: what the tool gave, or an error in words that the model can act on. With
        ``complete=False``, for a reply that was cut off, nothing is executed. A tool that is not done after
        ``seconds`` is abandoned. Raises only what is meant for the user: KeyboardInterrupt, SystemExit; and Stopped
        as soon as ``stop`` is asked.
        """
        jobs, refused = self._prepared(calls, complete=complete, seconds=seconds)
        yield from refused
        if jobs:
            yield from calling.run(jobs, math.inf if seconds is None else seconds, stop or Stop())

    async def arun(
        self,
        calls: Sequence[ToolCall],
        *,
        complete: bool = True,
        seconds: float | None = None,
        stop: Stop | None = None,
    ) -> AsyncGenerator[ToolCall]:
        """Do as `run` does, in the running event loop."""
        jobs, refused = self._prepared(calls, complete=complete, seconds=seconds)
        for call in refused:
            yield call
        if jobs:
            limit = math.inf if seconds is None else seconds
            async with aclosing(calling.arun(jobs, limit, stop or Stop())) as done:
                async for call in done:
                    yield call

    def __bool__(self) -> bool:
        return bool(self._entries)

    def __repr__(self) -> str:
        names = ", ".join(_name(entry) or "a tool of the server" for entry in self._entries)
        return f"<Toolbox {names or 'empty'}{' · strict' if self.strict else ''}>"

    def _prepared(
        self, calls: Sequence[ToolCall], *, complete: bool, seconds: float | None
    ) -> tuple[list[calling.Job], list[ToolCall]]:
        """Return the jobs to do, and the calls that are answered already."""
        jobs: list[calling.Job] = []
        for call in calls:
            if not complete:
                call.refuse(_CUT)
            elif seconds is not None and seconds <= 0:
                call.refuse(_NO_TIME)
            elif call.name not in self._tools:
                call.refuse(self._unknown(call.name))
            elif call.result is None:
                jobs += self._job(call, self._tools[call.name])
        return jobs, [call for call in calls if call.result is not None]

    def _job(self, call: ToolCall, called: Tool[..., Any]) -> Iterator[calling.Job]:
        try:
            work = called.prepare(call.arguments)
        except BadArguments as error:
            call.refuse(f"{error} Call {called.name} with one JSON object: {called.usage}")
        except Exception as error:  # a validator of the user's own
            call.refuse(excuse(error))
        else:
            yield calling.Job(call, work, inspect.iscoroutinefunction(origin(called.function)))

    def _unknown(self, name: str) -> str:
        if name in self._given:
            return f"{name} is not run here, so it was not executed."
        known = f"The tools are: {', '.join(self._tools)}." if self._tools else "There are no tools."
        return f"There is no tool {clean(name, 80)!r}, so nothing was executed. {known}"

    def _schema(self, entry: Tool[..., Any] | Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(entry, Tool):
            return dict(entry)
        schema = entry.schema
        if not self.strict:
            schema["function"].pop("strict", None)
        return schema

    def _notes(self, *, alone: bool) -> Iterator[Finding]:
        """Say which tool keeps all from being strict; ``alone``: there is none that could be."""
        for place, entry in enumerate(self._entries):
            if _strict(entry) is not False:
                continue
            reasons = entry.objections if isinstance(entry, Tool) else ()
            if alone and not reasons:
                continue  # as was wished
            why = "; ".join(reason.reason for reason in reasons)
            yield Finding(
                rule="tools.strict_dropped",
                effect="ignored",
                where=f"tools[{place}].function",
                message=f"{_name(entry)} is not strict{'' if alone else ', so no tool of this request is'}: "
                f"{why or 'that is how it was given'}.",
                mend=" ".join(dict.fromkeys(reason.mend for reason in reasons)) or "Make all tools strict, or none.",
                error=None,
                confidence="H",
            )


def _name(entry: Tool[..., Any] | Mapping[str, Any]) -> str | None:
    if isinstance(entry, Tool):
        return entry.name
    function = entry.get("function")
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else None


def _strict(entry: Tool[..., Any] | Mapping[str, Any]) -> bool | None:
    """Tell whether a function is strict; None for a tool of the server, which has no schema."""
    if isinstance(entry, Tool):
        return entry.strict
    function = entry.get("function")
    return function.get("strict") is True if isinstance(function, Mapping) else None
