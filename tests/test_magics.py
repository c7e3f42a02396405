"""The magics, in a real kernel: what they ask, what they return, and what they say about a line that is wrong."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

from tests.patience import PATIENCE

ROOT = Path(__file__).parents[1]
KINDS = {"display_data", "execute_result", "stream", "error"}
SENT = "import json; print(json.dumps(ds.emulator.requests()[-1]))"


class Kernel:
    """A kernel that has the magics, and a session that asks an emulator."""

    def __init__(self, client):
        self._client = client

    def run(self, code):
        """Run a cell; return its outputs, the error among them."""
        outputs = []
        self._client.execute_interactive(code, timeout=PATIENCE, output_hook=outputs.append, allow_stdin=False)
        return [(output["msg_type"], output["content"]) for output in outputs if output["msg_type"] in KINDS]

    def printed(self, code):
        """Run a cell that must not fail; return what it printed."""
        outputs = self.run(code)
        assert "error" not in dict(outputs), outputs
        return "".join(content["text"] for kind, content in outputs if kind == "stream")

    def sent(self):
        """Return the body of the last request."""
        return json.loads(self.printed(SENT))

    def complaint(self, code):
        """Run a cell that must be refused; return the words of the UsageError, which come without a traceback."""
        outputs = self.run(code)
        assert {content.get("name") for _, content in outputs} == {"stderr"}, outputs
        return "".join(content["text"] for _, content in outputs)

    def help(self, magic):
        """Return what a question mark shows."""
        reply = self._client.execute(f"{magic}?", reply=True, timeout=PATIENCE)
        return re.sub(r"\x1b\[[\d;]*m", "", reply["content"]["payload"][0]["data"]["text/plain"])


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernel")
    others = ("DSNB", "DEEPSEEK", "OPENAI")
    env = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    env |= {"IPYTHONDIR": str(folder), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    manager, client = start_new_kernel(env=env | {"DSNB_OFFLINE": "1", "DSNB_RENDER": "final"}, cwd=str(folder))
    kernel = Kernel(client)
    assert kernel.run("%load_ext dsnb\n%reload_ext dsnb") == []
    yield kernel
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(started):
    """Return the kernel with nothing in its variables but a session."""
    started.run("%reset -f")
    started.run("import dsnb\nds = dsnb.connect(quiet=True)")
    return started


def test_the_extension_brings_both_magics(kernel):
    assert "already loaded" in kernel.printed("%load_ext dsnb")
    for magic in ("%%ask", "%usage"):
        assert "Docstring" in kernel.help(magic)


def test_a_cell_is_asked_as_it_is_and_shown_once(kernel):
    [(kind, content)] = kernel.run("%%ask\nWhat is {x} for $5?\n\n  Say it.\n")
    assert kind == "display_data"
    assert "emulated" in content["data"]["text/plain"]
    assert kernel.sent()["messages"] == [{"role": "user", "content": "What is {x} for $5?\n\n  Say it."}]


def test_the_reply_is_the_result_of_the_cell(kernel):
    kernel.run("%%ask\nHello")
    assert kernel.printed("print(type(_).__name__, _ is ds.last)") == "Reply True\n"


def test_without_a_display_the_result_is_shown(kernel):
    [(kind, content)] = kernel.run("%%ask --render none\nHello")
    assert (kind, set(content["data"])) == ("execute_result", {"text/html", "text/markdown", "text/plain"})


def test_the_session_is_made_where_there_is_none(kernel):
    kernel.run("%reset -f")
    assert kernel.printed("%%ask\nHello").startswith("dsnb is offline")
    assert kernel.printed("print(type(ds).__name__, len(ds.emulator.requests()))") == "Session 1\n"


def test_flags_are_the_options_of_ask(kernel):
    kernel.run(
        "%%ask --model deepseek-v4-pro --thinking --effort max --max-tokens 500 --json --system \"Be 'brief'.\"\n"
        "Answer as json."
    )
    body = kernel.sent()
    assert body["model"] == "deepseek-v4-pro"
    assert (body["thinking"], body["reasoning_effort"]) == ({"type": "enabled"}, "max")
    assert body["max_tokens"] == 500
    assert body["response_format"] == {"type": "json_object"}
    assert body["messages"][0] == {"role": "system", "content": "Be 'brief'."}
    assert kernel.printed("print(type(_.parsed).__name__)") == "dict\n"
    kernel.run("%%ask --no-thinking\nHello")
    assert kernel.sent()["thinking"] == {"type": "disabled"}


def test_into_asks_in_a_conversation_and_makes_it(kernel):
    kernel.run("%%ask --into chat --system 'Be brief.'\nOne?")
    kernel.run("%%ask -i chat\nTwo?")
    roles = [message["role"] for message in kernel.sent()["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert kernel.printed("print(type(chat).__name__, len(chat.replies), chat.replies[-1] is _)") == (
        "Conversation 2 True\n"
    )


def test_a_conversation_without_a_session_gets_one(kernel):
    kernel.run("chat = dsnb.session.Conversation()")
    kernel.run("%%ask --into chat\nOne?")
    assert kernel.printed("print(len(chat), chat.session is ds)") == "2 True\n"


def test_a_conversation_in_which_nothing_was_said_gets_no_name(kernel):
    kernel.complaint("%%ask --into chat --system x --model nonsense\nOne?")
    assert kernel.printed("print('chat' in dir())") == "False\n"


def test_format_fills_variables_in(kernel):
    kernel.run("class A: b = 2\nx = {'k': [1]}")
    kernel.run("%%ask --format\n{x[k][0]} {A.b} {{x}}")
    assert kernel.sent()["messages"][0]["content"] == "1 2 {x}"


def test_the_line_takes_the_values_of_variables(kernel):
    kernel.run("style = 'Be brief.'")
    kernel.run('%%ask --system "{style}"\nHello')
    assert kernel.sent()["messages"][0]["content"] == "Be brief."


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("%%ask --modle x\nHi", "unrecognized arguments: --modle x. %%ask? lists the flags."),
        ("%%ask --model x\nHi", "%%ask: 'x' is not a model of the DeepSeek API"),
        ("%%ask --effort much\nHi", "it was not sent: reasoning_effort"),
        ("%%ask --max-tokens many\nHi", "--max-tokens: invalid int value: 'many'"),
        ("%%ask --render fancy\nHi", "--render: invalid choice: 'fancy'"),
        ('%%ask --system "it\nHi', "the line cannot be read: no closing quotation"),
        ("%%ask\n  \n", "%%ask: the prompt is missing"),
        ("%%ask --into 3x\nHi", "--into needs the name of a variable, which '3x' cannot be"),
        ("%%ask --into dsnb\nHi", "dsnb is no conversation but of the type module"),
        ("%%ask --format\n{nobody}", "--format found no variable 'nobody'; write {{ and }}"),
        ("%%ask --format\n{ds.nobody}", "has no attribute 'nobody'; write {{ and }}"),
        ('%%ask --format\n{"a": 1}', "%%ask: --format"),
        ("%usage --by nonsense", "%usage: A summary cannot go by 'nonsense': choose among run,"),
        ("%usage --attempts --by run", "--attempts adds nothing up"),
        ("%usage nonsense", "unrecognized arguments: nonsense. %usage? lists the flags."),
    ],
)
def test_what_is_wrong_is_said_in_a_few_words_and_nothing_is_sent(kernel, cell, words):
    assert words in kernel.complaint(cell)
    assert kernel.printed("print(len(ds.emulator.requests()))") == "0\n"


def test_a_system_message_cannot_come_late(kernel):
    kernel.run("%%ask --into chat\nOne?")
    assert "chat has begun, and keeps its system message" in kernel.complaint("%%ask -i chat -s Late\nTwo?")


def test_a_variable_of_that_name_that_is_no_session_is_left_alone(kernel):
    kernel.run("session, ds = ds, [1]")
    assert "ds is no session but of the type list" in kernel.complaint("%%ask\nHi")
    assert kernel.printed("print(ds)") == "[1]\n"


def test_what_goes_wrong_on_the_way_keeps_its_own_error_and_reply(kernel):
    kernel.run("emulator = dsnb.Emulator(faults=[402]).start()\nds = dsnb.connect(emulator.base_url, quiet=True)")
    outputs = kernel.run("%%ask\nHi")
    assert [kind for kind, _ in outputs] == ["display_data", "error"]
    assert outputs[1][1]["ename"] == "InsufficientBalance"
    kernel.run("emulator.close()")


def test_usage_returns_frames(kernel):
    kernel.run("%%ask --into chat\nOne?")
    kernel.run("%%ask --into chat\nTwo?")
    assert kernel.printed("u = %usage\nprint(u.turns.tolist(), u.model.tolist())") == "[2] ['deepseek-flash']\n"
    assert kernel.printed("u = %usage --by outcome run\nprint(u.outcome.tolist())") == "['stop']\n"
    assert kernel.printed("u = %usage --attempts\nprint(len(u))") == "2\n"
    [(kind, content)] = kernel.run("%usage")
    assert kind == "execute_result"
    assert "text/html" in content["data"]


def test_a_question_mark_shows_how(kernel):
    text = kernel.help("%%ask")
    assert "%%ask [-m MODEL] [--thinking | --no-thinking]" in text
    for words in ("braces and dollars", "--into NAME", "--format", 'system "You are terse."', "auto, live, final"):
        assert words in text
    assert "%usage [--by LABEL" in kernel.help("%usage")


@pytest.mark.slow
def test_a_terminal_shows_a_streamed_reply_once(tmp_path):
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "from dsnb.magics import load; load(shell)\n"
        "shell.run_cell('%%ask\\nHello', store_history=True)\n"
        "shell.run_cell('_1', store_history=True)"
    )
    env = os.environ | {"DSNB_OFFLINE": "1", "DSNB_RENDER": "plain", "IPYTHONDIR": str(tmp_path), "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    first, again = done.stdout.split("Out[2]:")
    assert first.count("no model has read your message") == 1
    assert "Out[1]: <Reply" in first
    assert "no model has read your message" in again
