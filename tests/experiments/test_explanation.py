"""Every kind of change is explained in the right place, with the right cause, and what it costs is what `plan` says."""

import copy
import json
from decimal import Decimal
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dsnb
from dsnb.contract import tokens
from dsnb.contract.prompt import segments
from dsnb.contract.tokens import part, prompt_ids
from dsnb.errors import RequestError
from dsnb.experiments.planning.causes import CAUSES
from tests.display.inspection import Page

explain = partial(dsnb.explain, at="2026-08-20T05:00", model="deepseek-v4-flash")
RULES = "Answer as a harbour master would, shortly, and name the ledger that you read it in.\n" * 20
PASSAGES = ["Salt came on Monday in nine carts.", "The crane was mended twice.", "Nobody counted the ropes."]


def tool(name, **parameters):
    schema = {"type": "object", "properties": parameters, "required": [*parameters]}
    return {"type": "function", "function": {"name": name, "description": f"Look up {name}.", "parameters": schema}}


TOOLS = [tool(name, where={"type": "string"}, when={"type": "string"}) for name in ("tides", "ships", "crates")]
CALL = {
    "id": "call_00_a",
    "type": "function",
    "function": {"name": "ships", "arguments": '{"where": "quay", "when": "now"}'},
}
BASE = {
    "model": "deepseek-v4-flash",
    "tools": TOOLS,
    "messages": [
        {
            "role": "system",
            "content": f"Today is 2026-08-20 05:00:12.\n{RULES}Session 7f3e9a10-1b2c-4d5e-8f90-a1b2c3d4e5f6, visit 17.",
        },
        {"role": "user", "content": "Is there salt? Tell it as a café would."},
        {"role": "assistant", "content": "Yes.", "reasoning_content": "They ask for salt."},
        {"role": "user", "content": "Is there rope?"},
        {"role": "assistant", "content": "No.", "reasoning_content": "They ask for rope."},
        {"role": "user", "content": "\n\n".join(PASSAGES) + '\n\n{"port": 1, "berth": 2}'},
        {"role": "assistant", "content": "", "reasoning_content": "I look.", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_00_a", "content": "Two ships."},
        {"role": "assistant", "content": "Two.", "reasoning_content": "Two it is."},
        {"role": "user", "content": f"Which ones? {RULES}"},
    ],
}


def changed(*path, to):
    def change(body):
        target = body
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = to(target[path[-1]]) if callable(to) else to

    return change


def swapped(old, new):
    return lambda text: text.replace(old, new, 1)


def message(index, field="content"):
    return ("messages", index, field)


def keys_turned(function):
    return dict(reversed(function.items()))


def dropped(first, last):
    return changed("messages", to=lambda messages: messages[:first] + messages[last:])


def inserted(index, *new):
    return changed("messages", to=lambda messages: [*messages[:index], *new, *messages[index:]])


NOTE = {"role": "user", "content": "A note in between."}
SYSTEM = "messages[0].content"
KINDS = {
    "timestamp": (changed(*message(0), to=swapped("05:00:12", "05:01:44")), "timestamp", SYSTEM),
    "date": (changed(*message(0), to=swapped("2026-08-20", "2026-08-21")), "timestamp", SYSTEM),
    "date in words": (
        changed(*message(0), to=swapped("2026-08-20 05:00:12", "Friday, 21 August 2026")),
        "timestamp",
        SYSTEM,
    ),
    "uuid": (changed(*message(0), to=swapped("7f3e9a10", "11aa22bb")), "id", SYSTEM),
    "counter": (changed(*message(0), to=swapped("visit 17", "visit 18")), "number", SYSTEM),
    "system prompt": (changed(*message(0), to=swapped("harbour master", "captain")), "system_edited", SYSTEM),
    "white space": (changed(*message(0), to=swapped("as a", "as  a")), "whitespace", SYSTEM),
    "line endings": (changed(*message(0), to=lambda text: text.replace("\n", "\r\n")), "line_endings", SYSTEM),
    "unicode": (changed(*message(1), to=swapped("é", "e\u0301")), "unicode", "messages[1].content"),
    "letter case": (changed(*message(1), to=swapped("salt", "Salt")), "letter_case", "messages[1].content"),
    "lengthened": (changed(*message(1), to=lambda text: f"{text} Please."), "grown", "messages[1].content"),
    "edited": (changed(*message(3), to=swapped("rope", "bread")), "message_edited", "messages[3].content"),
    "shuffled few-shots": (
        changed("messages", to=lambda m: [m[0], m[3], m[4], m[1], m[2], *m[5:]]),
        "messages_reordered",
        "messages[1].content",
    ),
    "shuffled passages": (
        changed(*message(5), to=lambda text: "\n\n".join([*PASSAGES[::-1], text.split("\n\n")[-1]])),
        "passages",
        "messages[5].content",
    ),
    "json keys": (
        changed(*message(5), to=swapped('{"port": 1, "berth": 2}', '{"berth": 2, "port": 1}')),
        "json_keys",
        "messages[5].content",
    ),
    "tool order": (changed("tools", to=lambda tools: tools[::-1]), "tool_order", "tools['crates']"),
    "tool added": (changed("tools", to=lambda tools: [*tools, tool("winds")]), "tool_added", "tools['winds']"),
    "tool removed": (changed("tools", to=lambda tools: tools[:-1]), "tool_removed", "tools"),
    "all tools removed": (changed("tools", to=[]), "tool_removed", "messages[1]"),
    "tool schema": (
        changed("tools", 1, "function", "parameters", "required", to=["where"]),
        "tool_schema",
        "tools['ships']",
    ),
    "tool description": (
        changed("tools", 1, "function", "description", to="Look up ships (updated)."),
        "tool_description",
        "tools['ships']",
    ),
    "tool keys": (changed("tools", 1, "function", to=keys_turned), "tool_keys", "tools['ships']"),
    "tool_choice none": (changed("tool_choice", to="none"), "tool_choice", "messages[1]"),
    "effort": (changed("effort", to="low"), "effort", "messages[0].content"),
    "thinking off": (changed("thinking", to=False), "thinking", "messages[0].content"),
    "JSON mode": (changed("json", to=True), "json_mode", "response_format"),
    "role": (changed(*message(3, "role"), to="latest_reminder"), "role", "messages[3]"),
    "message inserted": (inserted(3, NOTE), "message_inserted", "messages[3].content"),
    "message removed": (dropped(3, 5), "message_removed", "messages[3].content"),
    "history truncated": (dropped(1, 5), "history_truncated", "messages[1].content"),
    "history summarised": (
        changed("messages", to=lambda m: [m[0], {"role": "user", "content": "So far: salt, no rope."}, *m[5:]]),
        "history_summarised",
        "messages[1].content",
    ),
    "last message removed": (dropped(8, 10), "message_removed", "the end"),
    "reasoning dropped": (
        changed("messages", 4, to=lambda m: {k: v for k, v in m.items() if k != "reasoning_content"}),
        "reasoning_dropped",
        "messages[4]",
    ),
    "reasoning edited": (
        changed(*message(4, "reasoning_content"), to="They want rope."),
        "reasoning_edited",
        "messages[4].reasoning_content",
    ),
    "arguments spelt": (
        changed("messages", 6, "tool_calls", 0, "function", "arguments", to='{"when":"now","where":"quay"}'),
        "arguments_spelling",
        "messages[6].tool_calls",
    ),
    "tool call edited": (
        changed("messages", 6, "tool_calls", 0, "function", "arguments", to='{"where": "dock", "when": "now"}'),
        "tool_call_edited",
        "messages[6].tool_calls",
    ),
    "tool result": (changed(*message(7), to="Three barges."), "tool_result", "messages[7].content"),
    "content left out": (
        changed("messages", 6, to=lambda m: {k: v for k, v in m.items() if k != "content"}),
        "content_missing",
        "messages[6].tool_calls",
    ),
    "content null": (changed(*message(6), to=None), "unseen", ""),
    "temperature": (changed("temperature", to=0.2), "unseen", ""),
    "model": (changed("model", to="deepseek-v4-pro"), "model", "model"),
    "user_id": (changed("user_id", to="b"), "user_id", "user_id"),
    "nothing": (lambda body: None, "same", ""),
    "appended": (
        inserted(10, {"role": "assistant", "content": "Both.", "reasoning_content": "x"}, NOTE),
        "appended",
        "messages[10].reasoning_content",
    ),
}
FREE = {"same", "unseen", "appended"}


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_change(name):
    change, cause, where = KINDS[name]
    after = copy.deepcopy(BASE)
    change(after)
    found = explain(BASE, after)
    assert (found.cause, found.where) == (cause, where)
    expected = dsnb.plan(after, after=[BASE], at="2026-08-20T05:00")
    assert (found.prompt_tokens, found.cache_hit_tokens) == (expected.prompt_tokens, expected.cache_hit_tokens)
    assert (found.lost_tokens == 0) == (cause in FREE)
    assert found.why in repr(found)
    if found.token is not None and cause not in {"model", "user_id"}:
        model = found.after.frame.model
        both = [prompt_ids(each.request.body, model) for each in (found.before, found.after)]
        assert both[0][: found.token] == both[1][: found.token]
        assert both[0][found.token : found.token + 1] != both[1][found.token : found.token + 1]
    page = shown(found)
    assert found.why[1:] in page.text


def shown(found):
    made = found._repr_mimebundle_()
    assert set(made) == {"text/html", "text/markdown", "text/plain"}
    return read(made["text/html"])


def read(html):
    page = Page()
    page.feed(html)
    page.close()
    assert not page.open
    return page


def test_every_cause_has_a_kind():
    tested = {cause for _, cause, _ in KINDS.values()} | {"start", "reasoning_added", "reasoning_past", "edited"}
    assert tested == set(CAUSES)
    assert len(KINDS) >= 40


def test_reasoning_that_the_next_question_leaves_behind():
    messages = [message for message in BASE["messages"] if message["role"] not in {"system", "tool"}]
    before = {"model": "deepseek-v4-flash", "messages": [messages[0], messages[1]]}
    found = explain(before, {**before, "messages": messages[:3]})
    assert (found.cause, found.where_before[:11]) == ("reasoning_past", "messages[1]")


def test_tokens_and_money_lost():
    lines = "".join(f"Line {number} of the ledger says nothing of salt.\n" for number in range(400))
    before, after = f"It is 2026-11-23.\n{lines}", f"It is 2026-11-24.\n{lines}"
    found = dsnb.explain(before, after, at="2026-11-24T02:00")
    assert found.cache_hit_tokens == 0
    assert found.lost_tokens == found.before_tokens // 128 * 128
    assert found.peak_lost.usd == found.lost_tokens * (Decimal("0.30") - Decimal("0.006")) / 1_000_000
    assert found.lost_per_thousand_at_peak.usd == 1000 * found.peak_lost.usd == 2 * found.lost_per_thousand.usd
    assert found.lost == found.peak_lost


def test_what_changes_moves_behind_what_stays():
    after = copy.deepcopy(BASE)
    KINDS["timestamp"][0](after)
    found = explain(BASE, after)
    moved = [copy.deepcopy(body) for body in (BASE, after)]
    for body in moved:
        system, question = body["messages"][0], body["messages"][-1]
        first, _, rest = system["content"].partition("\n")
        system["content"], question["content"] = rest, f"{question['content']}\n\n{first}"
    expected = dsnb.plan(moved[1], after=[moved[0]], at="2026-08-20T05:00")
    assert found.suggestion.saved_tokens == expected.cache_hit_tokens - found.cache_hit_tokens > 500
    assert found.suggestion.saved.usd > 0
    assert "end of the last question" in found._repr_mimebundle_()["text/plain"]


def test_tools_in_one_order_save_what_was_lost():
    after = copy.deepcopy(BASE)
    KINDS["tool order"][0](after)
    found = explain(BASE, after)
    assert found.suggestion.saved_tokens == found.lost_tokens


def test_before_v4_whole_units_are_kept():
    lines = [f"Line {number} of the ledger says nothing of salt.\n" for number in range(100)]
    other = [*lines[:50], "Another line.\n", *lines[51:]]
    found = dsnb.explain("".join(lines), "".join(other), model="deepseek-chat", at="2026-02-15")
    assert found.cache_hit_tokens == found.token // 64 * 64 > 0
    planned = dsnb.plan("".join(other), after=["".join(lines)], model="deepseek-chat", at="2026-02-15")
    assert found.cache_hit_tokens == planned.cache_hit_tokens


HOSTILE = "<script>alert(1)</script> $x$ \\(y\\) `z` ![i](http://x/y.png) \x1b[31m \u202e </pre></div>"


def test_hostile_text_is_shown_and_not_obeyed():
    found = explain(f"{HOSTILE} a\n{RULES}", f"{HOSTILE} b\n{RULES}")
    made = found._repr_mimebundle_()
    page = read(made["text/html"])
    assert not {tag for tag, _ in page.elements} & {"script", "img", "a"}
    assert "</pre></div>" in page.text
    assert "\x1b" not in "".join(made.values())
    assert "<script" not in made["text/markdown"]
    planned = dsnb.plan(f"{HOSTILE} {RULES}", at="2026-08-20", model="deepseek-v4-flash")._repr_mimebundle_()
    assert not {tag for tag, _ in read(planned["text/html"]).elements} & {"script", "img", "a"}


def test_what_is_no_request_is_told():
    with pytest.raises(RequestError, match="not int"):
        explain("x", 3)


TEXT = st.text(st.sampled_from("ab \n\n。四1.,é\u0301<｜>{}\"' jx"), max_size=40)


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=4), st.lists(TEXT, min_size=1, max_size=4), TEXT)
def test_any_two_prompts_part_where_their_tokens_do(one, other, head):
    bodies = [
        {
            "messages": [
                {"role": "user" if n % 2 == 0 else "assistant", "content": head + text} for n, text in enumerate(each)
            ]
        }
        for each in (one, other)
    ]
    found = explain(bodies[0]["messages"], bodies[1]["messages"])
    model = found.after.frame.model
    ids = [list(prompt_ids(body, model)) for body in bodies]
    assert (found.before_tokens, found.prompt_tokens) == tuple(map(len, ids))
    if found.token is None:
        assert ids[0] == ids[1]
    else:
        assert ids[0][: found.token] == ids[1][: found.token]
        assert ids[0][found.token : found.token + 1] != ids[1][found.token : found.token + 1]
    json.dumps(found._repr_mimebundle_())


