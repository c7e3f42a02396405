"""What the README shows does what it says."""

import re
import subprocess
import sys
from pathlib import Path

import dsnb
from tests.patience import PATIENCE

ROOT = Path(dsnb.__file__).parents[1]
README = ROOT / "README.md"


def test_the_snippet_runs_without_a_key(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + "\nprint(ds.usage.frame().attempts.tolist())"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd=tmp_path,
        env={"PATH": "/usr/bin", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[1, 2]", "the second turn called its tool"


def test_what_it_points_to_is_there():
    text = README.read_text(encoding="utf-8")
    for place in re.findall(r'(?:src|srcset)="([^"]+)"', text):
        assert (ROOT / place).is_file(), place
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"`?\bmake ([a-z-]+)", text)) <= set(targets)
