"""Read what the raw SDK returned, so that it can be logged like our own calls."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from dsnb.client.dialects import OPENAI_COMPATIBLE
from dsnb.client.reply import Reply, Timing
from dsnb.client.transcript import Transcript
from dsnb.errors import DsnbError

_TAKEN: Final = (
    "a ChatCompletion or Completion of the SDK, the chunks of a stream (or the last, which has the usage), "
    "the JSON of either as a dict, or a Reply"
)


def read(response: object, seconds: float | None = None) -> tuple[Reply, bool | None]:
    """Return a response as a Reply without its texts, and whether it was streamed (None: not known).

    Raises DsnbError for anything that is not a response.
    """
    if isinstance(response, Reply):
        return response, None
    single = _body(response)
    if single is None and (isinstance(response, str | bytes) or not isinstance(response, Iterable)):
        raise DsnbError(f"{_kind(response)} cannot be logged: give {_TAKEN}.")
    parts = [single] if single is not None else [_chunk(part) for part in response]  # type: ignore[attr-defined] # an Iterable
    if not parts or not any(_is_reply(part) for part in parts):
        raise DsnbError(f"This {_kind(response)} holds no reply and cannot be logged: give {_TAKEN}.")
    whole, text = any(map(_has_message, parts)), parts[0].get("object") == "text_completion"
    if len(parts) > 1 and (whole or (text and len({part.get("id") for part in parts}) > 1)):
        raise DsnbError("These are several replies: add them one at a time, since each is a turn of its own.")
    transcript = Transcript(OPENAI_COMPATIBLE)
    try:
        for part in parts:
            transcript.take(part, [])
    except DsnbError as error:
        raise DsnbError(f"This response cannot be logged. {error}") from None
    reason = transcript.finish_reason
    if whole:
        outcome = transcript.outcome
    elif reason is not None:
        outcome = OPENAI_COMPATIBLE.outcome(reason)
    else:  # a stream that was cut; or its last chunk alone, which need not say why it ended
        outcome = "" if transcript.usage else "truncated"
    return Reply(
        outcome=outcome,
        finish_reason=reason,
        usage=transcript.usage,
        # NaN is not known, which the ledger writes as NULL
        timing=Timing(queued=math.nan, total=math.nan if seconds is None else seconds),
        id=transcript.id,
        model=transcript.model,
        created=transcript.created,
        fingerprint=transcript.fingerprint,
    ), None if text and len(parts) == 1 else not whole  # a text completion and its chunks look alike


def _body(response: object) -> dict[str, Any] | None:
    """Return the JSON of one reply or chunk, None for what is neither."""
    dump = getattr(response, "model_dump", None)  # pydantic, without importing the SDK
    if callable(dump):
        response = dump(warnings=False)
    return dict(response) if isinstance(response, Mapping) else None


def _chunk(part: object) -> dict[str, Any]:
    body = _body(part)
    if body is None:
        raise DsnbError(f"{_kind(part)} is not a chunk of a stream and cannot be logged: give {_TAKEN}.")
    return body


def _is_reply(body: Mapping[str, Any]) -> bool:
    return isinstance(body.get("choices"), list) or isinstance(body.get("usage"), dict)


def _has_message(body: Mapping[str, Any]) -> bool:
    """Whether this is a plain chat reply, and not a chunk."""
    choices = body.get("choices")
    return isinstance(choices, list) and any(isinstance(choice, dict) and "message" in choice for choice in choices)


def _kind(response: object) -> str:
    return type(response).__name__
