import json
import threading
import time
from itertools import pairwise

import comm
import pytest
from comm.base_comm import BaseComm
from hypothesis import given, settings
from hypothesis import strategies as st

from dsnb.client.events import Event
from dsnb.client.reply import Reply
from dsnb.client.tool_call import ToolCall
from dsnb.client.usage import Usage
from dsnb.display import dialogue, panel
from dsnb.display import markdown as md
from dsnb.display.bundle import bundle
from dsnb.display.pacing import Pacing, Progress
from dsnb.display.panel import LiveView
from dsnb.display.round import Passage
from dsnb.display.text import legible
from dsnb.errors import DsnbWarning, ServerFailed
from tests.bench.panel import TURN
from tests.display.lab import Kernel, environment
from tests.patience import PATIENCE

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
        self.rounds, self.notices, self.phases, self.lost = [], [], [], 0
        self.end = None
        if state is not None:
            self.read(state)

    def read(self, batch):
        del self.rounds[batch.get("kept", len(self.rounds)) :]
        for place, news in batch.get("rounds", ()):
            if place == len(self.rounds):
                empty = {
                    "reasoning": b"",
                    "answer": b"",
                    "read": {"reasoning": [], "answer": []},
                    "calls": [],
                    "results": {},
                    "thought": 0,
                }
                self.rounds.append(empty)
            self._add(self.rounds[place], **news)
        self.notices += batch.get("notices", [])
        if "phase" in batch:
            self.phases.append(batch["phase"][0])
        self.end = batch.get("end") or self.end

    def _add(self, held, *, moved=False, read=None, calls=(), results=(), thought=None, **texts):
        if moved:
            held["answer"], held["read"]["answer"] = b"", []
        for name, piece in texts.items():
            held[name] = self._joined(held[name], *piece)
        for name, html in (read or {}).items():
            blocks = held["read"][name]
            covered = blocks[-1][0] if blocks else 0
            blocks += [tuple(block) for block in html.get("blocks", ()) if block[0] > covered]
            for end, _ in [*blocks, html.get("draft") or (0, "")]:
                assert 0 <= 2 * end <= len(held[name]), "html of what has not come"
        for place, name, *piece in calls:
            if place == len(held["calls"]):
                held["calls"].append(["", b""])
            held["calls"][place] = [name, self._joined(held["calls"][place][1], *piece)]
        held["results"] |= dict(results)
        held["thought"] = held["thought"] if thought is None else thought

    def _joined(self, had, offset, text):
        self.lost += max(0, offset - len(had) // 2)
        return had + text.encode("utf-16-le")[max(0, len(had) - 2 * offset) :]

    def said(self, name):
        return b"".join(held[name] for held in self.rounds).decode("utf-16-le")

    @property
    def pages(self):
        """The html of each text, the text that it was made of, and whether newlines are kept."""
        for held in self.rounds:
            for name, blocks in held["read"].items():
                yield "".join(html for _, html in blocks), held[name].decode("utf-16-le"), name == "reasoning"

    def called(self, name):
        pieces = [text for held in self.rounds for called, text in held["calls"] if called == name]
        return b"".join(pieces).decode("utf-16-le")


def crossed(batch):
    """Return what a page gets of a batch."""
    return json.loads(json.dumps(batch))


def pace(**options):
    batches, clock = [], Clock()
    return Pacing(batches.append, clock=clock, **options), batches, clock


# how often it tells


def test_the_first_event_is_told_at_once_and_the_next_when_the_interval_is_over():
    pacing, batches, clock = pace(interval=0.05)
    pacing.take(Event("reasoning", "a"))
    first = {"at": 0.0, "tokens": 1, "phase": ("thinking", 0.0), "rounds": [[0, {"reasoning": (0, "a")}]]}
    assert batches == [first]
    for _ in range(4):
        clock.now += 0.01
        pacing.take(Event("reasoning", "b"))
    assert len(batches) == 1
    clock.now += 0.011
    pacing.take(Event("reasoning", "c"))
    assert batches[1:] == [{"at": 0.051, "tokens": 6, "rounds": [[0, {"reasoning": (1, "bbbbc")}]]}]
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
    assert told.acquire(timeout=PATIENCE)
    assert told.acquire(timeout=PATIENCE), "the last tokens were never told"
    assert batches[1]["rounds"] == [[0, {"answer": (1, "bc")}]]
    until = time.monotonic() + PATIENCE
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
        ("thinking", 0.0),
        ("answering", 2.0),
        ("thinking", 7.0),
        ("answering", 8.0),
        ("done", 8.0),
    ]
    thoughts = [news["thought"] for batch in batches for _, news in batch.get("rounds", ()) if "thought" in news]
    assert thoughts == [2.0, 3.0]


