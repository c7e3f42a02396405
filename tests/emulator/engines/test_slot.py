"""The rule of llama.cpp's one slot, in itself; that llama.cpp keeps it is tested with the model."""

from hypothesis import given
from hypothesis import strategies as st

from dsnb.emulator.engines.slot import Slot

IDS = st.lists(st.integers(0, 3), max_size=12)


def test_the_last_token_of_a_prompt_is_always_computed():
    slot = Slot()
    assert slot.lookup([1, 2, 3]) == 0
    slot.store([1, 2, 3], [])
    assert slot.lookup([1, 2, 3]) == 2
    assert slot.lookup([1, 2, 3, 4]) == 3
    assert slot.lookup([1, 2]) == 1
    assert slot.lookup([9]) == slot.lookup([]) == 0


def test_the_reply_counts_and_only_the_last_request_is_kept():
    slot = Slot()
    slot.store([1, 2], [3, 4])
    assert slot.lookup([1, 2, 3, 4, 5]) == 4
    slot.store([1, 2], [3, 4], cut=True)
    assert slot.lookup([1, 2, 3, 4, 5]) == 3
    slot.store([7, 8], [])
    assert slot.lookup([1, 2, 3, 4, 5]) == 0


@given(IDS, IDS, IDS)
def test_a_hit_is_a_common_prefix_and_leaves_a_token(asked, answered, prompt):
    slot = Slot()
    slot.store(asked, answered)
    hit = slot.lookup(prompt)
    kept = asked + answered
    assert kept[:hit] == prompt[:hit]
    assert hit < len(prompt) or not prompt
    # one token more would not be shared, or would be the last
    assert hit + 1 >= len(prompt) or hit == len(kept) or kept[hit] != prompt[hit]
