"""What is left of a turn in a notebook, and the first notebook of the kit: in JupyterLab, in chromium."""

import json
import re
import shutil

import pytest

from tests.display import elsewhere, hostile
from tests.display.hostile import CONTROL, SHOWN, Detector
from tests.display.lab import LOOKS, PROJECT, SHOTS
from tests.display.payloads import ALL

pytestmark = pytest.mark.slow
STATIC = {"text/html", "text/markdown", "text/plain"}
ANSWER = """Both \\(p\\) and \\(q\\) are **even**, so:

1. the fraction was *not* in lowest terms;
2. no such fraction exists.

```python
assert 2 * q**2 != p**2  # for all of them
```
"""
TURN = f"""
import dsnb
from dsnb.emulator import Answer
emulator = dsnb.Emulator(engine=lambda request: Answer({ANSWER!r}, "We suppose the contrary.")).start()
ds = dsnb.connect(emulator.base_url, "any", quiet=True)
reply = ds.ask("Is the square root of two a fraction?")
"""
# what else is shown as html, Markdown and text: how it is made, and what a reader sees of it
OBJECTS = {
    "Plan": (
        """
manual = "The pump has two valves. Close the left one first, then the right one. " * 40
before = [{"role": "system", "content": manual}, {"role": "user", "content": "Which valve comes first?"}]
dsnb.plan(before, after=[before])""",
        ["from the cache", "off-peak", "Which valve comes first?"],
    ),
    "CacheDiff": (
        """
after = [{"role": "system", "content": manual.replace("left", "upper", 3)}, before[1]]
dsnb.explain(before, after)""",
        ["Why the cache missed", "Close the", "1,000 calls"],
    ),
    "UsageLog": ("ds.usage", ["deepseek-flash", "completion tokens", "emulator"]),
    "Conversation": (
        """
chat = ds.conversation(system="You are brief.")
for question in ("Is the square root of two a fraction?", "And of three?"):
    chat.ask(question, render=None)
chat""",
        ["You are brief.", "And of three?", "no such fraction exists."],
    ),
}
HOSTILE = """
from dsnb.display.panel import LiveView
from tests.display.hostile import play

view = LiveView(model="deepseek-flash", effort="high")
end = play(view)
"""
CONVERTED = "cdnjs.cloudflare.com"  # where the pages of nbconvert find MathJax
TRUSTED = "[...window.jupyterapp.shell.currentWidget.content.model.cells].map((cell) => cell.trusted)"
SEEN = ("are even, so:", "the fraction was not in lowest terms;", "no such fraction exists.", "for all of them")


def assert_shows_the_reply(page):
    """Assert that a reader of a page sees the whole reply, and all that was shown besides."""
    reply = page.locator(".dsnb").filter(has_text=SEEN[1]).first
    answer = reply.locator(".dsnb-answer")
    answer.wait_for(state="visible")
    text = " ".join(answer.inner_text().split())
    assert [part for part in SEEN if part not in text] == []
    assert answer.locator("strong").inner_text() == "even"
    assert "deepseek-flash" in reply.locator(".dsnb-head").inner_text()
    assert "completion" in reply.locator(".dsnb-figures").inner_text()
    reply.locator(".dsnb-reasoning summary").click()
    assert reply.locator(".dsnb-reasoning > div").inner_text().strip() == "We suppose the contrary."
    assert_shows_objects(page)


def assert_shows_objects(page):
    whole = " ".join(page.locator("body").text_content().split())
    assert {name: [word for word in words if word not in whole] for name, (_, words) in OBJECTS.items()} == {
        name: [] for name in OBJECTS
    }


@pytest.fixture(scope="module")
def inert():
    """Take down how many payloads were shown and inert in each view; say so in the end (`pytest -s`)."""
    counts = {}
    yield counts
    for count in set(counts.values()):
        views = ", ".join(view for view, number in counts.items() if number == count)
        print(f"\n{count} of {len(ALL)} inert in: {views}")


def prove(page, detector, control, selector=".dsnb"):
    """Return how many payloads are inert in a page; then have the control fire there, as raw html does.

    ``control`` puts it into that very page.
    """
    number = detector.inert(page, selector)
    control()
    detector.fires(page)
    return number


def run_control(notebook):
    """Show the control as what a cell displays."""
    notebook.append(f"from IPython.display import HTML, display; display(HTML({CONTROL!r}))")
    notebook.run("notebook:run-cell")
    notebook.wait()


