"""Reasoning between tags, however the content is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsnb.emulator.engines.thoughts import Thoughts


def sorted_out(pieces):
    """Return the reasoning and the answer of a content that comes in these pieces."""
    thoughts = Thoughts()
    said = [pair for piece in pieces for pair in thoughts.feed(piece)] + thoughts.finish()
    assert all(text for _, text in said)
    return tuple("".join(text for kind, text in said if kind == wanted) for wanted in ("reasoning", "content"))


@pytest.mark.parametrize(
    ("content", "reasoning", "answer"),
    [
        ("plain", "", "plain"),
        ("", "", ""),
        ("  \n", "", "  \n"),
        ("<think>so</think>yes", "so", "yes"),
        ("\n <think>\nso\n</think>\n\nyes", "\nso\n", "yes"),
        ("<think></think>yes", "", "yes"),
        ("<think>so", "so", ""),
        ("<think>a </thin b</think>c", "a </thin b", "c"),
        ("<think>a</thi", "a</thi", ""),
        ("<thin", "", "<thin"),
        ("<thinking>a</thinking>", "", "<thinking>a</thinking>"),
        ("a <think>b</think>", "", "a <think>b</think>"),
        ("<think>a</think>b</think>c", "a", "b</think>c"),
        ("<think>a</think>\n", "a", ""),
    ],
)
def test_only_a_tag_at_the_beginning_opens_reasoning(content, reasoning, answer):
    assert sorted_out([content]) == (reasoning, answer)
    assert sorted_out(list(content)) == (reasoning, answer)


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<", "</", "think>", " ", "\n", "x", "<thi"]), max_size=8),
    st.data(),
)
def test_it_does_not_matter_where_the_content_is_cut(parts, data):
    content = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=6)))
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    assert sorted_out(pieces) == sorted_out([content])
