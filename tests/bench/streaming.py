"""CPU of a long stream through `ds.stream`, against the SDK's own typed loop; the server runs in another process."""

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import openai

import dsnb

CHUNKS = 20_000
RUNS = 5


@contextmanager
def emulator(*options: str) -> Iterator[str]:
    """Serve an emulator from a process of its own; yield its base URL."""
    command = [sys.executable, "-m", "dsnb.cli", "emulate", "--pace", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield re.search(r"http://\S+", process.stdout.readline()).group()
    finally:
        process.terminate()
        process.wait(10)


def cpu(work: Callable[[], int]) -> tuple[float, int]:
    """Return the CPU seconds of this process for the work, and the text length it came to."""
    start = time.process_time()
    length = work()
    return time.process_time() - start, length


def main() -> None:
    prompt = " a" * CHUNKS
    options = {"model": "deepseek-flash", "max_tokens": CHUNKS + 100}
    with emulator("--engine", "echo") as base_url:
        raw = openai.OpenAI(base_url=base_url, api_key="any", max_retries=0)
        ours = dsnb.connect(base_url, "any", timeouts=dsnb.Timeouts())

        def typed() -> int:
            length = 0
            stream = raw.chat.completions.create(
                messages=[{"role": "user", "content": prompt}],
                stream=True,
                stream_options={"include_usage": True},
                extra_body={"thinking": {"type": "disabled"}},
                **options,
            )
            for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    length += len(chunk.choices[0].delta.content)
            return length

        def events() -> int:
            return sum(
                len(event.text) for event in ours.stream(prompt, thinking=False, **options) if event.type == "answer"
            )

        typed(), events()
        pairs = [(cpu(events), cpu(typed)) for _ in range(RUNS)]
    assert {length for pair in pairs for _, length in pair} == {len(prompt)}, "both loops must see the whole text"
    mine, theirs = (statistics.median(pair[i][0] for pair in pairs) for i in (0, 1))
    ratio = statistics.median(a / b for (a, _), (b, _) in pairs)
    print(
        f"  {CHUNKS:,} chunks: ds.stream {mine / CHUNKS * 1e6:.1f} µs a chunk, SDK {theirs / CHUNKS * 1e6:.1f} µs: "
        f"{ratio:.2f}× (median of {RUNS} pairs; goal: 0.30× or less)"
    )
