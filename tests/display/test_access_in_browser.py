"""The panel for whoever cannot see it, or has no mouse, or needs other colours: in JupyterLab, in chromium."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dsnb.client.events import Event
from dsnb.display.pacing import Progress
from tests.display.elsewhere import page_with
from tests.display.test_panel_in_browser import VIEW

pytestmark = pytest.mark.slow
AXE = Path(__file__).parent / "axe"
BUTTON = """
from dsnb.display.stop_button import StopButton
asked = []
view = LiveView(
    model="deepseek-flash", thinking=True, effort="high", stop=StopButton(lambda: asked.append("stop"))
)
"""
THOUGHTS = "We compare two ways.\nThe first is a table, the second is code.\n"
ANSWER = """## Two ways

The *first* is a [table](https://example.com), the **second** is `code`:

| step | why |
|---|--:|
| 1 | \\(p^2 = 2q^2\\) |

> Both say the same.

```python
def even(n: int) -> bool:
    return n % 2 == 0  # for all of them
```

1. one
2. two

And that is all."""
TURN = f"""
call = ToolCall(0, "call_0", "get_price", '{{"symbol": "DSK"}}')
say("reasoning", {THOUGHTS!r})
say("tool", call.arguments, call)
call.result, call.seconds = '{{"price": 12.5}}', 0.4
say("tool", "", call)
say("retry", "The server is busy (503). Asked again after 0.8 s.")
say("reasoning", {THOUGHTS!r})
say("answer", {ANSWER!r})
"""
END = f"""
from dsnb.client.rounds import joined
usage = Usage(1480, 212, 1692, 1408, 72, 118)
rounds = [
    Reply("", {THOUGHTS!r}, [call], outcome="tool_calls", model="deepseek-flash", usage=usage),
    Reply({ANSWER!r}, {THOUGHTS!r}, outcome="length", model="deepseek-flash", usage=usage, seams=(30,)),
]
view.close(joined(rounds, [0, 1], 2.0), ServerFailed("The server is busy.", status=503))
"""
# What axe finds that shuts people out, in a few words each.
LOOK = """async selector => (await axe.run(selector, { resultTypes: ["violations"] })).violations
    .filter(({ impact }) => ["serious", "critical"].includes(impact))
    .map(({ id, nodes }) => `${id}: ` + nodes.map(({ html, any }) => `${html} ${any[0]?.message}`).join(" | "))"""


@pytest.fixture(scope="module")
def axe(request):
    """Return the source of axe-core, from the registry of npm by the hash in the lock file, and kept by that."""
    lock = hashlib.sha256((AXE / "package-lock.json").read_bytes()).hexdigest()
    folder = request.config.cache.mkdir(f"axe-{lock[:12]}")
    source = folder / "node_modules" / "axe-core" / "axe.min.js"
    if source.exists():
        return source.read_text()
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("axe-core comes by npm (Debian: sudo apt-get install npm)")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(AXE / name, folder)
    install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up(f"axe-core cannot be installed: {done.stderr[-300:]}")
    return source.read_text()


def theme(notebook, name):
    notebook.command("apputils:change-theme", theme=f"JupyterLab {name}")
    notebook.page.wait_for_function("name => document.body.dataset.jpThemeName === `JupyterLab ${name}`", arg=name)


def test_nobody_is_shut_out_and_nobody_needs_a_mouse(notebook, axe):
    notebook.fill(VIEW.partition("\nview =")[0] + BUTTON)
    page = notebook.page
    notebook.run()
    notebook.wait()
    notebook.until("$('.dsnb-live')?.dataset.phase === 'asking'")
    notebook.execute(TURN)
    notebook.until("$('.dsnb-live .dsnb-code') && $('.dsnb-live td mjx-container')")
    page.evaluate(axe)
    for name in ("Dark", "Light"):
        theme(notebook, name)
        assert page.evaluate(LOOK, ".dsnb-live") == []
    notebook.shoot("access-live")

    # by keyboard alone: stop, unfold and fold, the reasoning, the call, the code
    notebook.find(".dsnb-head button").focus()
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.closest('.dsnb-live') && document.activeElement.localName")
        )
    assert reached == ["summary", "summary", "summary", "a", "button"]
    summary = notebook.page.locator(".dsnb-live summary").first
    for expected in (True, False):
        summary.press("Enter" if expected else "Space")
        assert page.evaluate("document.querySelector('.dsnb-live details').open") is expected
    notebook.find("details.dsnb-call summary").press("Enter")
    assert notebook.value("$('details.dsnb-call').open") is True
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    notebook.find(".dsnb-code button").press("Enter")
    notebook.until("$('.dsnb-code button').textContent === 'Copied'")
    assert page.evaluate("navigator.clipboard.readText()").startswith("def even(n: int) -> bool:\n    return")
    assert page.locator(".dsnb-announcer").text_content() == "Code copied"
    notebook.find(".dsnb-head button").press("Space")
    notebook.until("$('.dsnb-phase').textContent.startsWith('stopping')")
    assert page.locator(".dsnb-announcer").text_content() == "deepseek-flash: stopping"
    notebook.execute("assert asked == ['stop'], asked")

    # colours that the system forces, and no motion
    page.emulate_media(forced_colors="active", reduced_motion="reduce")
    assert notebook.value("getComputedStyle($('.dsnb-phase'), '::before').animationName") == "none"
    marks = "getComputedStyle($('.dsnb-phase'), '::before').backgroundColor"
    assert notebook.value(marks) != notebook.value("getComputedStyle(document.body).backgroundColor")
    notebook.shoot("access-contrast")
    page.emulate_media(forced_colors="none", reduced_motion="no-preference")

    notebook.execute(END)
    notebook.until("!$('.dsnb-live') && $('.dsnb .dsnb-answer td mjx-container')")
    for name in ("Dark", "Light"):
        theme(notebook, name)
        assert page.evaluate(LOOK, ".dsnb") == []
    notebook.shoot("access-done")
    page.emulate_media(forced_colors="active")
    rest, share = (notebook.value(f"getComputedStyle($('.dsnb-bar')).background{part}") for part in ("Color", "Image"))
    filled = re.findall(r"rgba?\([^)]*\)", share)
    assert filled
    assert rest not in filled  # what was cached can be told from what was not
    notebook.shoot("access-contrast-done")
    page.emulate_media(forced_colors="none")


def test_elsewhere_the_button_asks_and_says_what_to_do_if_nobody_hears(lab):
    progress = Progress()
    state = {"model": "m", "detail": "", "stoppable": True, "word": "w", **progress.state()}
    path = lab.folder / "elsewhere.html"
    path.write_text(page_with([state]))
    page = lab.read(path)
    page.wait_for_function("() => window.panels")
    progress.take(Event("answer", "So \\( x^2 \\) it is.\n\n```\n1 + 1\n```\n\nNext."))
    page.evaluate("batch => panels[0].take(batch)", progress.batch())
    assert page.locator(".dsnb-answer").inner_text().startswith("So \\( x^2 \\) it is.")
    assert page.locator(".dsnb-code button").count() == 1
    button = page.locator(".dsnb-head button")
    button.click()
    assert button.is_disabled()
    assert page.evaluate("panels[0].sent") == ["here", "stop"]
    page.wait_for_function("() => document.querySelector('.dsnb-phase').textContent.startsWith('the kernel is busy')")
    progress.end(
        {"ending": "interrupted", "total": "2 s", "figures": [], "notes": [], "who": [], "error": "", "share": 0}
    )
    page.evaluate("batch => panels[0].take(batch)", progress.batch())
    assert page.locator(".dsnb-phase").inner_text() == "interrupted · 2 s"
    assert not button.is_visible()
    page.evaluate("panels[0].leave()")
    page.close()
