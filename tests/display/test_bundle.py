"""A reply as it is stored: three representations that say the same, safe, small, and equal from run to run."""

import re
from dataclasses import replace
from decimal import Decimal
from html import unescape

import pytest

import dsnb
from dsnb.client.reply import Reply, Timing
from dsnb.client.rounds import joined
from dsnb.client.tool_call import ToolCall
from dsnb.client.usage import Usage
from dsnb.contract import Cost
from dsnb.contract.finding import Finding
from dsnb.display import summary
from dsnb.display.bundle import bundle
from dsnb.display.styles import style
from dsnb.display.text import legible
from dsnb.errors import ServerFailed
from tests.display.inspection import Page, assert_bundle_harmless
from tests.display.payloads import ALL
from tests.effort import effort

NOTE = Finding(
    "temperature.ignored", "ignored", "temperature", "temperature has no effect.", "Leave it out.", None, "H"
)


RICH = """# Of *two* numbers

- One is $5 & 6, **the other** `p**2`, see [here](https://example.org/a_b).
- 12. is no list, \\( p_1^2 \\) is a formula.

| a | b |
|---|--:|
| 1 | 2 \\| 3 |

\\[ q = 2 \\]

```python
assert q == 2
```

"""


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


def turn_of_three():
    """Return a turn that called tools twice, of which one failed."""
    calls = [
        ToolCall(0, "c0", "get_price", '{"symbol": "DS"}', "12.5", False, 0.412),
        ToolCall(1, "c1", "get_price", '{"symbol": "DSX"}', '{"error": "There is no DSX; try DSY."}', True, 0.02),
    ]
    again = [ToolCall(0, "c2", "get_price", '{"symbol": "DSY"}', "7.25", False, 1.3)]
    about = {"model": "deepseek-flash", "served_by": "deepseek", "timing": Timing(0, 0.5, 1.5, 2)}
    usage = [Usage(100, 10, 110, 0, 100, n) for n in (5, 6, 7)]
    return joined(
        [
            Reply("Let me look.", "I need two.", calls, "tool_calls", usage=usage[0], notes=(NOTE,), **about),
            Reply("", "DSX is none.", again, "tool_calls", usage=usage[1], **about),
            Reply("They are 12.5 and 7.25.", None, [], "stop", usage=usage[2], **about),
        ],
        [0, 3, 6],
        8,
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
        *("Temperature has no effect. Leave it out.", "prompt 1,234", "cached 960 (78%)", "completion 345"),
        *("reasoning 300", "cost $0.000213", "first token 0.41 s", "speed 4.6 tokens/s", "total 75 s"),
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


@pytest.mark.parametrize("mime", ["text/html", "text/markdown", "text/plain"])
def test_a_turn_is_told_step_by_step_and_its_figures_once(mime):
    text = text_of(bundle(turn_of_three()))[mime]
    at = 0
    for word in (
        *("deepseek-flash", "3 requests", "Reasoning · 5 tokens · 1.00 s", "I need two.", "Let me look."),
        *("get_price(", "DS", "0.41 s", "12.5", "get_price(", "DSX", "failed", "0.02 s", "There is no DSX; try DSY."),
        *("Reasoning · 6 tokens", "DSX is none.", "get_price(", "DSY", "1.30 s", "7.25"),
        *("They are 12.5 and 7.25.", "Temperature has no effect.", "prompt 300", "completion 30", "total 8.00 s"),
    ):
        assert word in text[at:], f"{word} does not come after {text[:at][-80:]!r}"
        at = text.index(word, at) + len(word)
    assert text.count("prompt ") == 1
    assert text.count("failed") == 1
    assert "attempts" not in text


def test_what_went_wrong_with_a_call_is_said_in_its_line():
    data = bundle(turn_of_three())
    line = "</code> <em>failed</em> · 0.02 s → There is no DSX; try DSY.</summary>"
    assert f'<code>get_price(symbol="DSX"){line}' in data["text/html"]
    assert '"error"' in data["text/html"]  # and all of it behind
    assert "failed" not in bundle(Reply(tool_calls=[ToolCall(0, "", "f", "{}", '{"error": "x"}')]))["text/plain"]


def test_seconds_of_tools_are_not_told_where_they_would_differ_from_run_to_run():
    emulated = turn_of_three()
    for reply in (emulated, *emulated.rounds):
        reply.emulated = True
    assert not re.search(r"\d s\b", text_of(bundle(emulated))["text/html"])


@pytest.mark.parametrize("mime", ["text/html", "text/markdown", "text/plain"])
def test_an_answer_that_was_asked_for_again_is_folded_and_is_no_answer(mime):
    turn = joined([Reply("{name: 'DS'}", outcome="stop"), Reply('{"name": "DS"}', outcome="stop")], [0, 1], 2)
    turn.parsed = {"name": "DS"}
    data = bundle(turn)
    text = text_of(data)[mime]
    assert_bundle_harmless(data)
    assert text.index("asked again") < text.index("{name: 'DS'}") < text.index('{"name": "DS"}')
    assert data["text/html"].count('<div class="dsnb-answer">') == 1


def test_attempts_are_told_where_there_were_more_than_requests():
    assert "attempts" not in bundle(replace(turn_of_three(), attempts=3))["text/plain"]
    assert "3 requests · 4 attempts" in bundle(replace(turn_of_three(), attempts=4))["text/plain"]


def test_what_goes_on_from_a_text_is_shown_joined_to_it():
    reply = Reply("    return 1\n", start="def f():\n", suffix="\nf()", outcome="stop", model="m")
    data = bundle(reply)
    assert_bundle_harmless(data)
    assert data["text/plain"] == "m\n\n  def f():\n+     return 1\n\n  f()"
    assert "```diff\n  def f():\n+     return 1" in data["text/markdown"]
    assert "<ins>" in data["text/html"]
    assert style("joined") in data["text/html"]
    assert style("joined") not in bundle(Reply("x"))["text/html"]
    assert "def f" not in str(bundle(replace(reply, answer="", outcome="empty")))


@pytest.mark.parametrize("deep", ["[" * 13 + "]" * 13, '{"a":' * 400 + "1" + "}" * 400])
def test_deep_json_is_shown_as_it_is(deep):
    data = bundle(Reply(tool_calls=[ToolCall(0, "", "f", deep, deep)]))
    assert data["text/markdown"].count(f"```json\n{deep}\n```") == 2
    assert len(str(data)) < len(style()) + 16 * len(deep) + 2000


def test_results_that_are_json_are_laid_out():
    data = bundle(Reply(tool_calls=[ToolCall(0, "", "f", "{}", '{"a": [1]}'), ToolCall(1, "", "f", "{}", "[1")]))
    assert '```json\n{\n  "a": [\n    1\n  ]\n}\n```' in data["text/markdown"]
    assert "```\n[1\n```" in data["text/markdown"]


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
    assert '<details class="dsnb-reasoning"><summary>Reasoning <i>First thought.</i></summary>' in html
    assert "<p><strong>First</strong> thought.<br>\nSecond.</p>" in html
    assert '<details class="dsnb-reasoning" open>' in bundle(replace(reply, answer=""))["text/html"]


def test_a_reply_without_anything_says_so():
    data = bundle(Reply(outcome="empty", asked_model="deepseek-flash"))
    assert data["text/plain"] == "deepseek-flash · empty: it ended well and said nothing"
    assert data["text/markdown"] == "**deepseek-flash** · *empty: it ended well and said nothing*"
    assert_bundle_harmless(data)


@pytest.mark.parametrize(("seams", "times"), [((12,), "once"), ((4, 20), "twice"), ((4, 12, 20), "3 times")])
def test_seams_are_marked_where_they_are_and_counted_below(seams, times):
    answer = "The quick **brown fox** jumps."
    data = bundle(Reply(answer, seams=seams, attempts=len(seams) + 1, outcome="stop", model="m"))
    marked = answer
    for seam in reversed(seams):
        marked = f"{marked[:seam]}┊{marked[seam:]}"
    line = f"┊ The stream was cut and gone on with {times}."
    assert data["text/plain"] == f"m · {len(seams) + 1} attempts\n\n{marked}\n\n{line}"
    assert f"\n\n{marked}\n\n*┊ The stream was cut" in data["text/markdown"]
    assert data["text/html"].count('<span class="dsnb-seam">┊</span>') == len(seams)
    assert "seam" not in bundle(Reply(answer, outcome="stop"))["text/html"].partition("</style>")[2]


@pytest.mark.slow
def test_a_seam_changes_nothing_of_what_is_read():
    answer = RICH + "".join(ALL[:20])
    plain = bundle(Reply(answer, outcome="stop"))
    marked = 0
    for seam in range(0, len(answer), 7):
        data = bundle(Reply(answer, seams=(seam,), outcome="stop"))
        assert_bundle_harmless(data)
        assert legible(answer) in data["text/plain"].replace("┊", "")
        html = data["text/html"].replace('<span class="dsnb-seam">┊</span>', "")
        assert html.partition('<p class="dsnb-note">')[0] == plain["text/html"].partition("</div>")[0] + "</div>\n"
        marked += "dsnb-seam" in data["text/html"].partition("</style>")[2]
    assert marked > len(answer) / 7 / 2


@pytest.mark.parametrize("answer", ["```\ncode that was cut\n```", "\\( a + b + c \\)", "an \ue5ea of somebody"])
def test_where_a_mark_would_be_in_the_way_the_line_alone_tells_of_the_seam(answer):
    data = bundle(Reply(answer, seams=(8,), outcome="stop"))
    assert data["text/plain"].count("┊") == 1
    assert "The stream was cut and gone on with once." in data["text/html"]
    assert_bundle_harmless(data)


def test_each_round_shows_its_own_seams():
    turn = turn_of_three()
    turn.rounds[0].seams, turn.rounds[2].seams = (3,), (4, 9)
    text = text_of(bundle(turn))["text/html"]
    assert text.index("Let┊ me look.") < text.index("gone on with once") < text.index("DSX is none.")
    assert text.index("They┊ are ┊12.5") < text.index("gone on with twice")


def test_who_answered_is_told_where_it_is_not_who_was_asked():
    words = bundle(Reply(model="deepseek-flash", asked_model="deepseek-chat", served_by="groq", outcome="stop"))
    assert words["text/plain"] == "deepseek-flash · asked for as deepseek-chat · served by groq"


@pytest.mark.parametrize("field", ["answer", "reasoning", "name", "arguments", "result", "model", "error", "outcome"])
@pytest.mark.slow
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
    assert len(style()) <= 3650
    assert "url(" not in style()
    assert "@import" not in style()
    for selectors in re.findall(r"(?:^|[}])([^{}@]+)\{", style()):
        assert all(selector.startswith(".dsnb") for selector in selectors.split(","))


def test_long_texts_come_in_portions_of_which_a_page_draws_those_in_sight():
    text = "".join(f"## Head {number}\n\n- a list\n\n" for number in range(40))
    html = bundle(Reply(answer=text, reasoning="A word.\n\n" * 50, outcome="stop"))["text/html"]
    portion = '<div class="dsnb-portion">'
    assert html.count(portion) == 4 + 3  # 80 blocks and 50
    assert html.replace(portion, "").replace("</ul>\n</div>", "</ul>\n").count("<h4>") == 40
    assert html.count("content-visibility") == 2  # on a page, and not on paper
    short = bundle(Reply(answer="A word.\n\n" * 24, outcome="stop"))["text/html"]
    assert "portion" not in short
    code = "```\n" + "x\n\n" * 100 + "```\n\n"
    assert portion not in bundle(Reply(answer=code, outcome="stop"))["text/html"]


def test_the_size_is_linear():
    sizes = [len(bundle(Reply(answer="A sentence of some words.\n\n" * n))["text/html"]) for n in (1200, 2400, 3600)]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0]
    assert sizes[0] < len(style()) + 1200 * 40


def test_the_work_is_linear():
    paragraph = "Some *words* with `code`, \\( x_1^2 \\) and **more** of it, as models write.\n\n- a list\n- of two\n\n"

    def cost(paragraphs):
        text = paragraph * paragraphs
        return effort(lambda: bundle(Reply(answer=text, reasoning=text, outcome="stop")))

    cost(1)
    assert cost(80) <= 8 * 1.1 * cost(10)
