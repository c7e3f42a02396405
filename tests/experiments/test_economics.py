"""Long context against retrieval: worked by hand, by the contract's own cache, by brute force, and by the emulator."""

from array import array
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dsnb
from dsnb.contract import at, tokens
from dsnb.contract.cache import PrefixCache
from dsnb.errors import ConfigurationError, DsnbError, UnknownModel
from dsnb.experiments.economics import Comparison, compare

OFF_PEAK, PEAK = "2026-11-16T12:00Z", "2026-11-16T02:00Z"


def gain(comparison: Comparison) -> Decimal:
    """Return what the long context saves."""
    return comparison.retrieval.cost - comparison.long_context.cost


def test_a_comparison_worked_by_hand() -> None:
    # 1,300 tokens are 10 units of 128 and 20; a question of 30 ends within that unit, so from the second on 1,280 hit
    found = compare(1_300, retrieved=200, questions=3, question=30, answer=10, at=OFF_PEAK)
    long, short = found.long_context, found.retrieval
    assert (long.cache_hit_tokens, long.cache_miss_tokens, long.completion_tokens) == (2 * 1_280, 3 * 1_330 - 2_560, 30)
    # 2,560 × 0.003 + 1,430 × 0.15 + 30 × 0.60 = 7.68 + 214.5 + 18 = 240.18 millionths of a dollar
    assert long.cost == Decimal("0.00024018")
    assert (short.cache_hit_tokens, short.cache_miss_tokens, short.completion_tokens) == (0, 3 * 230, 30)
    assert short.cost == Decimal("0.0001215")  # 690 × 0.15 + 30 × 0.60 = 103.5 + 18
    # a question more costs 1,280 × 0.003 + 20 × 0.15 = 6.84 for the document, and 200 × 0.15 = 30 for passages; the
    # first one costs 1,280 × 0.147 = 188.16 above that, which is 8.1 times the difference of 23.16
    assert found.break_even.questions == 9
    # 214.5 - 13.5 for questions, with 7.68 for hits: 208.68 in 3 questions, 69.56 each: 463.7 tokens at 0.15
    assert found.break_even.retrieved == 464
    assert found.notes[0].startswith("The cache unit of 128 tokens is assumed")


def test_prices_are_those_of_the_date_the_hours_and_the_currency() -> None:
    found = {"document": 64_000, "retrieved": 4_000, "questions": 50}
    assert compare(**found, at=PEAK).long_context.cost == 2 * compare(**found, at=OFF_PEAK).long_context.cost
    assert compare(**found, at=OFF_PEAK, peak=True).price == compare(**found, at=PEAK).price
    assert compare(**found, at=PEAK).break_even == compare(**found, at=OFF_PEAK).break_even  # all three prices double
    yuan = compare(**found, at=OFF_PEAK, currency="cny")
    # hits 49 × 64,000 at 0.02, misses 64,000 + 50 × 40 at 1, output 25,000 at 4
    assert yuan.long_context.cost == Decimal("0.22872")
    assert "¥0.229" in yuan.finding
    old = compare(**found, at="2025-06-11T12:00Z", model="deepseek-chat")  # any whole units of 64, hits at 0.07
    assert old.long_context.cost == Decimal("0.26484")  # 3,136,000 × 0.07 + 66,000 × 0.27 + 25,000 × 1.10


