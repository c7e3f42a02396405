"""What a reply has said so far, gathered from its chunks: the many of a stream, or the one that a plain reply is."""

from __future__ import annotations

from io import StringIO
from typing import Any, Final

from dsnb.client.calls import ToolCalls
from dsnb.client.dialects import Dialect
from dsnb.client.echo import Echo
from dsnb.client.events import Event
from dsnb.client.failures import malformed, stream_failure
from dsnb.client.text import well_formed
from dsnb.client.thinking import ThinkTags
from dsnb.client.tool_call import ToolCall
from dsnb.client.usage import Usage

_LAST_SECOND: Final = 253_402_300_799  # of the year 9999: the last that a datetime can hold


class Transcript:
    """Gather a reply from its chunks.

    ``finish_reason`` is what the endpoint wrote, ``outcome`` what it means, and ``done`` whether the endpoint marked
    the end. ``tokens`` counts the deltas that said something, ``keep_alives`` the signs of life between them.
    ``logprobs`` has the lists of the API: ``content`` and ``reasoning_content``, or those of a text completion
    (``tokens``, ``token_logprobs``, ``top_logprobs``, ``text_offset``). ``echo`` is a prompt that the answer repeats
    first; it is no part of what the model says.
    """

    def __init__(self, dialect: Dialect, echo: str = "") -> None:
        self.id: str | None = None
        self.model: str | None = None
        self.created: int | None = None
        self.fingerprint: str | None = None
        self.provider: str | None = None
        self.usage: Usage | None = None
        self.logprobs: dict[str, Any] | None = None
        self.finish_reason: str | None = None
        self.done = False
        self.tokens = 0
        self.keep_alives = 0
        self._dialect = dialect
        self._identified = False
        self._reasoning = StringIO()
        self._answer = StringIO()
        self._tags = ThinkTags(self._reasoning, self._answer) if dialect.think_tags else None
        self._echo = Echo(echo) if echo else None
        self._thought = False
        self._calls = ToolCalls()
        self._cut = False  # the input ended inside a frame

    @property
    def reasoning(self) -> str | None:
        """The reasoning so far; None where the model was not to think, empty where it has thought nothing."""
        text = self._reasoning.getvalue()
        return well_formed(text) if text or self._thought else None

    @property
    def answer(self) -> str:
        """The answer so far."""
        return well_formed(self._answer.getvalue())

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The calls so far, in the order of their indices; the last may be unfinished."""
        return self._calls.calls

    @property
    def started(self) -> bool:
        """Whether any token has come."""
        return self.tokens > 0

    @property
    def outcome(self) -> str:
        """How the reply ended, once its input has.

        One of DeepSeek's finish reasons, ``truncated`` (the end is missing), or ``empty``: ended well and said
        nothing, which DeepSeek's API does now and then and which is worth another try.
        """
        if self.finish_reason is None or self._cut or (self._dialect.done_required and not self.done):
            return "truncated"
        outcome = self._dialect.outcome(self.finish_reason)
        if outcome == "stop" and not (self.answer or self.reasoning or self.tool_calls):
            return "empty"
        return outcome

    def take(self, chunk: Any, events: list[Event]) -> None:
        """Take one chunk; what it says is added to ``events``."""
        if type(chunk) is not dict:
            raise malformed("a chunk", "an object", chunk)
        if not self._identified:
            self._identify(chunk)
        choices = chunk.get("choices")
        if chunk.get("error") or (choices is None and chunk.get("object") == "error"):  # the latter: vLLM of 2025
            raise stream_failure(chunk)
        if choices:
            if type(choices) is not list:
                raise malformed("choices", "a list", choices)
            for position, choice in enumerate(choices):
                if type(choice) is not dict:
                    raise malformed("a choice", "an object", choice)
                index = choice.get("index")
                if index == 0 or (index is None and position == 0):
                    self._take_choice(choice, events)
        usage = chunk.get("usage")
        if usage is None and type(groq := chunk.get("x_groq")) is dict:  # Groq's streams (recorded 2025-09)
            usage = groq.get("usage")
        if type(usage) is dict:
            self.usage = Usage.read(usage)

    def _take_choice(self, choice: dict[str, Any], events: list[Event]) -> None:
        delta, whole = choice.get("delta"), False
        if delta is None:
            delta, whole = choice.get("message"), True  # a plain reply is one chunk with everything in it
        if delta is None:
            delta = {"content": choice.get("text")}  # a text completion
        if type(delta) is not dict:
            raise malformed("a delta", "an object", delta)
        for name in self._dialect.reasoning_fields:
            text = delta.get(name)
            if text:
                self._take_reasoning(_text(name, text), events)
                break
            if text == "":
                self._thought = True
        if text := delta.get("content"):
            self._take_content(_text("content", text), events)
        if calls := delta.get("tool_calls"):
            before = len(events)
            self._calls.take(calls, events, whole=whole)
            self.tokens += len(events) - before
        if reason := choice.get("finish_reason"):
            self.finish_reason = _text("finish_reason", reason)
            self.let_go(events)
        if logprobs := choice.get("logprobs"):
            self._take_logprobs(logprobs)

    def _take_reasoning(self, text: str, events: list[Event]) -> None:
        self.tokens += 1
        if self._tags is not None:  # a host that tells reasoning apart leaves no tags in the content
            self._tags.finish(events)
            self._tags = None
        self._reasoning.write(text)
        events.append(Event("reasoning", well_formed(text)))

    def _take_content(self, text: str, events: list[Event]) -> None:
        self.tokens += 1
        if self._echo is not None and not (text := self._echo.feed(text)):
            return
        self._say(text, events)

    def _say(self, text: str, events: list[Event]) -> None:
        if self._tags is not None:
            self._tags.feed(text, events)
            return
        self._answer.write(text)
        events.append(Event("answer", well_formed(text)))

    def _take_logprobs(self, logprobs: Any) -> None:
        if type(logprobs) is not dict:
            return
        if self.logprobs is None:
            self.logprobs = {}
        for name, value in logprobs.items():
            known = self.logprobs.get(name)
            if type(known) is list and type(value) is list:
                known.extend(value)
            elif known is None or value is not None:
                self.logprobs[name] = value

    def _identify(self, chunk: dict[str, Any]) -> None:
        """Take who answers, each from the first chunk that tells: some hosts begin with a chunk of blanks."""
        self.id = self.id or _known(chunk, "id")
        self.model = self.model or _known(chunk, "model")
        self.fingerprint = self.fingerprint or _known(chunk, "system_fingerprint")
        self.provider = self.provider or _known(chunk, "provider")
        created = chunk.get("created")
        if self.created is None and type(created) is int and 0 < created <= _LAST_SECOND:
            self.created = created
        self._identified = bool(self.id and self.model and self.created and self.fingerprint)

    def let_go(self, events: list[Event]) -> None:
        """Take what was held back as the possible beginning of a tag, or of an echo: no more will come."""
        if self._echo is not None and (self.finish_reason is not None) and (text := self._echo.rest()):
            self._say(text, events)
        if self._tags is not None:
            self._tags.finish(events)


def _text(what: str, value: Any) -> str:
    if type(value) is not str:
        raise malformed(what, "a text", value)
    return value


def _known(chunk: dict[str, Any], name: str) -> str | None:
    value = chunk.get(name)
    return well_formed(value) if type(value) is str else None
