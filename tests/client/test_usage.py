import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsnb.client.usage import Usage

DEEPSEEK = {  # recorded 2026-08-24
    "prompt_tokens": 87,
    "completion_tokens": 8,
    "total_tokens": 95,
    "prompt_tokens_details": {"cached_tokens": 64},
    "completion_tokens_details": {"reasoning_tokens": 8},
    "prompt_cache_hit_tokens": 64,
    "prompt_cache_miss_tokens": 23,
}


def test_deepseek_shape() -> None:
    usage = Usage.read(DEEPSEEK)
    assert usage == Usage(87, 8, 95, 64, 23, 8)
    assert usage.raw == DEEPSEEK


def test_the_first_shape_had_no_details() -> None:
    raw = {name: DEEPSEEK[name] for name in DEEPSEEK if not name.endswith("details")}
    assert Usage.read(raw) == Usage(87, 8, 95, 64, 23, None)


def test_openai_shape_tells_hits_and_the_misses_follow() -> None:
    raw = {name: DEEPSEEK[name] for name in DEEPSEEK if "prompt_cache" not in name}
    assert Usage.read(raw) == Usage(87, 8, 95, 64, 23, 8)


def test_hits_at_top_level() -> None:
    raw = {"cached_tokens": 0, "completion_tokens": 216, "prompt_tokens": 16, "total_tokens": 232}
    assert Usage.read(raw) == Usage(16, 216, 232, 0, 16, None)


def test_what_is_not_told_stays_unknown_and_zero_is_known() -> None:
    assert Usage.read({}) == Usage()
    assert Usage.read({"prompt_tokens": 0, "completion_tokens": 0}) == Usage(0, 0, 0)
    assert Usage.read({"prompt_cache_hit_tokens": 0}).cache_hit_tokens == 0


@pytest.mark.parametrize("bad", [-1, "7", True, 7.0, float("nan"), None, [7], {"a": 7}, 10**30])
def test_what_is_no_count_is_unknown(bad: object) -> None:
    raw = dict.fromkeys(DEEPSEEK, bad)
    raw["completion_tokens_details"] = {"reasoning_tokens": bad}
    assert Usage.read(raw) == Usage()


def test_more_hits_than_prompt_leaves_the_misses_unknown() -> None:
    assert Usage.read({"prompt_tokens": 5, "cached_tokens": 9}).cache_miss_tokens is None


def test_sum() -> None:
    assert Usage.read(DEEPSEEK) + Usage.read(DEEPSEEK) == Usage(174, 16, 190, 128, 46, 16)
    assert sum([Usage(1, 2, 3), Usage(10, 20, 30)]) == Usage(11, 22, 33)


def test_only_usages_add() -> None:
    with pytest.raises(TypeError):
        Usage(1, 2, 3) + 1  # type: ignore[operator]


def test_a_sum_with_an_unknown_part_is_unknown() -> None:
    assert Usage(1, 2, 3, 0, 1, 0) + Usage(1, 2, 3) == Usage(2, 4, 6, None, None, None)


def test_repr_is_one_line() -> None:
    assert repr(Usage.read(DEEPSEEK)) == "<Usage 87 + 8 = 95 tokens · 64 cached · 8 reasoning>"
    assert repr(Usage()) == "<Usage ? + ? = ? tokens>"


def test_it_travels_between_processes() -> None:
    usage = Usage.read(DEEPSEEK)
    assert pickle.loads(pickle.dumps(usage)) == usage  # noqa: S301 — our own bytes


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "7", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "cached_tokens"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*DEEPSEEK, "cached_tokens", "reasoning_tokens"]), JSON))
def test_nothing_that_an_endpoint_sends_breaks_it(raw: dict[str, object]) -> None:
    usage = Usage.read(raw)
    assert all(
        count is None or count >= 0 for count in (usage.prompt_tokens, usage.cache_miss_tokens, usage.total_tokens)
    )
    assert "\n" not in repr(usage + usage)
