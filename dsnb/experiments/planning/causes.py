"""Why two prompts part where they do: what was changed, in the words of those who changed it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dsnb.contract.tokens import Parting
from dsnb.experiments.planning import wording
from dsnb.experiments.planning.asked import Asked

# Each cause, what it is called, and what to do about it.
CAUSES: Final[Mapping[str, tuple[str, str]]] = {
    "same": ("nothing changed", ""),
    "unseen": ("what changed never reaches the prompt", ""),
    "appended": ("messages were only appended", ""),
    "model": ("another model is asked, which has a cache of its own", "Ask one model all along."),
    "user_id": (
        "the user_id changed, and each has a cache of its own",
        "Keep user_id the same where prompts are shared.",
    ),
    "effort": ("the effort changed, whose text stands at the head", "Keep the effort the same within a conversation."),
    "thinking": ("thinking was switched", "Keep thinking on or off for all requests of a kind."),
    "json_mode": (
        "JSON mode was switched, which writes into the head",
        "Ask for JSON in all requests of a kind, or in none.",
    ),
    "tool_choice": (
        "tool_choice changed which tools are written",
        "Leave tool_choice as it is; say in the question what to call.",
    ),
    "tool_added": ("a tool was added", "Give all tools from the first request on, new ones at the end."),
    "tool_removed": ("a tool was removed", "Give the same tools in every request."),
    "tool_order": ("the tools came in another order", "Sort the tools by name."),
    "tool_keys": (
        "a tool's schema was written with its keys in another order",
        "Write schemas once, or with sorted keys.",
    ),
    "tool_description": ("a tool's description changed", "Keep what changes out of descriptions."),
    "tool_schema": ("a tool's schema changed", "Keep the schemas as they are within a conversation."),
    "start": ("the answer was begun with other words", ""),
    "message_inserted": ("a message was inserted", "Add new messages at the end."),
    "message_removed": ("a message was removed", "Keep the history whole: what is left out makes all after it new."),
    "history_truncated": (
        "the oldest messages were dropped",
        "Drop old messages seldom and many at once: each time, all that is kept is read anew.",
    ),
    "history_summarised": (
        "earlier messages were replaced by a summary",
        "Summarise seldom: each time, all that is kept is read anew.",
    ),
    "messages_reordered": ("the messages came in another order", "Keep examples in one order."),
    "role": ("a message changed its role", "Keep the role of a message."),
    "reasoning_dropped": (
        "reasoning was left out of the history",
        "Append the reply's message whole, with its reasoning.",
    ),
    "reasoning_added": (
        "reasoning came into the history that was not there",
        "Send every message as it was sent before.",
    ),
    "reasoning_edited": ("the reasoning in the history changed", "Append the reply's message whole, as it came."),
    "reasoning_past": (
        "a new question was asked, and the prompt leaves out reasoning before it",
        "Nothing: without tools, V4 writes no reasoning of earlier turns.",
    ),
    "arguments_spelling": (
        "a tool call's arguments were written otherwise",
        "Send the arguments back as the text that came.",
    ),
    "tool_call_edited": ("a tool call in the history changed", "Append the reply's message whole, as it came."),
    "tool_result": ("the result of a tool changed", "Keep results as they were sent."),
    "content_missing": ("a message lost its content key", 'Write content: "" where there is none.'),
    "timestamp": ("a date or time changed", "Put it behind everything that stays the same."),
    "id": ("a random id changed", "Leave it out, or put it behind everything that stays the same."),
    "number": ("a number changed", "Put it behind everything that stays the same."),
    "line_endings": ("the line endings changed", "Write newlines in one way."),
    "unicode": ("characters are composed otherwise (Unicode normalisation)", "Normalise texts once, as NFC."),
    "whitespace": ("only white space changed", "Keep the white space of texts that are sent again."),
    "letter_case": ("only letter case changed", "Keep the spelling of texts that are sent again."),
    "json_keys": ("the same JSON was written with its keys in another order", "Write JSON with sort_keys=True."),
    "passages": ("the same passages came in another order", "Keep passages and examples in one order."),
    "grown": ("a message was lengthened", "Put what is new into a message of its own, at the end."),
    "system_edited": ("the system prompt was edited", "Keep what changes out of the system prompt."),
    "message_edited": ("an earlier message was edited", "Add a message instead of changing one."),
    "edited": ("the text was edited", ""),
}
_HEAD: Final = ("effort", "tools", "response_format", "start", "generation")


def cause(before: Asked, after: Asked, parting: Parting | None) -> str:
    """Return which of `CAUSES` makes two prompts part."""
    one, other = before.frame, after.frame
    if one.model.build != other.model.build:
        return "model"
    if one.user != other.user:
        return "user_id"
    if parting is None:
        return "same" if before.request == after.request else "unseen"
    places = [place[0].where if place else "generation" for place in (parting.one, parting.other)]
    told = _of_head(before, after, places)
    return told or _of_messages(before, after, places)


def _of_head(before: Asked, after: Asked, places: Sequence[str]) -> str:
    one, other = before.frame.settings, after.frame.settings
    tools = [place for place in places if place.startswith("tools")]
    if one.thinking != other.thinking and not tools and not _same_text(before, after, places):
        return "thinking"
    if one.effort != other.effort and {"effort", "start"} & set(places):
        return "effort"
    if one.tools != other.tools and (tools or "start" in places):
        return _of_tools(before, after)
    if one.json_mode != other.json_mode and {"response_format", "start"} & set(places):
        return "json_mode"
    if one.forced != other.forced and "generation" in places:
        return "tool_choice"
    return ""


def _same_text(before: Asked, after: Asked, places: Sequence[str]) -> bool:
    """Whether the prompts part within a text that both have, so that no switch is to blame."""
    if places[0] != places[1] or not places[0].endswith(".content"):
        return False
    index = int(places[0][len("messages[") : places[0].index("]")])
    return bool(before.messages[index].get("content") != after.messages[index].get("content"))


def _of_tools(before: Asked, after: Asked) -> str:
    given = [asked.frame.body.get("tools") or [] for asked in (before, after)]
    if given[0] == given[1] and [json.dumps(each) for each in given[:1]] == [json.dumps(each) for each in given[1:]]:
        return "tool_choice"
    lists = [[_function(tool) for tool in asked.frame.settings.tools] for asked in (before, after)]
    names = [[function.get("name") for function in each] for each in lists]
    if sorted(map(str, names[0])) == sorted(map(str, names[1])):
        if names[0] != names[1]:
            return "tool_order"
        return next((_of_tool(*pair) for pair in zip(*lists, strict=True) if _of_tool(*pair)), "tool_schema")
    return "tool_removed" if set(map(str, names[0])) - set(map(str, names[1])) else "tool_added"


def _of_tool(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    if one == other:
        return "tool_keys" if json.dumps(one) != json.dumps(other) else ""
    rest = [{key: value for key, value in each.items() if key != "description"} for each in (one, other)]
    return "tool_description" if rest[0] == rest[1] else "tool_schema"


def _function(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    function = tool.get("function")
    return function if isinstance(function, Mapping) else {}


def _of_messages(before: Asked, after: Asked, places: Sequence[str]) -> str:
    one, other = list(before.messages), list(after.messages)
    index = next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
    if index is None:
        if any(place.startswith("tools") for place in places):
            return "tool_keys"
        if len(one) > len(other):
            return "message_removed"
        if len(one) == len(other):
            return "json_keys"  # equal as data, and written otherwise
        return "appended" if _at_end(places, one) else "reasoning_past"
    mine, theirs = one[index:], other[index:]
    if (name := _moved(mine, theirs, index)) or (name := _shifted(mine, theirs, index)):
        return name
    return _edited(mine[0], theirs[0])


def _at_end(places: Sequence[str], one: Sequence[Any]) -> bool:
    return places[0] == "generation" or places[1].startswith(f"messages[{len(one)}]")


def _moved(mine: list[Any], theirs: list[Any], index: int) -> str:
    del index
    keys = [[json.dumps(message, sort_keys=True, default=str) for message in each] for each in (mine, theirs)]
    count = min(map(len, keys))
    for end in (count, count - 1):  # a new question may stand behind the examples
        if end > 1 and sorted(keys[0][:end]) == sorted(keys[1][:end]):
            return "messages_reordered"
    return ""


def _shifted(mine: list[Any], theirs: list[Any], index: int) -> str:
    """Say whether the same messages stand further down, or further up."""
    for more in range(1, len(theirs) - len(mine) + 1):
        if theirs[more : more + len(mine)] == mine:
            return "message_inserted"
    for less in range(1, len(mine)):
        kept = mine[less:]
        if theirs[: len(kept)] == kept:
            return "history_truncated" if index <= 1 and less > 1 else "message_removed"
    for less in range(2, len(mine)):
        kept = mine[less:]
        pair = less > 2 and theirs[2 : 2 + len(kept)] == kept  # the summary is asked for and answered
        if pair or theirs[1 : 1 + len(kept)] == kept:
            return "history_summarised"
    return ""


def _edited(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    role = other.get("role")
    if one.get("role") != role:
        return "role"
    thoughts = [each.get("reasoning_content") or "" for each in (one, other)]
    if one.get("content") == other.get("content") and thoughts[0] != thoughts[1]:
        if thoughts[0] and thoughts[1]:
            return "reasoning_edited"
        return "reasoning_dropped" if thoughts[0] else "reasoning_added"
    if one.get("tool_calls") != other.get("tool_calls") and one.get("content") == other.get("content"):
        return _of_calls(one.get("tool_calls") or [], other.get("tool_calls") or [])
    texts = [_text(each.get("content")) for each in (one, other)]
    if texts[0] == texts[1]:
        return "content_missing" if ("content" in one) != ("content" in other) else "edited"
    kind = wording.kind(*texts)
    if kind in {"edited", "grown"} and role in {"system", "tool"}:
        return {"system": "system_edited", "tool": "tool_result"}[role]
    return "message_edited" if kind == "edited" else kind


def _of_calls(one: Sequence[Any], other: Sequence[Any]) -> str:
    functions = [[_function(call) for call in each] for each in (one, other)]
    if len(one) != len(other):
        return "tool_call_edited"
    same = all(
        mine.get("name") == theirs.get("name") and wording.same_json(mine.get("arguments"), theirs.get("arguments"))
        for mine, theirs in zip(*functions, strict=True)
    )
    return "arguments_spelling" if same else "tool_call_edited"


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n\n".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping))
