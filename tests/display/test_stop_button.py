"""Which interrupts are the reader's own, and how a page is heard that asks for the end."""

import asyncio

import pytest
import zmq
from jupyter_client.session import Session as Signing

from dsnb.client.events import Event
from dsnb.display import formatters, hearing
from dsnb.display.panel import LiveView
from dsnb.display.stop_button import StopButton
from tests.display.test_panel import page  # noqa: F401 — a fixture


def button(heard, **options):
    made = StopButton(lambda: None, **options)
    made.heard = lambda: heard
    return made


def test_an_interrupt_that_the_reader_asked_for_ends_in_the_button():
    with button(True):
        raise KeyboardInterrupt


@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError, ValueError])
def test_all_others_go_on(error):
    with pytest.raises(error), button(False):
        raise error


def test_an_error_is_no_interrupt_whatever_was_heard():
    with pytest.raises(ValueError, match="mine"), button(True):
        raise ValueError("mine")


def test_a_task_that_was_cancelled_for_the_reader_goes_on():
    async def turn():
        task = asyncio.current_task()
        with button(True, task=task):
            task.cancel()  # as ipykernel does at an interrupt
            await asyncio.sleep(60)
        await asyncio.sleep(0)
        return task.cancelling()

    assert asyncio.run(turn()) == 0


class Kernel:
    """Stand for a kernel with the channel by which pages answer ``input``."""

    def __init__(self):
        context = zmq.Context.instance()
        self.session = Signing(key=b"secret")
        self.stdin_socket, self.page = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
        port = self.stdin_socket.bind_to_random_port("tcp://127.0.0.1")
        self.page.connect(f"tcp://127.0.0.1:{port}")

    def leave(self, word):
        self.session.send(self.page, "input_reply", {"status": "ok", "value": word})

    def close(self):
        self.stdin_socket.close(0)
        self.page.close(0)


@pytest.fixture
def kernel(monkeypatch):
    kernel = Kernel()
    shell = type("Shell", (), {"kernel": kernel})()
    monkeypatch.setattr(formatters, "shell", lambda: shell)
    yield kernel
    kernel.close()


def test_a_word_tells_the_readers_interrupt_from_all_others(kernel):
    assert not hearing.told("word")
    kernel.leave("another panel's")
    kernel.leave("word")
    assert hearing.told("word")
    assert not hearing.told("word")  # it counts once


def test_without_a_kernel_there_is_nothing_to_hear(monkeypatch):
    assert not hearing.told("word")
    monkeypatch.setattr(formatters, "shell", lambda: type("Shell", (), {"kernel": object()})())
    assert not hearing.told("word")


def test_the_panel_answers_that_it_hears_and_passes_a_stop_on(page):  # noqa: F811
    asked = []
    view = LiveView(model="m", stop=StopButton(lambda: asked.append("stop")))
    state = page.of("comm_open")[0]["state"]["turn"]
    assert state["stoppable"]

    def say(content):
        view._panel._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})

    say("here")
    assert page.batches[-1] == {"hears": True}
    assert asked == []
    say("stop")
    assert asked == ["stop"]
    view(Event("answer", "x"))
    assert view._stop.heard.args == (state["word"],)


def test_a_panel_without_a_button_does_not_mind_a_stop(page):  # noqa: F811
    view = LiveView(model="m")
    assert not page.of("comm_open")[0]["state"]["turn"]["stoppable"]
    view._panel._handle_msg({"content": {"data": {"method": "custom", "content": "stop"}}, "buffers": []})


def test_a_kernel_that_sends_messages_elsewhere_leaves_those_of_the_panel_where_they_were_sent():
    class Comm:
        def _reply_subshell_for(self, _data, _default):
            return "the busy one"

    comm = Comm()
    hearing.open_for(comm)
    assert comm._reply_subshell_for({}, "the subshell") == "the subshell"
    hearing.open_for(object())  # of a kernel that knows nothing of this


def test_the_kernel_of_this_environment_still_has_what_is_overruled():
    comm = pytest.importorskip("ipykernel.comm.comm", reason="needs ipykernel (pip install 'dsnb[jupyter]')")
    version = tuple(map(int, pytest.importorskip("ipykernel").__version__.split(".")[:2]))
    if version < (7, 4):
        pytest.skip("ipykernel 7.4 was the first that routes messages")
    assert hasattr(comm.BaseComm, "_reply_subshell_for"), "look at dsnb.display.hearing again"