PIECES = st.sampled_from(
    ["\n", " ", "a", "B", "c ", "\n\n", "。", "一二", "1", "  ", "\t", ".", "! ", "é", "\r\n", "'s", " x", "の"]
)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=60))
def test_a_long_text_is_the_sum_of_its_stretches(pieces):
    text = "".join(pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "_LONG", 9)
        patch.setattr(tokens, "_SHORTEST", 3)
        patch.setattr(tokens, "_ONE_IN", 2)
        found = list(tokens._stretches(text))
    assert "".join(found) == text
    assert [token for stretch in found for token in tokens._encoded(stretch)] == tokens._encoded(text)


@pytest.mark.slow
def test_what_long_prompts_have_in_common_is_encoded_once(monkeypatch):
    encoded = []
    encode = tokens._encoded
    monkeypatch.setattr(tokens, "_encoded", lambda text: encoded.append(len(text)) or encode(text))
    monkeypatch.setattr(tokens, "_remembered", tokens._Memory(1_000_000))
    lines = [f"Line {number} of the ledger says nothing of salt {number * 7919}.\n" for number in range(6000)]
    long = "".join(lines)
    for other in (
        f"Now it is 12:30.\n{long}",
        "".join([*lines[:3000], "Another line.\n", *lines[3001:]]),
        "".join([*lines[3000:], *lines[:3000]]),
    ):
        encoded.clear()
        tokens._remembered._known.clear()
        model = explain("x", "y").after.frame.model
        part(*(segments({"messages": [{"role": "user", "content": text}]}, model) for text in (long, other)))
        assert sum(encoded) < 1.3 * len(long)
