import threading
import time
from itertools import pairwise

import comm
import pytest
from comm.base_comm import BaseComm
from hypothesis import given
from hypothesis import strategies as st

from dsnb.client.events import Event
from dsnb.client.reply import Reply
from dsnb.client.tool_call import ToolCall
from dsnb.client.usage import Usage
from dsnb.display import panel
from dsnb.display.bundle import bundle
from dsnb.display.pacing import Pacing, Passage, Progress
from dsnb.display.panel import LiveView
from dsnb.display.text import legible
from dsnb.errors import DsnbWarning, ServerFailed
from tests.bench.panel import TURN
from tests.display.lab import Kernel

WIDGET = "application/vnd.jupyter.widget-view+json"


class Page:
    """What a page gets to see: messages of comms, displays and their updates, in one order."""

    def __init__(self, monkeypatch):
        self.messages = []
        self.broken_at = None  # the number of the message at which the connection breaks
        page = self

        class Comm(BaseComm):
            def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **_):
                if page.broken_at is not None and len(page.messages) >= page.broken_at:
                    raise ConnectionError("the page is gone")
                page.messages.append((msg_type, self.comm_id, data))

        class Handle:
            def display(self, data, *, metadata=None, raw):
                page.messages.append(("display", metadata, data))

            def update(self, data, *, raw):
                page.messages.append(("update", None, data))

        monkeypatch.setattr(comm, "create_comm", Comm)
        monkeypatch.setattr(panel, "DisplayHandle", Handle)
        monkeypatch.setattr(panel._Panel, "_retired", type(panel._Panel._retired)())

    @property
    def kinds(self):
        return [kind for kind, *_ in self.messages]

    def of(self, kind):
        return [data for name, _, data in self.messages if name == kind]

    @property
    def batches(self):
        return [data["content"] for data in self.of("comm_msg")]


@pytest.fixture
def page(monkeypatch):
    return Page(monkeypatch)


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Reader:
    """Put batches together as panel.js does; ``lost`` counts the units that were missing."""

    def __init__(self, state=None):
        state = state or {"reasoning": "", "answer": "", "calls": [], "notices": []}
        self.texts = {name: state[name].encode("utf-16-le") for name in ("reasoning", "answer")}
        self.calls = [[name, text.encode("utf-16-le")] for name, text in state["calls"]]
        self.notices = list(state["notices"])
        self.lost = 0
        self.phases = []

    def read(self, batch):
        if batch.get("moved"):
            self.texts["answer"] = b""
        for name in ("reasoning", "answer"):
            if name in batch:
                self.texts[name] = self._joined(self.texts[name], *batch[name])
        for place, name, *piece in batch.get("calls", ()):
            if place == len(self.calls):
                self.calls.append(["", b""])
            self.calls[place] = [name, self._joined(self.calls[place][1], *piece)]
        self.notices += batch.get("notices", [])
        if "phase" in batch:
            self.phases.append(batch["phase"][0])

    def _joined(self, had, offset, text):
        self.lost += max(0, offset - len(had) // 2)
        return had + text.encode("utf-16-le")[max(0, len(had) - 2 * offset) :]

    @property
    def state(self):
        return {
            **{name: text.decode("utf-16-le") for name, text in self.texts.items()},
            "calls": [[name, text.decode("utf-16-le")] for name, text in self.calls],
            "notices": self.notices,
        }


def pace(**options):
    batches, clock = [], Clock()
    return Pacing(batches.append, clock=clock, **options), batches, clock


# how often it tells


def test_the_first_event_is_told_at_once_and_the_next_when_the_interval_is_over():
    pacing, batches, clock = pace(interval=0.05)
    pacing.take(Event("reasoning", "a"))
    assert batches == [{"at": 0.0, "tokens": 1, "phase": ["thinking", 0.0, 0.0], "reasoning": (0, "a")}]
    for _ in range(4):
        clock.now += 0.01
        pacing.take(Event("reasoning", "b"))
    assert len(batches) == 1
    clock.now += 0.011
    pacing.take(Event("reasoning", "c"))
    assert batches[1:] == [{"at": 0.051, "tokens": 6, "reasoning": (1, "bbbbc")}]
    pacing.end({})


def test_a_new_phase_is_told_at_once_and_a_known_one_waits_its_turn():
    pacing, batches, _ = pace()
    for kind in ("queued", "queued", "reasoning", "answer"):
        pacing.take(Event(kind, "" if kind == "queued" else "x"))
    assert [batch["phase"][0] for batch in batches] == ["queued", "thinking", "answering"]
    for _ in range(1000):  # a host that mixes both must not cost a message for every token
        pacing.take(Event("reasoning", "r"))
        pacing.take(Event("answer", "a"))
    pacing.end({})
    assert len(batches) == 4


def test_20_batches_a_second_are_told_whatever_the_speed():
    pacing, batches, clock = pace()
    for _ in range(1000):
        clock.now += 0.001
        pacing.take(Event("answer", "x"))
    pacing.end({})
    assert 19 <= len(batches) <= 22


def test_signs_of_life_in_mid_stream_are_no_queue_and_cost_no_message():
    pacing, batches, clock = pace()
    pacing.take(Event("answer", "x"))
    for _ in range(100):
        clock.now += 1
        pacing.take(Event("queued"))
    assert len(batches) == 1


def test_what_gathered_before_a_silence_is_told_in_the_silence():
    told = threading.Semaphore(0)
    batches = []
    pacing = Pacing(lambda batch: (batches.append(batch), told.release()), interval=0.02)
    for text in "abc":
        pacing.take(Event("answer", text))
    assert told.acquire(timeout=2)
    assert told.acquire(timeout=2), "the last tokens were never told"
    assert batches[1]["answer"] == (1, "bc")
    until = time.monotonic() + 2
    while pacing._teller is not None and time.monotonic() < until:
        time.sleep(0.005)
    assert pacing._teller is None, "the thread must end when all is told"


def test_thinking_is_clocked_without_what_came_between():
    pacing, batches, clock = pace()
    pacing.take(Event("reasoning", "a"))
    clock.now += 2
    pacing.take(Event("answer", "b"))
    clock.now += 5
    pacing.take(Event("reasoning", "c"))
    clock.now += 1
    pacing.take(Event("answer", "d"))
    pacing.end({})
    assert [batch["phase"] for batch in batches if "phase" in batch] == [
        ["thinking", 0.0, 0.0],
        ["answering", 2.0, 2.0],
        ["thinking", 7.0, 2.0],
        ["answering", 8.0, 3.0],
        ["done", 8.0, 3.0],
    ]


# what it tells

TEXTS = st.text(max_size=12)
CALLS = st.integers(0, 2)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["reasoning", "answer"]), TEXTS),
        st.tuples(st.just("tool"), TEXTS, CALLS),
        st.tuples(st.sampled_from(["queued", "retry", "moved", "something new"]), st.text(max_size=5)),
    ),
    max_size=40,
)


