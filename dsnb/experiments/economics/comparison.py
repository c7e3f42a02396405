"""A long context against retrieval: what so many questions about one document cost either way, and from when on which.

Long context: every prompt is the document and then a question. The first question pays for all of it; later ones find
the document's whole cache units in the cache. Retrieval: every prompt is the passages found for a question and then
the question; passages differ from question to question, so all of it counts as missed.

By the contract's rule of whole units (V4 and later) a prompt leaves a unit where it ends, rounded down. The document is
hit from the second question on if that end lies inside it: if the question is shorter than what the document lacks to
its next unit. Otherwise the guide's other rule must help, by which a prefix that several requests share becomes a unit
of its own, so that the third question hits. That rule stands in the guide only (kv_cache, 2026); no recording shows it.
Who would not rely on it sends the document alone before the questions: that prompt ends where the document does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, Decimal, localcontext
from fractions import Fraction
from operator import index
from typing import TYPE_CHECKING, Any, Final

from dsnb.contract import CacheRule, Price, Rates, cost
from dsnb.contract import at as contract_at
from dsnb.errors import ConfigurationError
from dsnb.experiments.economics.money import amount
from dsnb.usage.totals import counted, known_currency

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_MILLIONTH: Final = Decimal("0.000001")
_ANSWER_HEAD: Final = 2  # tokens behind a question, which end a prompt: the assistant's and a think tag (recorded)
_DIGITS: Final = 60  # a million questions on a million tokens at a share of 17 digits need about 40


@dataclass(frozen=True, slots=True)
class Bill:
    """Hold what all questions cost one way: expected tokens (exact, as Decimals), and money in the currency asked for.

    ``embedding`` is the part of ``cost`` that somebody else charges.
    """

    name: str
    cache_hit_tokens: Decimal
    cache_miss_tokens: Decimal
    completion_tokens: Decimal
    embedding: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Hold where both ways cost the same, all else being as it is.

    ``questions``: from how many on the long context costs no more, None for never. ``retrieved``: from how many tokens
    of passages a question on it costs no more. ``document``: up to which size it costs no more, at most the context
    window. ``warm``: from which share of warm later questions on, rounded up to a millionth; None if no share will do.
    """

    questions: int | None
    retrieved: int
    document: int
    warm: Decimal | None


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """Hold a comparison of long context and retrieval; `compare` makes it, and says what its fields mean.

    ``cold`` is how many questions pay for the whole document before the first can hit it.
    """

    document: int
    retrieved: int
    questions: int
    question: int
    answer: int
    warm: Fraction
    embedding: Fraction
    model: str
    window: int
    price: Price
    rule: CacheRule
    currency: str

    @property
    def cold(self) -> int:
        """Return after how many questions the document can be hit, by the contract's rule or else by the guide's."""
        inside = self.document % self.rule.unit + self.question < self.rule.unit
        return 1 if inside or not self.rule.whole_units_at_ends else 2

    @property
    def cached(self) -> int:
        """Return how many of the document's tokens a later question finds in the cache: its whole units."""
        units = self.document // self.rule.unit * self.rule.unit
        return units if units >= self.rule.minimum else 0

    @property
    def long_context(self) -> Bill:
        """Return what all questions cost with the whole document in each prompt."""
        hit = max(self.questions - self.cold, 0) * self.warm * self.cached
        return self._bill("long context", hit, self.questions * (self.document + self.question) - hit, Fraction(0))

    @property
    def warmed(self) -> Bill:
        """Return what all questions cost if the document is sent alone before them, for one token of a reply."""
        hit = self.questions * self.warm * self.cached
        miss = self.document + self.questions * (self.document + self.question) - hit
        return self._bill("long context, warmed", hit, miss, Fraction(0), more=1)

    @property
    def retrieval(self) -> Bill:
        """Return what all questions cost with the passages found for each in its prompt."""
        embedded = self.document + self.questions * self.question
        prompts = Fraction(self.questions * (self.retrieved + self.question))
        return self._bill("retrieval", Fraction(0), prompts, self.embedding * embedded / 1_000_000)

    @property
    def break_even(self) -> BreakEven:
        """Return where both ways cost the same, in closed form."""
        hit, miss = (Fraction(rate) for rate in (self._rates.hit, self._rates.miss))
        saved = miss - hit  # by one token found in the cache
        embed = self.embedding
        warmed = max(self.questions - self.cold, 0) * self.cached * saved
        without = self.questions * miss * self.document - embed * (self.document + self.questions * self.question)
        passages = self.questions * miss * self.retrieved  # retrieval costs these, and what `without` has taken off
        need = math.ceil((without - self.warm * warmed) / (self.questions * miss))
        share = max(without - passages, Fraction(0)) / warmed if warmed else None
        if without <= passages:  # even a cache that is always cold will do
            share = Fraction(0)
        return BreakEven(
            questions=self._from_question(miss, self.warm * self.cached * saved),
            retrieved=max(need, 0),
            document=max(self._up_to(cold, miss, saved) for cold in (1, 2)),
            warm=None if share is None or share > 1 else _rounded_up(share),
        )

    @property
    def finding(self) -> str:
        """Return the outcome in one sentence."""
        long, found, even = self.long_context.cost, self.retrieval.cost, self.break_even
        asked = f"{counted(self.questions, 'question')} on {self.document:,} tokens"
        costs = (
            f"{asked} {'costs' if self.questions == 1 else 'cost'} {amount(long, self.currency)} "
            f"with the whole document in the context and {amount(found, self.currency)} with "
            f"{self.retrieved:,} tokens retrieved for each"
        )
        if even.questions is not None and even.questions <= 1:
            turn = "the long context is the cheaper from the first question on"
        elif even.questions is not None:
            turn = f"the long context is the cheaper from question {even.questions:,} on"
        elif long <= found:
            turn = "the long context is the cheaper as yet, but costs more with each further question"
        else:
            turn = "retrieval is the cheaper however many questions there are"
        return f"{costs}: {turn}."

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what the figures rest on that is not certain, and what could be done about it."""
        return tuple(self._notes())

    def frame(self) -> pd.DataFrame:
        """Return one row for each number of questions so far: ``long_context`` and ``retrieval`` cost, as floats."""
        import numpy as np
        import pandas as pd

        asked = np.arange(1, self.questions + 1)
        long, found = self._lines(asked)
        cheaper = pd.array(np.where(long <= found, "long context", "retrieval"), dtype="string")
        return pd.DataFrame({"questions": asked, "long_context": long, "retrieval": found, "cheaper": cheaper})

    def plot(self) -> Figure:
        """Draw the cost as the questions come, and which sizes break even; return the matplotlib Figure."""
        from dsnb.experiments.economics.comparison_figure import draw

        return draw(self)

    def __repr__(self) -> str:
        even = self.break_even.questions
        turn = "no break-even" if even is None else f"break-even at question {even:,}"
        both = (f"{bill.name} {amount(bill.cost, self.currency)}" for bill in (self.long_context, self.retrieval))
        return (
            f"<Comparison {counted(self.questions, 'question')} on {self.document:,} tokens: {', '.join(both)}, {turn}>"
        )

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from dsnb.experiments.economics.cards import comparison

        return comparison(self)

    @property
    def _rates(self) -> Rates:
        rates: Rates = getattr(self.price, self.currency.lower())  # `compare` has seen to it that it is known
        return rates

    def _bill(self, name: str, hit: Fraction, miss: Fraction, embedding: Fraction, *, more: int = 0) -> Bill:
        output = self.questions * self.answer + more
        with localcontext(prec=_DIGITS):
            found, missed = (Decimal(part.numerator) / part.denominator for part in (hit, miss))
            charged = cost(found, missed, output, self.price)
            extra = Decimal(embedding.numerator) / embedding.denominator
            total = getattr(charged, self.currency.lower()) + extra
        return Bill(name, found, missed, Decimal(output), extra, total)

    def _lines(self, asked: Any) -> tuple[Any, Any]:
        """Return both costs, as floats, after each of these numbers of questions."""
        hit, miss, output = (float(rate) / 1e6 for rate in (self._rates.hit, self._rates.miss, self._rates.output))
        warmed = (asked - self.cold).clip(0) * float(self.warm) * self.cached
        answers, embed = asked * self.answer * output, float(self.embedding) / 1e6
        long = asked * (self.document + self.question) * miss - warmed * (miss - hit) + answers
        prompts = asked * (self.retrieved + self.question) * miss
        return long, prompts + answers + embed * (self.document + asked * self.question)

    def _from_question(self, miss: Fraction, saved: Fraction) -> int | None:
        """Return from how many questions on the long context costs no more; a later one saves ``saved``."""
        start = self.cold * saved - self.embedding * self.document  # what both ways cost once
        gain = (
            miss * (self.retrieved - self.document) + self.embedding * self.question + saved
        )  # and with each question
        if gain < 0 or (gain == 0 and start > 0):
            return None
        even = max(self.cold, math.ceil(start / gain) if gain else 0)
        # before the document is warm, a question saves nothing
        while even > 1 and min(even - 1, self.cold) * saved <= (even - 1) * gain + self.embedding * self.document:
            even -= 1
        return even

    def _up_to(self, cold: int, miss: Fraction, saved: Fraction) -> int:
        """Return the largest document with which the long context costs no more, of those with so many cold questions.

        A document is units and a rest, at ``unit`` for each unit and at ``token`` for each token of the rest.
        """
        size = self.rule.unit
        split = max(size - self.question, 0) if self.rule.whole_units_at_ends else size  # rests below it leave a unit
        first, last = (0, split - 1) if cold == 1 else (split, size - 1)
        limit = self.window - self.question
        token = self.questions * miss - self.embedding
        unit = size * (token - max(self.questions - cold, 0) * self.warm * saved)
        budget = self.questions * (miss * self.retrieved + self.embedding * self.question)
        most = limit // size
        if unit > 0:
            most = min(most, math.floor((budget - first * token) / unit))
        for units in (most, most - 1):  # the window may end within a unit
            rest = min(last, limit - units * size)
            if token > 0:
                rest = min(rest, math.floor((budget - units * unit) / token))
            if units >= 0 and rest >= first:
                return units * size + rest
        return 0

    def _notes(self) -> Iterator[str]:
        unit, rest = self.rule.unit, self.document % self.rule.unit
        if self.rule.confidence == "L":
            yield f"The cache unit of {unit} tokens is assumed for this model: {self.rule.source}."
        if self.cold > 1:
            yield (
                f"A question of {self.question} tokens ends its cache unit behind the document, so two questions pay "
                f"for all of it, and the third hits by the guide's word alone. A first question below {unit - rest} "
                "tokens warms the document at once."
            )
            if rest + _ANSWER_HEAD < unit:
                yield (
                    "Sent alone before the questions, with max_tokens=1, the document is hit from the first on, by the "
                    f"rule that recordings show: {amount(self.warmed.cost, self.currency)} in all."
                )
        if self.warm == 1 and self.questions > self.cold:
            kept = self.rule.expiry_seconds / 3600
            yield f"Every later question comes while the cache is warm (it is kept for {kept:.0f} h or so)."
        if self.embedding:
            yield "The embedding price is yours; DeepSeek has no embeddings."


def compare(
    document: int,
    *,
    retrieved: int,
    questions: int,
    question: int = 40,
    answer: int = 500,
    warm: float | Decimal = 1,
    embedding: float | str | Decimal = 0,
    model: str = "deepseek-flash",
    at: datetime | date | str | None = None,
    peak: bool | None = None,
    currency: str = "USD",
) -> Comparison:
    """Compare asking about a whole document, from the cache, with retrieving passages of it for each question.

    All sizes are tokens. ``document`` is all that every prompt begins with, ``question`` what comes after it,
    ``answer`` what the model writes, reasoning included; these last two cost the same either way and move no
    break-even (but for what embedding a question costs). ``retrieved`` is how much your retriever puts into each
    prompt: passages × their size. ``warm`` is the share of the later questions that find the document still in the
    cache. ``embedding`` is your embedding model's price for 1,000,000 tokens, paid for the document once and for each
    question.

    Prices and cache rule are those of ``model`` at the instant ``at`` (default: now); ``peak`` true or false asks for
    the price of such hours instead of that instant's. Raises `ConfigurationError` for numbers that cannot be, and for
    a price that is not known in the currency; `UnknownModel` for a model that was not there.
    """
    contract = contract_at(datetime.now(UTC) if at is None else at)
    found = contract.model(model)
    price, currency = contract.price(found, peak=peak), known_currency(currency)
    if getattr(price, currency.lower()) is None:
        raise ConfigurationError(
            f"The price of {model} at that time is not known in {currency}: ask for the other currency."
        )
    sizes = {
        "document": document,
        "retrieved": retrieved,
        "questions": questions,
        "question": question,
        "answer": answer,
    }
    whole = {name: _whole(name, value, 1 if name in ("document", "questions") else 0) for name, value in sizes.items()}
    longest = max(whole["document"], whole["retrieved"]) + whole["question"]
    if longest > found.context_window:
        message = f"A prompt of {longest:,} tokens does not fit into {model}'s context of {found.context_window:,}."
        raise ConfigurationError(message)
    share, paid = _exact("warm", warm), _exact("embedding", embedding)
    if not 0 <= share <= 1:
        raise ConfigurationError(f"warm is a share of the later questions, between 0 and 1, not {warm}.")
    if paid < 0:
        raise ConfigurationError(f"embedding is a price for 1,000,000 tokens, at least 0, not {embedding}.")
    return Comparison(
        **whole,
        warm=share,
        embedding=paid,
        model=model,
        window=found.context_window,
        price=price,
        rule=found.generation.cache,
        currency=currency,
    )


def _whole(name: str, value: object, least: int) -> int:
    try:
        number = index(value)  # type: ignore[arg-type] # which is what it finds out
    except TypeError:
        raise ConfigurationError(f"{name} is a whole number, not {value!r}.") from None
    if number < least:
        raise ConfigurationError(f"{name} is at least {least}, not {number}.")
    return number


def _exact(name: str, value: object) -> Fraction:
    """Return a number as it is written: 0.1 is a tenth."""
    try:
        return Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise ConfigurationError(f"{name} is a number, not {value!r}.") from None


def _rounded_up(share: Fraction) -> Decimal:
    with localcontext(prec=_DIGITS):
        return (Decimal(share.numerator) / share.denominator).quantize(_MILLIONTH, ROUND_CEILING)
