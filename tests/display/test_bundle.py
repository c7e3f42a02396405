"""A reply as it is stored: three representations that say the same, safe, small, and equal from run to run."""

import re
from dataclasses import replace
from decimal import Decimal
from html import unescape

import pytest

import dsnb
from dsnb.client.reply import Reply, Timing
from dsnb.client.tool_call import ToolCall
from dsnb.client.usage import Usage
from dsnb.contract import Cost
from dsnb.contract.finding import Finding
from dsnb.display import summary
from dsnb.display.bundle import bundle, style
from dsnb.errors import ServerFailed
from tests.display.inspection import Page, assert_bundle_harmless
from tests.display.payloads import ALL

NOTE = Finding(
    "temperature.ignored", "ignored", "temperature", "temperature has no effect.", "Leave it out.", None, "H"
)


def full_reply():
    return Reply(
        answer="The price is **12.5**, as `get_price` says.",
        reasoning="I need the price.\nSo I call the *tool*.",
        tool_calls=[ToolCall(0, "call_0", "get_price", '{"symbol": "DS"}', "12.5")],
        outcome="length",
        usage=Usage(1234, 345, 1579, 960, 274, 300),
        cost=Cost(Decimal("0.000213456"), None),
        timing=Timing(0, 0.412, 3.2, 75.4),
        model="deepseek-flash",
        asked_model="deepseek-flash",
        served_by="deepseek",
        attempts=2,
        notes=(NOTE,),
    )


def text_of(data):
    """Return what a reader sees of each representation."""
    return {
        "text/html": Page.read(data["text/html"]).text,
        "text/markdown": unescape(re.sub(r"\\(?=[*_`])|<[^>]+>", "", data["text/markdown"])),
        "text/plain": data["text/plain"],
    }


@pytest.mark.parametrize("mime", ["text/html", "text/markdown", "text/plain"])
def test_each_representation_says_everything(mime):
    text = text_of(bundle(full_reply()))[mime]
    for words in (
        *("deepseek-flash", "thinking", "2 attempts", "cut off at its limit of tokens"),
        *("Reasoning · 300 tokens · 2.79 s", "I need the price.", "So I call the", "tool"),
        *("get_price", "symbol", "DS", "12.5", "The price is", "as", "says."),
        *("temperature has no effect. Leave it out.", "prompt 1,234", "cached 960 (78%)", "completion 345"),
        *("reasoning 300", "cost $0.000213", "first token 0.41 s", "total 75 s"),
    ):
        assert words in text


@pytest.mark.parametrize("mime", ["text/html", "text/markdown", "text/plain"])
def test_an_error_is_told_in_words_beside_what_had_come(mime):
    reply = Reply(answer="The three laws", outcome="truncated", model="deepseek-flash")
    data = bundle(reply, ServerFailed("The endpoint is overloaded <503>.\nAsk again.", status=503))
    assert_bundle_harmless(data)
    text = text_of(data)[mime]
    for words in ("failed", "The three laws", "ServerFailed", "The endpoint is overloaded <503>.", "Ask again."):
        assert words in text
    assert "the stream ended" not in text  # the error says it better


@pytest.mark.parametrize("outcome", summary.OUTCOMES)
def test_every_outcome_but_stop_is_told(outcome):
    for text in text_of(bundle(Reply(answer="x", outcome=outcome))).values():
        assert summary.OUTCOMES[outcome] in text
    assert all(words not in str(bundle(Reply(answer="x", outcome="stop"))) for words in summary.OUTCOMES.values())


def test_an_unknown_outcome_is_told_as_it_is():
    assert "<em>a_new_one</em>" in bundle(Reply(outcome="a_new_one"))["text/html"]


def test_reasoning_is_folded_behind_its_first_line_unless_there_is_nothing_else():
    reply = Reply(reasoning="\n\n**First** thought.\nSecond.", answer="Done.", outcome="stop")
    html = bundle(reply)["text/html"]
    assert '<details class="dsnb-reasoning"><summary>Reasoning <i>First** thought.</i></summary>' in html
    assert "<p><strong>First</strong> thought.<br>\nSecond.</p>" in html
    assert '<details class="dsnb-reasoning" open>' in bundle(replace(reply, answer=""))["text/html"]


def test_a_reply_without_anything_says_so():
    data = bundle(Reply(outcome="empty", asked_model="deepseek-flash"))
    assert data["text/plain"] == "deepseek-flash · empty: it ended well and said nothing"
    assert data["text/markdown"] == "**deepseek-flash** · *empty: it ended well and said nothing*"
    assert_bundle_harmless(data)


def test_who_answered_is_told_where_it_is_not_who_was_asked():
    words = bundle(Reply(model="deepseek-flash", asked_model="deepseek-chat", served_by="groq", outcome="stop"))
    assert words["text/plain"] == "deepseek-flash · asked for as deepseek-chat · served by groq"