@given(EVENTS, st.sampled_from([0, 0.05, 1e9]), st.integers(0, 40))
def test_batches_put_together_are_the_whole_for_whoever_comes_when(script, interval, late):
    tools = [ToolCall(place, "", f"tool{place}") for place in range(3)]
    pacing, batches, clock = pace(interval=interval)
    pacing._teller = threading.current_thread()  # nobody tells anything behind our back
    expected = {"reasoning": "", "answer": "", "calls": [], "notices": []}
    order, reader, latecomer = [], Reader(), None
    for place, (kind, text, *index) in enumerate(script):
        clock.now += 0.01
        if kind == "moved":
            expected["reasoning"] += expected["answer"]
            pacing.take(Event("reasoning", expected["answer"], moved=True))
            expected["answer"] = ""
        elif kind == "tool":
            if index[0] not in order:
                order.append(index[0])
                expected["calls"].append([f"tool{index[0]}", ""])
            expected["calls"][order.index(index[0])][1] += text
            pacing.take(Event("tool", text, tools[index[0]]))
        else:
            if kind == "retry":
                expected["notices"].append(" ".join(legible(text).split()))
            elif kind in expected:
                expected[kind] += text
            pacing.take(Event(kind, text))
        if place == late:
            told, latecomer = len(batches), Reader(pacing.progress.state())
    pacing.end({"outcome": "stop"})
    for batch in batches:
        reader.read(batch)
    for name in ("reasoning", "answer"):
        expected[name] = legible(expected[name])
    expected["calls"] = [[name, legible(text)] for name, text in expected["calls"]]
    assert reader.state == expected
    assert reader.lost == 0
    assert reader.phases[-1] == "done"
    assert batches[-1]["end"] == {"outcome": "stop"}
    state = pacing.progress.state()
    assert {name: state[name] for name in expected} == expected
    assert state["end"] == {"outcome": "stop"}
    if latecomer is not None:
        notices = len(latecomer.notices)
        for batch in batches[told:]:
            latecomer.read(batch)
        assert {**latecomer.state, "notices": None} == {**expected, "notices": None}
        assert latecomer.lost == 0
        assert notices <= len(expected["notices"])


def test_offsets_count_as_a_page_counts():
    passage = Passage()
    passage.add("naïve 🙂")
    assert passage.take() == (0, "naïve 🙂")
    passage.add("!")
    assert passage.take() == (8, "!")


