"""The emulator against recorded traffic: the same request must get the same status, keys, deltas and errors."""

import itertools
import json
import re

import httpx
import pytest

from dsnb.emulator import Answer, Emulator, ToolCall
from tests.emulator.talking import CLIENT
from tests.recordings import Recording, recordings, requires_recordings

pytestmark = pytest.mark.slow

# What the emulator does not answer as recorded, with the reason; at most 2 % may stand here.
KNOWN = {
    "130-opencode-streams-text": "asked for include_usage, yet its chunks have no usage: null; all other 413 have it",
}


def chats():
    return [recording for recording in recordings() if recording.first_party and recording.chat and recording.asked]


def recorded_answer(objects) -> Answer:
    """Return what a reply said, as an engine would say it."""
    content, reasoning, calls, finish = "", None, {}, None
    for choice in (choice for body in objects for choice in body.get("choices", ())):
        said = choice.get("delta") or choice.get("message") or {}
        content += said.get("content") or ""
        if "reasoning_content" in said:
            reasoning = (reasoning or "") + (said["reasoning_content"] or "")
        for call in said.get("tool_calls") or []:
            name, arguments = calls.get(call["index"], ("", ""))
            function = call["function"]
            calls[call["index"]] = (name + (function.get("name") or ""), arguments + (function.get("arguments") or ""))
        finish = choice["finish_reason"] or finish
    found = tuple(ToolCall(*call) for call in calls.values())
    return Answer(content, reasoning, found, finish_reason="length" if finish == "length" else None)


def send(recording: Recording, engine) -> httpx.Response:
    """Send the recorded request to an emulator of its day."""
    shown = re.search(r"api key: (?:\*{4})?(.+?) is invalid", recording.raw.decode())
    key = ("sk-" if shown and "****" in shown[0] else "") + (shown[1] if shown else "sk-any")
    path = recording.url.split("api.deepseek.com")[1]
    with Emulator(recording.date, engine=engine, keys=["another"] if recording.status == 401 else None) as emulator:
        return CLIENT.post(
            emulator.base_url + path,
            content=json.dumps(recording.asked, ensure_ascii=False).encode(),
            headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
        )


def skeleton(value, *, ordered: bool, name: str = ""):
    """Return the shape of a value: keys in order at every level, and of each leaf what must not differ."""
    if isinstance(value, dict):
        members = [(key, skeleton(member, ordered=ordered, name=key)) for key, member in value.items()]
        return ("object", tuple(members) if ordered else frozenset(members))
    if isinstance(value, list):
        shapes = [skeleton(member, ordered=ordered, name=name) for member in value]
        return ("list", tuple(shape for shape, _ in itertools.groupby(shapes)))
    if value is None or name in ("role", "type", "object", "finish_reason", "model"):
        return value
    if isinstance(value, str):
        return "text" if value else "no text"
    return type(value).__name__ if isinstance(value, bool) else "number"


def shapes(objects, *, ordered: bool):
    """Return the shapes of the objects of a reply, runs of the same shape taken together."""
    return [shape for shape, _ in itertools.groupby(skeleton(body, ordered=ordered) for body in objects)]


def objects(response: httpx.Response):
    if response.headers["content-type"] == "application/json":
        return [response.json()]
    return [json.loads(frame[6:]) for frame in response.text.split("\n\n") if frame.startswith("data: {")]


def masked(text: str) -> str:
    """Return a message without its numbers, of which some are positions in bytes that the recorder rewrote."""
    return re.sub(r"\d+", "0", text)


def difference(recording: Recording, response: httpx.Response) -> str | None:
    """Return how an answer differs in form from the recorded one, None where it does not."""
    if response.status_code != recording.status:
        return f"status {response.status_code}: {response.text}"
    kinds = response.headers.get("content-type"), recording.headers.get("content-type")
    if kinds[0] != kinds[1]:
        return f"content type {kinds[0]} for {kinds[1]}"
    if recording.status != 200:
        return different_error(recording, response)
    ordered = not recording.keys_sorted
    ours, theirs = shapes(objects(response), ordered=ordered), shapes(recording.objects, ordered=ordered)
    if ours != theirs:
        pairs = itertools.zip_longest(ours, theirs)
        return "shape {} for {}".format(*next(pair for pair in pairs if pair[0] != pair[1]))
    if isinstance(recording.body, str) and not response.text.endswith("}\n\ndata: [DONE]\n\n"):
        return f"end {response.text[-20:]!r}"
    said, wanted = recorded_answer(objects(response)), recorded_answer(recording.objects)
    return None if said == wanted else f"text {said} for {wanted}"


def different_error(recording: Recording, response: httpx.Response) -> str | None:
    ours, theirs = response.text, recording.raw.decode()
    if isinstance(recording.body, dict):
        ordered = not recording.keys_sorted
        if skeleton(response.json(), ordered=ordered) != skeleton(recording.body, ordered=ordered):
            return f"error {ours} for {theirs}"
        ours, theirs = response.json()["error"]["message"], recording.body["error"]["message"]
    return None if masked(ours) == masked(theirs) else f"error {ours} for {theirs}"


@requires_recordings
def test_recorded_answers_come_back_in_the_recorded_form():
    differing = {}
    for recording in chats():
        answer = recorded_answer(recording.objects)
        found = difference(recording, send(recording, lambda _, answer=answer: answer))
        if found:
            differing[recording.name] = found
    unexplained = [f"{name}: {found}" for name, found in differing.items() if name not in KNOWN]
    assert not unexplained, "\n".join(unexplained)
    assert len(differing) <= 0.02 * len(chats())


def parts(objects, *, ordered: bool):
    """Return the shape of each kind of object in a reply, a kind being which of its parts it carries."""
    found = {}
    for body in objects:
        for choice in body["choices"]:
            said = choice.get("delta", choice.get("message"))
            kind = (body["object"], choice["finish_reason"] is None, "role" in said, "tool_calls" in said)
            call = (said.get("tool_calls") or [{}])[0]
            kind += ("id" in call, bool(said.get("content")), bool(said.get("reasoning_content")))
            found[kind] = re.sub(r"'(stop|tool_calls|length)'", "end", str(skeleton(body, ordered=True)))
            if not ordered:
                found[kind] = "".join(sorted(found[kind]))
    return found


@requires_recordings
def test_the_default_engine_answers_with_the_same_status_and_keys():
    for recording in chats():
        response = send(recording, "script")
        assert response.status_code == recording.status, recording.name
        assert response.headers.get("content-type") == recording.headers.get("content-type"), recording.name
        if recording.status == 200 and recording.name not in KNOWN and not recording.asked.get("logprobs"):
            ordered = not recording.keys_sorted
            ours, theirs = parts(objects(response), ordered=ordered), parts(recording.objects, ordered=ordered)
            assert {kind: ours[kind] for kind in ours.keys() & theirs.keys()} == {
                kind: theirs[kind] for kind in ours.keys() & theirs.keys()
            }, recording.name
