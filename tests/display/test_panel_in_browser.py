"""The live panel in each of its states, as a reader meets them: in JupyterLab, in chromium."""

import json
import re

import pytest

from tests.display.hostile import Detector

pytestmark = pytest.mark.slow

# A turn that the test takes from step to step.
VIEW = """
from dsnb.client.events import Event
from dsnb.client.reply import Reply, Timing
from dsnb.client.tool_call import ToolCall
from dsnb.client.usage import Usage
from dsnb.display.panel import LiveView
from dsnb.errors import ServerFailed

def say(kind, text, tool=None):
    view(Event(kind, text, tool))

view = LiveView(model="deepseek-flash", thinking=True, effort="high")
"""
THOUGHTS = [
    "We need to show that no fraction squares to two. Suppose p/q did, in lowest terms.\n",
    "Then p² = 2q², so p² is even, and so is p, since the square of an odd number is odd.\n",
    "Write p = 2r. Then 4r² = 2q², so q² = 2r², and q is even as well.\n",
    "But a fraction in lowest terms has no two even parts. That is the contradiction we were after.\n",
]
ANSWER = (
    "Suppose that √2 = p/q in lowest terms. Then p² = 2q², so **p is even**, say p = 2r. "
    "That gives q² = 2r², so **q is even** too, and the fraction was not in lowest terms.\n\n"
    "So no such fraction exists: √2 is irrational."
)

WIDE = (
    "השורש של 2 אינו רציונלי, ולכן אין שבר כזה.\n\n> כך הוכיחו היוונים.\n\n"
    "| step | what is even | why it is so | what follows |\n|---|---|---|--:|\n| 1 | p | p² = 2q² | p = 2r |\n\n"
    "```python\nassert all(p**2 != 2 * q**2 for p in range(1, 1_000) for q in range(1, 1_000))\n```\n\n"
    "\\[ x_1 + x_2 + x_3 + x_4 + x_5 + x_6 + x_7 + x_8 + x_9 + x_{10} + x_{11} + x_{12} = 78 \\]\n"
)


@pytest.fixture
def steps(notebook):
    """Open a panel whose turn the test takes from step to step."""
    notebook.fill(VIEW)
    notebook.run()
    notebook.wait()
    notebook.until("$('.dsnb-live')?.dataset.phase === 'asking'")
    return notebook


def say(notebook, kind, text):
    notebook.execute(f"say({kind!r}, {text!r})")


def wait_for(notebook, text):
    notebook.until(f"$('.dsnb-live').textContent.includes({json.dumps(text)})")


def is_open(notebook):
    return notebook.value("$('.dsnb-live details').open")


def test_the_panel_goes_through_the_phases_of_a_turn(steps):
    assert steps.text(".dsnb-head").startswith("deepseek-flash · effort high")
    assert "asking" in steps.text(".dsnb-phase")
    steps.shoot("1-asking")

    say(steps, "queued", "")
    steps.until("$('.dsnb-phase').textContent.includes('in the queue · 1 s')")  # nothing is sent, and the clock runs
    steps.shoot("2-queued")

    for thought in THOUGHTS:
        say(steps, "reasoning", thought)
    wait_for(steps, "That is the contradiction")
    assert is_open(steps)
    assert steps.text(".dsnb-phase").startswith("thinking · ")
    assert steps.find(".dsnb-live").get_attribute("aria-busy") == "true"
    steps.until("$('.dsnb-phase').textContent.includes('thinking · 1 s')")
    steps.shoot("3-thinking")

    say(steps, "answer", ANSWER[:150])
    steps.until("$('.dsnb-answer strong')")  # Markdown, before its paragraph is finished
    assert not is_open(steps)
    assert re.match(r"Reasoning · \d s We need to show that no fraction squares to two\.", steps.text("summary"))
    say(steps, "answer", ANSWER[150:])
    wait_for(steps, "irrational")
    assert "6 tokens" in steps.text(".dsnb-figures")
    steps.shoot("4-answering")
    assert steps.page.locator(".dsnb-announcer").text_content() == "deepseek-flash: answering"
    assert steps.page.locator(".dsnb-announcer[role=status][aria-live=polite]").count() == 1

    steps.execute(
        f"view.close(Reply({ANSWER!r}, {''.join(THOUGHTS)!r}, outcome='stop', model='deepseek-flash', "
        "usage=Usage(1480, 212, 1692, 1408, 72, 118), served_by='deepseek', timing=Timing(1, 1.5, 3.1, 5.2)), None)"
    )
    steps.until("!$('.dsnb-live') && $('.dsnb .dsnb-answer strong')")
    steps.shoot("5-done")


