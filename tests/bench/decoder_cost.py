"""What the stream decoder costs a chunk, beside reading its JSON alone: `python -m tests.bench decoder_cost`."""

import json
import time
from collections.abc import Callable

from dsnb.client.decoder import StreamDecoder
from dsnb.client.dialects import DEEPSEEK, OPENAI_COMPATIBLE, Dialect

CHUNKS = 20_000
ROUNDS = 7
WORDS = ("We", " need", " to", " find", " two", " numbers", " whose", " sum", "\n\n", "是", " 17", ",", " \\(x\\)", '"')


def stream(key: str) -> list[bytes]:
    """Return the frames of a stream of one-token chunks, as api.deepseek.com writes them."""
    head = (
        '{"id":"16aff404-df6a-4a20-a6a3-9e09b54f5cfa","object":"chat.completion.chunk","created":1787605872,'
        '"model":"deepseek-flash","system_fingerprint":"aeb56401ca74e127821c4f9126dcb669","choices":[{"index":0,"delta":'
    )
    frames = []
    for number in range(CHUNKS):
        word = WORDS[number % len(WORDS)]
        delta = {"content": None, "reasoning_content": word} if key == "reasoning" else {"content": word}
        body = json.dumps(delta, ensure_ascii=False, separators=(",", ":"))
        frames.append(f'data: {head}{body},"logprobs":null,"finish_reason":null}}],"usage":null}}\n\n'.encode())
    return frames


def pieces(frames: list[bytes], size: int | None) -> list[bytes]:
    """Cut the stream into pieces of a size; None for one frame a piece, as a live network delivers it."""
    if size is None:
        return frames
    whole = b"".join(frames)
    return [whole[at : at + size] for at in range(0, len(whole), size)]


def parse(texts: list[bytes]) -> Callable[[], None]:
    """Return a run of `json.loads` over the texts, which keeps nothing, as a stream's reader would."""

    def run() -> None:
        for text in texts:
            json.loads(text)

    return run


def decode(parts: list[bytes], dialect: Dialect) -> Callable[[], None]:
    """Return a run of the decoder over the parts."""

    def run() -> None:
        decoder = StreamDecoder(dialect)
        for part in parts:
            decoder.feed(part)
        assert decoder.tokens == CHUNKS

    return run


def cost(run: Callable[[], object]) -> float:
    """Return the best CPU time of a run, in microseconds a chunk."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best / CHUNKS * 1e6


def main() -> None:
    """Print microseconds of CPU a chunk."""
    for key in ("reasoning", "content"):
        frames = stream(key)
        texts = [frame[6:].strip() for frame in frames]
        print(f"{key}: json.loads alone {cost(parse(texts)):.1f} µs")
        for dialect in (DEEPSEEK, OPENAI_COMPATIBLE):
            for name, size in (("one frame a piece", None), ("1,400-byte pieces", 1400), ("64 KiB pieces", 65536)):
                print(f"  {dialect.name}, {name}: {cost(decode(pieces(frames, size), dialect)):.1f} µs")
        print(f"  deepseek, 1-byte pieces: {cost(decode(pieces(frames, 1), DEEPSEEK)):.1f} µs")


if __name__ == "__main__":
    main()
