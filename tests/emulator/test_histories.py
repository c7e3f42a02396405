"""Which histories the API refuses, by date, over HTTP: the reasoning rules of every generation, and tool messages."""

import json

import pytest

from dsnb.emulator import Emulator
from tests.emulator.talking import post

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
MISSING = "The `reasoning_content` in the thinking mode must be passed back to the API."
PRESENT = (
    "The reasoning_content is an intermediate result for display purposes only and will not be included in the context "
    "for inference. Please remove the reasoning_content from your message to reduce network traffic."
)
LOOP = (
    "Missing `reasoning_content` field in the assistant message at message index {}. For more information, please "
    "refer to https://api-docs.deepseek.com/guides/thinking_mode#tool-calls"
)
SUCCESSIVE = (
    "deepseek-reasoner does not support successive user or assistant messages (messages[0] and messages[1] in your "
    "input). You should interleave the user/assistant messages in the message sequence."
)
LAST = (
    "The last message of deepseek-reasoner must be a user message, or an assistant message with prefix mode on (refer "
    "to https://api-docs.deepseek.com/guides/chat_prefix_completion)."
)
SCHEMA = "Invalid tool parameters schema"
CALLS = "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'"


def user(text="hi"):
    return {"role": "user", "content": text}


def said(reasoning=None, content="t"):
    return {"role": "assistant", "content": content} | ({} if reasoning is None else {"reasoning_content": reasoning})


def called(*ids, reasoning=None):
    function = {"name": "f", "arguments": "{}"}
    return said(reasoning, "") | {
        "tool_calls": [{"id": call, "type": "function", "function": function} for call in ids or ("1",)]
    }


def result(call="1"):
    return {"role": "tool", "tool_call_id": call, "content": "r"}


_RUNNING = {}


@pytest.fixture(scope="module")
def ask():
    """Return how to ask an emulator of a day; it is started once."""

    def ask(date, model, messages, *, passback="enforced", path="/chat/completions", **fields):
        key = (date, passback)
        if key not in _RUNNING:
            _RUNNING[key] = Emulator(date, passback=passback).start()
        return post(_RUNNING[key], {"model": model, "messages": messages, **fields}, path=path)

    yield ask
    for emulator in _RUNNING.values():
        emulator.close()
    _RUNNING.clear()


def judged(response, message):
    """Say that a reply is the error with exactly these bytes, or with no message a 200."""
    if message is None:
        assert response.status_code == 200, response.text
        return
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": "invalid_request_error"}
    wanted = json.dumps({"error": error}, ensure_ascii=False, separators=(",", ":")).encode()
    assert (response.status_code, response.content) == (400, wanted)


ALWAYS = [user(), called(reasoning="r"), result(), said("r"), user()]  # sends back all that there was
NEVER = [user(), called(), result(), said(), user()]  # sends back none of it
ALWAYS_LOOP, NEVER_LOOP = ALWAYS[:3], NEVER[:3]
ALWAYS_TEXT, NEVER_TEXT = [user(), said("r"), user()], [user(), said(), user()]
NO_TOOLS = "deepseek-reasoner does not support Function Calling"

