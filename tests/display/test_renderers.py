"""Which view shows a turn, what the plain ones print, and that no cell shows a reply twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

from dsnb import Emulator, connect
from dsnb.client.events import Event
from dsnb.client.reply import Reply, Timing
from dsnb.client.tool_call import ToolCall
from dsnb.client.usage import Usage
from dsnb.display import already_shown, formatters, render, renderers, view
from dsnb.display.final import FinalView
from dsnb.display.plain import PlainView
from dsnb.errors import ConfigurationError, DsnbWarning, ServerFailed

ROOT = Path(__file__).parents[2]


def shown_by(name="auto"):
    """Return the class of the view that a name leads to, None for nothing."""
    made = view(name, model="deepseek-flash")
    return type(made._inner) if isinstance(made, renderers._Guarded) else None


def test_scripts_and_pipes_show_nothing():
    assert shown_by() is None


def test_the_argument_wins_over_the_block_and_the_block_over_the_environment(monkeypatch):
    monkeypatch.setenv("DSNB_RENDER", "plain")
    assert shown_by() is PlainView
    with render("final"):
        assert shown_by() is FinalView
        with render(None):
            assert shown_by() is None
            assert shown_by("plain") is PlainView
        with render("auto"):
            assert shown_by() is PlainView
        assert shown_by(None) is None
    assert shown_by() is PlainView
    monkeypatch.setenv("DSNB_RENDER", " NONE ")
    assert shown_by() is None
    assert shown_by("final") is FinalView


def test_an_unknown_name_is_an_error_that_lists_the_known_ones(monkeypatch):
    names = "auto, live, final, plain, none"
    with pytest.raises(ConfigurationError, match=names):
        view("fancy")
    with pytest.raises(ConfigurationError, match=names), render("fancy"):
        pass
    monkeypatch.setenv("DSNB_RENDER", "fancy")
    with pytest.raises(ConfigurationError, match=f"DSNB_RENDER='fancy' is no renderer: .*{names}"):
        view()
    assert shown_by("final") is FinalView  # what is not asked does not answer wrongly


def test_a_terminal_where_somebody_types_gets_plain_text(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert shown_by() is None  # a script in a terminal
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert shown_by() is PlainView


class Shell:
    """Stand for the shell of IPython, as far as it is asked."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


def test_ipython_gets_plain_text_and_a_kernel_the_panel(monkeypatch):
    monkeypatch.setattr(formatters, "install", lambda: None)
    monkeypatch.setattr(formatters, "shell", lambda: Shell())
    assert shown_by() is PlainView
    made = []
    monkeypatch.setitem(renderers._MAKERS, "live", lambda **asked: made.append(asked) or FinalView())
    monkeypatch.setattr(formatters, "shell", lambda: Shell(kernel=object()))
    view(model="deepseek-flash", thinking=True, effort="high", prose=False)
    (asked,) = made
    known = {"model": "deepseek-flash", "thinking": True, "effort": "high"}
    assert asked == {**known, "prose": False, "messages": (), "stop": None}


def test_where_widgets_do_not_work_the_panel_gives_way_to_the_final_view(monkeypatch):
    monkeypatch.setitem(sys.modules, "dsnb.display.panel", None)  # so that importing it fails
    assert shown_by("live") is FinalView


