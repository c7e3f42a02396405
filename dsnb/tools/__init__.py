"""Functions that the model can call: what it is told about them, and what becomes of its calls."""

from dsnb.tools.definition import Tool, tool
from dsnb.tools.toolbox import Toolbox

__all__ = ["Tool", "Toolbox", "tool"]
