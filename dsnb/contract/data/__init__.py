"""The contract's tables, as TOML beside this file."""

import tomllib
from functools import cache
from importlib import resources
from typing import Any


@cache
def read(name: str) -> dict[str, Any]:
    """Return the table file ``name``, read once; treat it as read-only."""
    return tomllib.loads(resources.files(__name__).joinpath(name).read_text("utf-8"))
