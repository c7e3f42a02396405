"""From the body of a plain (non-stream) reply to the same state that a stream comes to."""

from __future__ import annotations

import json

from dsnb.client.dialects import DEEPSEEK, Dialect
from dsnb.client.text import quote
from dsnb.client.transcript import Transcript
from dsnb.errors import MalformedReply


def decode_body(data: bytes, dialect: Dialect = DEEPSEEK, echo: str = "") -> Transcript:
    """Decode the JSON body of a chat or text completion; ``echo`` is the prompt that it was asked to repeat.

    The blank lines before it, by which DeepSeek keeps a waiting connection alive, are skipped. Raises ServerFailed
    for an error object, MalformedReply for anything else that is not a reply.
    """
    text = data.decode("utf-8", "replace").strip("\ufeff \t\r\n")
    try:
        body, problem = json.loads(text), ""
    except (ValueError, RecursionError) as error:
        body, problem = None, f"is not JSON ({error})" if text else "is empty"
    transcript = Transcript(dialect, echo)
    if not problem:
        transcript.take(body, [])
        problem = "" if body.get("choices") else "has no choices"
    if problem:
        raise MalformedReply(
            f"The endpoint's reply {problem}: {quote(text, 200)!r}. "
            "Ask again; if it stays so, check that the base URL is that of an API."
        )
    transcript.let_go([])
    transcript.done = True
    return transcript
