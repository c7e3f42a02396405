"""The plainest engine: the last user message comes back, or the prompt where there is no chat."""

from __future__ import annotations

from dsnb.emulator.engines.protocol import Answer, EngineRequest, rest


class EchoEngine:
    """Answer with the last user message, and with a line of reasoning where the request thinks."""

    def answer(self, request: EngineRequest) -> Answer:
        """Return the last user message."""
        reasoning = "We are dsnb's echo engine: we repeat the last user message." if request.settings.thinking else None
        return rest(Answer(request.last_user, reasoning), request)