# what it tells

TEXTS = st.text(max_size=12).filter(lambda text: text != "\n\n")  # which is how the next round begins
PLACES = st.integers(0, 2)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["reasoning", "answer", "moved", "retry", "anew"]), TEXTS, st.just(0)),
        st.tuples(st.sampled_from(["queued", "again", "something new"]), st.just(""), st.just(0)),
        st.tuples(st.sampled_from(["tool", "result"]), TEXTS, PLACES),
    ),
    max_size=40,
)


class Script:
    """Play a script of events, and keep a log of what was said that nothing clever is done with."""

    def __init__(self, take):
        self._take = take
        self._tools = [self._tool(place) for place in range(3)]
        self._log = []  # what is said: (who, text)
        self._lasting = 0  # entries, when the last tool ended
        self._began = 0  # where the round began
        self._again = False
        self._last = ""
        self.notices, self.results = [], []

    @staticmethod
    def _tool(place):
        return ToolCall(0, "", f"tool{place}")

    def said(self, name):
        return legible("".join(text for who, text in self._log if who == name))

    def play(self, kind, text, place):
        log = self._log
        if kind in {"retry", "anew"}:
            self.notices.append(" ".join(legible(text).split()))
            self._take(Event("retry", text, anew=kind == "anew"))
            if kind == "anew":
                del log[self._lasting :]
                self._began, self._again = self._lasting, False
                self._tools = [self._tool(place) for place in range(3)]
        elif kind == "result":
            tool, self._tools[place] = self._tools[place], self._tool(place)
            tool.result, tool.failed, tool.seconds = text, bool(place), 1.5
            self.results.append((tool.name, " ".join(legible(text).split())))
            self._take(Event("tool", tool=tool))
            self._lasting = self._began = len(log)
        elif kind == "again":
            self._take(Event("reasoning", "\n\n"))
            if self._last == "answer":
                self._again = True
                return
            log.append(("reasoning", "\n\n"))
            kind = "reasoning"
        elif kind == "moved":
            answer = "".join(text for who, text in log[self._began :] if who == "answer")
            log[self._began :] = [entry for entry in log[self._began :] if entry[0] != "answer"]
            log.append(("reasoning", answer))
            self._again = False
            self._take(Event("reasoning", answer, moved=True))
        elif kind in {"queued", "something new"}:
            self._take(Event(kind))
            return
        else:
            if kind == "reasoning" and self._again:
                self._began = len(log)
            self._again = False
            if kind == "tool":
                self._tools[place].append(text)
            log.append((f"tool{place}" if kind == "tool" else kind, text))
            self._take(Event(kind, text, self._tools[place] if kind == "tool" else None))
        self._last = kind


