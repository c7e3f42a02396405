"""What is left of a notebook that papermill runs: it has no frontend, and the result has static bundles only."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

from tests.bench._environment import environment as installed
from tests.display.lab import environment

ALONE = "installs papermill"

LOCK = Path(__file__).parent / "runners" / "papermill.txt"
STATIC = {"text/html", "text/markdown", "text/plain"}
QUESTION = "What is 1 + 1?"
CELLS = (
    'question = "nothing yet"',  # papermill's parameter takes its place
    "import dsnb\nds = dsnb.connect(quiet=True)",
    "reply = ds.ask(question)",
    "chat = ds.conversation()\n_ = chat.ask(question)\nchat",
)
SHOWN = 3  # the reply, the turn of the conversation, and the conversation itself


def run(folder: Path, render: str) -> nbformat.NotebookNode:
    """Have papermill run the notebook, with a kernel of this environment; return what it has saved."""
    command = [installed(LOCK), "-m", "papermill", "in.ipynb", "out.ipynb", "-k", "dsnb", "-p", "question", QUESTION]
    settings = environment(folder) | {"JUPYTER_PATH": str(folder), "DSNB_RENDER": render}
    subprocess.run([*command, "--no-progress-bar", "--log-level", "ERROR"], cwd=folder, env=settings, check=True)
    return nbformat.read(folder / "out.ipynb", 4)


def main() -> None:
    with TemporaryDirectory() as home:
        folder = Path(home)
        kernel = folder / "kernels" / "dsnb"
        kernel.mkdir(parents=True)
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"name": "dsnb", "display_name": "dsnb", "language": "python"}
        (kernel / "kernel.json").write_text(json.dumps({"argv": command, **spec}))
        cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
        cells[0].metadata["tags"] = ["parameters"]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec}), folder / "in.ipynb")
        for render in ("live", "final"):
            done = run(folder, render)
            outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
            bundles = [output["data"] for output in outputs if "data" in output]
            assert all(set(data) == STATIC and QUESTION in data["text/plain"] for data in bundles)
            assert {output.output_type for output in outputs} <= {"display_data", "execute_result", "stream"}
            # nbclient notes each widget that was ever open, whatever became of it
            state = len(json.dumps(done.metadata.get("widgets", {})))
            print(f"  {render}: {len(bundles)} static bundles, no widget among them, and {state:,} bytes of metadata")
            assert len(bundles) == SHOWN
            assert render == "live" or state == 2  # none


if __name__ == "__main__":
    main()
