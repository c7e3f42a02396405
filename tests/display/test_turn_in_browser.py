"""Turns that a kernel works on while the reader looks, stops, reloads, or loses it: in JupyterLab, in chromium."""

import json
import os
import signal

import pytest

from tests.display.test_panel_in_browser import VIEW

pytestmark = pytest.mark.slow
CONNECT = """
import dsnb
emulator = dsnb.Emulator().start()
ds = dsnb.connect(emulator.base_url, "any")
"""
ASK = 'reply = ds.ask("What is a reading machine?")'

WIDGET = "application/vnd.jupyter.widget-view+json"

# Notes what the panel shows whenever it changes, so that no state is missed between two looks at it.
WATCH = """
window.seen = [];
new MutationObserver(() => {
    const root = document.querySelector(".dsnb-live");
    if (!root) return;
    window.seen.push({
        running: window.running,
        phase: root.dataset.phase,
        open: root.querySelector("details")?.open,
        // without the marks of Markdown, which go when they are understood
        reasoning: root.querySelector(".dsnb-reasoning > div")?.textContent.replace(/[^\\p{L}]/gu, "") ?? "",
        answer: root.querySelector(".dsnb-answer")?.textContent.replace(/[^\\p{L}]/gu, "") ?? "",
    });
}).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
"""


def test_a_turn_appears_while_the_kernel_works(notebook):
    notebook.fill(CONNECT, ASK)
    notebook.run()  # at full speed, so that everything is loaded
    notebook.wait()
    notebook.until("$('.dsnb .dsnb-answer strong')")
    notebook.execute("emulator.clock.pace = 0.4")
    notebook.page.evaluate(WATCH)
    notebook.run("notebook:run-cell")
    notebook.wait()
    notebook.until("!$('.dsnb-live') && $('.dsnb .dsnb-answer strong')")

    # it came bit by bit, while the kernel was busy
    seen = notebook.value("window.seen")
    while_running = [state for state in seen if state["running"]]
    assert len({state["reasoning"] for state in while_running}) >= 3
    assert len({state["answer"] for state in while_running}) >= 3
    for name in ("reasoning", "answer"):
        lengths = [len(state[name]) for state in seen]
        assert lengths == sorted(lengths)
    phases = list(dict.fromkeys(state["phase"] for state in seen if state["phase"]))
    assert [phase for phase in phases if phase not in {"asking", "queued"}] == ["thinking", "answering", "done"]
    assert all(state["open"] for state in seen if state["phase"] == "thinking" and state["reasoning"])
    assert not any(state["open"] for state in seen if state["phase"] == "answering")
    assert "deepseek-flash: done" in notebook.page.locator(".dsnb-announcer").text_content()
    notebook.shoot("ended")


# Holds a turn back until the folder has a file that says go: some tokens come, one in 160 ms.
HOLD = """
import threading, time
from pathlib import Path

def hold():
    emulator.clock.pace = 8
    while not Path("go").exists():
        time.sleep(0.02)
    emulator.clock.pace = 0

threading.Thread(target=hold, daemon=True).start()
"""


def test_a_page_loaded_again_in_mid_stream_shows_the_whole_reply(lab, notebook):
    notebook.fill(CONNECT, HOLD + ASK)
    notebook.run()
    notebook.until("$('.dsnb-live .dsnb-reasoning > div')?.textContent.length > 20")
    (output,) = notebook.save()["cells"][1]["outputs"]
    assert WIDGET in output["data"], "the turn was over before the notebook was saved"
    notebook.reload()
    (lab.folder / "go").touch()
    notebook.until("$('.dsnb-live')?.dataset.phase === 'done'")
    assert "Your last message reads" in notebook.text(".dsnb-answer")
    assert "emulated" in notebook.text(".dsnb-head")
    assert "prompt" in notebook.text(".dsnb-figures")
    notebook.shoot("reloaded")


