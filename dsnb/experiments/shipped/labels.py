"""Names beside what is drawn, which say what a legend would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from dsnb.picture import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINE: Final = 11.0  # points from one name to the next


def name_ends(axes: Axes, ends: Mapping[str, tuple[float, float, str]]) -> None:
    """Write each name to the right of where its line ends (x, y, colour); those that would overlap are moved apart.

    Call it last, when the axes have their limits.
    """
    height = axes.bbox.height * 72 / axes.figure.dpi  # of the axes, in points
    lowest, highest = axes.get_ylim()
    points = {name: (y - lowest) / (highest - lowest) * height for name, (_, y, _) in ends.items()}
    names, above = sorted(points, key=points.__getitem__), float("-inf")
    places = [above := max(points[name], above + _LINE) for name in names]
    lifted = sum(place - points[name] for name, place in zip(names, places, strict=True)) / max(len(names), 1)
    for name, place in zip(names, places, strict=True):
        x, y, colour = ends[name]
        offset = (8, place - lifted - points[name])
        axes.annotate(
            name,
            (x, y),
            offset,
            textcoords="offset points",
            color=colour,
            va="center",
            size=8,
            annotation_clip=False,
        )


def name_rows(axes: Axes, names: Sequence[str], of_what: str) -> None:
    """Name rows of bars, from above down, and the shares that they stand for, from none to all."""
    axes.set_yticks(range(len(names)), list(names))
    axes.set_xlim(0, 1.1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}" if value <= 1 else "")
    axes.set_xlabel(of_what)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x", color=INK, alpha=0.25, linewidth=0.6)
    axes.invert_yaxis()
