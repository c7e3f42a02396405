"""How an explanation shows itself: where the prompts part, what was changed there, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dsnb.display import parts, text
from dsnb.display.parts import Part
from dsnb.display.styles import style
from dsnb.errors import ConfigurationError
from dsnb.experiments.planning.plan_card import dollars, meter, said, yuan
from dsnb.experiments.planning.wording import Change
from dsnb.experiments.table import table

if TYPE_CHECKING:
    from dsnb.contract import Cost
    from dsnb.experiments.planning.explanation import CacheDiff


def bundle(diff: CacheDiff) -> dict[str, str]:
    """Return the representations of an explanation by MIME type."""
    return parts.bundle(list(_parts(diff)), style() + style("cache"), "cache")


def _parts(diff: CacheDiff) -> Iterator[Part]:
    yield parts.head("Why the cache missed" if diff.lost_tokens else "Nothing was lost", [_model(diff)])
    shared = diff.prompt_tokens if diff.token is None else diff.token
    yield meter(shared / diff.prompt_tokens if diff.prompt_tokens else 0.0)
    line = parts.figures(_figures(diff, shared), 0)
    if line is not None:
        yield line
    yield _sentence(diff)
    if diff.change is not None and diff.change.pieces:
        yield _drawn(diff.change)
    if diff.advice and diff.lost_tokens:
        yield said(diff.advice)
    if diff.lost_tokens:
        try:
            yield table(["lost", "off-peak", "", "at peak", ""], list(_money(diff)))
        except ConfigurationError:
            yield parts.note("No price is known for this model at that time.")
    if diff.suggestion is not None:
        saved = diff.suggestion
        money = f", {dollars(saved.saved.usd)} a call" if saved.saved.usd is not None else ""
        yield said(f"{saved.words}: {saved.saved_tokens:,} more tokens would come from the cache{money}.")


def _model(diff: CacheDiff) -> str:
    return text.line(str(diff.after.frame.body["model"]))


def _figures(diff: CacheDiff, shared: int) -> Iterator[tuple[str, str]]:
    yield "prompt", f"{diff.prompt_tokens:,}"
    yield "in common", f"{shared:,}"
    yield "from the cache", f"{diff.cache_hit_tokens:,}"
    yield "lost", f"{diff.lost_tokens:,}"


def _sentence(diff: CacheDiff) -> Part:
    why = f"{diff.why[:1].upper()}{diff.why[1:]}"
    if diff.token is None:
        return said(f"{why}.")
    place, words = text.line(diff.where), f"token {diff.token:,}, character {diff.character:,}"
    return Part(
        f'<p class="dsnb-said"><b>{text.html(why)}</b> in <code>{text.html_code(place)}</code>, from {words} on.</p>',
        f"**{text.markdown(why)}** in {text.markdown_code(place)}, from {words} on.",
        f"{why} in {place}, from {words} on.",
    )


def _drawn(change: Change) -> Part:
    marks = {" ": ("<i>", "</i>"), "-": ("<del>", "</del>"), "+": ("<ins>", "</ins>")}
    before, after = ("…" if cut else "" for cut in change.cut)
    html = "".join(f"{marks[what][0]}{text.html_code(words)}{marks[what][1]}" for what, words in change.pieces)
    typed = {" ": "{}", "-": "[-{}-]", "+": "{{+{}+}}"}
    plain = "".join(typed[what].format(text.legible(words)) for what, words in change.pieces)
    told = f"{before}{plain}{after}"
    return Part(
        f'<div class="dsnb-change"><pre>{before}{html}{after}</pre></div>',
        text.markdown_code(told),
        parts.indented(told),
    )


def _money(diff: CacheDiff) -> Iterator[list[str]]:
    def both(cost: Cost) -> list[str]:
        return [dollars(cost.usd), yuan(cost.cny)]

    once = [diff.off_peak_lost, diff.peak_lost]
    many = [diff.lost_per_thousand, diff.lost_per_thousand_at_peak]
    yield ["a call", *both(once[0]), *both(once[1])]
    yield ["1,000 calls", *both(many[0]), *both(many[1])]
