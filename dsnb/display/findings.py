"""What the contract has to say about a request, as a list that shows itself as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from dsnb.contract import Finding
from dsnb.display import text

_HEADS: Final = ("where", "effect", "what", "what to do")
_NOTHING_TO_DO: Final = "Nothing needs to change."
_LONGEST: Final = 1000  # characters of a text in a line
_FINE: Final = "the contract has nothing to say about this request"


class Findings(list[Finding]):
    """A list of findings; each is one line of its repr, and one row of the table that a notebook shows."""

    def __repr__(self) -> str:
        return "\n".join(_lines(self)) if self else f"No findings: {_FINE}."

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return bundle(self)


def bundle(findings: Sequence[Finding]) -> dict[str, str]:
    """Return the representations of findings by MIME type: a row each, in their order."""
    from dsnb.display import parts  # which reads Markdown, and is not needed to make a list
    from dsnb.display.styles import style

    shown = [parts.head(*_count(findings))]
    if findings:
        shown.append(parts.Part(_html(findings), _markdown(findings), "\n".join(_lines(findings))))
    return parts.bundle(shown, style() + style("findings"), "findings")


def sentence(finding: Finding) -> str:
    """Return a finding as text for a line of its own."""
    *_, message, mend = _cells(finding)
    return f"{message[:1].upper()}{message[1:]} {mend}".strip()


def _count(findings: Sequence[Finding]) -> tuple[str, list[str]]:
    """Say how many findings there are, and of which effects."""
    if not findings:
        return "No findings", [_FINE]
    counts = Counter(text.line(finding.effect) for finding in findings)
    name = f"{len(findings):,} finding{'' if len(findings) == 1 else 's'}"
    return name, [f"{count:,} {effect}" for effect, count in counts.items()]


def _cells(finding: Finding) -> tuple[str, str, str, str]:
    mend = "" if finding.mend == _NOTHING_TO_DO else finding.mend
    return finding.where, finding.effect, finding.message, mend


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield one line for each finding, in columns."""
    rows = [_cells(finding) for finding in findings]
    effects = max((len(row[1]) for row in rows), default=0)
    places = min(max((len(row[0]) for row in rows), default=0), 40)  # so that one long place moves no other line
    for where, effect, message, mend in rows:
        words = text.line(f"{message.rstrip('.')}. {mend}", _LONGEST)
        yield f"{text.line(effect):{effects}}  {text.line(where, _LONGEST):{places}}  {words}"


def _html(findings: Sequence[Finding]) -> str:
    heads = "".join(f"<th>{head}</th>" for head in _HEADS)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>\n{''.join(map(_row, findings))}</tbody></table>"


def _row(finding: Finding) -> str:
    where, effect, message, mend = _cells(finding)
    mark = "em" if effect == "rejected" else "span"
    return (
        f"<tr><td><code>{text.html_code(where)}</code></td><td><{mark}>{text.html(effect)}</{mark}></td>"
        f"<td>{text.html(message)}</td><td>{mend and f'<span>{text.html(mend)}</span>'}</td></tr>\n"
    )


def _markdown(findings: Sequence[Finding]) -> str:
    rows = [f"| {' | '.join(_HEADS)} |", "|---|---|---|---|"]
    for finding in findings:
        where, *others = _cells(finding)
        rows.append(f"| {' | '.join([text.markdown_code(where), *map(text.markdown, others)])} |")
    return "\n".join(rows)