# (day, model, thinking field, history, with tools, what the API says; None: 200)
GENERATIONS = [
    # R1: never send it
    ("2025-02-01", "deepseek-reasoner", None, ALWAYS_TEXT, False, PRESENT),
    ("2025-02-01", "deepseek-reasoner", None, NEVER_TEXT, False, None),
    ("2025-02-01", "deepseek-chat", None, ALWAYS_TEXT, False, None),
    ("2025-02-01", "deepseek-reasoner", None, NEVER_TEXT, True, NO_TOOLS),
    ("2025-02-01", "deepseek-chat", None, NEVER_LOOP, True, None),
    # R1-0528: tools came, the rule stayed
    ("2025-06-15", "deepseek-reasoner", None, ALWAYS_TEXT, False, PRESENT),
    ("2025-06-15", "deepseek-reasoner", None, NEVER_LOOP, True, None),
    # V3.1 (and V3.2-Exp): the guide still says 400; with tools the chat model answers
    ("2025-09-01", "deepseek-reasoner", None, ALWAYS_TEXT, False, PRESENT),
    ("2025-09-01", "deepseek-reasoner", None, NEVER_TEXT, False, None),
    ("2025-09-01", "deepseek-reasoner", None, ALWAYS_LOOP, True, None),
    ("2025-10-15", "deepseek-reasoner", None, ALWAYS_TEXT, False, PRESENT),
    # V3.2: wanted inside a tool loop, ignored elsewhere
    ("2026-02-15", "deepseek-reasoner", None, ALWAYS_LOOP, True, None),
    ("2026-02-15", "deepseek-reasoner", None, NEVER_LOOP, True, LOOP.format(1)),
    ("2026-02-15", "deepseek-reasoner", None, ALWAYS, True, None),
    ("2026-02-15", "deepseek-reasoner", None, NEVER, True, None),
    ("2026-02-15", "deepseek-reasoner", None, ALWAYS_TEXT, False, None),
    ("2026-02-15", "deepseek-chat", None, NEVER_LOOP, True, None),
    ("2026-02-15", "deepseek-chat", "enabled", NEVER_LOOP, True, LOOP.format(1)),
    # V4 and V4.1: wanted in the turn in progress wherever the request has tools
    *(
        row
        for day, model in (
            ("2026-05-15", "deepseek-v4-flash"),
            ("2026-05-15", "deepseek-reasoner"),
            ("2026-08-15", "deepseek-v4-pro"),
            ("2026-09-15", "deepseek-flash"),
            ("2026-11-16", "deepseek-flash"),
            ("2026-11-16", "deepseek-v4-pro"),
        )
        for row in (
            (day, model, None, ALWAYS_LOOP, True, None),
            (day, model, None, NEVER_LOOP, True, MISSING),
            (day, model, None, NEVER_LOOP, False, None),
            (day, model, None, ALWAYS, True, None),
            (day, model, None, NEVER, True, None),
            (day, model, None, ALWAYS_TEXT, False, None),
        )
    ),
    ("2026-05-15", "deepseek-chat", None, NEVER_LOOP, True, None),
    ("2026-11-16", "deepseek-flash", "disabled", NEVER_LOOP, True, None),
]


@pytest.mark.parametrize(("day", "model", "thinking", "history", "tools", "message"), GENERATIONS)
def test_reasoning_in_the_history_by_generation(ask, day, model, thinking, history, tools, message):
    fields = {"tools": [TOOL]} if tools else {}
    if thinking:
        fields["thinking"] = {"type": thinking}
    judged(ask(day, model, history, **fields), message)


