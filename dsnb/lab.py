"""JupyterLab, opened on the kit's notebooks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from dsnb.errors import ConfigurationError

COPY: Final = "dsnb-notebooks"
_PACKAGE: Final = Path(__file__).parent


def notebooks(folder: Path | None = None) -> Path:
    """Return the folder of notebooks to open: the checkout's own, else a copy in ``folder`` (default: where we are).

    A copy that is there already is left as it is, with all that its owner wrote into it; only notebooks that it has
    not are added. Raises ConfigurationError where there is nothing to copy.
    """
    checkout = _PACKAGE.parent / "notebooks"
    if folder is None and checkout.is_dir():
        return checkout
    installed = next((place for place in (_PACKAGE / "notebooks", checkout) if place.is_dir()), None)
    if installed is None:
        raise ConfigurationError("This installation of dsnb has no notebooks; install it again from its wheel.")
    copy = folder or Path.cwd() / COPY
    copy.mkdir(parents=True, exist_ok=True)
    for notebook in sorted(installed.glob("*.ipynb")):
        if not (copy / notebook.name).exists():
            shutil.copyfile(notebook, copy / notebook.name)
    return copy


def serve(folder: Path, options: Sequence[str] = ()) -> int:
    """Run JupyterLab on a folder until it ends; return its exit status.

    ``options`` are JupyterLab's own. Raises ConfigurationError where JupyterLab is not installed.
    """
    if find_spec("jupyterlab") is None:
        raise ConfigurationError('JupyterLab is not installed here: pip install "dsnb[jupyter]" adds it.')
    # Who is root in a container has nobody else to be, and Jupyter would refuse; it still listens on loopback only.
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}", *root, *options]
    return subprocess.run(command, check=False).returncode  # noqa: S603 — our own interpreter, and the user's own options