def test_a_turn_of_a_conversation_shows_its_question(lab):
    lab.write(
        "turns.ipynb", CONNECT + "chat = ds.conversation()", "chat.ask('How *many*?')", "chat.ask('And why?')", "chat"
    )
    notebook = lab.open("turns.ipynb")
    notebook.run()
    notebook.wait()
    notebook.until("!$('.dsnb-live') && $('.dsnb-dialogue')")
    lines = notebook.page.locator(".dsnb-asked > summary").all_inner_texts()
    assert lines == ["Turn 1 How *many*?", "Turn 2 And why?"]
    outputs = [cell[0]["data"] for cell in notebook.outputs()[1:]]
    assert ["Turn 1\n  How *many*?" in data["text/plain"] for data in outputs] == [True, False, False]
    assert ["Turn 2\n  And why?" in data["text/plain"] for data in outputs] == [False, True, False]
    notebook.close()


# A turn that would take minutes, and then one that takes none.
LONG = """
from dsnb.emulator import Answer
emulator = dsnb.Emulator(engine=lambda request: Answer("word " * 5000, "We think. " * 20), pace=1).start()
ds = dsnb.connect(emulator.base_url, "any", quiet=True)
"""
STOPPED = """
assert reply.outcome == "interrupted" and ds.last is reply and reply.reasoning.startswith("We think.")
assert emulator.ledger()[-1].outcome == "aborted by client", emulator.ledger()[-1]
emulator.clock.pace = 0
assert ds.ask("hello", render=None).outcome == "stop"
emulator.clock.pace = 1
"""


def test_stop_ends_a_turn_and_the_square_ends_the_cell_too(notebook):
    notebook.fill(CONNECT + LONG)
    notebook.run()
    notebook.wait()
    streams = "$('.dsnb-live .dsnb-reasoning > div')?.textContent.includes('We think.')"
    for source, way in (('reply = ds.ask("hello")', "keyboard"), ('reply = await ds.aask("hello")', "mouse")):
        notebook.append(source)
        notebook.run("notebook:run-cell")
        notebook.until(streams)
        button = notebook.find(".dsnb-head button")
        assert button.inner_text() == "Stop"
        if way == "keyboard":
            button.press("Enter")
        else:
            button.click()
        notebook.wait()
        notebook.execute(STOPPED)
        notebook.until("!$('.dsnb-live')")
        assert "interrupted" in notebook.text(".dsnb-head")
        assert "We think." in notebook.value("$('.dsnb-reasoning').textContent")

    notebook.append('ds.ask("hello")')
    notebook.run("notebook:run-cell")
    notebook.until(streams)
    notebook.command("notebook:interrupt-kernel")
    notebook.until("!window.running")
    assert [output.get("ename") for output in notebook.outputs()[-1]] == [None, "KeyboardInterrupt"]
    notebook.execute(STOPPED.replace("ds.last is reply", "ds.last is not reply"))


def test_two_panels_keep_to_themselves_and_outlive_their_kernel(lab, notebook):
    second = 'other = LiveView(model="deepseek-v4-pro")'
    notebook.fill(VIEW, second + "\nimport os; _ = open('pid', 'w').write(str(os.getpid()))")
    notebook.run()
    notebook.wait()
    notebook.until("document.querySelectorAll('.dsnb-live[data-phase=asking]').length === 2")
    for number in range(20):
        notebook.execute(
            f"for each, name in ((view, 'first'), (other, 'second')): each(Event('answer', f'{{name}} {number} '))"
        )
    texts = "[...document.querySelectorAll('.dsnb-live .dsnb-answer')].map((node) => node.textContent)"
    said = [" ".join(f"{name} {number}" for number in range(20)) for name in ("first", "second")]
    notebook.until(f"JSON.stringify({texts}.map((text) => text.trim())) === JSON.stringify({json.dumps(said)})")

    os.kill(int((lab.folder / "pid").read_text()), signal.SIGKILL)
    notebook.until("$('.dsnb-live').dataset.phase === 'done'")
    notebook.page.locator(".jp-Dialog button").last.click()  # JupyterLab says so, too
    assert [text.strip() for text in notebook.value(texts)] == said
    for phase in notebook.page.locator(".dsnb-live .dsnb-phase").all():
        assert phase.inner_text().startswith("cut off: the kernel is gone · ")
    assert "40 tokens" not in notebook.text(".dsnb-figures")
    assert "20 tokens" in notebook.text(".dsnb-figures")
    notebook.shoot("kernel-gone", ".dsnb-live")
    notebook.close()
