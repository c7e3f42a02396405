"""The kit's way of drawing: matplotlib figures that read well on light and on dark pages."""

from __future__ import annotations

from contextlib import AbstractContextManager
from io import BytesIO
from typing import Any, Final

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK: Final = "#797979"  # as far from white as from #111, a usual dark page: 4.3 to 1 on both
ACCENT: Final = "#4d6bfe"
OTHER: Final = "#d1603d"  # what stands against the accent: apart from it in hue for every kind of colour vision

_FIXED: Final[Any] = {"svg.hashsalt": "dsnb", "svg.fonttype": "none"}  # the same picture gives the same file


class Picture(Figure):
    """A Figure that shows itself in a notebook without pyplot, and whose SVG does not change from save to save.

    Make it inside of `style`. ``description`` is what is said in its place where no picture can be shown.
    """

    def __init__(self, width: float, height: float, description: str) -> None:
        super().__init__(figsize=(width, height), layout="constrained", facecolor="none")
        self.description = description

    def savefig(self, fname: Any, **options: Any) -> None:
        """Save as Figure does; an SVG without its date and with stable ids."""
        fixed = {"metadata": {"Date": None}} if str(options.get("format") or fname).endswith("svg") else {}
        with rc_context(_FIXED):
            super().savefig(fname, **(fixed | options))

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        image = BytesIO()
        self.savefig(image, format="png", dpi=2 * self.dpi)  # sharp on the screens of today
        size = {"width": int(self.get_figwidth() * self.dpi), "height": int(self.get_figheight() * self.dpi)}
        bundle = {"image/png": image.getvalue(), "text/plain": self.description}
        return bundle, {"image/png": size}  # type: ignore[return-value] # IPython takes the metadata beside the data


def style() -> AbstractContextManager[None]:
    """Return the context in which a picture is drawn: its letters and their colour."""
    return rc_context({"font.size": 9, "text.color": INK, "axes.labelcolor": INK})


def bare(axes: Axes) -> None:
    """Take away from axes what says nothing: the frame, the ticks, the ground."""
    axes.set_facecolor("none")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(INK)
    axes.tick_params(which="both", colors=INK, length=0)
    axes.grid(axis="y", color=INK, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def short(number: float) -> str:
    """Return a large number in few characters, as in ``12k`` and ``1.05M``."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"