@pytest.fixture(scope="module")
def saved(lab, inert):
    """Run a good turn and a hostile one in the browser, and save them; return the kernel, and each cell's bundle.

    The hostile turn is looked at while it is live, and again when it has ended.
    """
    notebook, detector = lab.write("saved.ipynb", TURN, *(code for code, _ in OBJECTS.values()), HOSTILE), Detector()
    notebook = lab.open("saved.ipynb")
    detector.watch(notebook.page)
    notebook.run()
    notebook.wait()
    notebook.scroll(len(OBJECTS) + 1)
    notebook.until(f"$('.dsnb-live')?.querySelectorAll('.dsnb-round').length === {len(ALL)}")
    assert notebook.value("$('.dsnb-live').querySelectorAll('.dsnb-note').length") == len(ALL)
    inert["live"] = prove(notebook.page, detector, lambda: run_control(notebook), ".dsnb-live")
    notebook.drop()
    notebook.execute("end()")
    notebook.until("!$('.dsnb-live')")
    cells = notebook.save()["cells"]
    bundles = []
    for cell in cells:
        (output,) = cell["outputs"]
        assert set(output["data"]) == STATIC
        bundles.append({kind: "".join(lines) for kind, lines in output["data"].items()})
    notebook.page.wait_for_function(
        f"() => document.querySelectorAll('.dsnb-answer').length > {len(ALL)}", polling=LOOKS
    )
    detector.inert(notebook.page)
    detector.leave(notebook.page)
    kernel = notebook.kernel
    notebook.close()
    return kernel, bundles


def test_a_saved_reply_is_whole_with_a_new_kernel(lab, saved, inert):
    notebook, detector = lab.open("saved.ipynb"), Detector()
    detector.watch(notebook.page)
    assert notebook.kernel != saved[0]
    last = len(OBJECTS) + 2
    assert notebook.value("$('.jp-InputPrompt').textContent") == f"[{last}]:"  # run before it was saved, and not since
    assert notebook.value(TRUSTED) == [True] * last
    assert_shows_the_reply(notebook.page)
    notebook.shoot("saved", ".dsnb >> nth=0")
    for place, name in enumerate(OBJECTS, 1):
        notebook.scroll(place)
        notebook.shoot(f"object-{name.lower()}", f".jp-CodeCell >> nth={place} >> .jp-OutputArea-output")
    notebook.scroll(last - 1)
    inert["trusted"] = prove(notebook.page, detector, lambda: run_control(notebook))
    detector.leave(notebook.page)
    notebook.close()


def test_a_saved_reply_is_whole_where_it_is_not_trusted(lab, saved, inert):
    import nbformat  # late: it takes seconds, which only this worker has to spend

    content = nbformat.read(lab.folder / "saved.ipynb", 4)
    content.cells[0].source += "\n# a cell that nobody here has run"
    content.cells.append(nbformat.v4.new_code_cell(outputs=[control := nbformat.v4.new_output("display_data")]))
    control.data = {"text/html": CONTROL}
    nbformat.write(content, lab.folder / "from-elsewhere.ipynb")
    notebook, detector = lab.open("from-elsewhere.ipynb"), Detector()
    detector.watch(notebook.page)
    assert not any(notebook.value(TRUSTED))
    assert_shows_the_reply(notebook.page)
    notebook.shoot("not-trusted", ".dsnb >> nth=0")
    notebook.scroll(len(content.cells) - 1)
    # JupyterLab lets no html in here that acts, not even the control: a script has to put it into the page
    inert["untrusted"] = prove(notebook.page, detector, lambda: notebook.page.evaluate(INSERT, CONTROL))
    detector.leave(notebook.page)
    notebook.close()


INSERT = "html => void document.body.append(document.createRange().createContextualFragment(html))"


def test_a_saved_reply_is_whole_as_a_web_page_without_a_network(lab, saved, inert):
    detector, blocked = Detector(CONVERTED), []
    path = lab.convert("saved.ipynb")
    page = lab.read(path, detector.watch, lambda request: blocked.append(request.url))
    assert_shows_the_reply(page)
    assert any("://" in url for url in blocked), "nbconvert has asked for nothing, so nothing was blocked"
    assert "widget-view" not in path.read_text()
    for place, name in enumerate(("reply", *OBJECTS)):
        page.locator(".jp-OutputArea").nth(place).screenshot(path=SHOTS / f"web-page-{name.lower()}.png")

    def control():
        html = path.read_text()
        path.write_text(html.replace("</body>", f"{CONTROL}</body>"))
        page.reload(wait_until="domcontentloaded")

    inert["converted"] = prove(page, detector, control)
    page.close()


