"""What comparing outputs does not see: cells that were never run, and things that do not belong into a notebook."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

NEEDED = [name for name in ("ipykernel", "nbclient", "nbformat") if find_spec(name) is None]
NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return json.loads(request.param.read_text())


def code(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_there_are_notebooks():
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{number:02}" for number in range(len(NOTEBOOKS))] != []


def test_every_cell_has_run_in_order_and_well(notebook):
    assert [cell["execution_count"] for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))
    assert not [output for cell in code(notebook) for output in cell["outputs"] if output["output_type"] == "error"]


def test_most_cells_have_something_to_compare(notebook):
    assert sum(bool(cell["outputs"]) for cell in code(notebook)) >= len(code(notebook)) / 2


def test_it_opens_with_a_title_and_ends_with_what_to_notice(notebook):
    first, last = notebook["cells"][0], notebook["cells"][-1]
    assert "".join(first["source"]).startswith("# ")
    assert "What to notice, and what to try" in "".join(last["source"])


def test_it_is_stored_such_that_only_what_it_says_can_change(notebook, request):
    cells = notebook["cells"]
    assert [cell["id"] for cell in cells] == [f"cell-{place:02}" for place in range(len(cells))]
    assert not any(cell["metadata"] for cell in cells)
    assert "version" not in notebook["metadata"]["language_info"]
    text = request.node.callspec.params["notebook"].read_text("utf-8")
    assert text == json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def test_what_the_kit_shows_can_be_read_without_html(notebook):
    shown = [output["data"] for cell in code(notebook) for output in cell["outputs"] if "data" in output]
    ours = [data for data in shown if 'class="dsnb' in "".join(data.get("text/html", ""))]
    assert all({"text/markdown", "text/plain"} <= data.keys() for data in ours)


def test_nothing_of_this_machine_or_of_a_key_is_in_it(notebook):
    text = json.dumps(notebook)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert not re.findall(r"sk-[A-Za-z0-9]{4,}|/home/|/root/|/tmp/|127\.0\.0\.1:\d+", text)
    assert "widget-view" not in text


CELLS = ["import os", "display({'image/png': os.urandom(9).hex(), 'text/plain': 'a picture'}, raw=True)", "print(1)"]


def write(path, *sources):
    cells = [
        {"cell_type": "code", "execution_count": None, "id": f"x{place}", "metadata": {"a": 1}, "outputs": []}
        | {"source": source}
        for place, source in enumerate(sources)
    ]
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


@pytest.mark.skipif(bool(NEEDED), reason=f"needs {', '.join(NEEDED)} (pip install 'dsnb[dev]')")
@pytest.mark.slow
def test_storing_twice_changes_nothing_and_a_failure_neither(tmp_path, monkeypatch):
    from tests import storing

    monkeypatch.setattr(storing, "NOTEBOOKS", tmp_path)
    path = tmp_path / "00-one.ipynb"
    write(path, *CELLS)
    storing.main()
    stored = path.read_bytes()
    assert [cell["execution_count"] for cell in json.loads(stored)["cells"]] == [1, 2, 3]
    storing.main(["00"])
    assert path.read_bytes() == stored
    write(path, "1 / 0")
    written = path.read_bytes()
    with pytest.raises(Exception, match="ZeroDivisionError"):
        storing.main()
    assert path.read_bytes() == written
