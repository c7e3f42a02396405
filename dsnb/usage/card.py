"""How ledgers and sweeps show themselves: one small table, the same in html, markdown and plain text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from dsnb.usage.totals import Totals, counted

_HEADS: Final = (
    "source",
    "model asked",
    "turns",
    "attempts",
    "prompt tokens",
    "hit rate",
    "completion tokens",
    "cost (USD)",
)
_ROWS: Final = 12
_MARKUP: Final = re.compile(r"([\\`*_\[\]<>|~$&!#^=:@])")  # all that means something inside a line of Markdown


def card(title: str, totals: Totals) -> dict[str, str]:
    """Return the mimebundle of a summary by the model that was asked."""
    rows = [dict(zip(totals.columns, row, strict=True)) for row in totals.rows]
    cells = [_cells(row) for row in rows[:_ROWS]]
    notes = [note for note in (_more(rows), _unknown(rows), _unfinished(rows)) if note]
    if not rows:
        notes = ["Nothing has been logged yet."]
    return table(title, _HEADS, cells, notes, names=2)


def table(
    title: str, heads: Sequence[str], cells: Sequence[Sequence[str]], notes: Sequence[str], *, names: int
) -> dict[str, str]:
    """Return the mimebundle of a table; the first ``names`` columns are names, the others numbers."""
    return {
        "text/plain": _plain(title, heads, cells, notes, names),
        "text/markdown": _markdown(title, heads, cells, notes, names),
        "text/html": _html(title, heads, cells, notes, names),
    }


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    rate, cost = row["hit_rate"], row["cost_usd"]
    return (
        row["source"],
        row["asked_model"] or "?",
        f"{row['turns']:,}",
        f"{row['attempts']:,}",
        _whole(row["prompt_tokens"]),
        "?" if rate is None else f"{rate:.1%}",
        _whole(row["completion_tokens"]),
        "?" if cost is None else f"{cost:.6f}",
    )


def _whole(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _more(rows: Sequence[Mapping[str, Any]]) -> str:
    return f"{len(rows) - _ROWS} more models are in summary()." if len(rows) > _ROWS else ""


def _unknown(rows: Sequence[Mapping[str, Any]]) -> str:
    attempts = sum(row["unpriced"] for row in rows)
    return f"The cost of {counted(attempts, 'attempt')} is not known and not in these sums." if attempts else ""


def _unfinished(rows: Sequence[Mapping[str, Any]]) -> str:
    turns = sum(row["unfinished"] for row in rows)
    return f"{counted(turns, 'turn')} never ended, or {'is' if turns == 1 else 'are'} running." if turns else ""


def _plain(title: str, heads: Sequence[str], cells: Sequence[Sequence[str]], notes: Sequence[str], names: int) -> str:
    table = [heads, *cells] if cells else []
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(
            text.rjust(width) if place >= names else text.ljust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
    return "\n".join((title, *lines, *notes))


def _markdown(
    title: str, heads: Sequence[str], cells: Sequence[Sequence[str]], notes: Sequence[str], names: int
) -> str:
    blocks = [f"**{_escaped(title)}**"]
    if cells:
        rule = ("---:" if place >= names else ":---" for place in range(len(heads)))
        rows = [heads, *([_escaped(text) for text in row] for row in cells)]
        lines = [f"| {' | '.join(row)} |" for row in rows]
        blocks.append("\n".join([lines[0], f"| {' | '.join(rule)} |", *lines[1:]]))
    return "\n\n".join([*blocks, *map(_escaped, notes)])


def _escaped(text: str) -> str:
    """Return text that Markdown shows as it is; ``<`` and ``&`` as entities, for readers that pass html on."""
    return _MARKUP.sub(r"\\\1", text).replace("\\&", "&amp;").replace("\\<", "&lt;")


def _html(title: str, heads: Sequence[str], cells: Sequence[Sequence[str]], notes: Sequence[str], names: int) -> str:
    def row(tag: str, texts: Sequence[str]) -> str:
        return "<tr>{}</tr>".format(
            "".join(
                f'<{tag} style="text-align:{"right" if place >= names else "left"};{look[tag]}">{_inert(text)}</{tag}>'
                for place, text in enumerate(texts)
            )
        )

    # in each cell, since pages have styles of their own for tables: some stripe them, some set them in their middle
    cell = f"padding:.25em 1.6em .25em 0;border:0;border-bottom:1px solid {_faint(16)}"
    look = {"td": cell, "th": f"{cell};font-weight:inherit;color:{_faint(65)}"}
    name, dot, rest = title.partition(" · ")
    head = f"<strong>{_inert(name)}</strong>{_inert(dot + rest)}"
    parts = [f'<div><div style="font-size:.9em;color:{_faint(65)}">{head}</div>']
    if cells:
        names_row, body = row("th", heads), "".join(row("td", texts) for texts in cells)
        style = "margin:.4em 0;border-collapse:collapse;font-size:.94em;font-variant-numeric:tabular-nums"
        parts.append(f'<table style="{style}"><thead>{names_row}</thead><tbody>{body}</tbody></table>')
    parts += [f"<div>{_inert(note)}</div>" for note in notes]
    return "".join([*parts, "</div>"])


def _faint(percent: int) -> str:
    """Return the colour of the text around, on light and on dark, with so much of its strength."""
    return f"color-mix(in srgb,currentColor {percent}%,transparent)"


def _inert(text: str) -> str:
    """Return text as html; a dollar in a span of its own, or two of them would become mathematics in Jupyter."""
    return escape(text).replace("$", "<span>$</span>").replace("\\", "<span>\\</span>")