# Measured live 2026-09-10 (all but the last four) and 2026-07-08: thinking on, tools present.
MATRIX = [
    ("text without, call with", [user(), said(), called(reasoning=""), result()], MISSING),
    ("text with, call with", [user(), said(""), called(reasoning=""), result()], None),
    ("text with, call without", [user(), said(""), called(), result()], MISSING),
    ("earlier text without, call with", [user(), said(), user(), called(reasoning=""), result()], None),
    ("earlier text without, call without", [user(), said(), user(), called(), result()], MISSING),
    ("call with, text without, new turn", [user(), called(reasoning=""), result(), said(), user()], None),
    ("this round absent", [user(), called(), result()], MISSING),
    ("this round empty", [user(), called(reasoning=""), result()], None),
    ("this round a placeholder", [user(), called(reasoning="(omitted)"), result()], None),
    ("earlier round absent", [user(), called(), result(), said(""), user(), called(reasoning="r"), result()], None),
]
DAYS = [
    ("2026-07-08", "deepseek-v4-flash"),
    ("2026-09-10T12:00:00Z", "deepseek-flash"),
    ("2026-11-16", "deepseek-flash"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("day", "model"), DAYS)
@pytest.mark.parametrize(("history", "message"), [row[1:] for row in MATRIX], ids=[row[0] for row in MATRIX])
def test_the_measured_matrix(ask, day, model, history, message, stream):
    judged(ask(day, model, history, tools=[TOOL], stream=stream), message)


@pytest.mark.parametrize(
    ("day", "model", "history", "tools", "message"),
    [
        # V4.1: with tools, of all earlier turns
        ("2026-11-16", "deepseek-flash", NEVER_TEXT, True, MISSING),
        ("2026-11-16", "deepseek-flash", NEVER, True, MISSING),
        ("2026-11-16", "deepseek-flash", NEVER_TEXT, False, None),
        ("2026-11-16", "deepseek-flash", ALWAYS, True, None),
        # V4: of the turns that called a tool
        ("2026-05-15", "deepseek-v4-flash", NEVER_TEXT, True, None),
        ("2026-05-15", "deepseek-v4-flash", NEVER, True, MISSING),
        ("2026-05-15", "deepseek-v4-flash", ALWAYS, True, None),
    ],
)
def test_the_documented_rule_reaches_back(ask, day, model, history, tools, message):
    fields = {"tools": [TOOL]} if tools else {}
    judged(ask(day, model, history, passback="documented", **fields), message)


def test_a_warm_server_knows_its_own_calls_alone(ask):
    tool = {"type": "function", "function": {"name": "roll_dice", "parameters": {"type": "object", "properties": {}}}}
    asked = [user("roll the dice twice")]
    reply = ask("2026-11-16", "deepseek-flash", asked, passback="warm", tools=[tool]).json()["choices"][0]["message"]
    ids = [call["id"] for call in reply["tool_calls"]]
    assert len(ids) == 2
    del reply["reasoning_content"]
    warm = [*asked, reply, *map(result, ids)]
    judged(ask("2026-11-16", "deepseek-flash", warm, passback="warm", tools=[tool]), None)
    judged(ask("2026-11-16", "deepseek-flash", warm, tools=[tool]), MISSING)
    text_between = [*asked, said(), reply, *map(result, ids)]
    judged(ask("2026-11-16", "deepseek-flash", text_between, passback="warm", tools=[tool]), MISSING)
    judged(ask("2026-11-16", "deepseek-flash", NEVER_LOOP, passback="warm", tools=[tool]), MISSING)


UNANSWERED = f"{CALLS}. (insufficient tool messages following tool_calls message)"
ORPHAN = "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
TOOL_MESSAGES = [
    ("no answer", [user(), called()], UNANSWERED),
    ("one of two", [user(), called("1", "2"), result("1"), user()], UNANSWERED),
    ("a late answer", [user(), called(), user(), result()], UNANSWERED),
    ("no call", [user(), result()], ORPHAN),
    ("one answer too many", [user(), called(), result(), result()], ORPHAN),
    ("behind a text", [user(), said(), result()], ORPHAN),
    (
        "another id",
        [user(), called("real"), result("other")],
        f"{CALLS}, The following tool_call_ids did not have response messages: other",
    ),
    (
        "one answer twice",
        [user(), called("1", "2"), result("1"), result("1"), result("2")],
        "Duplicate value for 'tool_call_id' of 1 in message[3]",
    ),
    (
        "one id twice",
        [user(), called("1", "1"), result("1"), result("1")],
        "Duplicate value for 'tool_call_id' of 1 in message[1]",
    ),
    ("in any order", [user(), called("1", "2"), result("2"), result("1")], None),
    (
        "nothing said",
        [user(), said(content=None), user()],
        "Invalid assistant message: content or tool_calls must be set",
    ),
    ("null beside calls", [user(), called() | {"content": None}, result()], None),
]


@pytest.mark.parametrize(("day", "model"), [("2026-05-15", "deepseek-v4-flash"), ("2026-11-16", "deepseek-flash")])
@pytest.mark.parametrize(
    ("history", "message"), [row[1:] for row in TOOL_MESSAGES], ids=[row[0] for row in TOOL_MESSAGES]
)
def test_tool_messages_answer_their_calls(ask, day, model, history, message):
    judged(ask(day, model, history, thinking={"type": "disabled"}, tools=[TOOL]), message)


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (
            [user(), user()],
            SUCCESSIVE,
        ),
        (
            [user(), said()],
            LAST,
        ),
        (
            [user(), {"role": "system", "content": "s"}, user()],
            "The system message of deepseek-reasoner must be put on the beginning of the message sequence",
        ),
    ],
)
def test_the_order_that_r1_wants(ask, history, message):
    judged(ask("2025-02-01", "deepseek-reasoner", history), message)
    judged(ask("2025-02-01", "deepseek-chat", history), None)
    judged(ask("2025-09-01", "deepseek-reasoner", history), None)