def test_the_reader_keeps_the_place_and_the_folding_that_he_chose(steps):
    for number in range(40):
        say(steps, "reasoning", f"Line {number} of what the model thinks.\n")
    wait_for(steps, "Line 39")
    box = ".dsnb-reasoning > div"
    visible = """((box) => {
        const texts = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
        const seen = [];
        while (texts.nextNode()) {
            const range = document.createRange();
            range.selectNode(texts.currentNode);
            const [line, frame] = [range, box].map((place) => place.getBoundingClientRect());
            const words = texts.currentNode.data.trim();
            if (words && line.top >= frame.top - 1 && line.bottom <= frame.bottom + 1) seen.push(words);
        }
        return seen;
    })($(".dsnb-reasoning > div"))"""

    def seen():
        return steps.value(visible)

    assert seen()[-1] == "Line 39 of what the model thinks."
    assert len(seen()) == 9
    say(steps, "reasoning", "Line 40 of what the model thinks.\n")
    wait_for(steps, "Line 40")
    assert seen()[-1] == "Line 40 of what the model thinks."  # who is at the end stays there

    steps.find(box).hover()
    steps.page.mouse.wheel(0, -300)
    steps.until("$('.dsnb-reasoning > div').scrollTop < -250")
    before = seen()
    assert before[-1] != "Line 40 of what the model thinks."
    for number in range(41, 60):
        say(steps, "reasoning", f"Line {number} of what the model thinks.\n")
    wait_for(steps, "Line 59")
    assert seen() == before  # who has scrolled up is not moved
    say(steps, "answer", "It is so.")
    wait_for(steps, "It is so.")
    assert is_open(steps)  # nor is the page folded away that he reads

    steps.find(box).press("End")
    steps.until("$('.dsnb-reasoning > div').scrollTop === 0")
    assert seen()[-1] == "Line 59 of what the model thinks."

    steps.find("summary").press("Enter")  # by keyboard, as by mouse
    assert not is_open(steps)
    assert steps.value("window.jupyterapp.shell.currentWidget.content.mode") == "command"  # Enter was not Lab's
    say(steps, "reasoning", "Once more.\n")
    wait_for(steps, "Once more.")
    steps.until("$('.dsnb-phase').textContent.startsWith('thinking')")
    assert not is_open(steps)  # what he has folded stays folded


def test_text_that_got_lost_is_asked_for_and_text_that_moved_moves(steps):
    say(steps, "answer", "one two three")
    wait_for(steps, "one two three")
    steps.execute("view._pacing.progress.take(Event('answer', ' four')); view._pacing.progress.batch()")  # goes nowhere
    say(steps, "answer", " five")
    wait_for(steps, "one two three four five")
    assert "…" not in steps.text(".dsnb-answer")

    # a host that hides where the reasoning begins shows too late that all of this was reasoning
    steps.execute("view(Event('reasoning', 'one two three four five', moved=True)); say('answer', 'six')")
    steps.until("$('.dsnb-answer').textContent === 'six'")
    assert steps.value("$('.dsnb-reasoning > div').textContent") == "one two three four five"