def test_nothing_of_jupyter_is_imported_to_find_out_that_it_is_not_there():
    code = (
        "import sys; from dsnb.display import install, render, view; install(); view()\n"
        "with render('plain'): view()\n"
        "print([name for name in ('IPython', 'ipywidgets', 'anywidget') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_final_view_prints_its_text_where_there_is_no_ipython(capsys):
    shown = FinalView(model="deepseek-flash")
    shown(Event("answer", "4"))
    assert capsys.readouterr().out == ""
    shown.close(Reply(answer="4", outcome="stop", model="deepseek-flash"), None)
    assert capsys.readouterr().out == "deepseek-flash\n\n4\n"


def test_turns_of_a_conversation_are_shown_with_their_questions(capsys):
    with Emulator() as emulator, connect(emulator.base_url, "any", quiet=True) as ds:
        chat = ds.conversation(system="Be kind.")
        chat.ask("How many?", render="final")
        assert "\n\nTurn 1\n  How many?\n\n" in capsys.readouterr().out
        chat.ask([{"role": "user", "content": "And\nwhy?"}], render="final")
        assert "\n\nTurn 2\n  And\n  why?\n\n" in capsys.readouterr().out
        ds.ask("How many?", render="final")
        assert "Turn" not in capsys.readouterr().out  # it stands in the cell


def test_the_final_view_shows_the_part_that_an_error_brings(capsys):
    error = ServerFailed("Overloaded.", status=503, reply=Reply(answer="Half of", outcome="truncated"))
    FinalView(model="deepseek-flash").close(None, error)
    assert "Half of\n\nServerFailed: Overloaded." in capsys.readouterr().out
    FinalView(model="deepseek-flash").close(None, ServerFailed("Overloaded.", status=503))
    assert capsys.readouterr().out == "deepseek-flash · failed\n\nServerFailed: Overloaded.\n"


def play(events, reply=None, error=None):
    shown = PlainView()
    for event in events:
        shown(event)
    shown.close(reply, error)


def test_the_plain_view_streams_and_ends_with_one_line(capsys):
    call = ToolCall(0, "call_0", "get_price", '{"symbol": "DS"}', "12.5")
    events = [
        *(
            Event("queued"),
            Event("queued"),
            Event("retry", "503: again in 1 s"),
            Event("reasoning", "Hm"),
            Event("reasoning", "m."),
        ),
        *(
            Event("tool", '{"symbol"', call),
            Event("tool", ': "DS"}', call),
            Event("answer", "It is "),
            Event("answer", "12.5."),
        ),
    ]
    usage = Usage(1000, 20, 1020, 750, 250)
    reply = Reply(
        answer="It is 12.5.", tool_calls=[call], outcome="stop", usage=usage, model="m", timing=Timing(total=3)
    )
    play([*events, Event("end", reply=reply)], reply)
    assert capsys.readouterr().out == (
        "waiting in the queue …\n503: again in 1 s\nHmm.\n"
        'calls get_price {"symbol": "DS"}\n\nIt is 12.5.\nget_price → 12.5\n'
        "m · prompt 1,000 · cached 750 (75%) ▰▰▰▰▰▰▱▱ · completion 20 · total 3.00 s\n"
    )


def test_the_plain_view_tells_results_when_they_come_and_once(capsys):
    calls = [ToolCall(0, "a", "get_price"), ToolCall(1, "b", "get_price"), ToolCall(2, "c", "get_rate")]
    done = [Event("tool", "{}", calls[0]), Event("tool", "[]", calls[1])]
    for call, result, failed in ((calls[1], '{"error": "no\\nsuch"}', True), (calls[0], "12.5", False)):
        call.result, call.failed = result, failed
        done.append(Event("tool", tool=call))
    calls[2].result = "1"
    play([*done, Event("answer", "\n\n"), Event("answer", "So.")], Reply(model="m", tool_calls=calls, outcome="stop"))
    assert capsys.readouterr().out == (
        "calls get_price {}\ncalls get_price []\nget_price failed → no such\nget_price → 12.5\n\nSo.\nget_rate → 1\nm\n"
    )


def test_the_plain_view_says_what_begins_anew(capsys):
    play(
        [Event("answer", "Hm"), Event("retry", "Cut. Again in 1 s.", anew=True), Event("answer", "4")],
        Reply(model="m", outcome="stop"),
    )
    out = "Hm\nCut. Again in 1 s. What this request has said is void; it begins anew.\n\n4\nm\n"
    assert capsys.readouterr().out == out


def test_the_plain_view_prints_what_was_not_streamed(capsys):
    play([], Reply(answer="4", reasoning="2 + 2", outcome="length", model="m"))
    assert capsys.readouterr().out == "2 + 2\n\n4\nm · cut off at its limit of tokens\n"


def test_the_plain_view_says_that_what_it_told_was_reasoning(capsys):
    play(
        [Event("answer", "Hmm"), Event("reasoning", "Hmm", moved=True), Event("answer", "4")],
        Reply(model="m", outcome="stop"),
    )
    assert capsys.readouterr().out == "Hmm\n[all of this was reasoning]\n\n4\nm\n"


def test_the_plain_view_ends_its_line_when_nothing_came_back(capsys):
    play([Event("answer", "Half")])
    assert capsys.readouterr().out == "Half\n"
    play([Event("answer", "Half")], None, ServerFailed("x", status=500, reply=Reply(model="m", outcome="truncated")))
    assert capsys.readouterr().out == "Half\nm · failed\n"


def test_no_control_character_reaches_the_terminal(capsys):
    text = "\x1b[31mred\x1b]0;title\x07 \rback \x08 \x9b2J \u202eevil"
    call = ToolCall(0, "", f"f{text}", text, text)
    play(
        [Event(kind, text) for kind in ("reasoning", "answer", "retry")] + [Event("tool", text, call)],
        Reply(model=text, tool_calls=[call]),
    )
    out = capsys.readouterr().out
    assert "␛[31mred" in out
    assert not set(out) & set("\x1b\x07\r\x08\x9b\u202e")


@pytest.mark.parametrize(("variable", "value"), [(None, ""), ("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_are_for_terminals_that_want_them(capsys, monkeypatch, variable, value):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if variable:
        monkeypatch.setenv(variable, value)
    play([Event("reasoning", "Hm"), Event("answer", "4")])
    assert capsys.readouterr().out == ("Hm\n\n4\n" if variable else "\x1b[2mHm\x1b[0m\n\n4\n")


def test_a_terminal_of_few_characters_gets_question_marks(monkeypatch, tmp_path):
    with (tmp_path / "out").open("w", encoding="ascii") as out:
        monkeypatch.setattr(sys, "stdout", out)
        play([Event("answer", "中文 ok")])
    assert (tmp_path / "out").read_text() == "?? ok\n"


def test_without_a_console_nothing_is_printed(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    play([Event("answer", "4")], Reply(outcome="stop"))


def test_a_view_that_fails_warns_once_and_costs_no_reply(monkeypatch):
    class Broken:
        def __call__(self, event):
            raise BrokenPipeError

        def close(self, reply, error):
            raise OSError("no space left")

    monkeypatch.setitem(renderers._MAKERS, "final", lambda **_: Broken())

    def turn():
        shown = view("final")
        shown(Event("answer", "4"))
        shown(Event("answer", "4"))
        shown.close(Reply(), None)

    with pytest.warns(DsnbWarning, match="The final view failed .BrokenPipeError.; the reply is not affected") as told:
        turn()
    assert len(told) == 1


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """Return a function that runs a cell in a real kernel, and gives its outputs."""
    folder = tmp_path_factory.mktemp("kernel")
    env = {"IPYTHONDIR": str(folder), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    import os

    manager, client = start_new_kernel(env={**os.environ, **env}, cwd=str(folder))

    def run(code, **options):
        outputs = []
        client.execute_interactive(code, timeout=30, output_hook=outputs.append, **options)
        return [(output["msg_type"], output["content"]) for output in outputs if output["msg_type"] in KINDS]

    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


KINDS = {"display_data", "execute_result", "stream", "error", "update_display_data", "clear_output"}
SHOW = """
from dsnb.client.reply import Reply
from dsnb.display import view
def ask(text):
    reply = Reply(answer=text, outcome="stop", model="deepseek-flash")
    view("final").close(reply, None)
    return reply
"""


def test_a_reply_is_shown_once_by_the_cell_that_asks_and_again_where_asked_for(kernel):
    assert kernel(SHOW) == []
    for options in ({}, {"store_history": False}):  # as JupyterLab does, and as nbval does
        (kind, content), *others = kernel("r = ask('four'); r", **options)
        assert (kind, others) == ("display_data", [])
        assert set(content["data"]) == {"text/html", "text/markdown", "text/plain"}
        [(kind, again)] = kernel("r", **options)
        assert (kind, again["data"]) == ("execute_result", content["data"])
        [(kind, again)] = kernel("display(r)", **options)
        assert (kind, again["data"]) == ("display_data", content["data"])
    assert [kind for kind, _ in kernel("_ is r or Out")] == ["execute_result"]


def test_only_the_reply_that_was_shown_is_kept_from_showing_twice(kernel):
    kernel(SHOW)
    outputs = kernel("shown = ask('one'); Reply(answer='two', outcome='stop')")
    assert [kind for kind, _ in outputs] == ["display_data", "execute_result"]
    assert "two" in outputs[1][1]["data"]["text/html"]
    outputs = kernel("shown = ask('one'); display(shown)")
    assert [kind for kind, _ in outputs] == ["display_data", "display_data"]
    outputs = kernel("ask('one'); ask('two'); [shown]")
    assert [kind for kind, _ in outputs] == ["display_data", "display_data", "execute_result"]
    assert "text/html" not in outputs[2][1]["data"]


def test_replies_are_let_go_when_the_cell_has_ended(kernel):
    kernel(SHOW)
    kernel("ask('one')")
    [(_, content)] = kernel("from dsnb.display.formatters import _shown; len(_shown)")
    assert content["data"]["text/plain"] == "0"


def test_an_error_shows_the_part_and_goes_on(kernel):
    kernel(SHOW)
    outputs = kernel(
        "from dsnb.errors import ServerFailed\n"
        "error = ServerFailed('Overloaded.', status=503, reply=Reply(answer='Half of', outcome='truncated'))\n"
        "view('final').close(None, error)\nraise error"
    )
    assert [kind for kind, _ in outputs] == ["display_data", "error"]
    assert "Half of" in outputs[0][1]["data"]["text/html"]
    assert "Overloaded." in outputs[0][1]["data"]["text/markdown"]


def test_outside_of_ipython_nothing_is_remembered():
    reply = Reply(outcome="stop")
    formatters.install()
    view("final").close(reply, None)
    assert not already_shown(reply)
    assert json.dumps(list(formatters._shown)) == "[]"


def test_only_whole_answers_are_read_as_markdown_while_they_come(monkeypatch):
    prose = []
    monkeypatch.setitem(renderers._MAKERS, "final", lambda **asked: prose.append(asked["prose"]) or FinalView())
    with Emulator() as emulator, connect(emulator.base_url, "any", quiet=True) as ds:
        ds.ask("hello", render="final")
        ds.ask("hello", start="```python\n", render="final")
        ds.complete("def area(r):\n", render="final")
    assert prose == [True, False, False]
