"""Which message lists the API refuses."""

import pytest

from dsnb.contract import at
from dsnb.contract.requests import check

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
MISSING = "The `reasoning_content` in the thinking mode must be passed back to the API."
REQUIRE = "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'"
V4, V41 = ("deepseek-v4-flash", "2026-08-15"), ("deepseek-flash", "2026-11-01")


def user(text="hi"):
    return {"role": "user", "content": text}


def system(text="s"):
    return {"role": "system", "content": text}


def text(reasoning=None, content="t"):
    return {"role": "assistant", "content": content} | ({} if reasoning is None else {"reasoning_content": reasoning})


def calls(*ids, reasoning=None):
    function = {"name": "f", "arguments": "{}"}
    made = [{"id": call, "type": "function", "function": function} for call in ids or ("1",)]
    return text(reasoning, "") | {"tool_calls": made}


def answer(id="1"):  # noqa: A002 — the API's own name
    return {"role": "tool", "tool_call_id": id, "content": "r"}


def refusals(messages, model, date, **options):
    body = {"model": model, "messages": messages, "tools": [TOOL]} | options.pop("body", {})
    body = {key: value for key, value in body.items() if value is not None}
    found = check(body, at(date), **options)
    return [(finding.rule, finding.where, finding.message) for finding in found if finding.effect == "rejected"]


def rules(messages, model, date, **options):
    return [rule for rule, _, _ in refusals(messages, model, date, **options)]


# The matrix measured on api.deepseek.com on 2026-09-10 and 2026-07-08: thinking on, tools present.
MATRIX = [
    ("text without, call with", [user(), text(), calls(reasoning=""), answer()], [1]),
    ("text with, call with", [user(), text(""), calls(reasoning=""), answer()], []),
    ("text with, call without", [user(), text(""), calls(), answer()], [2]),
    ("earlier text without, call with", [user(), text(), user(), calls(reasoning=""), answer()], []),
    ("earlier text without, call without", [user(), text(), user(), calls(), answer()], [3]),
    ("call with, text without, new turn", [user(), calls(reasoning=""), answer(), text(), user()], []),
    ("current round absent", [user(), calls(), answer()], [1]),
    ("current round empty", [user(), calls(reasoning=""), answer()], []),
    ("current round placeholder", [user(), calls(reasoning="(omitted)"), answer()], []),
    ("earlier round absent", [user(), calls(), answer(), text(""), user(), calls(reasoning="r"), answer()], []),
    ("null counts as absent", [user(), calls() | {"reasoning_content": None}, answer()], [1]),
    ("a system message does not begin a turn", [user(), calls(), answer(), text(), system()], [1, 3]),
    ("no user message at all", [calls(), answer()], [0]),
]


@pytest.mark.parametrize(("model", "date"), [V4, V41, ("deepseek-v4-pro", "2026-11-01")])
@pytest.mark.parametrize(("messages", "missing"), [row[1:] for row in MATRIX], ids=[row[0] for row in MATRIX])
def test_reasoning_is_enforced_as_measured(messages, missing, model, date):
    expected = [("history.reasoning_missing", f"messages[{index}].reasoning_content", MISSING) for index in missing]
    assert refusals(messages, model, date) == expected


@pytest.mark.parametrize("messages", [row[1] for row in MATRIX], ids=[row[0] for row in MATRIX])
@pytest.mark.parametrize(
    "body", [{"tools": None}, {"thinking": {"type": "disabled"}}, {"reasoning_effort": "none"}], ids=repr
)
def test_reasoning_is_free_without_tools_or_thinking(messages, body):
    assert "history.reasoning_missing" not in rules(messages, *V41, body=body)


def test_the_documented_rule_of_v4_1_reaches_back():
    messages = [user(), text(), user(), text("r"), user()]
    assert refusals(messages, *V41, passback="documented")[0][1] == "messages[1].reasoning_content"
    assert rules(messages, *V41, passback="documented", body={"tools": None}) == []
    assert rules(messages, *V41) == []


def test_the_documented_rule_of_v4_looks_at_turns_with_tool_calls():
    plain_turn = [user(), text(), user()]
    assert rules(plain_turn, *V4, passback="documented") == []
    called = [user(), calls(reasoning="r"), answer(), text(), user()]
    assert refusals(called, *V4, passback="documented")[0][1] == "messages[3].reasoning_content"