def test_a_long_text_is_laid_out_in_portions_and_nothing_of_it_is_lost(steps):
    steps_of_it = "".join(f"Step {number} is **even**.\n\n" for number in range(100))
    endless = "and so it goes " * 2_000
    steps.execute(f"say('reasoning', {steps_of_it!r}); say('reasoning', {endless!r}); say('reasoning', 'END')")
    wait_for(steps, "END")
    text = steps.value("$('.dsnb-reasoning > div').textContent")
    assert "".join(text.split()) == "".join(f"{steps_of_it}{endless}END".replace("**", "").split())
    drawn = """[...$(".dsnb-reasoning").querySelectorAll(".dsnb-portion, .dsnb-lines")]
        .map((node) => [node.className, node.textContent.length, getComputedStyle(node).contentVisibility])"""
    found = steps.value(drawn)
    portions = [visibility for name, _, visibility in found if name == "dsnb-portion"]
    assert portions == ["auto"] * 4 + ["visible"]
    lines = [(length, visibility) for name, length, visibility in found if name != "dsnb-portion"]
    assert max(length for length, _ in lines) < 8_020
    assert [visibility for _, visibility in lines] == ["auto"] * 2 + ["visible"]
    say(steps, "answer", "x")


def test_calls_notices_and_errors_are_shown_as_text(steps):
    hostile = "<img src=x onerror=alert(1)>"
    detector = Detector()
    detector.watch(steps.page)
    say(steps, "retry", "The server is busy (503). Asked again after 0.8 s.")
    say(steps, "reasoning", f"The user wants a price. {hostile}")
    steps.execute('call = ToolCall(0, "call_0", "get_price")')
    for fragment in ("", '{"symbol": "', "DSK", '", "on": "2026-11-16"}'):
        steps.execute(f"say('tool', {fragment!r}, call)")
    wait_for(steps, "2026-11-16")
    assert steps.text(".dsnb-phase").startswith("calling get_price · ")
    steps.shoot("calling")
    steps.execute(f"hostile = {hostile!r}; bad = ToolCall(1, 'call_1', hostile, '{{}}'); say('tool', '{{}}', bad)")
    wait_for(steps, f"{hostile}{{}}")
    assert hostile in steps.text(".dsnb-phase")
    steps.execute("bad.result = f'{hostile}\\n{hostile}'; bad.failed = True; say('tool', '', bad)")
    steps.until("$('details.dsnb-call')")
    assert steps.text("details.dsnb-call summary") == f"{hostile}() failed → {hostile} {hostile}"
    assert steps.text(".dsnb-phase").startswith("calling get_price · ")
    say(steps, "answer", hostile)
    steps.until("$('.dsnb-answer').textContent.includes('onerror')")
    assert "Asked again after 0.8 s" in steps.text(".dsnb-note")
    assert steps.count(".dsnb-live img") == 0
    steps.execute(
        f"view.close(None, ServerFailed({hostile!r}, status=503, reply=Reply('half', 'thought', outcome='truncated')))"
    )
    steps.until("$('.dsnb .dsnb-error') && !$('.dsnb-live')")
    assert hostile in steps.text(".dsnb-error")
    assert "failed" in steps.text(".dsnb-head")
    assert "half" in steps.text(".dsnb-answer")
    steps.shoot("failed")
    assert detector.found == []
    detector.leave(steps.page)


# A turn of two rounds: two calls, of which one fails, and what is made of that.
ROUNDS = """
from dsnb.client.rounds import joined

looked = Reply(
    "Let me look both up.",
    "The user wants to compare two prices, so we need both of them.\\nFirst DSK, then the other one.\\n",
    [
        ToolCall(0, "call_0", "get_price", '{"symbol": "DSK", "on": "2026-11-16"}'),
        ToolCall(1, "call_1", "get_price", '{"symbol": "DSX", "on": "2026-11-16"}'),
    ],
    outcome="tool_calls", model="deepseek-flash", served_by="deepseek",
    usage=Usage(420, 96, 516, 0, 420, 31), timing=Timing(0, 0.9, 2.4, 3.1),
)
found = Reply(
    "DSK stood at **12.50** that day. DSX is none that is known; *DSY* is the nearest.",
    "One price came, the other symbol does not exist.\\nWe say so, and name the nearest.\\n",
    outcome="stop", model="deepseek-flash", served_by="deepseek",
    usage=Usage(560, 74, 634, 384, 176, 24), timing=Timing(0, 0.7, 1.9, 2.6),
)

def ask():
    say("reasoning", looked.reasoning)
    say("answer", looked.answer)
    for call in looked.tool_calls:
        for piece in (call.arguments[:20], call.arguments[20:]):
            say("tool", piece, call)

def end(place, result, failed, seconds):
    call = looked.tool_calls[place]
    call.result, call.failed, call.seconds = result, failed, seconds
    say("tool", "", call)
"""
# The texts of a turn in their order, whatever of it is folded; how long it thought differs, since clocks are real.
TEXTS = """[...$(".dsnb").querySelectorAll(
    ".dsnb-head b, summary i, .dsnb-reasoning > div, .dsnb-answer, .dsnb-call summary, .dsnb-call p, .dsnb-call pre"
)].map((node) => node.textContent.replace(/\\s+/g, " ").replaceAll("*", "").trim())"""


