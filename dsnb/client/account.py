"""The free calls about an account: its balance, and the models that it can ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from dsnb.client.transport import Transport
from dsnb.errors import MalformedReply


@dataclass(frozen=True, slots=True)
class Balance:
    """Hold what is left in an account, by currency (``USD``, ``CNY``).

    ``total`` is granted plus topped-up money; granted money is spent first (pricing page).
    """

    is_available: bool
    total: Mapping[str, Decimal]
    granted: Mapping[str, Decimal]
    topped_up: Mapping[str, Decimal]

    def __repr__(self) -> str:
        amounts = ", ".join(f"{amount:.2f} {currency}" for currency, amount in self.total.items()) or "nothing"
        return f"<Balance {amounts}{'' if self.is_available else ' · not available for calls'}>"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Describe a model as the endpoint lists it; ``details`` is the whole row."""

    id: str
    owned_by: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict, repr=False)


def balance(transport: Transport) -> Balance:
    """Return the account's balance; raise MalformedReply for an answer of another shape."""
    answer = transport.get("/user/balance")
    try:
        rows = answer["balance_infos"]
        amounts = {
            kind: {row["currency"]: Decimal(row[f"{kind}_balance"]) for row in rows}
            for kind in ("total", "granted", "topped_up")
        }
        return Balance(bool(answer["is_available"]), amounts["total"], amounts["granted"], amounts["topped_up"])
    except (KeyError, TypeError, InvalidOperation):
        pass
    raise MalformedReply("The endpoint's /user/balance has another shape than DeepSeek's; only DeepSeek has that call.")


def models(transport: Transport) -> tuple[ModelCard, ...]:
    """Return the endpoint's models in its own order; raise MalformedReply for an answer of another shape."""
    answer = transport.get("/models")
    try:
        return tuple(ModelCard(str(row["id"]), row.get("owned_by"), row) for row in answer["data"])
    except (KeyError, TypeError, AttributeError):
        pass
    raise MalformedReply("The endpoint's /models is not a list of models.")