JSON = {"response_format": {"type": "json_object"}}
FORCED = {"tools": [TOOL], "tool_choice": "required"}


@pytest.mark.parametrize(
    ("day", "model", "fields", "message"),
    [
        ("2025-02-01", "deepseek-reasoner", JSON, "deepseek-reasoner does not support Json Output."),
        ("2025-02-01", "deepseek-reasoner", {"response_format": {"type": "text"}}, None),
        ("2025-02-01", "deepseek-reasoner", {"tools": []}, None),
        ("2025-02-01", "deepseek-chat", JSON | FORCED, None),
        ("2025-06-15", "deepseek-reasoner", JSON, None),
        ("2025-06-15", "deepseek-reasoner", FORCED, "deepseek-reasoner does not support this tool_choice"),
        ("2026-02-15", "deepseek-reasoner", FORCED, "deepseek-reasoner does not support this tool_choice"),
        ("2026-02-15", "deepseek-chat", FORCED, None),
        (
            "2026-02-15",
            "deepseek-chat",
            {**FORCED, "thinking": {"type": "enabled"}},
            "deepseek-reasoner does not support this tool_choice",
        ),
        ("2026-05-15", "deepseek-v4-pro", FORCED, "deepseek-reasoner does not support this tool_choice"),
        ("2026-11-16", "deepseek-flash", FORCED, "Thinking mode does not support this tool_choice"),
        ("2026-11-16", "deepseek-flash", {**FORCED, "thinking": {"type": "disabled"}}, None),
    ],
)
def test_what_a_thinking_model_does_not_do(ask, day, model, fields, message):
    judged(ask(day, model, [user("answer in json")], **fields), message)


STRICT = {
    "type": "function",
    "function": {
        "name": "g",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


def strict(**changes):
    """Return the strict tool with its parameters changed."""
    function = STRICT["function"]
    return {"type": "function", "function": {**function, "parameters": function["parameters"] | changes}}


@pytest.mark.parametrize(
    ("tools", "beta", "standard"),
    [
        ([STRICT], None, None),
        ([STRICT, TOOL], "All functions must set `strict` to true when strict mode is used", None),
        (
            [strict(required=[])],
            f"{SCHEMA} : all properties must be required, missing `city`",
            None,
        ),
        ([strict(properties={}, required=[])], "An object with no properties is not allowed.", None),
        ([strict(properties={"city": {"type": "string", "minLength": 2}})], None, None),
        ([strict(additionalProperties=True)], None, None),
        (
            [strict(properties={"city": {"type": "string", "format": "date"}})],
            f"{SCHEMA} : unknown variant `date`, expected one of `email`, `hostname`, `ipv4`, `ipv6`, `uuid`",
            None,
        ),
    ],
)
@pytest.mark.parametrize("thinking", ["enabled", "disabled"])
def test_strict_tools_are_judged_on_the_beta_route_alone(ask, tools, beta, standard, thinking):
    fields = {"tools": tools, "thinking": {"type": thinking}}
    judged(ask("2026-11-16", "deepseek-flash", [user()], path="/beta/chat/completions", **fields), beta)
    judged(ask("2026-11-16", "deepseek-flash", [user()], **fields), standard)