def test_a_turn_with_tools_is_shown_step_by_step_as_it_is_in_the_end(steps):
    steps.execute(ROUNDS)
    steps.execute("ask()")
    steps.until("$('.dsnb-live').querySelectorAll('pre.dsnb-call').length === 2")
    assert steps.text(".dsnb-phase").startswith("calling get_price · ")
    assert not is_open(steps)
    steps.shoot("tools-1-calling")

    steps.execute("""end(1, '{"error": "There is no DSX. Known are DSK and DSY."}', True, 0.02)""")
    steps.until("$('details.dsnb-call')")
    called = 'get_price(symbol="DSX", on="2026-11-16") failed · 0.02 s → There is no DSX. Known are DSK and DSY.'
    assert steps.text("details.dsnb-call summary") == called
    assert steps.text(".dsnb-phase").startswith("calling get_price · ")  # the other one
    steps.execute("""end(0, '{"price": 12.5, "currency": "USD"}', False, 1.31)""")
    steps.until("$('.dsnb-phase').textContent.startsWith('asking')")
    assert steps.count(".dsnb-live pre.dsnb-call") == 0
    assert steps.value("$('.dsnb-live').querySelectorAll('details.dsnb-call')[0].textContent").startswith(
        'get_price(symbol="DSK", on="2026-11-16") · 1.31 s → {"price": 12.5, "currency": "USD"}'
    )

    say(steps, "reasoning", "\n\n")
    steps.execute("say('reasoning', found.reasoning)")
    wait_for(steps, "name the nearest")
    assert steps.value("[...$('.dsnb-live').querySelectorAll('.dsnb-reasoning')].map((node) => node.open)") == [
        False,
        True,
    ]
    steps.find("details.dsnb-call summary").click()
    steps.shoot("tools-2-thinking-again")
    steps.find("details.dsnb-call summary").click()
    steps.execute("say('answer', found.answer)")
    wait_for(steps, "the nearest.")
    steps.shoot("tools-3-answering")
    live = steps.value(TEXTS)
    assert len(live) == 1 + 2 * 3 + 2 * 5
    steps.execute("view.close(joined([looked, found], [0, 4.4], 7), None)")
    steps.until("!$('.dsnb-live') && $('.dsnb .dsnb-answer strong')")
    assert steps.value(TEXTS) == live
    steps.shoot("tools-4-done")


