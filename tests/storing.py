"""Run all notebooks offline and store what they say: `make notebooks`.

What is stored differs from one run to the next only where an output does, so that a commit shows what has changed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
LONGEST = 60  # seconds for one cell
ENVIRONMENT = {"DSNB_OFFLINE": "1", "DSNB_RENDER": "final"}
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}
PICTURES = frozenset({"image/png", "image/jpeg"})


def main(names: Sequence[str] = ()) -> None:
    """Store the notebooks whose names begin so, by default all."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        if not names or path.name.startswith(tuple(names)):
            start = time.perf_counter()
            store(path)
            print(f"{path.name}: {time.perf_counter() - start:.1f} s")


def store(path: Path) -> None:
    """Run one notebook and write it; raise CellExecutionError, and leave the file as it was, where a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    before = {cell.source: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=LONGEST,
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute(env=os.environ | ENVIRONMENT)
    notebook.metadata = nbformat.from_dict(METADATA)
    for place, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{place:02}", nbformat.from_dict({})
        if cell.cell_type == "code" and same(cell.outputs, before.get(cell.source, ())):
            cell.outputs = before[cell.source]
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


def same(outputs: Sequence[Any], others: Sequence[Any]) -> bool:
    """Tell whether outputs are equal but for their pictures: one of measured times is never the same twice."""
    return [_told(output) for output in outputs] == [_told(output) for output in others]


def _told(output: Any) -> dict[str, Any]:
    data = output.get("data", {})
    return {
        **output,
        "data": {kind: None if kind in PICTURES else value for kind, value in data.items()},
    }


if __name__ == "__main__":
    main(sys.argv[1:])
