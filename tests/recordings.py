"""Real recorded exchanges, read in place from `../shared/wire`; nothing of them lives in this project."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

WIRE = Path(__file__).resolve().parents[2] / "shared" / "wire"

requires_recordings = pytest.mark.skipif(
    not (WIRE / "exchanges").is_dir(), reason="the recorded exchanges (../shared/wire/exchanges) are not here"
)


@dataclass(frozen=True)
class Recording:
    """One recorded exchange: what was asked, what came back, and when."""

    name: str
    source: dict[str, Any]
    tags: frozenset[str]
    request: dict[str, Any] | None
    status: int
    headers: dict[str, str]
    body: Any

    @property
    def url(self) -> str:
        return self.request["url"] if self.request else ""

    @property
    def first_party(self) -> bool:
        return "api.deepseek.com" in self.url

    @property
    def chat(self) -> bool:
        """Whether this is a chat completion (with or without its request)."""
        if self.request:
            return self.url.split("?")[0].endswith("/chat/completions")
        return "chat.completion" in (self.body if isinstance(self.body, str) else json.dumps(self.body))

    @property
    def asked(self) -> dict[str, Any] | None:
        """The request's body, where it was recorded as an object."""
        body = self.request.get("body") if self.request else None
        return body if isinstance(body, dict) else None

    @property
    def keys_sorted(self) -> bool:
        return any(tag.startswith("keys-sorted") for tag in self.tags)

    @property
    def raw(self) -> bytes:
        """The bytes of the answer's body as they would cross the wire."""
        return (self.body if isinstance(self.body, str) else json.dumps(self.body, ensure_ascii=False)).encode()

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON objects in the answer: one for a plain reply, one a chunk for a stream."""
        if isinstance(self.body, dict):
            return [self.body]
        found = re.findall(r"^data: (\{.*\})\s*$", self.body or "", re.MULTILINE)
        return [json.loads(text) for text in found]

    @property
    def date(self) -> datetime:
        """When the exchange happened, by the rule of the recordings' own notes."""
        created = next((o["created"] for o in self.objects if o.get("created")), 0)
        if created:
            return datetime.fromtimestamp(created, UTC)
        if self.source.get("recorded_at"):
            return _parse(self.source["recorded_at"])
        fingerprint = next((o["system_fingerprint"] for o in self.objects if o.get("system_fingerprint")), "")
        bare = re.fullmatch(r"[0-9a-f]{32}", fingerprint or "") is not None
        return datetime(2026, 8, 15, tzinfo=UTC) if bare else datetime(2026, 7, 1, tzinfo=UTC)


def _parse(text: str) -> datetime:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@cache
def recordings() -> tuple[Recording, ...]:
    """Return every recorded exchange, in the order of their numbers."""
    found = []
    for path in sorted((WIRE / "exchanges").glob("*.json")):
        exchange = json.loads(path.read_text())
        found.append(
            Recording(
                name=path.stem,
                source=exchange["source"],
                tags=frozenset(exchange["tags"]),
                request=exchange["request"],
                status=exchange["response"]["status"],
                headers=exchange["response"]["headers"],
                body=exchange["response"]["body"],
            )
        )
    return tuple(found)
