"""What the same work costs now and off-peak, and when the next off-peak hours begin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from dsnb.client.reply import Reply
from dsnb.contract import Contract, Cost, Model, cost
from dsnb.contract import at as contract_at
from dsnb.contract.calendar import BEIJING, utc
from dsnb.contract.data import read
from dsnb.errors import ConfigurationError, RetiredModel, UnknownModel
from dsnb.experiments.economics.money import amount
from dsnb.usage import UsageLog
from dsnb.usage.totals import counted, known_currency

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_TOKENS: Final = ("prompt_tokens", "cache_hit_tokens", "completion_tokens")
_KINDS: Final = "a UsageLog, its frame, a Reply, or the tokens of input from the cache, other input, and output"


@dataclass(frozen=True, slots=True)
class Work:
    """Hold the tokens that one model has to read and write, and their price in three hours."""

    model: str
    cache_hit_tokens: int
    cache_miss_tokens: int
    completion_tokens: int
    now: Cost
    off_peak: Cost
    peak: Cost


@dataclass(frozen=True, slots=True, repr=False)
class OffPeak:
    """Hold the price of some work by the hour; `off_peak` makes it.

    ``at`` is now; off-peak hours begin at ``begins`` (``at`` itself when it is off-peak) and end at ``ends``, None
    where there is one price all day. All are UTC.
    """

    work: tuple[Work, ...]
    at: datetime
    is_peak: bool
    begins: datetime
    ends: datetime | None
    currency: str
    notes: tuple[str, ...]

    @property
    def now(self) -> Cost:
        """Return what the work costs at ``at``."""
        return _sum(part.now for part in self.work)

    @property
    def off_peak(self) -> Cost:
        """Return what it costs in the off-peak hours that begin at ``begins``."""
        return _sum(part.off_peak for part in self.work)

    @property
    def peak(self) -> Cost:
        """Return what it costs in a peak hour, by the prices of ``at``."""
        return _sum(part.peak for part in self.work)

    @property
    def saving(self) -> Decimal:
        """Return what it saves to wait until ``begins``, in the currency asked for."""
        return self._money(self.now) - self._money(self.off_peak)

    @property
    def finding(self) -> str:
        """Return the outcome in one sentence."""
        now, dear = (amount(self._money(cost), self.currency) for cost in (self.now, self.peak))
        if self.is_peak:
            begins = f"off-peak hours begin at {_told(self.begins)}, in {_lasting(self.begins - self.at)}"
            share = self.saving / self._money(self.now) if self.now.usd else Decimal(0)
            saved = f"saves {amount(self.saving, self.currency)} ({share:.0%})"
            return f"It is peak now, and this costs {now}; {begins}, and to wait for them {saved}."
        if self.ends is None:
            return f"This costs {now} at any hour: there is one price all day."
        return f"It is off-peak until {_told(self.ends)}: this costs {now} until then, and {dear} in peak hours."

    def frame(self) -> pd.DataFrame:
        """Return one row a model: its tokens, and what they cost ``now``, ``off_peak`` and at ``peak``, as floats."""
        import pandas as pd

        return pd.DataFrame(map(self._row, self.work))

    def plot(self, days: int = 14) -> Figure:
        """Draw the peak hours of the days ahead; return the matplotlib Figure."""
        from dsnb.experiments.economics.peak_figure import draw

        return draw(self, days)

    def __repr__(self) -> str:
        now, later, dear = (amount(self._money(cost), self.currency) for cost in (self.now, self.off_peak, self.peak))
        return f"<OffPeak {self.at:%Y-%m-%d %H:%M} UTC: {now} now, {later} off-peak, {dear} at peak>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from dsnb.experiments.economics.cards import off_peak

        return off_peak(self)

    def _money(self, cost: Cost) -> Decimal:
        money: Decimal = getattr(cost, self.currency.lower())  # `off_peak` has seen to it that it is known
        return money

    def _row(self, part: Work) -> dict[str, Any]:
        tokens = {name: getattr(part, name) for name in ("cache_hit_tokens", "cache_miss_tokens", "completion_tokens")}
        hours = {hour: float(self._money(getattr(part, hour))) for hour in ("now", "off_peak", "peak")}
        return {"model": part.model, **tokens, **hours}


def off_peak(
    work: UsageLog | pd.DataFrame | Reply | tuple[int, int, int],
    *,
    model: str = "deepseek-flash",
    at: datetime | date | str | None = None,
    currency: str = "USD",
) -> OffPeak:
    """Price some work at an instant (default: now) and in the next off-peak hours, and say when those begin.

    ``work`` is a UsageLog (all its attempts), a frame of one (any rows of it), a Reply, or three numbers of tokens:
    input from the cache, other input, output; for these ``model`` names who is to do it. Calls of a model that has been
    switched off are priced as its successor's. Notes say what could not be priced.

    Raises `ConfigurationError` for anything else, for live and emulated calls together, and for a price that is not
    known in the currency.
    """
    now, currency = utc(datetime.now(UTC) if at is None else at), known_currency(currency)
    contract = contract_at(now)
    is_peak = contract.calendar.is_peak(now)
    change = contract.calendar.next_change(now)
    begins, ends = now, change[0] if change else None
    if is_peak and change:
        begins, after = change[0], contract.calendar.next_change(change[0])
        ends = after[0] if after else None
    notes: list[str] = []
    later = contract_at(begins)
    parts = [
        Work(
            found.name,
            hit,
            miss,
            output,
            cost(hit, miss, output, contract.price(found)),
            cost(hit, miss, output, later.price(found.name, peak=False)),
            cost(hit, miss, output, contract.price(found, peak=True)),
        )
        for found, (hit, miss, output) in _served(_tokens(work, model, notes), contract, notes).items()
    ]
    for part in parts:
        if getattr(part.now, currency.lower()) is None or getattr(part.off_peak, currency.lower()) is None:
            raise ConfigurationError(
                f"The price of {part.model} is not known in {currency}: ask for the other currency."
            )
    if not any(part.peak.price and part.peak.price.peak for part in parts):
        ends = None
    if ends and (unsure := _unsure(now, ends)):
        notes.append(unsure)
    return OffPeak(tuple(parts), now, is_peak, begins, ends, currency, tuple(notes))


def _tokens(work: Any, model: str, notes: list[str]) -> dict[str, tuple[int, int, int]]:
    """Return the tokens of some work by model: from the cache, other input, output."""
    if isinstance(work, Reply):
        usage = work.usage
        if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
            raise ConfigurationError("How many tokens this reply took is not known: there is nothing to price.")
        hit = usage.cache_hit_tokens or 0  # not told: the dearer reading
        return {work.model or work.asked_model or model: (hit, usage.prompt_tokens - hit, usage.completion_tokens)}
    if isinstance(work, UsageLog):
        return _of_frame(work.frame("attempts"), notes)
    if hasattr(work, "columns"):
        return _of_frame(work, notes)
    if isinstance(work, tuple | list) and len(work) == 3 and all(_is_count(number) for number in work):
        return {model: (work[0], work[1], work[2])}
    raise ConfigurationError(f"Work is {_KINDS}, not {work!r:.80}.")


def _of_frame(frame: pd.DataFrame, notes: list[str]) -> dict[str, tuple[int, int, int]]:
    missing = [name for name in (*_TOKENS, "source", "asked_model", "model", "unknown") if name not in frame.columns]
    if missing:
        raise ConfigurationError(
            f"A frame of work has the columns of a UsageLog's; this one lacks {', '.join(missing)}."
        )
    if len(sources := sorted(frame["source"].dropna().unique())) > 1:
        message = f"This work holds calls of {' and '.join(sources)}, which are never added up: choose by frame.source."
        raise ConfigurationError(message)
    known = frame[frame["prompt_tokens"].notna() & frame["completion_tokens"].notna()]
    if left_out := int(frame["unknown"].sum()):  # a refused attempt has no tokens either, but takes none
        notes.append(f"The tokens of {counted(left_out, 'attempt')} are not known, and not in these sums.")
    names = known["model"].fillna(known["asked_model"])
    tokens = {}
    for name, rows in known.groupby(names):
        prompt, hit, output = (int(rows[column].fillna(0).sum()) for column in _TOKENS)
        tokens[str(name)] = (hit, prompt - hit, output)
    return tokens


def _served(
    tokens: Mapping[str, tuple[int, int, int]], contract: Contract, notes: list[str]
) -> dict[Model, tuple[int, int, int]]:
    """Return the tokens by the model that would serve them at the contract's instant."""
    served: dict[Model, tuple[int, int, int]] = {}
    for name, some in tokens.items():
        try:
            found = contract.model(name)
        except RetiredModel as retired:
            found = contract.model(retired.replacement)
            notes.append(f"{name} has been switched off: its tokens are priced as {found.name}'s.")
        except UnknownModel:
            if len(tokens) == 1:
                raise
            notes.append(f"{name} is no model of that time: its tokens are not in these sums.")
            continue
        hit, miss, output = (sum(pair) for pair in zip(served.get(found, (0, 0, 0)), some, strict=True))
        served[found] = hit, miss, output
    return served


def _unsure(now: datetime, ends: datetime) -> str:
    """Return what to say where holidays in reach rest on weak evidence."""
    years = {now.astimezone(BEIJING).year, ends.astimezone(BEIJING).year}
    weak = [row for row in read("calendar.toml")["holiday"] if row["first"].year in years and row["confidence"] != "H"]
    return f"Holidays of {weak[0]['first'].year} are not certain: {weak[0]['source']}." if weak else ""


def _is_count(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def _sum(costs: Iterator[Cost]) -> Cost:
    return sum(costs, Cost(Decimal(0), Decimal(0)))


def _told(instant: datetime) -> str:
    return f"{instant:%a %Y-%m-%d %H:%M} UTC ({instant.astimezone(BEIJING):%a %H:%M} in Beijing)"


def _lasting(time: timedelta) -> str:
    hours, minutes = divmod(round(time.total_seconds() / 60), 60)
    return " ".join(filter(None, [f"{hours} h" if hours else "", f"{minutes} min" if minutes or not hours else ""]))
