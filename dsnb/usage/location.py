"""Where the ledger lives, and the notebook that its rows come from."""

from __future__ import annotations

import os
import sys
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Final

DATA_VARIABLE: Final = "DSNB_DATA"
_FILE: Final = "usage.sqlite"


def default_path() -> Path:
    """Return where the ledger is kept, and make its folder if that can be done.

    In the folder named by ``DSNB_DATA``; else in ``data/`` of the dsnb checkout around the working folder; else in
    the user's own data folder.
    """
    chosen = os.environ.get(DATA_VARIABLE, "").strip()
    if chosen:
        folder = Path(chosen).expanduser().absolute()
    elif checkout := _checkout(Path.cwd()):
        folder = checkout / "data"
    else:
        from platformdirs import user_data_path

        folder = user_data_path("dsnb", appauthor=False)
    with suppress(OSError):  # the ledger says so when it comes to write
        folder.mkdir(parents=True, exist_ok=True)
    return folder / _FILE


def notebook() -> str | None:
    """Return the file name of the notebook that runs, where that can be known without asking a server.

    Jupyter Server puts the path into its kernels' environment, VS Code into their namespace.
    """
    place = vars(sys.modules["__main__"]).get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    if not isinstance(place, str) or not place.endswith(".ipynb"):  # a console's session has a name as well
        return None
    return place.replace("\\", "/").rpartition("/")[2]


def _checkout(folder: Path) -> Path | None:
    """Return the nearest folder, upward, that is a checkout of dsnb."""
    for place in (folder, *folder.parents):
        with suppress(OSError, ValueError, AttributeError):  # somebody else's file, in whatever state
            text = (place / "pyproject.toml").read_text(encoding="utf-8")
            if tomllib.loads(text).get("project", {}).get("name") == "dsnb":
                return place
    return None