def test_what_is_void_goes_and_is_told_again(steps):
    steps.execute(ROUNDS)
    steps.execute("ask(); end(0, '12.5', False, 0.4); end(1, '7.25', False, 0.5)")
    say(steps, "reasoning", "Two prices came, and th")
    wait_for(steps, "Two prices came")
    steps.find("summary").click()  # of the second round
    steps.execute(
        "view(Event('retry', 'The stream was cut before its end. Asking again in 0.8 s (attempt 2 of 5).', anew=True))"
    )
    steps.until("$('.dsnb-phase').textContent.startsWith('waiting')")
    assert steps.value("$('.dsnb-live').textContent.includes('Two prices')") is False
    assert steps.count(".dsnb-live .dsnb-reasoning") == 1
    assert steps.count(".dsnb-live details.dsnb-call") == 2
    current = steps.value("getComputedStyle($('.dsnb-note')).backgroundColor")
    steps.shoot("anew-1-waiting")
    say(steps, "reasoning", "Both prices came.\nDSK is the higher one.")
    wait_for(steps, "Both prices came.")
    assert steps.value("[...$('.dsnb-live').querySelectorAll('.dsnb-reasoning')].map((node) => node.open)") == [
        False,
        True,
    ]
    assert "attempt 2 of 5" in steps.text(".dsnb-note")  # and is now a quiet line
    assert steps.value("getComputedStyle($('.dsnb-note')).backgroundColor") != current
    steps.shoot("anew-2-told-again")

    steps.execute(
        "view._pacing.progress.take(Event('reasoning', ' That')); view._pacing.progress.batch()"
    )  # goes nowhere
    say(steps, "reasoning", " is all.")
    wait_for(
        steps, "DSK is the higher one. That is all."
    )  # the page has asked for the whole, and got no more than that
    assert steps.value("$('.dsnb-live').textContent.includes('Two prices')") is False
    assert steps.count(".dsnb-live .dsnb-reasoning") == 2
    assert steps.count(".dsnb-live details.dsnb-call") == 2
    assert is_open(steps)


def test_an_answer_that_was_gone_on_with_shows_its_seam(steps):
    steps.execute(f"answer = {ANSWER!r}; thoughts = {THOUGHTS[0]!r}")
    steps.execute("say('reasoning', thoughts); say('answer', answer[:150])")
    say(steps, "retry", "The stream was cut before its end. Going on from there in 0.6 s (attempt 2 of 5).")
    steps.until("$('.dsnb-phase').textContent.startsWith('waiting')")
    assert ANSWER[:150].replace("*", "") in steps.text(".dsnb-answer")
    steps.shoot("seam-1-waiting")
    steps.execute("say('answer', answer[150:])")
    wait_for(steps, "irrational")
    steps.shoot("seam-2-gone-on")
    steps.execute(
        "view.close(Reply(answer, thoughts, outcome='stop', model='deepseek-flash', seams=(150,), attempts=2, "
        "usage=Usage(1480, 212, 1692, 1408, 72, 118), served_by='deepseek', timing=Timing(1, 1.5, 3.1, 5.2)), None)"
    )
    steps.until("!$('.dsnb-live') && $('.dsnb-seam')")
    assert steps.text(".dsnb-note") == "┊ The stream was cut and gone on with once."
    steps.shoot("seam-3-done")


def test_it_reads_from_right_to_left_and_in_a_narrow_window(steps):
    say(steps, "reasoning", "המשתמש שואל על שורש שתיים.\nWe answer in Hebrew, and then in Chinese.\n")
    say(
        steps,
        "answer",
        "השורש של 2 אינו רציונלי.\n\n根号二是无理数。假设它等于 p/q，则 p² = 2q²，于是 p 与 q 都是偶数。",
    )
    wait_for(steps, "都是偶数")
    steps.shoot("directions")
    assert steps.value("getComputedStyle($('.dsnb-answer').querySelector('p')).direction") == "rtl"
    steps.value("$('.dsnb-live').parentElement.style.width = '320px'")
    assert steps.value("$('.dsnb-live').offsetWidth") == 320
    assert steps.value("$('.dsnb-live').scrollWidth") <= 320
    steps.shoot("narrow", ".dsnb-live")

    steps.execute(f"view.close(Reply({WIDE!r}, 'Hm.', outcome='stop', model='deepseek-flash'), None)")
    steps.until("$('.dsnb .dsnb-answer table') && !$('.dsnb-live')")
    steps.value("$('.dsnb').parentElement.style.maxWidth = '320px'")
    assert steps.value("$('.dsnb').scrollWidth") <= 320
    assert steps.value("getComputedStyle($('.dsnb-answer p[dir]')).textAlign") == "start"  # not left, as Lab has it
    assert steps.value("getComputedStyle($('.dsnb-answer blockquote')).borderRightWidth") == "3px"
    steps.shoot("narrow-done", ".dsnb")
