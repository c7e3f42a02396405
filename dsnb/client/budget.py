"""A limit of money or tokens: looked at before anything is sent, and kept with what each request really took."""

from __future__ import annotations

import re
import threading
from decimal import Decimal, InvalidOperation
from typing import Final

from dsnb.client.exchange import Exchange
from dsnb.client.records import Attempt, Turn
from dsnb.client.reply import Reply
from dsnb.contract import Contract, cost
from dsnb.contract.tokens import count, prompt_tokens
from dsnb.errors import BudgetSpent, ConfigurationError, DsnbError

_UNITS: Final = {
    "usd": "USD",
    "$": "USD",
    "cny": "CNY",
    "¥": "CNY",
    "rmb": "CNY",
    "tokens": "tokens",
    "token": "tokens",
}
_WRITTEN: Final = re.compile(r"\s*([$¥]?)\s*([0-9][0-9_,]*(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")
_OUTPUT: Final = 1000  # tokens that a reply is taken to have, until there are replies to take the mean of


class Budget:
    """Stop asking before a limit is passed.

    ``limit`` is an amount of USD (a number), or says its unit: ``"0.50 USD"``, ``"$0.50"``, ``"3 CNY"``,
    ``"200000 tokens"``. Before each request its prompt is counted and the mean of the outputs so far added; with what
    is spent and what is under way, that must stay within the limit, else BudgetSpent is raised and nothing is sent.
    A reply may be longer than the mean, so the last requests can pass the limit by a little. A request whose usage
    never came is counted as estimated.

    Raises ConfigurationError for what is no limit.
    """

    def __init__(self, limit: float | Decimal | str) -> None:
        self.limit, self.unit = _read(limit)
        self.spent = Decimal(0)
        self._under_way: dict[str, Decimal] = {}
        self._outputs = self._replies = 0
        self._lock = threading.Lock()

    @property
    def left(self) -> Decimal:
        """What may still be spent, requests under way not counted."""
        return max(self.limit - self.spent, Decimal(0))

    def check(self, turn: str, exchange: Exchange, contract: Contract) -> None:
        """Set aside what a request will take; raise BudgetSpent where that is more than there is left."""
        mean = self._outputs // self._replies if self._replies else _OUTPUT
        asked = exchange.request.body.get("max_tokens")
        output = min(mean, asked) if isinstance(asked, int) else mean
        estimate = self._amount(exchange, contract, _prompt(exchange, contract), output)
        with self._lock:
            taken = self.spent + sum(self._under_way.values())
            if taken + estimate > self.limit:
                raise BudgetSpent(
                    f"The budget of {_said(self.limit, self.unit)} leaves {_said(self.left, self.unit)}, and this "
                    f"request would take about {_said(estimate, self.unit)}: it was not sent. "
                    "Give more with connect(budget=...), or ask for less."
                )
            self._under_way[turn] = estimate

    def began(self, turn: Turn) -> None:
        """Note nothing: what counts are the requests."""

    def attempted(self, attempt: Attempt) -> None:
        """Note what a request took; where nobody told, what was set aside for it, or the mean where nothing was."""
        with self._lock:
            mean = self.spent / self._replies if self._replies else Decimal(0)
            estimate = self._under_way.pop(attempt.turn.id, mean)
            self.spent += self._taken(attempt, estimate)
            usage = attempt.reply.usage
            if usage is not None and usage.completion_tokens is not None:
                self._outputs += usage.completion_tokens
                self._replies += 1

    def ended(self, turn: Turn, reply: Reply, error: DsnbError | None) -> None:
        """Give back what was set aside and never sent."""
        with self._lock:
            self._under_way.pop(turn.id, None)

    def _taken(self, attempt: Attempt, estimate: Decimal) -> Decimal:
        reply = attempt.reply
        if attempt.status is None or attempt.status >= 400:  # an error answer costs nothing
            return Decimal(0)
        if reply.usage is None:
            return estimate
        if self.unit == "tokens":
            return Decimal(reply.usage.total_tokens or 0)
        amount = None if reply.cost is None else reply.cost.usd if self.unit == "USD" else reply.cost.cny
        return estimate if amount is None else amount

    def _amount(self, exchange: Exchange, contract: Contract, prompt: int, output: int) -> Decimal:
        if self.unit == "tokens":
            return Decimal(prompt + output)
        provider = exchange.endpoint.provider
        if provider.contract:
            price = contract.price(str(exchange.request.body.get("model")))
            charged = cost(0, prompt, output, price)
            amount = charged.usd if self.unit == "USD" else charged.cny
            if amount is not None:
                return amount
        raise BudgetSpent(
            f"The budget is in {self.unit}, and nobody here knows what {provider.name} charges. "
            'Give it in tokens: connect(budget="200000 tokens").'
        )

    def __repr__(self) -> str:
        return f"<Budget {_said(self.spent, self.unit)} of {_said(self.limit, self.unit)} spent>"


def _prompt(exchange: Exchange, contract: Contract) -> int:
    body = exchange.request.body
    if exchange.endpoint.provider.contract and "messages" in body:
        return prompt_tokens(body, contract.model(str(body.get("model"))))
    return count(str(body.get("messages", ""))) + count(exchange.request.start) + count(exchange.request.suffix)


def _read(limit: float | Decimal | str) -> tuple[Decimal, str]:
    found = _WRITTEN.fullmatch(str(limit)) if not isinstance(limit, bool) else None
    unit = _UNITS.get((found[1] or found[3] or "usd").lower()) if found and not (found[1] and found[3]) else None
    try:
        amount = Decimal(re.sub("[_,]", "", found[2])) if found else Decimal(0)
    except InvalidOperation:
        amount = Decimal(0)
    if unit is None or not amount:
        raise ConfigurationError(
            f"budget={limit!r} is no limit: give an amount of USD such as 0.50, or one with its unit, such as "
            '"3 CNY" or "200000 tokens".'
        )
    return amount, unit


def _said(amount: Decimal, unit: str) -> str:
    return f"{amount:,.0f} tokens" if unit == "tokens" else f"{amount:.4f} {unit}"
