"""Environments for what is measured beside dsnb: each holds just what a lock file names."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from platformdirs import user_cache_path

ENVIRONMENTS = Path(os.environ.get("DSNB_BENCH_ENV") or user_cache_path("dsnb") / "bench")


def environment(lock: Path) -> Path:
    """Return the Python of an environment that holds just what the lock file names, made where there is none."""
    key = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = ENVIRONMENTS / f"{lock.stem}-{key}"
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.exists():
        print(f"  installing {lock.name} into {folder}", flush=True)
        near = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
        uv = shutil.which("uv", path=near)
        venv.create(folder, clear=True, with_pip=uv is None)
        install = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
        subprocess.run([*install, "--quiet", "--no-deps", "--require-hashes", "-r", lock], check=True)
        ready.touch()
    return python