def test_what_would_change_how_the_rest_is_read_is_not_told():
    progress = Progress()
    progress.take(Event("answer", "a\u202eb\x1b[2J\r\n"))
    assert progress.batch()["answer"] == (0, "ab␛[2J\n")
    progress.take(Event("tool", "{}", ToolCall(0, "", "a\u202e\nb")))
    assert progress.batch()["calls"] == [[0, "a b", 0, "{}"]]


def test_a_call_that_opens_with_its_name_alone_is_told():
    progress = Progress()
    progress.take(Event("tool", "", ToolCall(0, "call_0", "get_price")))
    assert progress.batch()["calls"] == [[0, "get_price", 0, ""]]
    assert "calls" not in progress.batch()


# the view


def talk(view, reasoning="We think.", answer="It is so."):
    view(Event("queued"))
    for word in reasoning.split(" "):
        view(Event("reasoning", f"{word} "))
    for word in answer.split(" "):
        view(Event("answer", f"{word} "))
    return Reply(
        answer=f"{answer} ",
        reasoning=f"{reasoning} ",
        outcome="stop",
        usage=Usage(100, 50, 150, 64, 36, 20),
        model="deepseek-flash",
        served_by="emulator",
    )


def test_a_turn_is_one_panel_and_then_one_static_bundle(page):
    view = LiveView(model="deepseek-flash", effort="high")
    reply = talk(view)
    view.close(reply, None)
    assert page.kinds[:2] == ["comm_open", "display"]
    assert set(page.kinds[2:-1]) == {"comm_msg"}
    assert page.kinds[-1] == "update"
    state = page.of("comm_open")[0]["state"]
    assert state["turn"]["model"] == "deepseek-flash"
    assert state["turn"]["detail"] == "effort high"
    assert state["turn"]["phase"] == ["asking", 0.0, 0.0]
    shown = page.of("display")[0]
    assert set(shown) == {WIDGET, "text/plain"}
    assert "deepseek-flash has been asked" in shown["text/plain"]
    assert page.of("update") == [bundle(reply)]
    reader = Reader()
    for batch in page.batches:
        reader.read(batch)
    assert (reader.state["reasoning"], reader.state["answer"]) == (reply.reasoning, reply.answer)
    assert reader.phases == ["queued", "thinking", "answering", "done"]
    assert page.batches[-1]["end"]["who"] == ["emulated", "thinking"]
    assert page.batches[-1]["end"]["ending"] == "done"
    assert page.batches[-1]["end"]["share"] == 0.64


@pytest.mark.parametrize(
    ("thinking", "effort", "detail"),
    [
        (None, None, ""),
        (True, None, "thinking on"),
        (False, None, "thinking off"),
        (True, "max", "effort max"),
        (None, "none", "thinking off"),
    ],
)
def test_the_head_says_how_the_model_was_asked_to_think(page, thinking, effort, detail):
    LiveView(model="m", thinking=thinking, effort=effort)
    assert page.of("comm_open")[0]["state"]["turn"]["detail"] == detail


def test_a_turn_that_failed_shows_its_part_and_why(page):
    view = LiveView(model="deepseek-flash")
    part = talk(view)
    part.outcome = "truncated"
    error = ServerFailed("The server is <b>busy</b>.", status=503, reply=part)
    view.close(None, error)
    assert page.of("update") == [bundle(part, error)]
    assert page.batches[-1]["end"]["ending"] == "failed"
    assert page.batches[-1]["end"]["error"] == "The server is <b>busy</b>."


def test_a_turn_that_never_began_is_closed_with_its_error(page):
    view = LiveView(model="deepseek-flash")
    error = ServerFailed("no", status=500)
    view.close(None, error)
    view.close(None, error)
    assert page.of("update") == [bundle(Reply(asked_model="deepseek-flash"), error)]


def test_a_connection_that_breaks_costs_one_warning_and_no_reply(page):
    view = LiveView(model="m")
    page.broken_at = 4

    def turn():
        reply = talk(view)
        view.close(reply, None)
        return reply

    with pytest.warns(DsnbWarning, match="panel failed .ConnectionError: the page is gone.") as warned:
        reply = turn()
    assert len(warned) == 1
    assert page.of("update") == [bundle(reply)]


def test_a_connection_that_breaks_in_a_silence_warns_too(page):
    view = LiveView(model="m")
    view(Event("answer", "a"))
    page.broken_at = 0

    def silence():
        view(Event("answer", "b"))
        until = time.monotonic() + 2
        while not view._failed and time.monotonic() < until:
            time.sleep(0.005)

    with pytest.warns(DsnbWarning, match="the page is gone"):
        silence()


