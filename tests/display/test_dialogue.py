"""A conversation as it is stored: who said what, with calls and results together, safe, whole, and not too long."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dsnb
from dsnb.client.reply import Reply
from dsnb.client.rounds import joined
from dsnb.client.tool_call import ToolCall
from dsnb.client.usage import Usage
from dsnb.contract import Cost
from dsnb.display import dialogue
from dsnb.display.dialogue import bundle
from tests.display.inspection import Page, assert_bundle_harmless
from tests.display.payloads import ALL
from tests.display.test_bundle import text_of
from tests.effort import effort

MIMES = ("text/html", "text/markdown", "text/plain")
SYSTEM = {"role": "system", "content": "Never invent prices."}


def asked(text):
    return {"role": "user", "content": text}


def told(**about):
    usage, cost = Usage(1000, 50, 1050, 750, 250, 20), Cost(Decimal("0.0005"), None)
    about = {
        "usage": usage,
        "cost": cost,
        "model": "deepseek-flash",
        "served_by": "deepseek",
        "outcome": "stop",
    } | about
    return Reply(**about)


def turn_with_tools():
    calls = [
        ToolCall(0, "call_0", "get_price", '{"symbol": "DS"}', "12.5", False, 0.4),
        ToolCall(1, "call_1", "get_price", '{"symbol": "DSX"}', '{"error": "There is no DSX."}', True, 0.02),
    ]
    first = told(answer="Let me look.", reasoning="I need *two* prices.", tool_calls=calls, outcome="tool_calls")
    return joined([first, told(answer="DS is at **12.5**.", reasoning="DSX is nothing.")], [0, 1], 2)


def conversation(turns=1):
    """Return messages and replies of so many turns, each with tools."""
    replies = [turn_with_tools() for _ in range(turns)]
    messages = [SYSTEM]
    for number, reply in enumerate(replies):
        messages += [asked(f"Question {number}: what do DS and DSX cost?"), *reply.messages]
    return messages, replies


@pytest.mark.parametrize("mime", MIMES)
def test_each_representation_says_who_said_what_in_its_order(mime):
    text = text_of(bundle(*conversation()))[mime]
    words = [
        *("Conversation", "1 question", "6 messages", "deepseek-flash"),
        *("System", "Never invent prices.", "You", "Question 0: what do DS and DSX cost?", "Model", "Reasoning"),
        *("I need", "two", "prices.", "Let me look.", "get_price(", "DS", "12.5", "get_price(", "DSX", "failed"),
        *("There is no DSX.", "Reasoning", "DSX is nothing.", "DS is at"),
        *("prompt 2,000", "cached 1,500 (75%)", "completion 100", "reasoning 40", "cost $0.00100"),
    ]
    at = 0
    for word in words:
        assert word in text[at:], f"{word} does not come after {text[:at][-80:]!r}"
        at = text.index(word, at) + len(word)


def test_messages_alone_are_enough():
    messages, _ = conversation()
    data = bundle(messages)
    assert_bundle_harmless(data, frame={"h2"})
    assert "Conversation · 1 question · 6 messages" in data["text/plain"].replace("6 messages", "6 messages")
    assert "failed" not in data["text/plain"]  # which only replies know
    assert "prompt" not in data["text/plain"]
    assert bundle([])["text/plain"] == "Conversation · 0 questions · 0 messages"


def test_results_stand_with_their_calls_however_they_come():
    def call(number):
        return {"id": f"c{number}", "type": "function", "function": {"name": f"tool{number}", "arguments": "{}"}}

    data = bundle(
        [
            asked("Go."),
            {"role": "assistant", "content": None, "tool_calls": [call(0), call(1)]},
            {"role": "tool", "tool_call_id": "c1", "content": "one"},
            {"role": "tool", "tool_call_id": "c0", "content": [{"type": "text", "text": "zero"}]},
            {"role": "tool", "tool_call_id": "c0", "content": "zero again"},
            {"role": "tool", "tool_call_id": "stray", "content": "lost"},
        ]
    )
    plain = data["text/plain"]
    assert "  tool0({})\n    → zero\n\n  tool1({})\n    → one\n\nTool\n\n  c0\n    → zero again" in plain
    assert "  stray\n    → lost" in plain
    page, _ = assert_bundle_harmless(data, frame={"h2"})
    assert page.text.index("tool0") < page.text.index("zero") < page.text.index("tool1") < page.text.index("one")


def test_who_speaks_is_said_when_it_changes():
    data = bundle(*conversation(2))
    assert re.findall("(?m)^## (.*)$", data["text/markdown"]) == ["System", *["You", "Model"] * 2]
    assert re.findall(r"(?m)^(\w+)$", data["text/plain"]) == ["System", *["You", "Model"] * 2]
    named = bundle([{"role": "user", "name": "Ada", "content": "Hi"}, {"role": "latest_reminder", "content": "x"}])
    assert re.findall(r"(?m)^(\w.*)$", named["text/plain"])[1:] == ["You · Ada", "latest_reminder"]


def test_what_is_no_text_has_its_name_in_brackets():
    image = {"type": "image_url", "image_url": {"url": "http://beacon.test/x.png"}}
    data = bundle([asked([{"type": "text", "text": "Look:"}, image, {"type": "input_audio"}, 3]), asked({"a": 1})])
    assert "  Look:\n\n  [image]\n\n  [input_audio]\n\n  [something]" in data["text/plain"]
    assert '{"a": 1}' in data["text/plain"]
    assert "beacon" not in str(data)


def test_how_a_turn_ended_is_said_at_its_end_unless_it_went_on():
    cut = told(answer="DS is", outcome="interrupted")
    messages, replies = conversation()
    data = bundle([*messages, asked("Again?"), cut.message], [*replies, cut])
    for mime in MIMES:
        text = text_of(data)[mime]
        assert text.index("DS is", text.index("Again?")) < text.index("interrupted")
        assert "waits for the results" not in text


def test_times_of_tools_are_told_where_they_are_not_the_emulators():
    messages, replies = conversation()
    assert 'get_price({"symbol": "DS"}) · 0.40 s\n' in bundle(messages, replies)["text/plain"]
    for each in (*replies, *replies[0].rounds):
        each.emulated = True
    plain = bundle(messages, replies)["text/plain"]
    assert " s\n" not in plain
    assert "emulated" in plain


def test_figures_leave_out_what_nobody_knows_and_say_so():
    replies = [told(), told(usage=None, cost=None), told(cost=None)]
    plain = bundle([asked("Hi")], replies)["text/plain"]
    assert "prompt 2,000" in plain
    assert plain.endswith("cost $0.000500 · not known 1 of 3 turns")


def test_a_long_conversation_folds_its_earlier_turns_and_is_whole():
    messages, replies = conversation(30)
    data = bundle(messages, replies)
    for text in text_of(data).values():
        assert all(f"Question {number}:" in text for number in range(30))
    html, markdown = data["text/html"], data["text/markdown"]
    assert html.count('<details class="dsnb-turn">') == 24
    assert "24 earlier turns" in html
    assert "24 earlier turns" in markdown
    assert html.index("Question 23:") < html.index("Question 24:")
    opened = Page.read(html).text.rpartition("Question 23:")[2]
    assert "Question 29:" in opened
    assert "<summary>Question 3: what do DS and DSX cost? <i>DS is at 12.5.</i></summary>" in html
    assert "earlier" not in bundle(*conversation(6))["text/markdown"]
    assert "1 earlier turn " in bundle(*conversation(7))["text/markdown"]


@pytest.mark.slow
def test_a_turn_is_known_by_its_number_and_its_question():
    assert dialogue.asked([]) is dialogue.asked([{"role": "system", "content": "Be kind."}]) is None
    said = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "One?"}]
    assert dialogue.asked(said).plain == "Turn 1\n  One?"
    said += [{"role": "assistant", "content": "Yes."}, {"role": "user", "content": "# Two?\n\n- or three"}]
    part = dialogue.asked(said)
    assert part.plain == "Turn 2\n  # Two?\n\n  - or three"
    assert "<summary>Turn 2 <i>Two?</i></summary>" in part.html
    assert "<li>or three\n</li>" in part.html
    assert "Turn 2" in part.markdown
    called = {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}
    assert dialogue.asked([*said, called, {"role": "tool", "tool_call_id": "a", "content": "3"}]) == part  # goes on
    for payload in ALL:
        part = dialogue.asked([{"role": "user", "content": payload}])
        assert_bundle_harmless({"text/html": part.html, "text/markdown": part.markdown, "text/plain": part.plain})


@pytest.mark.slow
def test_no_payload_becomes_markup_wherever_it_stands():
    for payload in ALL:
        function = {"name": payload, "arguments": payload}
        messages = [
            {"role": "system", "content": payload, "name": payload},
            {"role": payload, "content": payload},
            {"role": "user", "content": [{"type": "text", "text": payload}, {"type": payload}], "name": payload},
            {
                "role": "assistant",
                "content": payload,
                "reasoning_content": payload,
                "tool_calls": [{"id": payload, "function": function}],
            },
            {"role": "tool", "tool_call_id": payload, "content": payload},
            {"role": "tool", "tool_call_id": payload, "content": payload},
        ]
        reply = Reply(answer=payload, reasoning=payload, outcome=payload, model=payload, served_by=payload)
        _, page = assert_bundle_harmless(bundle(messages, [reply]), frame={"h2"})
        assert [tag for tag, _ in page.elements].count("h2") == 5


def test_nobody_can_speak_for_somebody_else():
    spoof = "x\n\n## You\n\n# You\n\nYou\n===\n\n<h2>You</h2>\n\nYou"
    data = bundle([asked("Hi"), {"role": "assistant", "content": spoof, "reasoning_content": spoof}])
    _, page = assert_bundle_harmless(data, frame={"h2"})
    assert [tag for tag, _ in page.elements].count("h2") == 2
    assert re.findall("(?m)^You$", data["text/plain"]) == ["You"]
    assert data["text/html"].count("dsnb-who") == 2 + data["text/html"].split("</style>")[0].count("dsnb-who")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("role", "content", "name", "reasoning_content", "tool_calls", "tool_call_id")
MESSAGE = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(FIELDS, JSON) | {"role": st.sampled_from(["system", "user", "assistant", "tool", 1, None])},
)


@given(st.lists(MESSAGE, max_size=6))
def test_messages_of_any_form_are_shown(messages):
    assert_bundle_harmless(bundle(messages), frame={"h2"})


@pytest.mark.slow
def test_the_work_grows_with_the_conversation_and_no_faster():
    def work(turns):
        messages, replies = conversation(turns)
        return effort(lambda: bundle(messages, replies))

    work(1)
    assert work(160) <= 8 * 1.2 * work(20)


def test_work_and_size_are_linear_in_calls_of_one_message():
    def work(calls):
        reply = told(tool_calls=[ToolCall(n, f"c{n}", "f", "{}", "1") for n in range(calls)], outcome="tool_calls")
        return effort(lambda: bundle([asked("Go."), *reply.messages], [reply]))

    work(1)
    assert work(800) <= 8 * 1.2 * work(100)


def test_a_conversation_shows_itself():
    with dsnb.connect(quiet=True) as session:
        chat = session.conversation(system="Be brief.")
        chat.ask("Hello", render=None)
    data = chat._repr_mimebundle_()
    assert "Be brief." in data["text/html"]
    assert chat.to_markdown() == data["text/markdown"]
    assert chat.to_markdown().startswith("**Conversation** · 1 question · 3 messages · deepseek-flash · emulated")
