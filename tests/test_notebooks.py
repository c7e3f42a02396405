"""What comparing outputs does not see: cells that were never run, and things that do not belong into a notebook."""

import json
import re
from pathlib import Path

import pytest

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


def test_nothing_of_this_machine_or_of_a_key_is_in_it(notebook):
    text = json.dumps(notebook)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert not re.findall(r"sk-[A-Za-z0-9]{4,}|/home/|/root/|/tmp/|127\.0\.0\.1:\d+", text)
    assert "widget-view" not in text
