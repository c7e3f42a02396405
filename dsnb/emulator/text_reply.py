"""A reply of fill-in-the-middle completion, as a stream and as a body.

Key order, the empty opening chunk and the form of the logprobs, with offsets that count from the start of the prompt,
are those of a stream of 2026-05-23 that was published with a client library; the body of 2024-12 in a report begins
alike. The finish chunk, which carries the usage, is that of the reference 'Create FIM Completion' (2026-09). How
``echo`` comes back in a stream is not known: here the opening chunk holds the prompt.
"""

from __future__ import annotations

from itertools import accumulate

from dsnb.contract import Settings
from dsnb.emulator import logprobs
from dsnb.emulator.engines.protocol import CONTENT
from dsnb.emulator.output import AnyOutput, Event
from dsnb.emulator.wire import Head, Usage, dumps


class TextReply:
    """Write one completion of ``prompt``; with ``echo`` the prompt comes back before it.

    ``seed`` is that of made-up logprobs; with None, for a real model, there are none.
    """

    def __init__(
        self,
        head: Head,
        settings: Settings,
        output: AnyOutput,
        usage: Usage,
        seed: int | None,
        *,
        prompt: str,
        echo: bool,
    ) -> None:
        self._begin = f'{{"id":{dumps(head.id)},"choices":[{{"text":'
        self._end = (
            f'}}],"created":{head.created},"model":{dumps(head.model)},'
            f'"system_fingerprint":{dumps(head.fingerprint)},"object":"text_completion"'
        )
        self._settings = settings
        self._output = output
        self.usage = usage
        self._seed = seed
        self._echo = prompt if echo else ""
        starts = accumulate((len(event.text) for event in self._written), initial=len(prompt))
        self._offsets = dict(zip((event.token for event in self._written), starts, strict=False))

    def first(self) -> str:
        """Return the chunk that opens the stream."""
        return self._frame(self._echo)

    def chunk(self, event: Event) -> str:
        """Return the chunk of one piece of text; a completion has nothing else."""
        return self._frame(event.text, self._logprobs([event])) if event.kind == CONTENT else ""

    def last(self) -> str:
        """Return the finish chunk, which carries the usage whether it was asked for or not."""
        return f"data: {self._object('', 'null', dumps(self._output.finish_reason), self.usage.json)}\n\n"

    def malformed(self) -> str:
        """Return a frame that breaks off in the middle of its JSON."""
        return f'data: {self._begin}"\n\n'

    def body(self) -> str:
        """Return the body of a plain reply."""
        text = self._echo + self._output.text(CONTENT)
        return self._object(text, self._logprobs(self._written), dumps(self._output.finish_reason), self.usage.json)

    @property
    def _written(self) -> list[Event]:
        return [event for event in self._output.events if event.kind == CONTENT]

    def _frame(self, text: str, logprobs: str = "null") -> str:
        # With stream_options.include_usage every chunk but the last has the key, as null; without it none has.
        return f"data: {self._object(text, logprobs, 'null', 'null' if self._settings.include_usage else '')}\n\n"

    def _object(self, text: str, logprobs: str, finish_reason: str, usage: str) -> str:
        choice = f'{dumps(text)},"index":0,"logprobs":{logprobs},"finish_reason":{finish_reason}'
        counted = f',"usage":{usage}' if usage else ""
        return f"{self._begin}{choice}{self._end}{counted}}}"

    def _logprobs(self, events: list[Event]) -> str:
        seed, most = self._seed, self._settings.top_logprobs
        if seed is None or not self._settings.logprobs:
            return "null"
        ranked = [logprobs.ranked(seed, "text", event.token, event.text, most) for event in events]
        found = {
            "tokens": [event.text for event in events],
            "token_logprobs": [ranks[0][1] for ranks in ranked],
            "top_logprobs": [dict(ranks[:most]) for ranks in ranked],
            "text_offset": [self._offsets[event.token] for event in events],
        }
        return dumps(found)
