"""What `import dsnb` adds to the start of Python, in whole processes."""

import statistics
import subprocess
import sys
import time

RUNS = 9


def seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def main() -> None:
    for warm in ("pass", "import dsnb"):
        seconds(warm)
    pairs = [(seconds("pass"), seconds("import dsnb")) for _ in range(RUNS)]
    bare, ours = (statistics.median(column) * 1000 for column in zip(*pairs, strict=True))
    extra = statistics.median(b - a for a, b in pairs) * 1000
    print(
        f"  bare Python {bare:.1f} ms, with dsnb {ours:.1f} ms: {extra:.1f} ms more "
        f"(median of {RUNS} pairs; goal: 30 ms or less)"
    )