def test_nothing_happens_where_html_or_markdown_is_all_that_is_known(lab, saved, inert):
    *good, data = saved[1]
    others = hostile.small()
    pages = {
        "html only": (lambda bundle: bundle["text/html"]),
        "markdown only": (lambda bundle: hostile.naive(bundle["text/markdown"])),
    }
    for name, shown in pages.items():
        path, detector = lab.folder / f"{name}.html", Detector()
        path.write_text(hostile.page_of("".join(map(shown, [*good, data, *others]))))
        page = lab.read(path, detector.watch)
        assert page.locator("details").count() >= 2 * len(ALL)
        assert_shows_objects(page)
        page.evaluate("document.body.className = 'dsnb'")

        def control(path=path, page=page):
            path.write_text(path.read_text().replace("</body>", f"{CONTROL}</body>"))
            page.reload()

        inert[name] = prove(page, detector, control, "body")
        path.write_text(hostile.page_of("<hr>".join(map(shown, good))))
        page.reload()
        page.screenshot(path=SHOTS / f"{name.replace(' ', '-')}.png", full_page=True)
        page.close()


def test_names_that_a_model_has_are_shown_live_and_do_nothing(lab):
    turns = hostile.named()
    path, detector = lab.folder / "names.html", Detector()
    path.write_text(elsewhere.page_with([state for state, _ in turns]))
    page = lab.read(path, detector.watch)
    page.emulate_media(reduced_motion="reduce")  # so many marks that breathe would cost much
    page.wait_for_function("() => window.panels", polling=LOOKS)
    for part, selector in ((0, ".dsnb-head"), (1, ".dsnb-live")):
        page.evaluate(
            "([turns, part]) => turns.forEach((batches, place) => panels[place].take(batches[part]))",
            [[batches for _, batches in turns], part],
        )
        page.wait_for_timeout(100)
        assert (page.evaluate(hostile.STRANGE), detector.found) == ([], [])
        heads = page.locator(selector).evaluate_all("nodes => nodes.map((node) => node.textContent)")
        assert len(heads) == len(ALL)
        for words, head in zip(SHOWN, heads, strict=True):
            assert words[:70] in " ".join(head.split())
    assert page.locator(".dsnb-error").evaluate_all("nodes => nodes.map((node) => node.textContent)") != []
    page.evaluate(INSERT, CONTROL)
    detector.fires(page)
    page.close()


# Offline a live reply takes the time that a real one takes; a test has not got that.
HURRY = """
from dsnb.emulator.clock import Clock
Clock.pace = property(lambda clock: clock.chosen / 20, lambda clock, pace: setattr(clock, "chosen", pace))
"""


def test_the_first_notebook_runs_from_top_to_bottom_without_a_key(lab):
    name = "00-start-here.ipynb"
    shutil.copy(PROJECT / "notebooks" / name, lab.folder)
    cells = json.loads((lab.folder / name).read_text())["cells"]
    stored = [output for cell in cells for output in cell.get("outputs", [])]
    assert stored, "the notebook is stored with its outputs"
    notebook = lab.open(name)
    notebook.command("notebook:clear-all-cell-outputs")
    notebook.execute(HURRY)
    notebook.run()
    notebook.wait()
    saved = notebook.save()["cells"]
    code = [cell for cell in saved if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    asked = [cell for cell in code if re.search(r"\bds\.ask\((?!.*render=None)", "".join(cell["source"]))]
    assert asked
    for cell in asked:  # each reply that was shown has its bundle
        (output,) = [output for output in cell["outputs"] if output["output_type"] == "display_data"]
        assert set(output["data"]) == STATIC
    assert "widget-view" not in json.dumps(saved)
    notebook.until("!$('.dsnb-live') && $('.dsnb .dsnb-answer')")
    notebook.shoot("first-notebook-reply", ".dsnb")
    notebook.value("$('.jp-WindowedPanel-outer').scrollTo(0, 0)")
    notebook.shoot("first-notebook", ".jp-WindowedPanel-outer")
    notebook.close()