def test_a_warm_server_fills_in_the_calls_that_it_knows():
    messages = [user(), calls("known", "other"), answer("known"), answer("other")]
    warm = {"passback": "warm", "known_calls": {"known", "other"}}
    assert rules(messages, *V41, **warm) == []
    assert rules(messages, *V41, passback="warm", known_calls={"known"}) == ["history.reasoning_missing"]
    assert rules([user(), text(), *messages[1:]], *V41, **warm) == ["history.reasoning_missing"]


@pytest.mark.parametrize("passback", ["enforced", "documented", "warm"])
def test_whole_messages_satisfy_every_rule(passback):
    messages = [user(), calls(reasoning="r"), answer(), text("r"), user(), text(""), user()]
    for model, date in (V4, V41):
        assert rules(messages, model, date, passback=passback) == []


def test_v3_2_wants_reasoning_inside_a_tool_loop():
    date, model = "2026-02-15", "deepseek-reasoner"
    told = refusals([user(), calls(reasoning="r"), answer(), calls("2"), answer("2")], model, date)
    words = (
        "Missing `reasoning_content` field in the assistant message at message index 3. For more information, please "
        "refer to https://api-docs.deepseek.com/guides/thinking_mode#tool-calls"
    )
    assert told == [("history.reasoning_missing", "messages[3].reasoning_content", words)]
    assert rules([user(), calls(), answer(), text(), user()], model, date) == []
    assert rules([user(), calls(), answer()], "deepseek-chat", date) == []


def test_r1_refuses_reasoning():
    told = refusals([user(), text("r"), user()], "deepseek-reasoner", "2025-02-01", body={"tools": None})
    assert told[0][:2] == ("history.reasoning_present", "messages[1].reasoning_content")
    assert told[0][2].startswith("The reasoning_content is an intermediate result for display purposes only")
    assert rules([user(), text("r"), user()], "deepseek-chat", "2025-02-01") == []
    assert rules([user(), text(), user()], "deepseek-reasoner", "2025-02-01", body={"tools": None}) == []


@pytest.mark.parametrize(
    ("messages", "where", "words"),
    [
        ([user(), user()], "messages[1]", "successive user or assistant messages (messages[0] and messages[1] in your"),
        ([user(), text(), text(), user()], "messages[2]", "(messages[1] and messages[2] in your input)"),
        ([user(), text()], "messages[1]", "The last message of deepseek-reasoner must be a user message, or"),
        ([user(), system(), user()], "messages[1]", "must be put on the beginning of the message sequence"),
    ],
)
def test_r1_wants_an_order(messages, where, words):
    told = refusals(messages, "deepseek-reasoner", "2025-02-01", body={"tools": None})
    assert told[0][:2] == ("history.order", where)
    assert words in told[0][2]
    assert "history.order" not in rules(messages, "deepseek-chat", "2025-02-01")
    assert "history.order" not in rules(messages, *V41)


EMPTY = (
    "Invalid 'messages[0].tool_calls': empty array. Expected an array with minimum length 1, but got an empty array "
    "instead."
)
UNANSWERED = f"{REQUIRE}. (insufficient tool messages following tool_calls message)"
ORPHAN = "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
TOOL_CALLS = [
    ("no answer", [calls()], "history.tool_messages_missing", "messages[1]", UNANSWERED),
    ("one of two", [calls("1", "2"), answer("1"), user()], "history.tool_messages_missing", "messages[2]", UNANSWERED),
    ("late answer", [calls(), user(), answer()], "history.tool_messages_missing", "messages[1]", UNANSWERED),
    ("no call", [user(), answer()], "history.tool_message_orphan", "messages[1]", ORPHAN),
    ("first of all", [answer()], "history.tool_message_orphan", "messages[0]", ORPHAN),
    ("one too many", [calls(), answer(), answer()], "history.tool_message_orphan", "messages[2]", ORPHAN),
    (
        "another id",
        [calls("real"), answer("other")],
        "history.tool_message_unexpected",
        "messages[1].tool_call_id",
        f"{REQUIRE}, The following tool_call_ids did not have response messages: other",
    ),
    (
        "one id twice",
        [calls("1", "1"), answer("1"), answer("1")],
        "history.tool_call_duplicate",
        "messages[0].tool_calls[1].id",
        "Duplicate value for 'tool_call_id' of 1 in message[0]",
    ),
    (
        "one answer twice",
        [calls("1", "2"), answer("1"), answer("1"), answer("2")],
        "history.tool_call_duplicate",
        "messages[2].tool_call_id",
        "Duplicate value for 'tool_call_id' of 1 in message[2]",
    ),
    (
        "no calls",
        [text() | {"tool_calls": []}],
        "history.tool_calls_empty",
        "messages[0].tool_calls",
        EMPTY,
    ),
    (
        "nothing said",
        [text(content=None)],
        "history.assistant_empty",
        "messages[0].content",
        "Invalid assistant message: content or tool_calls must be set",
    ),
    ("nobody", [], "messages.empty", "messages", "Empty input messages"),
]


