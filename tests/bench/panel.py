"""What the live panel costs: messages and bytes on iopub, and CPU in the kernel, in a real one without a page."""

from itertools import pairwise

from tests.display.lab import Kernel

SIZES = (4_000, 20_000)
GOAL = 10  # times the text, with the widget's opening and the final bundle
GOAL_SLOW = 40  # kB/s at 100 chunks a second

# A turn of made-up events: three quarters reasoning, words of 9.5 characters on average; prints the bytes of its
# text, the CPU seconds of its streaming, and its seconds.
TURN = """
import time
from dsnb.client.events import Event
from dsnb.client.reply import Reply
from dsnb.display.panel import LiveView

def turn(chunks, pause=0.0):
    words = ["therefore ", "irrational ", "**even** ", "a square ", "$5 & <b> ", "two\\n"] * (chunks // 6 + 1)
    words = [word.ljust(9, "x") + "." * (place % 2) for place, word in enumerate(words[:chunks])]
    reasoning, answer = words[: chunks * 3 // 4], words[chunks * 3 // 4 :]
    start, cpu = time.monotonic(), time.process_time()
    view = LiveView(model="deepseek-flash", effort="high")
    for place in range(chunks):
        view(Event("reasoning", words[place]) if place < len(reasoning) else Event("answer", words[place]))
        if pause:
            time.sleep(max(0.0, start + place * pause - time.monotonic()))
    cpu = time.process_time() - cpu
    view.close(Reply(answer="".join(answer), reasoning="".join(reasoning), outcome="stop"), None)
    print(len("".join(words).encode()), cpu, time.monotonic() - start)
"""


def main() -> None:
    with Kernel() as kernel:
        kernel.run(TURN)
        kernel.run("turn(100)")  # imports, and the first widget of a kernel
        ratios = []
        for chunks in SIZES:
            traffic = kernel.run(f"turn({chunks})")
            text, cpu, _ = map(float, traffic.printed.split())
            bundle = sum(traffic.sizes("update_display_data"))
            ratios.append(traffic.total / text)
            print(
                f"  {chunks:,} chunks, {text / 1000:.0f} kB, at full speed: {len(traffic.messages)} messages, "
                f"{traffic.total / 1000:.0f} kB = {ratios[-1]:.1f}× the text (goal: {GOAL}×; the final bundle is "
                f"{bundle / text:.1f}×), {cpu * 1e6 / chunks:.1f} ms CPU per 1,000 chunks"
            )
        assert all(later <= earlier * 1.1 for earlier, later in pairwise(ratios)), "the traffic must be linear"
        traffic = kernel.run("turn(400, pause=0.01)")
        text, cpu, seconds = map(float, traffic.printed.split())
        stream = sum(traffic.sizes("comm_msg"))
        print(
            f"  400 chunks at 100 a second: {traffic.total / seconds / 1000:.1f} kB/s with opening and bundle "
            f"(goal: {GOAL_SLOW}), {stream / seconds / 1000:.1f} kB/s in between, "
            f"{len(traffic.sizes('comm_msg')) / seconds:.0f} messages a second, {cpu * 1e6 / 400:.0f} ms CPU per 1,000"
        )
