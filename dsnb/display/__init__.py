"""How a turn is shown: while it runs, and ever after.

>>> with dsnb.render("final"):
...     ds.ask("...")

This is the only room that knows Jupyter, and it imports nothing of it before it is found to be there.
"""

from __future__ import annotations

from dsnb.display.formatters import already_shown, install
from dsnb.display.renderers import View, chosen, render, view

__all__ = ["View", "already_shown", "chosen", "install", "render", "view"]