@pytest.mark.parametrize(("model", "day"), [("deepseek-flash", OFF_PEAK), ("deepseek-chat", "2025-10-10")])
@pytest.mark.parametrize("document", [40, 128, 300, 1_000, 1_279])
@pytest.mark.parametrize("question", [1, 5, 90, 200])
def test_hits_are_those_of_the_contracts_cache(model: str, day: str, document: int, question: int) -> None:
    found = compare(document, retrieved=0, questions=4, question=question, at=day, model=model)
    cache, hits = PrefixCache(found.rule), []
    for asked in range(4):
        prompt = array("I", [*range(document), *(10_000 * (asked + 1) + place for place in range(question))])
        hits.append(cache.lookup(prompt))
        cache.store(prompt, ())
    if found.cold == 1:
        assert hits == [0] + [found.cached] * 3
        assert found.long_context.cache_hit_tokens == sum(hits)
    else:  # the contract knows of no hit then, and the comparison says that it goes by the guide alone
        assert sum(hits) == 0
        assert found.long_context.cache_hit_tokens == 2 * found.cached
        assert any("by the guide's word alone" in note for note in found.notes)
        warm = PrefixCache(found.rule)
        warm.store(array("I", range(document)), ())
        hits = [warm.lookup(array("I", [*range(document), *[10_000 + asked] * question])) for asked in range(4)]
        assert found.warmed.cache_hit_tokens == sum(hits)
        assert found.warmed.cache_hit_tokens + found.warmed.cache_miss_tokens == 5 * document + 4 * question
        assert found.warmed.completion_tokens == found.long_context.completion_tokens + 1
        assert any("Sent alone before" in note for note in found.notes) == (document % found.rule.unit < 126)


shapes = st.builds(
    lambda document, retrieved, questions, question, warm, embedding, served: compare(
        document,
        retrieved=retrieved,
        questions=questions,
        question=question,
        warm=warm,
        embedding=embedding,
        model=served[0],
        at=served[1],
    ),
    st.integers(1, 5_000),
    st.integers(0, 3_000),
    st.integers(1, 40),
    st.integers(0, 200),
    st.decimals(0, 1, places=2),
    st.sampled_from(["0", "0.02", "0.13", "0.2", "7"]),
    st.sampled_from([("deepseek-flash", OFF_PEAK), ("deepseek-v4-pro", OFF_PEAK), ("deepseek-chat", "2025-10-10")]),
)


@settings(max_examples=60, deadline=None)
@given(shapes)
def test_break_even_is_where_brute_force_finds_it(found: Comparison) -> None:
    even = found.break_even

    def gains(**changed: object) -> Decimal:
        return gain(replace(found, **changed))

    if even.questions is None:
        assert gains(questions=10**9) < 0
    else:
        assert all(gains(questions=even.questions + more) >= 0 for more in (0, 1, 7, 1_000))
        assert even.questions == 1 or gains(questions=even.questions - 1) < 0

    assert gains(retrieved=even.retrieved) >= 0
    assert even.retrieved == 0 or gains(retrieved=even.retrieved - 1) < 0

    assert even.document == 0 or gains(document=even.document) >= 0
    window = found.window - found.question
    longer = [even.document + more for more in range(1, 300) if even.document + more <= window]
    assert all(gains(document=document) < 0 for document in longer[::7] + longer[:2])

    if even.warm is None:
        assert gains(warm=Fraction(1)) < 0
    else:
        assert gains(warm=Fraction(even.warm)) >= 0
        assert even.warm == 0 or gains(warm=Fraction(even.warm) - Fraction(1, 500_000)) < 0


@settings(max_examples=50, deadline=None)
@given(shapes)
def test_what_is_said_agrees_with_itself(found: Comparison) -> None:
    bills = (found.long_context, found.retrieval)
    for bill in bills:
        size = found.document if bill.name == "long context" else found.retrieved
        assert bill.cache_hit_tokens + bill.cache_miss_tokens == found.questions * (size + found.question)
    last = found.frame().iloc[-1]
    assert [last["long_context"], last["retrieval"]] == pytest.approx([float(bill.cost) for bill in bills], rel=1e-9)
    shown = found._repr_mimebundle_()
    words = found.finding.replace("$", "")
    assert words in shown["text/plain"].replace("$", "")
    assert ("never" in repr(found) or "no break-even" in repr(found)) == (found.break_even.questions is None)


def test_it_shows_itself_in_three_ways_that_say_the_same() -> None:
    found = compare(64_000, retrieved=4_000, questions=50, embedding="0.02", warm=0.9, at=OFF_PEAK)
    shown = found._repr_mimebundle_()
    for kind in ("text/html", "text/markdown", "text/plain"):
        for words in ("long context", "retrieval", "V4.1-Flash", "off-peak", "breaks even with", "64,000 tokens"):
            assert words in shown[kind]
    assert repr(found) == (
        "<Comparison 50 questions on 64,000 tokens: long context $0.0804, retrieval $0.0466, no break-even>"
    )
    assert "DeepSeek has no embeddings" in shown["text/plain"]
    assert "\n" not in repr(found)


