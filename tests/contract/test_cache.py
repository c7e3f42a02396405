"""The prefix cache by its rules, and against the hits that the API was recorded to bill."""

from array import array
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsnb import contract
from dsnb.contract import cache
from dsnb.contract.cache import Left, PrefixCache, Prefixes, expected_hit, units
from dsnb.contract.tokens import completion_ids, prompt_ids
from tests.contract.traffic import dialogues
from tests.recordings import requires_recordings

V4_MODEL = contract.at("2026-06-01").model("deepseek-v4-flash")
V4 = replace(V4_MODEL.generation.cache, unit=128, minimum=128, build_seconds=0, expiry_seconds=3600)
V3 = replace(V4, unit=64, minimum=64, whole_units_at_ends=False)
TEXT = list(range(2000))


@pytest.mark.parametrize(
    ("asked", "answered", "prompt", "hit"),
    [
        (212, 30, 212, 128),  # the same again
        (381, 74, 494, 384),  # goes on after the reply: its unit
        (5129, 24, 5153, 5120),
        (335, 31, 384, 256),
        (200, 10, 1000, 128),
        (100, 27, 300, 0),  # less than a unit
        (100, 28, 300, 128),
        (128, 0, 128, 128),
    ],
)
def test_v4_hits_the_ends_of_earlier_calls(asked, answered, prompt, hit):
    text = range(6000)
    assert expected_hit([(text[:asked], text[asked : asked + answered])], text[:prompt], V4) == hit


def test_v4_hits_nothing_in_the_middle():
    diverging = [*TEXT[:700], 7, *TEXT[701:]]
    assert expected_hit([(TEXT[:1000], ())], diverging, V4) == 0
    assert expected_hit([(TEXT[:1000], ()), (TEXT[:600], ())], diverging, V4) == 512
    # Text that differs in the last unit only is as good as the same.
    assert expected_hit([(TEXT[:1000], ())], TEXT[:950] + [7] * 50, V4) == 896


def test_v4_falls_back_to_the_prompt_when_the_reply_is_told_otherwise():
    assert expected_hit([(TEXT[:300], TEXT[300:800])], TEXT[:300] + [7] * 700, V4) == 256


@pytest.mark.parametrize(("same", "hit"), [(63, 0), (64, 64), (700, 640), (1000, 960), (1100, 1088)])
def test_v3_hits_any_whole_units(same, hit):
    diverging = TEXT[:same] + [7] * (1500 - same)
    assert expected_hit([(TEXT[:1000], TEXT[1000:1100])], diverging, V3) == hit


def test_v3_hits_no_more_than_the_prompt():
    assert expected_hit([(TEXT[:1000], ())], TEXT[:200], V3) == 192


def test_dropped_reasoning_hits_the_prompt_only():
    question = {"role": "user", "content": "Why? " * 100}
    answer = {"role": "assistant", "content": "Because. " * 100}
    body = {"messages": [question]}
    asked = prompt_ids(body, V4_MODEL)
    thought = completion_ids(V4_MODEL, content=answer["content"], reasoning="Hm. " * 100)
    direct = completion_ids(V4_MODEL, content=answer["content"])
    later = {"messages": [question, answer, {"role": "user", "content": "Really?"}]}
    after = prompt_ids(later, V4_MODEL)
    assert expected_hit([(asked, thought)], after, V4) == len(asked) // 128 * 128
    off = {"thinking": {"type": "disabled"}}
    asked, after = (prompt_ids(request | off, V4_MODEL) for request in (body, later))
    assert expected_hit([(asked, direct)], after, V4) == (len(asked) + len(direct)) // 128 * 128


def test_building_takes_its_time():
    made = PrefixCache(replace(V4, build_seconds=5))
    made.store(TEXT[:300], (), now=100)
    assert made.lookup(TEXT[:300], now=104.9) == 0
    assert made.lookup(TEXT[:300], now=105) == 256
    # Storing the same again does not take it away.
    made.store(TEXT[:300], (), now=106)
    assert made.lookup(TEXT[:300], now=107) == 256


@pytest.mark.parametrize("rule", [V3, V4])
def test_what_is_not_used_expires(rule):
    made = PrefixCache(rule)
    made.store(TEXT[:300], (), now=0)
    assert made.lookup(TEXT[:300], now=3600) == 256
    assert made.lookup(TEXT[:300], now=7200) == 256
    assert made.lookup(TEXT[:300], now=10_801) == 0
    made.store(TEXT[1000:1300], (), now=10_801)
    assert made.lookup(TEXT[1000:1300], now=10_801) == 256
    assert len(made._entries) == (4 if rule is V3 else 1)