@pytest.mark.parametrize(
    ("messages", "rule", "where", "words"), [row[1:] for row in TOOL_CALLS], ids=[row[0] for row in TOOL_CALLS]
)
def test_tool_calls_and_their_answers_stand_together(messages, rule, where, words):
    assert refusals(messages, *V41, body={"tools": None})[0] == (rule, where, words)


@pytest.mark.parametrize(
    "messages",
    [
        [user(), calls("a", "b"), answer("b"), answer("a")],
        [user(), calls(), answer(), calls(), answer()],
        [user(), text(content="")],
        [user(), {"role": "assistant", "content": None, "tool_calls": calls()["tool_calls"]}, answer()],
        [user(), {"role": "latest_reminder", "content": "r"}, user()],
    ],
)
def test_what_is_in_order_passes(messages):
    assert rules(messages, *V41, body={"tools": None}) == []


def test_the_mend_names_the_calls_to_answer():
    body = {"model": "deepseek-flash", "messages": [calls("a", "b"), answer("b")]}
    finding = check(body, at("2026-11-01"))[0]
    assert finding.mend.endswith("each of its calls: a.")


PREFIX = text(content="```python\n") | {"prefix": True}


def test_prefix_wants_the_beta_route_and_the_last_place():
    words = "prefix is only available when using beta api"
    assert refusals([user(), PREFIX], *V41) == [("prefix.beta", "messages[1].prefix", words)]
    assert rules([user(), PREFIX], *V41, beta=True) == []
    assert rules([user(), PREFIX, user()], *V41, beta=True) == ["prefix.place"]
    assert rules([user(), PREFIX | {"prefix": False, "reasoning_content": ""}], *V41) == []


def test_a_prefix_may_carry_reasoning_or_not():
    for model, date in (V41, ("deepseek-reasoner", "2025-02-01")):
        for message in (PREFIX, PREFIX | {"reasoning_content": "so"}):
            told = rules([user(), message], model, date, beta=True, body={"tools": None})
            assert told == []
    assert rules([user(), PREFIX], *V41, beta=True) == []


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.mark.parametrize(
    ("role", "model", "date", "words"),
    [
        ("user", "deepseek-flash", "2026-11-01", None),
        ("tool", "deepseek-flash", "2026-11-01", None),
        ("system", "deepseek-flash", "2026-11-01", "Image in system message is unsupported"),
        ("assistant", "deepseek-flash", "2026-11-01", "Image in assistant message is unsupported"),
        ("user", "deepseek-v4-pro", "2026-09-01", "This model does not support image"),
        ("user", "deepseek-v4-flash-vision-exp", "2026-09-01", None),
        ("user", "deepseek-v4-pro", "2026-11-01", None),
    ],
)
def test_images_want_eyes_and_the_right_place(role, model, date, words):
    message = {"role": role, "content": [IMAGE]}
    before = []
    if role == "tool":
        message["tool_call_id"] = "1"
        before = [calls(reasoning="")]
    told = refusals([*before, message], model, date, body={"tools": None})
    assert [said for _, _, said in told] == ([words] if words else [])


def test_a_model_without_eyes_ignores_images():
    found = check({"model": "deepseek-v4-pro", "messages": [{"role": "user", "content": [IMAGE]}]}, at("2026-11-01"))
    told = [(finding.rule, finding.where) for finding in found if finding.effect == "ignored"]
    assert told == [("messages.image", "messages[0].content")]


@pytest.mark.parametrize(
    ("model", "date", "tools", "ignored"),
    [
        ("deepseek-flash", "2026-11-01", None, True),
        ("deepseek-flash", "2026-11-01", [TOOL], False),
        ("deepseek-reasoner", "2026-02-15", [TOOL], True),
        ("deepseek-chat", "2025-02-01", None, True),
    ],
)
def test_reasoning_that_nothing_reads_is_told(model, date, tools, ignored):
    body = {"model": model, "messages": [user(), text("r"), user()]} | ({"tools": tools} if tools else {})
    found = [(finding.effect, finding.where) for finding in check(body, at(date)) if finding.rule.startswith("history")]
    assert found == ([("ignored", "messages[1].reasoning_content")] if ignored else [])
