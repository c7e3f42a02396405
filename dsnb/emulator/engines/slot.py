"""What llama.cpp reads from its cache: the rule of one slot, to predict its hits with.

A slot keeps the key-value cache of its last request, prompt and reply together, and nothing older. The next prompt is
computed from its first token on that differs; the last token of a prompt is always computed, since the first token of
the reply comes of it. There are no units: every token counts. This holds for a server with one slot, no cache in RAM
beside it (``cache_ram_mib`` 0) and no reuse of shifted chunks (``n_cache_reuse`` 0), which is how `LlamaEngine` runs it
(seen in 100 of 100 calls: `python -m tests.bench local_engine`).
"""

from __future__ import annotations

from collections.abc import Sequence


class Slot:
    """Imitate one slot; used like `dsnb.contract.cache.PrefixCache`, with the ids of the model's own tokenizer."""

    def __init__(self) -> None:
        self._ids: list[int] = []

    def lookup(self, prompt: Sequence[int]) -> int:
        """Return how many of the prompt's first tokens will not be computed again."""
        pairs = enumerate(zip(prompt, self._ids, strict=False))
        shared = next((place for place, (asked, kept) in pairs if asked != kept), min(len(prompt), len(self._ids)))
        return max(0, min(shared, len(prompt) - 1))

    def store(self, prompt: Sequence[int], completion: Sequence[int], *, cut: bool = False) -> None:
        """Remember a request: its prompt and the reply's tokens as generated, without the end mark.

        ``cut`` is a reply that ended by ``length`` or was left: its last token was sampled but never computed.
        """
        self._ids = [*prompt, *(completion[:-1] if cut else completion)]
