"""Bytes that a fuzzer found to reach corners of the readers, and other people's mischief: the rules hold for all."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client import hostile

CORPUS = [ast.literal_eval(line) for line in Path(__file__).with_name("corpus.txt").read_text().splitlines()]
WORDS = [
    *(b"data: ", b"\n\n", b"\r\n", b": keep-alive\n\n", b"event: error\n", b"[DONE]", b"null", b"1e999", b"-1"),
    *(b'{"choices":[', b'{"delta":{"content":"', b'"reasoning_content":"', b'"tool_calls":[{"index":', b'"}', b"]}"),
    *(b'"finish_reason":"stop"', b'"usage":{"prompt_tokens":', b'{"error":{"message":"', b"\xff\xfe", b"\\ud800"),
    *(b"<think>", b"</think>"),
]


def test_the_corpus_is_no_empty_promise():
    assert len(CORPUS) > 100
    assert {data[0] % 3 for data in CORPUS if data} == {0, 1, 2}


@pytest.mark.parametrize("part", range(8))
def test_what_the_fuzzer_kept(part):
    for data in CORPUS[part::8]:
        hostile.check(data)


@given(st.integers(0, 255), st.lists(st.sampled_from(WORDS) | st.binary(max_size=8), max_size=24))
def test_words_of_the_protocol_in_any_order(head, words):
    hostile.check(bytes([head]) + b"".join(words))
