"""What a call costs before it is sent, why a cache missed, and experiments over many calls.

>>> report = dsnb.experiments.run("prompt-order")   # one of those that come with the kit; offline without a key
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dsnb.experiments.shipped.experiment import Experiment
    from dsnb.experiments.shipped.registry import experiment, experiments, run
    from dsnb.experiments.shipped.report import Report
    from dsnb.experiments.shipped.series import Series

__all__ = ["Experiment", "Report", "Series", "experiment", "experiments", "run"]

_HOMES = {
    "Experiment": "experiment",
    "Report": "report",
    "Series": "series",
    "experiment": "registry",
    "experiments": "registry",
    "run": "registry",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:  # loaded when used: whoever only plans a call needs none of it
        value: object = getattr(import_module(f"dsnb.experiments.shipped.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'dsnb.experiments' has no attribute {name!r}")
