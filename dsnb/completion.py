"""Fill-in-the-middle completion: a text that is gone on with, up to what follows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from dsnb.client.endpoint import Endpoint
from dsnb.client.exchange import Exchange
from dsnb.client.lint import examine
from dsnb.client.pricing import price_of
from dsnb.client.request import Messages, build_completion
from dsnb.client.timeouts import Timeouts
from dsnb.contract import Contract
from dsnb.errors import RequestError
from dsnb.tools import Toolbox


class Completion:
    """Hold what one completion asks; a turn of one request, without tools. The options are those of `ds.complete`."""

    toolbox: Final = Toolbox(())
    output: Final = None
    max_rounds: Final = 1

    def __init__(
        self, prompt: str, *, model: str, deadline: float | None = None, lint: bool = True, **options: Any
    ) -> None:
        if options.get("effort") is not None:
            raise RequestError("A completion is written without thinking, so effort says nothing: leave it out.")
        self._request = build_completion(prompt, model=model, **options)
        self._deadline = deadline
        self._lint = lint

    def exchange(
        self,
        added: Messages,
        endpoint: Endpoint,
        contract: Contract,
        timeouts: Timeouts,
        *,
        spent: float = 0.0,
        **_: Any,
    ) -> Exchange:
        """Return the request, ready to send; raise RequestRejected or UnknownModel where the contract forbids it."""
        refuse_elsewhere(endpoint, "Fill-in-the-middle completion")
        notes = examine(self._request, contract) if self._lint else ()
        limits = timeouts if self._deadline is None else replace(timeouts, deadline=self._deadline)
        return Exchange(self._request, endpoint, limits, pricing=price_of(contract), notes=notes, spent=spent)


def refuse_elsewhere(endpoint: Endpoint, what: str) -> None:
    """Raise RequestError for a host that has not DeepSeek's beta routes."""
    if not endpoint.provider.contract:
        raise RequestError(
            f"{what} is a beta of DeepSeek's own API, which {endpoint.provider.name} does not have. "
            "Ask a session that is connected to DeepSeek or to the emulator."
        )
