import pytest

from dsnb.client.decoder import StreamDecoder
from dsnb.client.dialects import DEEPSEEK, OPENAI_COMPATIBLE, Dialect
from dsnb.client.events import Event
from tests.client import reading
from tests.client.streams import cut, decode
from tests.recordings import Recording, recordings, requires_recordings

STREAMS = [r for r in recordings() if r.status == 200 and r.chat and isinstance(r.body, str)]


@requires_recordings
def test_there_are_recorded_streams_of_several_hosts() -> None:
    assert len(STREAMS) > 100
    assert len({r.url.split("/")[2] for r in STREAMS if r.url}) >= 5


def dialects(recording: Recording) -> list[Dialect]:
    return [DEEPSEEK, OPENAI_COMPATIBLE] if recording.first_party else [OPENAI_COMPATIBLE]


@requires_recordings
@pytest.mark.parametrize("recording", STREAMS, ids=lambda r: r.name)
def test_recorded_streams_are_read_as_their_json_says(recording: Recording) -> None:
    expected = reading.of_recording(recording)
    for dialect in dialects(recording):
        assert reading.of_transcript(decode(recording.raw, dialect=dialect)) == expected
        pieces = cut(recording.raw, seed=len(recording.raw))
        assert reading.of_transcript(decode(*pieces, dialect=dialect)) == expected


@requires_recordings
@pytest.mark.parametrize("recording", STREAMS[::9], ids=lambda r: r.name)
def test_the_events_of_recorded_streams_add_up_to_the_reply(recording: Recording) -> None:
    decoder = StreamDecoder(OPENAI_COMPATIBLE)
    events = [event for piece in cut(recording.raw, seed=1) for event in decoder.feed(piece)]
    assert "".join(e.text for e in events if e.type == "reasoning") == (decoder.reasoning or "")
    assert "".join(e.text for e in events if e.type == "answer") == decoder.answer
    for made in decoder.tool_calls:
        assert "".join(e.text for e in events if e.tool is made) == made.arguments


@requires_recordings
@pytest.mark.parametrize("recording", STREAMS[::9], ids=lambda r: r.name)
def test_a_recorded_stream_cut_anywhere_is_never_reported_as_complete(recording: Recording) -> None:
    body = recording.raw
    end = body.index(b"data: [DONE]") + len(b"data: [DON")
    for at in [*range(0, end, max(1, end // 50)), end]:
        decoder = decode(body[:at], dialect=DEEPSEEK)
        assert decoder.outcome == "truncated"
        assert not decoder.done


@requires_recordings
def test_recorded_keep_alives_are_told_as_a_queue() -> None:
    kept = [r for r in STREAMS if r.raw.startswith(b": ")]
    assert kept
    for recording in kept:
        decoder = StreamDecoder(OPENAI_COMPATIBLE)
        before, _, after = recording.raw.partition(b"data: ")
        assert decoder.feed(before) == [Event("queued")] * len(before.split(b"\n\n")[:-1])
        assert not [event for event in decoder.feed(b"data: " + after) if event.type == "queued"]
        assert decoder.keep_alives == len([line for line in recording.raw.split(b"\n") if line.startswith(b":")])


@requires_recordings
def test_recorded_logprobs_have_one_entry_a_token() -> None:
    found = 0
    for recording in STREAMS:
        told_there = [c["logprobs"] for o in recording.objects for c in o["choices"] if c.get("logprobs")]
        if told_there:
            found += 1
            logprobs = decode(recording.raw).logprobs
            assert logprobs is not None
            for name in ("content", "reasoning_content"):
                expected = [entry for part in told_there for entry in part.get(name) or []]
                assert (logprobs.get(name) or []) == expected
    assert found > 5
