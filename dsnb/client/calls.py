"""Tool calls, put together from the fragments that a stream sends."""

from __future__ import annotations

import json
from bisect import insort
from contextlib import suppress
from operator import attrgetter
from typing import Any

from dsnb.client.events import Event
from dsnb.client.failures import malformed
from dsnb.client.tool_call import ToolCall


class ToolCalls:
    """Gather the calls of one message, in the order of their indices.

    DeepSeek opens a call with its index, id and name, and goes on with index and arguments. Other hosts leave the
    index out, give every call the same one, repeat id and name, or send a call whole.
    """

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        self._by_index: dict[int, ToolCall] = {}
        self._by_id: dict[str, ToolCall] = {}
        self._last: ToolCall | None = None

    def take(self, entries: Any, events: list[Event], *, whole: bool) -> None:
        """Take the ``tool_calls`` of a delta, or of a ``whole`` message; what they say is added to ``events``.

        Raises MalformedReply where they have not the shape of tool calls.
        """
        if type(entries) is not list:
            raise malformed("tool_calls", "a list", entries)
        for entry in entries:
            if type(entry) is not dict:
                raise malformed("a tool call", "an object", entry)
            function = entry.get("function") or {}
            if type(function) is not dict:
                raise malformed("a tool call's function", "an object", function)
            index = entry.get("index")
            index = index if type(index) is int else None
            call_id, name = _text(entry, "id"), _text(function, "name")
            arguments = _arguments(function.get("arguments"))
            call = None if whole else self._find(index, call_id, name, arguments)
            if call is None:
                call = self._open(index)
            if call_id and not call.id:
                call.id = call_id
                self._by_id[call_id] = call
            call.name = call.name or name
            call.append(arguments)
            self._last = call
            events.append(Event("tool", arguments, call))

    def _find(self, index: int | None, call_id: str, name: str, arguments: str) -> ToolCall | None:
        """Return the call that a delta goes on with; None where it begins one."""
        call = self._by_id.get(call_id, self._last) if index is None else self._by_index.get(index)
        if call is None or not name or not call.name:
            return call
        if call_id == call.id if call_id else index is not None:
            return call  # the same call, named once more
        begins = not arguments or (arguments.startswith("{") and arguments.endswith("}"))
        return None if name != call.name or (begins and call.arguments) else call

    def _open(self, index: int | None) -> ToolCall:
        place = index
        if place is None or place in self._by_index:
            place = self.calls[-1].index + 1 if self.calls else 0
        call = ToolCall(place, "", "")
        insort(self.calls, call, key=attrgetter("index"))
        self._by_index[place if index is None else index] = call
        return call


def _text(entry: dict[str, Any], name: str) -> str:
    text = entry.get(name) or ""
    if type(text) is not str:
        raise malformed(f"the {name} of a tool call", "a text", text)
    return text


def _arguments(value: Any) -> str:
    if type(value) is str:
        return value
    if value is None:
        return ""
    if type(value) is dict:  # some hosts parse the arguments themselves
        with suppress(RecursionError):
            return json.dumps(value, ensure_ascii=False)
    raise malformed("the arguments of a tool call", "a text", value)