def test_a_panel_that_cannot_open_leaves_the_final_bundle(page, capsys):
    page.broken_at = 0
    with pytest.warns(DsnbWarning, match="the reply is not affected") as warned:
        view = LiveView(model="m")
    reply = talk(view)
    view.close(reply, None)
    assert len(warned) == 1
    assert not page.messages
    assert capsys.readouterr().out == bundle(reply)["text/plain"] + "\n"


def test_without_a_kernel_the_final_bundle_is_all(capsys):
    view = LiveView(model="m")
    reply = talk(view)
    assert capsys.readouterr().out == ""
    view.close(reply, None)
    assert capsys.readouterr().out == bundle(reply)["text/plain"] + "\n"


def test_an_interrupt_passes_and_the_part_is_shown(page, monkeypatch):
    view = LiveView(model="m")
    view(Event("answer", "half "))

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(view._pacing.progress, "batch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        view(Event("reasoning", "x"))
    monkeypatch.undo()
    part = Reply(answer="half ", outcome="interrupted")
    view.close(part, None)
    assert page.messages[-1] == ("update", None, bundle(part))


def test_a_page_that_comes_late_gets_the_whole_turn(page):
    view = LiveView(model="m")
    reply = talk(view)
    state = view._panel.get_state("turn")["turn"]
    assert (state["reasoning"], state["answer"]) == (reply.reasoning, reply.answer)
    view._panel._handle_msg({"content": {"data": {"method": "custom", "content": "whole"}}, "buffers": []})
    assert page.batches[-1]["whole"]["answer"] == reply.answer
    view._panel._handle_msg({"content": {"data": {"method": "custom", "content": {"any": "thing"}}}, "buffers": []})
    view.close(reply, None)
    assert view._panel.get_state("turn")["turn"]["end"]["ending"] == "done"


def test_panels_are_closed_when_no_late_page_can_want_them(page):
    views = [LiveView(model="m") for _ in range(20)]
    views[3]._panel.get_state()  # what a page does that was loaded again
    for view in views:
        view.close(talk(view), None)
    kept = panel._LINGERING
    closed = [view._panel.comm is None for view in views]
    assert closed == [place != 3 for place in range(20 - kept)] + [False] * kept
    assert page.kinds.count("comm_close") == 20 - kept - 1
    assert page.kinds.count("comm_open") == 20, "a panel must bring no second widget with it"


def test_views_in_threads_keep_to_themselves(page):
    replies = {}

    def ask(number):
        view = LiveView(model=f"model-{number}")
        reply = talk(view, answer=f"number {number} " * 200)
        view.close(reply, None)
        replies[view._panel.model_id] = reply

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(replies) == 8
    for model_id, reply in replies.items():
        reader = Reader()
        for kind, comm_id, data in page.messages:
            if kind == "comm_msg" and comm_id == model_id:
                reader.read(data["content"])
        assert reader.state["answer"] == reply.answer


# what it costs


def test_the_module_and_the_style_are_small():
    size = len((panel._Panel._esm.default_value + panel._Panel._css.default_value).encode())
    assert size <= 15_000


@pytest.fixture(scope="module")
def kernel():
    pytest.importorskip("ipykernel", reason="needs ipykernel (pip install 'dsnb[jupyter]')")
    with Kernel() as kernel:
        kernel.run(TURN)
        yield kernel


def test_traffic_is_linear_and_within_ten_times_the_text(kernel):
    ratios = []
    for chunks in (1_000, 4_000, 20_000):
        traffic = kernel.run(f"turn({chunks})")
        ratios.append(traffic.total / float(traffic.printed.split()[0]))
        assert len(traffic.messages) < 100
    assert ratios[1] <= 10
    assert all(later <= earlier * 1.1 for earlier, later in pairwise(ratios))


def test_a_slow_stream_stays_within_40_kilobytes_a_second(kernel):
    traffic = kernel.run("turn(100, pause=0.01)")
    assert traffic.total / 1.0 <= 40_000
    assert 10 <= len(traffic.of("comm_msg")) <= 32


def test_a_kernel_shows_the_panel_and_then_the_bundle_and_prints_nothing(kernel):
    traffic = kernel.run("turn(50)")
    (shown,), (updated,) = traffic.of("display_data"), traffic.of("update_display_data")
    assert WIDGET in shown["data"]
    assert set(updated["data"]) == {"text/html", "text/markdown", "text/plain"}
    assert updated["transient"] == shown["transient"]
    assert [content for content in traffic.of("stream") if content["name"] == "stderr"] == []
