"""Conversations in files: JSON Lines, one thing a line, without loss."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any, Final

from dsnb.client.reply import Reply
from dsnb.errors import DsnbError
from dsnb.tools import Toolbox

if TYPE_CHECKING:
    from pydantic import TypeAdapter

VERSION: Final = 1


def save(
    path: str | os.PathLike[str],
    messages: Sequence[Mapping[str, Any]],
    replies: Sequence[Reply],
    options: Mapping[str, Any],
) -> None:
    """Write a conversation; the file is replaced in one step, so that it is never half a conversation.

    Raises DsnbError for what JSON cannot hold.
    """
    target = Path(path)
    kept = {**options, **({"tools": Toolbox(options["tools"]).schemas} if options.get("tools") else {})}
    lines = [{"conversation": VERSION, "options": kept}]
    lines += [{"message": message} for message in messages]
    try:
        text = "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines)
    except (TypeError, ValueError) as error:
        raise DsnbError(
            f"The conversation cannot be saved: {error}. Messages and options must be plain JSON."
        ) from None
    text += "".join(f'{{"reply": {_replies().dump_json(reply).decode()}}}\n' for reply in replies)
    with NamedTemporaryFile("w", encoding="utf-8", dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(target)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def load(path: str | os.PathLike[str]) -> tuple[list[dict[str, Any]], list[Reply], dict[str, Any]]:
    """Return the messages, replies and options of a saved conversation; raise DsnbError where it is damaged."""
    messages: list[dict[str, Any]] = []
    replies: list[Reply] = []
    options: dict[str, Any] | None = None
    for number, line in _lines(Path(path)):
        if options is None:
            if line.get("conversation") != VERSION:
                newer = " of a newer dsnb" if "conversation" in line else ""
                raise DsnbError(
                    f"{path} is no conversation that can be read here{newer}: line {number} says otherwise."
                )
            options = dict(line.get("options") or {})
        elif isinstance(line.get("message"), dict):
            messages.append(line["message"])
        elif "reply" in line:
            try:
                replies.append(_replies().validate_python(line["reply"]))
            except ValueError as error:
                raise DsnbError(f"{path}, line {number}, holds no reply: {_first_line(error)}") from None
        else:
            raise DsnbError(f"{path}, line {number}, is neither a message nor a reply.")
    if options is None:
        raise DsnbError(f"{path} is empty.")
    return messages, replies, options


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                line = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise DsnbError(f"{path}, line {number}, is no JSON ({_first_line(error)}).") from None
            if not isinstance(line, dict):
                raise DsnbError(f"{path}, line {number}, is no JSON object.")
            yield number, line


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


@cache
def _replies() -> TypeAdapter[Reply]:
    from pydantic import TypeAdapter

    return TypeAdapter(Reply)
