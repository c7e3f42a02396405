"""A ledger to look around in: one picture, and in a notebook with widgets two choices above it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from IPython.display import DisplayHandle, display

from dsnb.display.renderers import chosen
from dsnb.usage.totals import CURRENCIES

if TYPE_CHECKING:
    from dsnb.picture import Picture
    from dsnb.usage import UsageLog

LABELS: Final = ("model", "run", "day", "notebook", "effort", "outcome", "provider", "price_period")


class Explorer:
    """Show where the money of a ledger went, by one label after the other.

    ``log`` is the ledger, ``by`` and ``currency`` are what it begins with (see `UsageLog.plot`). The picture is a plain
    output, drawn anew at each choice, so it is saved as it was last seen. Only the choices are widgets; where there
    are none (final and plain rendering, a notebook that runs by itself), there is the picture alone.
    """

    def __init__(self, log: UsageLog, by: str = "model", currency: str = "USD") -> None:
        self.log = log
        self.by = by
        self.currency = currency
        self._handle = DisplayHandle()  # type: ignore[no-untyped-call] # IPython has no types here

    @property
    def picture(self) -> Picture:
        """The picture of the ledger as it is now."""
        return self.log.plot(self.currency, by=self.by)  # type: ignore[return-value] # which is what it draws

    def choose(self, by: str | None = None, currency: str | None = None) -> None:
        """Look at another label or currency, or again at what has been logged since."""
        self.by, self.currency = by or self.by, currency or self.currency
        self._handle.update(self.picture)  # type: ignore[no-untyped-call] # as above

    def _ipython_display_(self) -> None:
        if chosen() == "live":
            display(self._choices())  # type: ignore[no-untyped-call] # as above
        self._handle.display(self.picture)  # type: ignore[no-untyped-call] # as above

    def _choices(self) -> Any:
        import ipywidgets as widgets  # type: ignore[import-untyped]

        by = widgets.Dropdown(options=LABELS, value=self.by, description="spent by")
        currency = widgets.ToggleButtons(options=list(CURRENCIES), value=self.currency)
        again = widgets.Button(description="again", tooltip="Draw what has been logged since")
        by.observe(lambda change: self.choose(by=change["new"]), "value")
        currency.observe(lambda change: self.choose(currency=change["new"]), "value")
        again.on_click(lambda _: self.choose())
        return widgets.HBox([by, currency, again])

    def __repr__(self) -> str:
        return f"<Explorer of {self.log!r} by {self.by}>"
