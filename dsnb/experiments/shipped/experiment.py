"""What an experiment is: a question, a grid of cells, what one cell does, how it is told and how it is drawn."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dsnb.experiments.sweeping.sweep import sweep

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from dsnb.experiments.shipped.report import Report
    from dsnb.session import Session

Cell = Callable[..., dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Experiment:
    """Hold one experiment on the context cache.

    ``cell`` makes the calls of one cell, one after the other in a cache of its own, and returns them as
    ``{"calls": [...]}`` (see `Series`). ``say`` makes one sentence of the tidy frame, ``draw`` a picture of it.
    ``engine`` is what has to answer offline: the scripted emulator, or a real model where seconds matter.
    """

    name: str
    title: str
    question: str
    grid: Mapping[str, Sequence[Any]]
    cell: Cell = field(repr=False)
    say: Callable[[pd.DataFrame], str] = field(repr=False)
    draw: Callable[[Axes, pd.DataFrame], None] = field(repr=False)
    engine: str = "script"

    def run(
        self,
        ds: Session | None = None,
        *,
        grid: Mapping[str, Sequence[Any]] | None = None,
        store: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> Report:
        """Run what is not done yet, and return the report.

        ``ds`` is the session to ask in, by default that of `dsnb.connect`, with the engine that the experiment needs.
        ``grid`` replaces values of the experiment's own grid, name by name. ``store`` keeps the results, live and
        emulated ones apart; ``options`` are those of `dsnb.sweep`. Cells run one at a time: what they measure is what
        an earlier call leaves for a later one. Raises what `dsnb.sweep` raises.
        """
        from dsnb.experiments.shipped.report import Report

        with ExitStack() as opened:
            asked = ds or opened.enter_context(_session(self.engine))
            swept = sweep(
                self.cell,
                {**self.grid, **(grid or {})},
                ds=asked,
                name=self.name,
                store=store,
                **{"workers": 1, **options},
            )
        return Report(self, [swept])


def _session(engine: str) -> Session:
    """Return a session that is live with a key, and else asks an emulator with this engine."""
    from dsnb.connection import connect
    from dsnb.emulator import DEFAULT_AS_OF, Emulator

    ds = connect(quiet=True)
    if ds.emulator is None or engine == "script":
        return ds
    ds.close()
    emulator = Emulator(engine=engine).start()
    asked = connect(emulator.base_url, as_of=DEFAULT_AS_OF, quiet=True)
    asked.emulator = emulator  # closed with the session
    return asked