@settings(deadline=None)
@given(EVENTS, st.sampled_from([0, 0.05, 1e9]), st.integers(0, 40))
def test_batches_put_together_are_the_whole_for_whoever_comes_when(events, interval, late):
    pacing, batches, clock = pace(interval=interval)
    pacing._teller = threading.current_thread()  # nobody tells anything behind our back
    script, told, latecomer = Script(pacing.take), 0, None
    for place, event in enumerate(events):
        clock.now += 0.01
        script.play(*event)
        if place == late:
            told, latecomer = len(batches), Reader(crossed(pacing.progress.state()))
    pacing.end({"outcome": "stop"})
    reader = Reader()
    for batch in batches:
        reader.read(crossed(batch))
    for name in ("reasoning", "answer"):
        assert reader.said(name) == script.said(name)
    for name in ("tool0", "tool1", "tool2"):
        assert reader.called(name) == script.said(name)
        results = [text for called, text in script.results if called == name]
        ended = [held["results"][place] for held in reader.rounds for place in sorted(held["results"])]
        assert [each["gist"] for each in ended if each["call"].startswith(name)] == [
            f" · 1.50 s → {text}" for text in results
        ]
    for html, text, breaks in reader.pages:
        assert html == md.html(text, breaks=breaks)
    assert reader.notices == script.notices
    assert reader.lost == 0
    assert reader.phases[-1] == "done"
    assert reader.end == {"outcome": "stop"}
    whole = Reader(crossed(pacing.progress.state()))
    assert (whole.rounds, whole.notices, whole.end) == (reader.rounds, reader.notices, reader.end)
    if latecomer is not None:
        for batch in batches[told:]:
            latecomer.read(crossed(batch))
        assert latecomer.rounds == whole.rounds
        assert latecomer.lost == 0


def test_what_is_void_is_dropped_and_what_a_tool_has_answered_stays():
    pacing, batches, _ = pace(interval=0)
    call = ToolCall(0, "call_0", "get_price", "{}")
    for event in (Event("reasoning", "a price"), Event("tool", "{}", call)):
        pacing.take(event)
    call.result, call.failed = '{"error": "no such thing"}', True
    for event in (
        *(Event("tool", tool=call), Event("reasoning", "\n\n"), Event("reasoning", "so"), Event("answer", "It i")),
        Event("retry", "The stream was cut.", anew=True),
    ):
        pacing.take(event)
    assert batches[-1]["phase"][0] == "waiting"
    assert (batches[-1]["kept"], batches[-1]["notices"], batches[-1]["tokens"]) == (1, ["The stream was cut."], 2)
    pacing.take(Event("answer", "It is"))
    pacing.take(Event("retry", "Going on from there."))
    assert "kept" not in batches[-1]
    reader = Reader()
    for batch in batches:
        reader.read(batch)
    first, second = reader.rounds
    assert first["results"][0]["gist"] == " → no such thing"
    assert first["results"][0]["failed"]
    assert (second["reasoning"], second["answer"].decode("utf-16-le")) == (b"", "It is")
    pacing.end({})


def test_what_is_void_twice_between_two_batches_is_dropped_from_the_first():
    progress = Progress()
    call = ToolCall(0, "call_0", "f", "{}")
    progress.take(Event("answer", "one"))
    progress.batch()
    progress.take(Event("retry", anew=True))
    progress.take(Event("tool", "{}", call))
    call.result = "1"
    progress.take(Event("tool", tool=call))
    progress.take(Event("answer", "two"))
    progress.take(Event("retry", anew=True))
    batch = progress.batch()
    assert batch["kept"] == 0
    assert [place for place, _ in batch["rounds"]] == [0]
    assert "answer" not in batch["rounds"][0][1]


def test_tools_are_being_called_until_the_last_has_ended():
    progress = Progress()
    calls = [ToolCall(place, f"call_{place}", "f", "{}") for place in range(2)]
    phases = []
    for call in calls:
        progress.take(Event("tool", "{}", call))
    for call in reversed(calls):
        call.result = "1"
        progress.take(Event("tool", tool=call))
        phases.append(progress.batch()["phase"][0] if not progress._phase_told else "calling")
    assert phases == ["calling", "asking"]


