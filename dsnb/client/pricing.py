"""What a reply cost, by the contract of the moment at which it was made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from dsnb.client.reply import Reply
from dsnb.contract import Contract, Cost, at, cost
from dsnb.errors import DsnbError


def price_of(contract: Contract) -> Callable[[Reply], Cost | None]:
    """Return a function from a reply to its cost, None where it is not known.

    The reply's own ``created`` decides which price held; ``contract`` stands in where the reply does not tell.
    """

    def pricing(reply: Reply) -> Cost | None:
        usage = reply.usage
        if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
            return None
        try:
            then = at(datetime.fromtimestamp(reply.created, UTC)) if reply.created else contract
            price = then.price(reply.model or reply.asked_model)
        except (DsnbError, ValueError, OverflowError, OSError):
            return None
        hit = usage.cache_hit_tokens or 0  # not told: the dearer reading
        return cost(hit, usage.prompt_tokens - hit, usage.completion_tokens, price)

    return pricing
