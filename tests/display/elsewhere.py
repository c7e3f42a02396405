"""A page that knows widgets, and nothing of JupyterLab: no kernel to interrupt, nothing that sets formulas."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dsnb.display import panel

_PAGE = """<!doctype html><meta charset="utf-8"><style>%s</style><body><script type="module">
%s;
window.panels = (%s).map((turn) => {
    const panel = { sent: [] };
    const model = { get: () => turn, send: (word) => panel.sent.push(word), on: (_, take) => (panel.take = take) };
    const { initialize, render } = make();
    initialize({ model });
    panel.leave = render({ model, el: document.body.appendChild(document.createElement("div")) });
    return panel;
});
</script>"""


def page_with(states: Sequence[dict[str, Any]]) -> str:
    """Return a page with a live panel for each turn, as ``panels``: what each has ``sent``, and `take`."""
    widget = panel._Panel
    module = widget._esm.default_value.replace("export default", "const make =", 1)
    return _PAGE % (widget._css.default_value, module, json.dumps(states).replace("<", "\\u003c"))