def test_a_call_that_was_refused_is_told_with_why():
    progress = Progress()
    call = ToolCall(0, "call_0", "f", "{}")
    progress.take(Event("tool", "{}", call))
    call.refuse("The turn ended here.")
    progress.end({})
    ((_, news),) = progress.batch()["rounds"]
    ((_, result),) = news["results"]
    assert (result["failed"], result["gist"]) == (True, " → The turn ended here.")


def test_an_answer_that_was_no_json_and_the_next_are_two_rounds():
    progress = Progress()
    for event in (
        *(Event("reasoning", "a"), Event("answer", "{nam")),
        *(Event("reasoning", "\n\n"), Event("reasoning", "b"), Event("answer", "\n\n"), Event("answer", "{}")),
    ):
        progress.take(event)
    first, second = Reader(progress.state()).rounds
    assert (first["answer"].decode("utf-16-le"), second["answer"].decode("utf-16-le")) == ("{nam", "\n\n{}")


def test_what_moves_in_the_second_round_moves_within_it():
    progress = Progress()
    call = ToolCall(0, "call_0", "f", "{}")
    progress.take(Event("reasoning", "first"))
    progress.take(Event("tool", "{}", call))
    call.result = "1"
    for event in (
        *(Event("tool", tool=call), Event("answer", "hmm")),
        *(Event("reasoning", "\n\n"), Event("reasoning", "hmm", moved=True), Event("answer", "4")),
    ):
        progress.take(event)
    first, second = Reader(progress.state()).rounds
    assert first["answer"] == b""
    assert [second[name].decode("utf-16-le") for name in ("reasoning", "answer")] == ["hmm", "4"]


def test_half_a_text_is_not_read_as_markdown():
    batches = []
    for prose in (True, False):
        progress = Progress(prose=prose)
        progress.take(Event("answer", "    return **kwargs\n\n# and so on: half of a program, or of a sentence"))
        progress.end({})
        batches.append(progress.batch()["rounds"][0][1])
        assert ("answer" in progress.state()["rounds"][0][1]["read"]) is prose
    assert ["read" in news for news in batches] == [True, False]
    assert batches[0]["answer"] == batches[1]["answer"]


def test_offsets_count_as_a_page_counts():
    passage = Passage()
    passage.add("naïve 🙂")
    assert passage.take() == (0, "naïve 🙂")
    passage.add("!")
    assert passage.take() == (8, "!")


def test_what_would_change_how_the_rest_is_read_is_not_told():
    progress = Progress()
    progress.take(Event("answer", "a\u202eb\x1b[2J\r\n"))
    assert progress.batch()["rounds"] == [[0, {"answer": (0, "ab␛[2J\n")}]]
    call = ToolCall(0, "", "a\u202e\nb", "{\u202e}")
    progress.take(Event("tool", "{}", call))
    assert progress.batch()["rounds"] == [[0, {"calls": [[0, "a b", 0, "{}"]]}]]
    call.result = "\x1b[2J\r\n\u202e"
    progress.take(Event("tool", tool=call))
    ((_, news),) = progress.batch()["rounds"]
    body = [("arguments", "{}"), ("result", "␛[2J\n")]
    assert news["results"] == [[0, {"call": "a b({})", "failed": False, "gist": " → ␛[2J", "body": body}]]


def test_a_call_that_opens_with_its_name_alone_is_told():
    progress = Progress()
    progress.take(Event("tool", "", ToolCall(0, "call_0", "get_price")))
    assert progress.batch()["rounds"] == [[0, {"calls": [[0, "get_price", 0, ""]]}]]
    assert "rounds" not in progress.batch()


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
        emulated=True,
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
    assert state["turn"]["phase"] == ("asking", 0.0)
    shown = page.of("display")[0]
    assert set(shown) == {WIDGET, "text/plain"}
    assert shown["text/plain"].startswith("Asking deepseek-flash.")
    assert page.of("update") == [bundle(reply)]
    reader = Reader()
    for batch in page.batches:
        reader.read(batch)
    assert (reader.said("reasoning"), reader.said("answer")) == (reply.reasoning, reply.answer)
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


