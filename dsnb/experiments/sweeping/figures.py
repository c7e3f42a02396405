"""What a cell came to, as a row: what the function returned, the figures of its replies, what it took in all."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from dsnb.client.records import Attempt, Turn
from dsnb.client.reply import Reply
from dsnb.client.usage import Usage
from dsnb.contract import Cost
from dsnb.errors import ConfigurationError, DsnbError

TOKENS: Final = (
    *("prompt_tokens", "completion_tokens", "total_tokens"),
    *("cache_hit_tokens", "cache_miss_tokens", "reasoning_tokens"),
)
MONEY: Final = ("cost_usd", "cost_cny")
SECONDS: Final = ("queued", "first_token", "first_answer", "total")
SERVED: Final = ("asked_model", "served_model", "fingerprint", "served_by", "price_period", "peak", "response_id")
TEXTS: Final = ("answer", "reasoning")
SPENT: Final = ("turns", "attempts", "unpriced", "spent_usd", "spent_cny")
COLUMNS: Final = ("outcome", "finish_reason", *TEXTS, *TOKENS, *MONEY, *SECONDS, *SERVED, *SPENT)


class Heard:
    """Listen to the turns of one cell, as a sink: ``told`` is all of it in order, ready to be told again."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def began(self, turn: Turn) -> None:
        """Note a turn that is about to be sent."""
        self.told.append(("began", turn))

    def attempted(self, attempt: Attempt) -> None:
        """Note an attempt that has ended."""
        self.told.append(("attempted", attempt))

    def ended(self, turn: Turn, reply: Reply, error: DsnbError | None) -> None:
        """Note how a turn ended."""
        self.told.append(("ended", turn, reply, error))

    @property
    def attempts(self) -> list[Attempt]:
        """The requests that were sent."""
        return [arguments[0] for kind, *arguments in self.told if kind == "attempted"]

    @property
    def last(self) -> Reply | None:
        """What the last turn came to."""
        return next((arguments[1] for kind, *arguments in reversed(self.told) if kind == "ended"), None)

    def spent(self) -> dict[str, Any]:
        """Return what all requests of the cell took, as columns; ``unpriced`` counts those of unknown cost."""
        billable = [attempt.reply.cost for attempt in self.attempts if (attempt.status or 0) < 400]
        usd = [cost.usd for cost in billable if cost is not None and cost.usd is not None]
        cny = [cost.cny for cost in billable if cost is not None and cost.cny is not None]
        return {
            "turns": sum(kind == "began" for kind, *_ in self.told),
            "attempts": len(self.attempts),
            "unpriced": len(billable) - len(usd),
            "spent_usd": f"{sum(usd, Decimal(0)):f}",  # as text, since this is added up exactly
            "spent_cny": f"{sum(cny, Decimal(0)):f}",
        }


def row(returned: object, heard: Heard, *, texts: bool, taken: Collection[str]) -> dict[str, Any]:
    """Return the row of a cell: values that JSON can hold, by column.

    A Reply gives its figures. Of a dict, what is no Reply is kept as it is (under ``result.NAME`` where a cell's value
    or a figure has that name); of several Replies in it, that of ``reply`` gives the plain columns, and the others
    have their name in front (``warm.prompt_tokens``). Where there is no Reply, the figures are those of the last turn
    that the function ran. Raises ConfigurationError for anything else.
    """
    if isinstance(returned, Reply):
        returned = {"reply": returned}
    if not isinstance(returned, Mapping):
        raise ConfigurationError(
            f"The function returned {type(returned).__name__}: let it return the Reply of ds.ask(...), or a dict with "
            'what is to be kept, such as {"reply": reply, "correct": True}.'
        )
    replies = {str(name): value for name, value in returned.items() if isinstance(value, Reply)}
    values = {str(name): value for name, value in returned.items() if not isinstance(value, Reply)}
    main = "reply" if "reply" in replies or len(replies) != 1 else next(iter(replies))
    kept = {**figures(replies.pop(main, heard.last), texts=texts)}
    for name, reply in replies.items():
        kept |= {f"{name}.{figure}": value for figure, value in figures(reply, texts=texts).items()}
    for name, value in values.items():
        kept[f"result.{name}" if name in taken or name in kept or name in COLUMNS else name] = value
    return kept


def figures(reply: Reply | None, *, texts: bool) -> dict[str, Any]:
    """Return the figures of a reply by column; what is not known is None."""
    if reply is None:
        return {}
    usage, cost, timing = reply.usage or Usage(), reply.cost or Cost(None, None), reply.timing
    kept: dict[str, Any] = {"outcome": reply.outcome, "finish_reason": reply.finish_reason}
    if texts:
        kept |= {"answer": reply.answer, "reasoning": reply.reasoning}
    kept |= {name: getattr(usage, name) for name in TOKENS}
    for name, amount in zip(MONEY, (cost.usd, cost.cny), strict=True):
        kept[name] = None if amount is None else float(amount)
    kept |= {name: getattr(timing, name) for name in SECONDS}
    return kept | {
        "asked_model": reply.asked_model,
        "served_model": reply.model,
        "fingerprint": reply.fingerprint,
        "served_by": reply.served_by,
        "price_period": cost.price.period if cost.price else None,
        "peak": cost.price.peak if cost.price else None,
        "response_id": reply.id,
    }


def written(row: Mapping[str, Any]) -> tuple[str, Sequence[str]]:
    """Return a row as JSON, and the names of values that it holds as text only, since JSON has no such thing."""
    changed: list[str] = []
    pieces = dict(_pieces(row, changed))
    return json.dumps(pieces), changed


def _pieces(row: Mapping[str, Any], changed: list[str]) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
            value = value.item()
        try:
            json.dumps(value)
        except (TypeError, ValueError, RecursionError):
            changed.append(name)
            yield name, repr(value)
        else:
            yield name, value
