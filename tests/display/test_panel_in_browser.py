"""The live panel as a reader meets it: in JupyterLab, in chromium, on real kernels."""

import json
import re
import subprocess
import sys

import pytest

from tests.display.lab import Lab, environment, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=f"the live panel in a browser {missing()}")

CONNECT = """
import dsnb
emulator = dsnb.Emulator().start()
ds = dsnb.connect(emulator.base_url, "any")
"""
ASK = 'reply = ds.ask("What is a reading machine?")'

WIDGET = "application/vnd.jupyter.widget-view+json"

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

# Notes what the panel shows whenever it changes, so that no state is missed between two looks at it.
WATCH = """
window.seen = [];
new MutationObserver(() => {
    const root = document.querySelector(".dsnb-live");
    if (!root) return;
    window.seen.push({
        running: window.running,
        phase: root.dataset.phase,
        open: root.querySelector("details").open,
        reasoning: root.querySelector(".dsnb-reasoning .dsnb-text").textContent,
        answer: root.querySelector(".dsnb-answer").textContent,
    });
}).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


def test_a_turn_appears_while_the_kernel_works_and_stays_for_good(lab):
    lab.write("turn.ipynb", CONNECT, ASK)
    notebook = lab.open("turn.ipynb")
    notebook.run()  # at full speed, so that everything is loaded
    notebook.wait()
    notebook.until("$('.dsnb .dsnb-answer strong')")
    notebook.execute("emulator.clock.pace = 0.5")
    notebook.page.evaluate(WATCH)
    notebook.run("notebook:run-cell")
    notebook.wait()
    notebook.until("!$('.dsnb-live') && $('.dsnb .dsnb-answer strong')")

    # it came bit by bit, while the kernel was busy
    seen = notebook.page.evaluate("() => window.seen")
    while_running = [state for state in seen if state["running"]]
    assert len({state["reasoning"] for state in while_running}) > 10
    assert len({state["answer"] for state in while_running}) > 10
    for name in ("reasoning", "answer"):
        lengths = [len(state[name]) for state in seen]
        assert lengths == sorted(lengths)
    phases = list(dict.fromkeys(state["phase"] for state in seen if state["phase"]))
    assert [phase for phase in phases if phase != "queued"] == ["asking", "thinking", "answering", "done"]
    assert all(state["open"] for state in seen if state["phase"] == "thinking" and state["reasoning"])
    assert not any(state["open"] for state in seen if state["phase"] == "answering")
    assert "deepseek-flash: done" in notebook.page.locator(".dsnb-announcer").text_content()
    notebook.shoot("ended")

    # what is left needs no kernel
    (output,) = notebook.save()["cells"][1]["outputs"]
    assert set(output["data"]) == {"text/html", "text/markdown", "text/plain"}
    notebook.execute(
        "whole = reply.answer\nopen('answer.json', 'w').write(__import__('json').dumps([reply.reasoning, whole]))"
    )
    reasoning, answer = json.loads((lab.folder / "answer.json").read_text())
    assert while_running[-1]["reasoning"].strip() in reasoning
    notebook.close()
    notebook = lab.open("turn.ipynb")
    notebook.until("$('.dsnb .dsnb-answer strong')")
    last_words = answer.split()[-1]
    assert last_words in notebook.text(".dsnb-answer")
    assert reasoning.split()[-1].strip(".") in notebook.find(".dsnb-reasoning").text_content()
    assert notebook.count(".dsnb-live") == 0
    notebook.close()

    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--stdout", "turn.ipynb"]
    page = subprocess.run(
        command, cwd=lab.folder, env=environment(), capture_output=True, text=True, timeout=60, check=True
    )
    assert last_words in page.stdout
    assert "dsnb-reasoning" in page.stdout
    assert WIDGET not in page.stdout


@pytest.fixture
def steps(lab):
    """Open a panel whose turn the test takes from step to step; all of them in one notebook."""
    if not (lab.folder / "steps.ipynb").exists():
        lab.write("steps.ipynb", VIEW)
    notebook = lab.open("steps.ipynb")
    notebook.run()
    notebook.wait()
    notebook.until("$('.dsnb-live')?.dataset.phase === 'asking'")
    return notebook


def say(notebook, kind, text):
    notebook.execute(f"say({kind!r}, {text!r})")


def wait_for(notebook, text):
    notebook.until(f"$('.dsnb-live').textContent.includes({json.dumps(text)})")


def is_open(notebook):
    return notebook.page.evaluate("() => document.querySelector('.dsnb-live details').open")


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
    wait_for(steps, ANSWER[:150])
    assert not is_open(steps)
    assert re.match(r"Reasoning · \d s We need to show that no fraction squares to two\.", steps.text("summary"))
    say(steps, "answer", ANSWER[150:])
    wait_for(steps, "irrational")
    assert "**p is even**" in steps.text(".dsnb-answer")  # text, until the static html comes
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
    visible = """() => {
        const box = document.querySelector(".dsnb-reasoning > div").getBoundingClientRect();
        const text = document.querySelector(".dsnb-reasoning .dsnb-text");
        return [...text.childNodes].filter((node) => {
            const range = document.createRange();
            range.selectNode(node);
            const place = range.getBoundingClientRect();
            return place.top >= box.top - 1 && place.bottom <= box.bottom + 1;
        }).map((node) => node.data.trim());
    }"""

    def seen():
        return steps.page.evaluate(visible)

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
    steps.until("$('.dsnb-reasoning > div').scrollTop > -8")
    assert seen()[-1] == "Line 59 of what the model thinks."

    steps.find("summary").press("Enter")  # by keyboard, as by mouse
    assert not is_open(steps)
    say(steps, "reasoning", "Once more.\n")
    wait_for(steps, "Once more.")
    steps.until("$('.dsnb-phase').textContent.startsWith('thinking')")
    assert not is_open(steps)  # what he has folded stays folded


def test_a_page_loaded_again_in_mid_stream_shows_the_whole_reply(lab):
    lab.write("reload.ipynb", CONNECT, "emulator.clock.pace = 1\n" + ASK)
    notebook = lab.open("reload.ipynb")
    notebook.run()
    notebook.until("$('.dsnb-live .dsnb-reasoning .dsnb-text')?.textContent.length > 20")
    (output,) = notebook.save()["cells"][1]["outputs"]
    assert WIDGET in output["data"], "the turn was over before the notebook was saved"
    notebook.reload()
    notebook.until("$('.dsnb-live')?.dataset.phase === 'done'")
    assert "Your last message reads" in notebook.text(".dsnb-answer")
    assert "emulated" in notebook.text(".dsnb-head")
    assert "prompt" in notebook.text(".dsnb-figures")
    notebook.shoot("reloaded")
    notebook.close()


def test_text_that_got_lost_is_asked_for_once(steps):
    say(steps, "answer", "one two three")
    wait_for(steps, "one two three")
    steps.execute("view._pacing.progress._answer.add(' four'); view._pacing.progress.batch()")  # goes nowhere
    say(steps, "answer", " five")
    wait_for(steps, "one two three four five")
    assert "[…]" not in steps.text(".dsnb-answer")


def test_calls_notices_and_errors_are_shown_as_text(steps):
    hostile = "<img src=x onerror=alert(1)>"
    dialogs = []
    steps.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    say(steps, "retry", "The server is busy (503). Asked again after 0.8 s.")
    say(steps, "reasoning", f"The user wants a price. {hostile}")
    steps.execute('call = ToolCall(0, "call_0", "get_price")')
    for fragment in ("", '{"symbol": "', "DSK", '", "on": "2026-11-16"}'):
        steps.execute(f"say('tool', {fragment!r}, call)")
    wait_for(steps, "2026-11-16")
    assert steps.text(".dsnb-phase").startswith("calling get_price · ")
    steps.shoot("calling")
    steps.execute(f"say('tool', '{{}}', ToolCall(1, 'call_1', {hostile!r}))")
    say(steps, "answer", hostile)
    steps.until("$('.dsnb-answer').textContent.includes('onerror')")
    assert hostile in steps.text(".dsnb-call")
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
    assert dialogs == []


def test_it_reads_from_right_to_left_and_in_a_narrow_window(steps):
    say(steps, "reasoning", "המשתמש שואל על שורש שתיים.\nWe answer in Hebrew, and then in Chinese.\n")
    say(
        steps,
        "answer",
        "השורש של 2 אינו רציונלי.\n\n根号二是无理数。假设它等于 p/q，则 p² = 2q²，于是 p 与 q 都是偶数。",
    )
    wait_for(steps, "都是偶数")
    steps.shoot("directions")
    assert steps.page.evaluate("() => getComputedStyle(document.querySelector('.dsnb-answer')).direction") == "rtl"
    steps.page.evaluate("() => { document.querySelector('.dsnb-live').parentElement.style.width = '320px'; }")
    steps.until("$('.dsnb-live').offsetWidth === 320")
    steps.until("$('.dsnb-live').scrollWidth <= $('.dsnb-live').clientWidth")
    steps.shoot("narrow", ".dsnb-live")