def test_the_question_of_a_conversation_stands_above_live_and_in_the_end(page):
    question = dialogue.asked([{"role": "user", "content": "<b>What</b> is *it*?"}])
    view = LiveView(model="m", asked=question)
    reply = Reply(answer="It is.", outcome="stop")
    view.close(reply, None)
    assert page.of("comm_open")[0]["state"]["turn"]["question"] == question.html
    assert page.of("update") == [bundle(reply, asked=question)]
    shown = bundle(reply, asked=question)
    assert shown["text/html"].index(question.html) < shown["text/html"].index("It is.")
    assert "&lt;b&gt;What&lt;/b&gt; is <em>it</em>?" in question.html
    assert shown["text/plain"].startswith("unknown model\n\nTurn 1\n  <b>What</b> is *it*?\n\nIt is.")


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
    view = LiveView(model="")
    error = ServerFailed("no", status=500)
    view.close(None, error)
    view.close(None, error)
    assert page.of("update") == [bundle(Reply(), error)]


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
        until = time.monotonic() + PATIENCE
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
    late = Reader(view._panel.get_state("turn")["turn"])
    assert (late.said("reasoning"), late.said("answer")) == (reply.reasoning, reply.answer)
    view._panel._handle_msg({"content": {"data": {"method": "custom", "content": "whole"}}, "buffers": []})
    assert Reader(page.batches[-1]["whole"]).said("answer") == reply.answer
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
        thread.join(PATIENCE)
    assert len(replies) == 8
    for model_id, reply in replies.items():
        reader = Reader()
        for kind, comm_id, data in page.messages:
            if kind == "comm_msg" and comm_id == model_id:
                reader.read(data["content"])
        assert reader.said("answer") == reply.answer


# what it costs


def test_the_module_and_the_style_are_small():
    size = len((panel._Panel._esm.default_value + panel._Panel._css.default_value).encode())
    assert size <= 22_500


def test_a_second_of_a_stream_costs_no_more_than_40_kilobytes(page):
    clock = Clock()
    view = LiveView(model="deepseek-flash", effort="high")
    view._pacing = Pacing(view._send, clock=clock)
    view._pacing._teller = threading.current_thread()  # real time has no part in this
    for place in range(100):
        clock.now += 0.01
        view(Event("reasoning" if place < 75 else "answer", "therefore "))
    view.close(Reply("therefore " * 25, "therefore " * 75, outcome="stop"), None)
    assert sum(len(json.dumps(message, ensure_ascii=False).encode()) for message in page.messages) <= 40_000
    assert 18 <= len(page.batches) <= 25


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


def test_a_kernel_shows_the_panel_and_then_the_bundle_and_prints_nothing(kernel):
    traffic = kernel.run("turn(50)")
    (shown,), (updated,) = traffic.of("display_data"), traffic.of("update_display_data")
    assert WIDGET in shown["data"]
    assert set(updated["data"]) == {"text/html", "text/markdown", "text/plain"}
    assert updated["transient"] == shown["transient"]
    assert [content for content in traffic.of("stream") if content["name"] == "stderr"] == []


@pytest.mark.slow
def test_a_notebook_that_runs_without_a_page_keeps_the_bundle_alone():
    client = pytest.importorskip("nbclient", reason="needs nbclient (pip install 'dsnb[dev]')")
    v4 = pytest.importorskip("nbformat").v4
    cells = [v4.new_code_cell(source) for source in (TURN, "turn(50)")]
    notebook = v4.new_notebook(cells=cells)
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment().items():
            patched.setenv(name, value)
        client.NotebookClient(
            notebook, timeout=PATIENCE * 10, kernel_name="python3", store_widget_state=False
        ).execute()
    shown = [output for output in notebook.cells[1].outputs if output.output_type == "display_data"]
    assert [set(output.data) for output in shown] == [{"text/html", "text/markdown", "text/plain"}]
    assert "widget" not in str(notebook.metadata)
