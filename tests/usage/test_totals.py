import copy
from decimal import Decimal, localcontext
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsnb.client.records import Attempt
from dsnb.client.usage import Usage
from dsnb.contract import Cost
from dsnb.errors import ConnectionFailed, DsnbError
from dsnb.usage import UsageLog
from dsnb.usage.totals import LABELS, Amount
from tests.usage.calls import log_call, refusal, reply, turn


@pytest.fixture
def log():
    return UsageLog()


def test_sums_are_taken_over_attempts(log) -> None:
    begun = turn()
    log.began(begun)
    for number in (1, 2):
        log.attempted(Attempt(begun, number, begun.started, 200, reply(), None))
    log.ended(begun, reply(), None)
    log_call(log, refused=1)
    frame = log.summary("provider")
    assert len(frame) == 1
    row = frame.iloc[0].to_dict()
    assert row == {
        "source": "live",
        "provider": "deepseek",
        "turns": 2,
        "unfinished": 0,
        "attempts": 4,
        "unknown": 0,
        "unpriced": 0,
        "prompt_tokens": 3000,
        "completion_tokens": 600,
        "total_tokens": 3600,
        "cache_hit_tokens": 1536,
        "cache_miss_tokens": 1464,
        "reasoning_tokens": 450,
        "hit_rate": 0.512,
        "cost_usd": pytest.approx(3 * 0.000194736),
        "cost_cny": pytest.approx(3 * 0.00129824),
        "seconds": pytest.approx(3 * 4.125 + 0.05),
    }


def test_types_of_a_summary(log) -> None:
    empty = log.summary("thinking")
    log_call(log, thinking=True)
    frame = log.summary("thinking")
    assert frame.dtypes.astype(str).to_dict() == empty.dtypes.astype(str).to_dict()
    assert {str(frame.dtypes[name]) for name in ("turns", "attempts", "prompt_tokens")} == {"Int64"}
    assert {str(frame.dtypes[name]) for name in ("hit_rate", "cost_usd", "seconds")} == {"float64"}
    assert str(frame.dtypes["thinking"]) == "boolean"


def test_live_and_emulated_calls_are_never_added(log) -> None:
    log_call(log)
    assert log.cost() == Decimal("0.000194736")
    log_call(log, source="emulator", usage=Usage(2000, 400, 2400, 0, 2000, 0))
    assert log.summary("model")["source"].tolist() == ["emulator", "live"]
    assert log.summary("source")["turns"].tolist() == [1, 1]
    with pytest.raises(DsnbError, match=r"cost\(source='emulator'\) or cost\(source='live'\)"):
        log.cost()
    assert log.cost(source="live") == Decimal("0.000194736")
    assert log.cost(source="emulator") == 2000 * Decimal("0.15e-6") + 400 * Decimal("0.60e-6")
    with pytest.raises(DsnbError, match="'live' or 'emulator'"):
        log.cost(source="both")


def test_one_source_alone_may_be_asked_for_even_where_there_is_none(log) -> None:
    log_call(log)
    assert log.cost(source="emulator") == 0


def test_what_is_not_known_is_counted_and_not_added(log) -> None:
    log_call(log)
    log_call(log, usage=None)  # the stream was cut
    log_call(log, provider="other", served_by="other", cost=None)  # a host whose prices nobody knows
    begun = turn()
    log.began(begun)
    log.attempted(Attempt(begun, 1, begun.started, None, refusal(), ConnectionFailed("reset")))
    frame = log.summary("source")
    assert frame[["turns", "unfinished", "attempts", "unknown", "unpriced"]].to_numpy().tolist() == [[4, 1, 4, 2, 3]]
    assert frame["prompt_tokens"].tolist() == [2000]
    cost = log.cost()
    assert (cost, cost.attempts, cost.unknown) == (Decimal("0.000194736"), 4, 3)
    assert repr(cost) == "<$0.000194736 for 4 attempts, 3 of them unknown>"


def test_nothing_known_at_all_is_na(log) -> None:
    log_call(log, usage=None)
    frame = log.summary()
    assert frame[["prompt_tokens", "cache_hit_tokens", "hit_rate", "cost_usd", "cost_cny"]].isna().all(axis=None)


