"""The headers of requests and replies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from email.utils import format_datetime

from dsnb.emulator import draw
from dsnb.emulator.clock import Clock

KEY = "dsnb.key"  # where the scope keeps the caller's key between authentication and account

Fields = list[tuple[bytes, bytes]]

# On every reply, errors included (recorded 2025-01 to 2026-08). Nothing names a rate limit or a time to come again.
_ALWAYS: Fields = [
    (b"vary", b"origin, access-control-request-method, access-control-request-headers"),
    (b"access-control-allow-credentials", b"true"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains; preload"),
    (b"x-content-type-options", b"nosniff"),
]


class Headers:
    """Write the headers of one emulator's replies; ``x-dsnb-emulator`` tells them from the API's.

    ``engine`` names the real model's engine, if one is behind it, in ``x-dsnb-engine``.
    """

    def __init__(self, clock: Clock, seed: int, engine: str = "") -> None:
        self._clock = clock
        self._seed = seed
        self._replies = 0
        self._ours = [(b"x-dsnb-emulator", f"{clock.start:%Y-%m-%dT%H:%M:%SZ}".encode())]
        if engine:
            self._ours.append((b"x-dsnb-engine", engine.encode()))

    def fixed(self, content_type: str | None, body: bytes, extra: Mapping[str, str] | None = None) -> Fields:
        """Return the headers of a reply whose length is known."""
        added = [(name.encode(), value.encode()) for name, value in (extra or {}).items()]
        return [*self.open(content_type), (b"content-length", str(len(body)).encode()), *added]

    def open(self, content_type: str | None) -> Fields:
        """Return the headers of a reply that comes in pieces."""
        self._replies += 1
        trace = draw.hexadecimal(32, self._seed, "trace", self._replies)
        fields = [(b"date", format_datetime(self._clock.now.replace(microsecond=0), usegmt=True).encode())]
        if content_type is not None:
            fields.append((b"content-type", content_type.encode()))
        fields += [*_ALWAYS, (b"x-ds-trace-id", trace.encode()), *self._ours]
        if content_type is not None and content_type.startswith("text/event-stream"):
            fields.append((b"cache-control", b"no-cache"))
        return fields


def bearer(fields: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the key of a request, None where it has none that can be read as ``Bearer KEY``."""
    for name, value in fields:
        if name.lower() == b"authorization":
            scheme, _, key = value.decode("latin-1").strip().partition(" ")
            return key.strip() or None if scheme.lower() == "bearer" else None
    return None
