import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsnb.client import sse
from dsnb.client.sse import Frames
from dsnb.errors import MalformedReply

ALIVE = (b"", None)


def frames(*pieces: bytes) -> list[sse.Frame]:
    reader = Frames()
    return [frame for piece in pieces for frame in reader.feed(piece)] + [*reader.finish()]


def said(*pieces: bytes) -> list[bytes]:
    return [data for _, data in frames(*pieces) if data is not None]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_separates_frames(end: bytes) -> None:
    stream = end.join([b"data: one", b"", b"data: two", b"", b""])
    assert said(stream) == [b"one", b"two"]
    assert said(*(stream[at : at + 1] for at in range(len(stream)))) == [b"one", b"two"]


def test_line_ends_may_be_mixed() -> None:
    assert said(b"data: one\r\n\ndata: two\n\r\ndata: three\r\rdata: four\n\n") == [b"one", b"two", b"three", b"four"]


def test_the_space_after_data_is_optional_and_only_one_is_dropped() -> None:
    assert said(b"data:one\n\ndata: two\n\ndata:  three\n\n") == [b"one", b"two", b" three"]


def test_data_of_several_lines_is_joined_by_newlines() -> None:
    assert said(b"data: {\ndata:  1\ndata\ndata: }\n\n") == [b"{\n 1\n\n}"]


@pytest.mark.parametrize("pieces", [1, 2, 3, 4, 1000])
def test_a_byte_order_mark_is_skipped(pieces: int) -> None:
    stream = b"\xef\xbb\xbfdata: one\n\n"
    assert said(*(stream[at : at + pieces] for at in range(0, len(stream), pieces))) == [b"one"]


def test_a_byte_order_mark_further_down_is_data() -> None:
    assert said(b"data: \xef\xbb\xbfone\n\n") == [b"\xef\xbb\xbfone"]


@pytest.mark.parametrize("comment", [b": keep-alive\n\n", b": OPENROUTER PROCESSING\n\n", b":\n\n", b":x\r\n\r\n"])
def test_a_comment_is_one_sign_of_life(comment: bytes) -> None:
    assert frames(comment, b"data: one\n\n")[:2] == [ALIVE, (b"", b"one")]


def test_bare_blank_lines_and_empty_data_are_signs_of_life() -> None:
    assert frames(b"\n\n", b"data: one\n\n", b"data:\n\n", b"\n")[:5] == [ALIVE, ALIVE, (b"", b"one"), ALIVE, ALIVE]


def test_event_names_are_kept_and_other_fields_skipped() -> None:
    stream = b"id: 7\nretry: 10\nevent: error\ndata: one\n\ndata: two\n\n"
    reader = Frames()
    assert [*reader.feed(stream)] == [(b"error", b"one"), (b"", b"two")]
    assert reader.stray == b""


@pytest.mark.parametrize("last", [b"data: two", b"data: two\n", b"data: two\r"])
def test_the_end_of_the_input_completes_the_last_frame(last: bytes) -> None:
    reader = Frames()
    assert [*reader.feed(b"data: one\n\n" + last)] == [(b"", b"one")]
    assert (b"", b"two") in [*reader.finish()]


@pytest.mark.parametrize("rest", [b"da", b"data", b"event: err", b"id"])
def test_a_field_cut_short_counts_as_a_frame_cut_short(rest: bytes) -> None:
    reader = Frames()
    assert not [*reader.feed(rest)]
    assert [data for _, data in reader.finish() if data] == [rest]
    assert reader.stray == b""


@pytest.mark.parametrize("page", [b"<!DOCTYPE html>\n<html>\n", b"<!DOCTYPE html>"])
def test_what_is_no_stream_is_remembered(page: bytes) -> None:
    reader = Frames()
    assert not [data for _, data in [*reader.feed(page), *reader.finish()] if data is not None]
    assert reader.stray == b"<!DOCTYPE html>"


@pytest.mark.parametrize("size", [7, 1000, 10**9])
@pytest.mark.parametrize("hostile", [b"data: ", b": ", b"data: x\ndata: ", b"x"])
def test_an_endless_frame_is_refused_after_the_frames_before_it(
    hostile: bytes, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "FRAME_LIMIT", 4096)
    stream = b"data: one\n\n" + hostile + b"a" * 5000 + b"\n\n"
    reader, got = Frames(), []
    with pytest.raises(MalformedReply, match="frame of more than"):  # noqa: PT012 — where it stops is the point
        for at in range(0, len(stream), size):
            for frame in reader.feed(stream[at : at + size]):
                got.append(frame)  # noqa: PERF402 — what came before the error counts
    assert got == [(b"", b"one")]


def test_data_lines_without_an_end_are_refused_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "FRAME_LIMIT", 4096)
    with pytest.raises(MalformedReply):
        frames(b"data: 0123456789\n" * 400)


def test_comments_without_blank_lines_never_fill_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "FRAME_LIMIT", 4096)
    assert len(frames(b": keep-alive\n" * 1000)) == 1000


LINES = st.sampled_from(
    [
        b"data: one",
        b"data:two",
        b"data:",
        b": alive",
        b"event: error",
        b"id: 1",
        b"rubbish",
        b"",
        b"",
        b"data: \xe6\x98\xaf",
    ]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@settings(deadline=None)
@given(st.lists(st.tuples(LINES, ENDS)), st.binary(max_size=5), st.integers(0, 2**32))
def test_any_split_gives_the_same_frames(lines: list[tuple[bytes, bytes]], rest: bytes, seed: int) -> None:
    stream = b"".join(line + end for line, end in lines) + rest
    random_source = random.Random(seed)  # noqa: S311 — a test's pieces are no secret
    pieces, at = [], 0
    while at < len(stream):
        size = random_source.randint(1, 7)
        pieces.append(stream[at : at + size])
        at += size
    assert frames(*pieces) == frames(stream)
