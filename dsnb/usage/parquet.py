"""Frames as Parquet files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dsnb.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd


def write(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a frame to a file; raise ConfigurationError where no package for it is installed."""
    try:
        frame.to_parquet(path)
    except ImportError:
        raise ConfigurationError(
            'Parquet files need the package pyarrow: pip install "dsnb[parquet]" adds it. '
            "Without it, frame().to_csv(path) does."
        ) from None