@pytest.mark.parametrize("field", ["answer", "reasoning", "name", "arguments", "result", "model", "error", "outcome"])
def test_no_payload_becomes_markup_wherever_it_stands(field):
    for payload in ALL:
        call = ToolCall(0, "call_0", "tool", "{}", "1")
        reply = Reply(answer="answer", reasoning="reasoning", tool_calls=[call], outcome="stop", model="model")
        error = None
        if field in {"answer", "reasoning", "model", "outcome"}:
            setattr(reply, field, payload)
        elif field in {"name", "result"}:
            setattr(call, field, payload)
        elif field == "arguments":
            call.append(payload)
        else:
            error = ServerFailed(payload, status=500)
        assert_bundle_harmless(bundle(reply, error))


def test_arguments_are_laid_out_where_they_are_json_and_shown_as_they_are_where_not():
    def shown(arguments):
        return bundle(Reply(tool_calls=[ToolCall(0, "", "f", arguments)], outcome="tool_calls"))["text/markdown"]

    assert "<code>f(a=1, b=&#91;&#93;)</code>".replace("b=", "b=") in shown('{"a": 1, "b": []}')
    assert '```json\n{\n  "a": 1,\n  "b": []\n}\n```' in shown('{"a": 1, "b": []}')
    assert '```\n{"a": 1, "b\n```' in shown('{"a": 1, "b')
    assert "```\n" + "[" * 9999 in shown("[" * 9999)  # too deep to parse


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        ("text", "text"),
        (12.5, "12.5"),
        ({"a": ["中"]}, '{"a": ["中"]}'),
        ({1: {2}}, '{"1": "{2}"}'),
        ({(1,): 2}, "{(1,): 2}"),
    ],
)
def test_results_of_any_kind_are_shown(result, shown):
    data = bundle(Reply(tool_calls=[ToolCall(0, "", "f", "{}", result)]))
    assert f"→ {shown}" in data["text/plain"]
    assert_bundle_harmless(data)


def test_a_huge_result_is_cut_and_says_so():
    data = bundle(Reply(tool_calls=[ToolCall(0, "", "f", "{}", "x" * 1_000_000)]))
    assert "980,000 characters more" in data["text/plain"]
    assert sum(map(len, data.values())) < 80_000


def test_the_bar_shows_the_share_of_the_cache():
    data = bundle(Reply(usage=Usage(1000, 1, 1001, 750, 250)))
    assert "background-size: 75% 100%" in data["text/html"]
    assert "cached 750 (75%) ▰▰▰▰▰▰▱▱" in data["text/markdown"]
    assert "cached 0" in bundle(Reply(usage=Usage(1000, 1, 1001, 0, 1000)))["text/plain"]
    assert "cached" not in bundle(Reply(usage=Usage(1000, 1, 1001)))["text/plain"]
    assert "100%" in bundle(Reply(usage=Usage(10, 1, 11, 64)))["text/plain"]  # more hits than tokens: a host's mistake


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        ("0", "$0"),
        ("0.00000312", "$0.00000312"),
        ("0.000213456", "$0.000213"),
        ("0.0421", "$0.0421"),
        ("1234.5", "$1,234.50"),
    ],
)
def test_money_has_a_sensible_number_of_digits(usd, shown):
    assert summary.money(Decimal(usd)) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(0.4123, "0.41 s"), (12.34, "12 s"), (133, "2 min 13 s")])
def test_durations_are_told_as_people_do(seconds, shown):
    assert summary.seconds(seconds) == shown


def test_what_the_emulator_says_is_equal_from_run_to_run():
    def ask():
        with dsnb.connect(quiet=True) as session:
            tool = {"type": "function", "function": {"name": "get_price", "parameters": {"type": "object"}}}
            return [
                bundle(session.ask("Hello, $5!", render=None)),
                bundle(session.ask("Call get_price now.", tools=[tool], render=None)),
            ]

    first, second = ask(), ask()
    assert first == second
    assert "emulated" in first[0]["text/html"]
    assert "get_price" in first[1]["text/plain"]
    assert not re.search(r"\d s\b|first token", str(first))  # the seconds of the emulator are this machine's


def test_the_style_is_small_and_meets_nothing_outside():
    assert len(style()) <= 3000
    assert "url(" not in style()
    assert "@import" not in style()
    for selectors in re.findall(r"(?:^|[}])([^{}@]+)\{", style()):
        assert all(selector.startswith(".dsnb") for selector in selectors.split(","))


def test_the_size_is_linear():
    sizes = [len(bundle(Reply(answer="A sentence of some words.\n\n" * n))["text/html"]) for n in (1000, 2000, 3000)]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0]
    assert sizes[0] < len(style()) + 1000 * 40


def test_a_long_reply_takes_no_longer_than_the_eye_needs():
    import time

    paragraph = "Some *words* with `code`, \\( x_1^2 \\) and **more** of it, as models write.\n\n- a list\n- of two\n\n"
    text = paragraph * (250_000 // len(paragraph))
    start = time.process_time()
    bundle(Reply(answer=text, reasoning=text[:50_000], outcome="stop"))
    assert time.process_time() - start < 4  # 1 s on two cores of 2026; the rest is for slower ones
