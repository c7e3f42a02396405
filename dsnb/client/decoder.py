"""From the bytes of a stream to events, without any I/O."""

from __future__ import annotations

import json
from typing import Any, Final

from dsnb.client.dialects import DEEPSEEK, Dialect
from dsnb.client.events import Event
from dsnb.client.failures import stream_failure
from dsnb.client.sse import Frames
from dsnb.client.text import quote
from dsnb.client.transcript import Transcript
from dsnb.errors import MalformedReply

_JSON: Final = json.JSONDecoder()  # its raw_decode takes half the time of json.loads on a chunk of one token


class StreamDecoder(Transcript):
    """Decode a stream of chat or text completion chunks, fed in pieces of any size.

    >>> decoder = StreamDecoder()
    >>> events = decoder.feed(data)     # whenever bytes come
    >>> events = decoder.finish()       # when no more will come
    >>> decoder.answer, decoder.usage, decoder.outcome

    ``echo`` is the prompt, where the request asks the endpoint to repeat it (text completions).

    What was gathered stays readable after an error. Bytes after ``[DONE]`` or after an error are ignored.
    """

    def __init__(self, dialect: Dialect = DEEPSEEK, echo: str = "") -> None:
        super().__init__(dialect, echo)
        self._frames = Frames()
        self._closed = False

    def feed(self, data: bytes, events: list[Event] | None = None) -> list[Event]:
        """Take the next bytes and return what they say, added to ``events``: what came before an error stays there.

        Raises ServerFailed for an error inside the stream, MalformedReply for what breaks the format.
        """
        events = [] if events is None else events
        if self._closed:
            return events
        self._closed = True  # and so it stays, unless all goes well
        for event, frame in self._frames.feed(data):
            if frame is None:
                self.keep_alives += 1
                if not self.tokens:
                    events.append(Event("queued"))
            elif frame.startswith(b"[DONE]"):
                self.done = True
                self.let_go(events)
                return events
            else:
                self.take(_chunk(event, frame), events)
        self._closed = False
        return events

    def finish(self, events: list[Event] | None = None) -> list[Event]:
        """Take the end of the input and return what was still held back; `outcome` then says how the stream ended.

        A last frame without its blank line counts; one that is cut in the middle makes the outcome ``truncated``.
        Raises MalformedReply where no frame has come at all but something else has.
        """
        events = [] if events is None else events
        if not self._closed:
            self._closed = True
            for event, frame in self._frames.finish():
                if frame is None:
                    continue
                if frame.startswith(b"[DONE]"):
                    self.done = True
                    break
                try:
                    chunk = _chunk(event, frame)
                except MalformedReply:
                    self._cut = True
                    break
                self.take(chunk, events)
            stray = self._frames.stray.decode("utf-8", "replace")
            if stray and not (self.tokens or self.id or self.finish_reason):
                raise MalformedReply(
                    f"The endpoint sent no stream of events, but: {quote(stray)!r}. "
                    "Check that the base URL is that of an API."
                )
        self.let_go(events)
        return events


def _chunk(event: bytes, frame: bytes) -> Any:
    """Return the JSON value of a frame; raise ServerFailed if it is an ``error`` event."""
    text = frame.decode("utf-8", "replace").strip()
    try:
        chunk, end = _JSON.raw_decode(text)
        problem = "" if end == len(text) else "there is more after its end"
    except (ValueError, RecursionError) as error:
        chunk, problem = text, str(error)
    if event == b"error":
        raise stream_failure(chunk)
    if problem:
        raise MalformedReply(
            f"The endpoint sent a frame that is not JSON ({problem}): {quote(text, 80)} "
            "Ask again; if it stays so, something between here and the API damages the stream."
        )
    return chunk
