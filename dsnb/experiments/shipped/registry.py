"""The experiments that come with the kit, by name; each is a module, loaded when it is asked for."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from dsnb.errors import ConfigurationError
from dsnb.experiments.shipped.experiment import Experiment

if TYPE_CHECKING:
    from dsnb.experiments.shipped.report import Report
    from dsnb.session import Session

_NAMES: Final = (
    "prompt-order",
    "granularity",
    "divergence",
    "growth",
    "tool-list",
    "isolation",
    "time-to-live",
    "latency",
)


def run(name: str, ds: Session | None = None, **options: Any) -> Report:
    """Run an experiment that comes with the kit, or what is left of it, and return its report.

    Takes the options of `Experiment.run`. Raises ConfigurationError for a name that there is not.
    """
    return experiment(name).run(ds, **options)


def experiments() -> tuple[Experiment, ...]:
    """Return all experiments that come with the kit."""
    return tuple(map(experiment, _NAMES))


def experiment(name: str) -> Experiment:
    """Return one by its name; raise ConfigurationError where there is none."""
    if name not in _NAMES:
        near = get_close_matches(str(name), _NAMES, n=1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigurationError(f"There is no experiment {name!r}.{meant} There are: {', '.join(_NAMES)}.")
    module = import_module(f"dsnb.experiments.shipped.{name.replace('-', '_')}")
    found: Experiment = module.EXPERIMENT
    return found