def test_the_finding_says_which_way_it_goes() -> None:
    assert compare(9, retrieved=1, questions=1, at=OFF_PEAK).finding.startswith("1 question on 9 tokens costs $")

    def said(**changed: object) -> str:
        return compare(**({"document": 1_300, "retrieved": 200, "questions": 3, "at": OFF_PEAK} | changed)).finding

    assert said().endswith("the long context is the cheaper from question 9 on.")
    assert said(document=400_000).endswith("retrieval is the cheaper however many questions there are.")
    assert said(retrieved=2_000).endswith("the long context is the cheaper from the first question on.")
    dear = said(document=20_000, retrieved=0, embedding="0.2", questions=2)
    assert dear.endswith("the cheaper as yet, but costs more with each further question.")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"document": 0}, "document is at least 1"),
        ({"questions": 0}, "questions is at least 1"),
        ({"retrieved": -1}, "retrieved is at least 0"),
        ({"answer": 1.5}, "answer is a whole number"),
        ({"question": "40"}, "question is a whole number"),
        ({"warm": 1.01}, "warm is a share"),
        ({"warm": "often"}, "warm is a number"),
        ({"warm": float("nan")}, "warm is a number"),
        ({"embedding": -1}, "embedding is a price"),
        ({"embedding": float("inf")}, "embedding is a number"),
        ({"document": 1_048_576}, "does not fit into deepseek-flash's context of 1,048,576"),
        ({"currency": "EUR"}, "USD and CNY"),
        ({"at": "yesterday"}, "is not a time"),
    ],
)
def test_numbers_that_cannot_be(wrong: dict[str, object], message: str) -> None:
    right = {"document": 1_000, "retrieved": 100, "questions": 5, "at": OFF_PEAK}
    with pytest.raises(DsnbError, match=message):
        compare(**(right | wrong))


def test_a_model_that_was_not_there() -> None:
    with pytest.raises(UnknownModel):
        compare(1_000, retrieved=100, questions=5, at="2025-06-01")
    with pytest.raises(ConfigurationError, match="the catalogue begins"):
        compare(1_000, retrieved=100, questions=5, at="2020-01-01")


def test_without_an_instant_it_is_now() -> None:
    assert compare(1_000, retrieved=100, questions=5).price.until is None


@pytest.mark.parametrize("instant", [OFF_PEAK, PEAK])
def test_the_emulator_bills_what_was_predicted(instant: str) -> None:
    text = "".join(f"Sample {number} weighed {number % 7 + 2} grams.\n" for number in range(1, 200))
    prompts = [
        [{"role": "system", "content": text}, {"role": "user", "content": f"{number}: what did it weigh?"}]
        for number in range(1, 6)
    ]
    model = at(instant).model("deepseek-flash")
    first, second = (
        list(tokens.prompt_ids({"messages": prompt, "thinking": {"type": "disabled"}}, model)) for prompt in prompts[:2]
    )
    document = next(place for place, pair in enumerate(zip(first, second, strict=True)) if pair[0] != pair[1])
    predicted = compare(document, retrieved=0, questions=5, question=len(first) - document, answer=20, at=instant)
    with dsnb.Emulator(as_of=instant) as emulator, dsnb.connect(emulator.base_url, as_of=instant, quiet=True) as ds:
        for prompt in prompts:
            ds.ask(prompt, thinking=False, max_tokens=20, render=None)
        billed = emulator.ledger()
        assert ds.usage.cost(source="emulator") == predicted.long_context.cost
        assert dsnb.economics.off_peak(ds.usage, at=instant).now.usd == predicted.long_context.cost
    assert predicted.cold == 1
    assert sum(row.cache_hit_tokens for row in billed) == predicted.long_context.cache_hit_tokens > 0
    assert sum(row.prompt_tokens - row.cache_hit_tokens for row in billed) == predicted.long_context.cache_miss_tokens
    assert sum(row.cost.usd for row in billed) == predicted.long_context.cost
