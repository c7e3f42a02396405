"""What is left of a turn in a notebook, and the first notebook of the kit: in JupyterLab, in chromium."""

import json
import re
import shutil

import nbformat
import pytest

from tests.display.lab import PROJECT, SHOTS

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
SEEN = ("are even, so:", "the fraction was not in lowest terms;", "no such fraction exists.", "for all of them")


def assert_shows_the_reply(find):
    """Assert that a reader sees the whole reply, by a function that finds the one element of a selector."""
    answer = find(".dsnb-answer")
    answer.wait_for(state="visible")
    text = " ".join(answer.inner_text().split())
    assert [part for part in SEEN if part not in text] == []
    assert answer.locator("strong").inner_text() == "even"
    assert "deepseek-flash" in find(".dsnb-head").inner_text()
    assert "completion" in find(".dsnb-figures").inner_text()
    find(".dsnb-reasoning summary").click()
    assert find(".dsnb-reasoning > div").inner_text().strip() == "We suppose the contrary."


@pytest.fixture(scope="module")
def saved(lab):
    """Run a turn in the browser, save the notebook and end its kernel; return the kernel's id."""
    lab.write("saved.ipynb", TURN)
    notebook = lab.open("saved.ipynb")
    notebook.run()
    notebook.wait()
    notebook.until("!$('.dsnb-live') && $('.dsnb .dsnb-answer strong')")
    (output,) = notebook.save()["cells"][0]["outputs"]
    assert set(output["data"]) == STATIC
    kernel = notebook.kernel
    notebook.close()
    return kernel


def test_a_saved_reply_is_whole_with_a_new_kernel(lab, saved):
    notebook = lab.open("saved.ipynb")
    assert notebook.kernel != saved
    assert notebook.value("$('.jp-InputPrompt').textContent") == "[1]:"  # run before it was saved, and not since
    assert_shows_the_reply(notebook.find)
    notebook.shoot("saved")
    notebook.close()


def test_a_saved_reply_is_whole_where_it_is_not_trusted(lab, saved):
    content = nbformat.read(lab.folder / "saved.ipynb", 4)
    content.cells[0].source += "\n# a cell that nobody here has run"
    nbformat.write(content, lab.folder / "from-elsewhere.ipynb")
    notebook = lab.open("from-elsewhere.ipynb")
    assert notebook.value("window.jupyterapp.shell.currentWidget.content.model.cells.get(0).trusted") is False
    assert_shows_the_reply(notebook.find)
    notebook.shoot("not-trusted")
    notebook.close()


def test_a_saved_reply_is_whole_as_a_web_page_without_a_network(lab, saved):
    page = lab.read(lab.convert("saved.ipynb"))
    blocked = []
    page.on("requestfailed", lambda request: blocked.append(request.url))
    page.reload(wait_until="domcontentloaded")
    assert_shows_the_reply(page.locator)
    assert any("://" in url for url in blocked), "nbconvert has asked for nothing, so nothing was blocked"
    assert "widget-view" not in page.content()
    page.locator(".jp-OutputArea").screenshot(path=SHOTS / "web-page.png")
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
