"""What is left of a turn in a notebook, and the first notebook of the kit: in JupyterLab, in chromium."""

import json
import re
import shutil
import time

import nbformat
import pytest

from tests.display import hostile
from tests.display.hostile import CONTROL, STRANGE, Detector
from tests.display.lab import PROJECT, SHOTS
from tests.display.payloads import ALL
from tests.patience import PATIENCE

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
    """Assert that a reader of a page sees the whole reply."""
    reply = page.locator(".dsnb").filter(has_text=SEEN[1])
    answer = reply.locator(".dsnb-answer")
    answer.wait_for(state="visible")
    text = " ".join(answer.inner_text().split())
    assert [part for part in SEEN if part not in text] == []
    assert answer.locator("strong").inner_text() == "even"
    assert "deepseek-flash" in reply.locator(".dsnb-head").inner_text()
    assert "completion" in reply.locator(".dsnb-figures").inner_text()
    reply.locator(".dsnb-reasoning summary").click()
    assert reply.locator(".dsnb-reasoning > div").inner_text().strip() == "We suppose the contrary."


@pytest.fixture(scope="module")
def saved(lab):
    """Run a hostile turn and a good one in the browser, and save them; return what the detector saw, and the kernel.

    The hostile turn is looked at while it is live, and again when it has ended.
    """
    lab.write("saved.ipynb", TURN, HOSTILE)
    notebook, detector = lab.open("saved.ipynb"), Detector()
    detector.watch(notebook.page)
    notebook.run()
    notebook.wait()
    notebook.scroll(1)
    notebook.until(f"$('.dsnb-live')?.querySelectorAll('.dsnb-round').length === {len(ALL)}")
    assert notebook.value("$('.dsnb-live').querySelectorAll('.dsnb-note').length") == len(ALL)
    assert notebook.value(STRANGE) == []  # in whatever panels the page has
    assert notebook.value("$('.dsnb-live').textContent.includes('<img src=x onerror=alert(1)>')")
    notebook.execute("end()")
    notebook.until("!$('.dsnb-live')")
    cells = notebook.save()["cells"]
    for cell in cells:
        (output,) = cell["outputs"]
        assert set(output["data"]) == STATIC
    assert_nothing_happened(notebook.page, detector)
    kernel = notebook.kernel
    notebook.append(f"from IPython.display import HTML, display; display(HTML({CONTROL!r}))")
    notebook.run("notebook:run-cell")
    notebook.wait()
    assert_it_would_be_seen(notebook.page, detector)
    detector.leave(notebook.page)
    notebook.close()
    return kernel, {kind: "".join(lines) for kind, lines in cells[1]["outputs"][0]["data"].items()}


def assert_nothing_happened(page, detector):
    """Assert that a page shows the hostile turn, and that no payload has done anything."""
    page.wait_for_function(f"() => document.querySelectorAll('.dsnb-answer').length > {len(ALL)}")
    page.wait_for_timeout(200)  # for what would still load
    assert page.evaluate(STRANGE) == []
    assert detector.found == []


def assert_it_would_be_seen(page, detector):
    """Assert that the detector has seen the control, which is raw html."""
    until = time.monotonic() + PATIENCE
    while (kinds := {entry.partition(":")[0] for entry in detector.found}) < {"dialog", "request"}:
        assert time.monotonic() < until, f"only {kinds} was seen"
        page.wait_for_timeout(50)


def test_a_saved_reply_is_whole_with_a_new_kernel(lab, saved):
    notebook, detector = lab.open("saved.ipynb"), Detector()
    detector.watch(notebook.page)
    assert notebook.kernel != saved[0]
    assert notebook.value("$('.jp-InputPrompt').textContent") == "[2]:"  # run before it was saved, and not since
    assert notebook.value(TRUSTED) == [True, True]
    assert_shows_the_reply(notebook.page)
    notebook.shoot("saved", ".dsnb >> nth=0")
    notebook.scroll(1)
    assert_nothing_happened(notebook.page, detector)
    detector.leave(notebook.page)
    notebook.close()


def test_a_saved_reply_is_whole_where_it_is_not_trusted(lab, saved):
    content = nbformat.read(lab.folder / "saved.ipynb", 4)
    content.cells[0].source += "\n# a cell that nobody here has run"
    nbformat.write(content, lab.folder / "from-elsewhere.ipynb")
    notebook, detector = lab.open("from-elsewhere.ipynb"), Detector()
    detector.watch(notebook.page)
    assert notebook.value(TRUSTED) == [False, False]
    assert_shows_the_reply(notebook.page)
    notebook.shoot("not-trusted", ".dsnb >> nth=0")
    notebook.scroll(1)
    assert_nothing_happened(notebook.page, detector)
    detector.leave(notebook.page)
    notebook.close()


def test_a_saved_reply_is_whole_as_a_web_page_without_a_network(lab, saved):
    detector, blocked = Detector(CONVERTED), []
    page = lab.read(lab.convert("saved.ipynb"), detector.watch)
    page.on("requestfailed", lambda request: blocked.append(request.url))
    page.reload(wait_until="domcontentloaded")
    assert_shows_the_reply(page)
    assert any("://" in url for url in blocked), "nbconvert has asked for nothing, so nothing was blocked"
    assert "widget-view" not in page.content()
    assert_nothing_happened(page, detector)
    page.locator(".jp-OutputArea").first.screenshot(path=SHOTS / "web-page.png")
    page.close()


def test_nothing_happens_where_html_or_markdown_is_all_that_is_known(lab, saved):
    data, others = saved[1], hostile.small()
    pages = {
        "html": "".join([data["text/html"], *(other["text/html"] for other in others)]),
        "markdown": "".join(hostile.naive(each["text/markdown"]) for each in (data, *others)),
    }
    for name, html in pages.items():
        path, detector = lab.folder / f"{name}.html", Detector()
        path.write_text(hostile.page_of(html))
        page = lab.read(path, detector.watch)
        assert page.locator("details").count() >= 2 * len(ALL)
        page.evaluate("document.body.className = 'dsnb'")
        page.wait_for_timeout(200)
        assert (page.evaluate(STRANGE), detector.found) == ([], [])
        page.close()
        path.write_text(hostile.page_of(html + CONTROL))
        page = lab.read(path, detector.watch)
        assert_it_would_be_seen(page, detector)
        page.close()


def test_the_first_notebook_runs_from_top_to_bottom_without_a_key(lab):
    name = "00-start-here.ipynb"
    shutil.copy(PROJECT / "notebooks" / name, lab.folder)
    stored = [output for cell in nbformat.read(lab.folder / name, 4).cells for output in cell.get("outputs", [])]
    assert stored, "the notebook is stored with its outputs"
    notebook = lab.open(name)
    notebook.command("notebook:clear-all-cell-outputs")
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