def test_the_hit_rate_is_that_of_the_prompts_whose_hits_are_known(log) -> None:
    log_call(log, usage=Usage(100, 10, 110, 50, 50))
    log_call(log, usage=Usage(900, 10, 910))
    assert log.summary("source")["hit_rate"].tolist() == [0.5]


def test_a_summary_by_several_labels(log) -> None:
    with log.run("a"):
        log_call(log, started=0.0)
        log_call(log, started=86_400.0, asked_model="deepseek-v4-pro")
    with log.run("b"):
        log_call(log, started=86_401.0)
    frame = log.summary(["run", "day"])
    assert frame[["run", "day", "turns"]].to_numpy().tolist() == [
        *(["a", "1970-01-01", 1], ["a", "1970-01-02", 1], ["b", "1970-01-02", 1])
    ]
    assert list(frame.columns[:3]) == ["source", "run", "day"]
    assert list(log.summary(("day", "source", "day")).columns[:3]) == ["source", "day", "turns"]


@pytest.mark.parametrize("label", LABELS)
def test_every_label_can_be_gone_by(log, label) -> None:
    log_call(log, refused=1)
    assert log.summary(label)["attempts"].sum() == 2


@pytest.mark.parametrize("by", ["price", "prompt_tokens", ["model", "; DROP TABLE turns"]])
def test_other_labels_are_refused_with_a_list(log, by) -> None:
    with pytest.raises(DsnbError, match="choose among run, notebook, provider"):
        log.summary(by)


@pytest.mark.parametrize("currency", ["EUR", "", None, 7])
def test_other_currencies_are_refused(log, currency) -> None:
    with pytest.raises(DsnbError, match="USD and CNY"):
        log.cost(currency)
    with pytest.raises(DsnbError, match="USD and CNY"):
        log.plot(currency)


def test_both_currencies(log) -> None:
    log_call(log)
    assert log.cost("cny") == Decimal("0.00129824")
    assert repr(log.cost("CNY")) == "<¥0.00129824 for 1 attempt>"


money = st.decimals(0, 10**6, allow_nan=False, allow_infinity=False, places=12)


@given(st.lists(st.one_of(st.none(), money), max_size=12), st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_costs_are_exact_whatever_the_precision_of_the_program(costs, precision) -> None:
    log = UsageLog()
    for usd in costs:
        log_call(log, cost=Cost(usd, None))
    with localcontext() as context:
        context.prec = precision
        total = log.cost()
    known = [usd for usd in costs if usd is not None]
    with localcontext() as context:
        context.prec = 60
        assert total == sum(known, Decimal(0))
    assert (total.attempts, total.unknown) == (len(costs), len(costs) - len(known))


calls = st.tuples(
    st.sampled_from(["live", "emulator"]),
    st.sampled_from(["deepseek-flash", "deepseek-v4-pro"]),
    st.one_of(st.none(), st.integers(0, 10**6)),
)


@given(st.lists(calls, max_size=15))
@settings(max_examples=20, deadline=None)
@pytest.mark.slow
def test_summary_frame_and_cost_agree(made) -> None:
    log = UsageLog()
    for source, model, tokens in made:
        usage = None if tokens is None else Usage(tokens, 10, tokens + 10, 0, tokens)
        log_call(log, source=source, model=model, asked_model=model, usage=usage)
    attempts, turns = log.frame("attempts"), log.frame()
    found = log.summary()
    keys = [(row["source"], row["model"]) for _, row in found.iterrows()]
    assert keys == [key for key, _ in groupby(sorted((source, model) for source, model, _ in made))]
    for _, row in found.iterrows():
        for frame in (attempts, turns):
            of_group = frame[(frame["source"] == row["source"]) & (frame["model"] == row["model"])]
            assert len(of_group) == row["attempts"] == row["turns"]
            assert of_group["unknown"].sum() == row["unknown"]
            assert of_group["prompt_tokens"].sum() == (0 if row.isna()["prompt_tokens"] else row["prompt_tokens"])
    for source in ("live", "emulator"):
        exact = log.cost(source=source)
        assert float(exact) == pytest.approx(attempts.loc[attempts["source"] == source, "cost_usd"].sum())


def test_an_amount_is_a_decimal() -> None:
    amount = Amount("1.50", "USD", 3, 1)
    assert amount + Decimal(1) == Decimal("2.50")
    assert f"{amount:.1f}" == "1.5"
    assert copy.deepcopy(amount) is copy.copy(amount) is amount
