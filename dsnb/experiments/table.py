"""A small table of figures, said in html, in Markdown and in plain text."""

from __future__ import annotations

from collections.abc import Sequence

from dsnb.display import text
from dsnb.display.parts import Part


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Part:
    """Return rows of cells under their heads; the first column is names, the others are figures."""

    def line(tag: str, cells: Sequence[str]) -> str:
        name, *figures = map(text.html, cells)
        return f"<tr><{tag}>{name}</{tag}>{''.join(f'<{tag} align=right>{figure}</{tag}>' for figure in figures)}</tr>"

    html = f"<table><thead>{line('th', heads)}</thead><tbody>{''.join(line('td', row) for row in rows)}</tbody></table>"
    rule = "|".join([":---", *["---:"] * (len(heads) - 1)])
    markdown = [f"| {' | '.join(map(text.markdown, cells))} |" for cells in (heads, *rows)]
    lines = [[text.line(cell) for cell in cells] for cells in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    plain = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in lines]
    return Part(html, "\n".join([markdown[0], f"|{rule}|", *markdown[1:]]), "\n".join(plain))