def test_an_expired_prefix_is_built_anew():
    made = PrefixCache(replace(V4, build_seconds=5))
    made.store(TEXT[:300], (), now=0)
    made.store(TEXT[:300], (), now=4000)
    assert made.lookup(TEXT[:300], now=4001) == 0
    assert made.lookup(TEXT[:300], now=4005) == 256


def test_less_than_the_minimum_is_no_hit():
    assert expected_hit([(TEXT[:300], ())], TEXT[:300], replace(V4, minimum=512)) == 0
    assert expected_hit([(TEXT[:600], ())], TEXT[:600], replace(V4, minimum=512)) == 512


def test_every_token_is_hashed_once(monkeypatch):
    hashed = []

    class Counting:
        def __init__(self, before, digest_size):
            self._hash = cache_blake2b(before, digest_size=digest_size)

        def update(self, data):
            hashed.append(data.nbytes)
            self._hash.update(data)

        def digest(self):
            return self._hash.digest()

    cache_blake2b = cache.blake2b
    monkeypatch.setattr(cache, "blake2b", Counting)
    made = PrefixCache(V4)
    text = array("I", range(100_000))
    made.store(text, text[:28])
    assert sum(hashed) == 4 * (100_028 // 128 * 128)
    assert len(made._entries) == 1
    hashed.clear()
    assert made.lookup(text) == 99_968
    assert sum(hashed) == 4 * 99_968


CALLS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=5)


@given(CALLS, st.integers(0, 25), st.integers(0, 25), st.booleans())
def test_the_cache_agrees_with_the_rule_spelt_out(earlier, same, length, ends):
    rule = replace(V4, unit=4, minimum=4, whole_units_at_ends=ends)
    text = TEXT[:same] + [9999] * length
    expected = 0
    for asked, answered in earlier:
        whole = asked + answered
        common = next((n for n in range(min(whole, len(text))) if text[n] != TEXT[n]), min(whole, len(text)))
        possible = [asked // 4 * 4, whole // 4 * 4] if ends else [common // 4 * 4]
        expected = max([expected, *(length for length in possible if length <= common)])
    pairs = [(TEXT[:asked], TEXT[asked : asked + answered]) for asked, answered in earlier]
    assert expected_hit(pairs, text, rule) == expected
    prompt = prefixes(text)
    hits = [Left(prefixes(asked), prefixes(asked + answered)).hit(prompt, rule)[0] for asked, answered in pairs]
    assert max(hits, default=0) == expected


def prefixes(ids):
    return Prefixes(len(ids), units(ids, 4))


def test_a_text_that_grew_has_the_same_units():
    first = units(TEXT[:512], 128)
    assert first + units(TEXT[512:], 128, first[-1]) == units(TEXT, 128)
    assert units(TEXT[512:], 128) != units(TEXT[512:], 128, first[-1])


def test_the_end_that_gives_the_hit_is_named():
    left = Left(prefixes(TEXT[:300]), prefixes(TEXT[:500]))
    rule = replace(V4, unit=4, minimum=4)
    assert left.hit(prefixes(TEXT[:600]), rule) == (500, "reply")
    assert left.hit(prefixes(TEXT[:300] + [7] * 300), rule) == (300, "prompt")
    assert left.hit(prefixes([7, *TEXT[:600]]), rule) == (0, "")
    assert left.hit(prefixes(TEXT[:450]), replace(rule, whole_units_at_ends=False)) == (448, "units")


@requires_recordings
@pytest.mark.parametrize(("ends", "exact", "near"), [(True, 0.95, 0.95), (False, 0.65, 0.90)])
def test_recorded_dialogues_that_began_cold(ends, exact, near):
    rows = []
    for chain in dialogues():
        rule = chain[0].model.generation.cache
        if chain[0].hit or rule.whole_units_at_ends != ends:
            continue
        made = PrefixCache(rule)
        for number, call in enumerate(chain):
            asked = prompt_ids(call.body, call.model)
            if number:
                rows.append((call, len(asked), made.lookup(asked), rule.unit))
            made.store(asked, completion_ids(call.model, **call.reply, billed=call.completion_tokens))
    print(f"\n{'V4' if ends else 'before V4'}: prompt, predicted and recorded hit of follow-ups in cold dialogues")
    for call, length, predicted, _ in rows:
        mark = "   " if predicted == call.hit else "***"
        print(f"  {mark} {call.recording.name[:70]:70} {length:6} {predicted:6} {call.hit:6}")
    errors = [(call.hit - predicted) // unit for call, _, predicted, unit in rows]
    print(f"  exact {errors.count(0)} of {len(errors)}, off by units: {sorted(Counter(errors).items())}")
    assert errors.count(0) >= exact * len(errors)
    assert sum(abs(error) <= 1 for error in errors) >= near * len(errors)
