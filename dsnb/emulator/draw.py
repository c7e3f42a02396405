"""Deterministic draws: every id, logprob and chance fault comes from the seed and its own name.

There is no random state: asking twice, in any order and from any thread, gives the same value.
"""

from __future__ import annotations

import uuid
from hashlib import blake2b

_ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def digest(*name: object) -> bytes:
    """Return 32 bytes that depend on ``name`` alone."""
    return blake2b(repr(name).encode("utf-8", "surrogatepass"), digest_size=32).digest()


def fraction(*name: object) -> float:
    """Return a number from 0 (included) to 1 (excluded)."""
    return int.from_bytes(digest(*name)[:6], "big") / 2**48


def hexadecimal(length: int, *name: object) -> str:
    """Return up to 64 hexadecimal digits."""
    return digest(*name).hex()[:length]


def alphanumeric(length: int, *name: object) -> str:
    """Return up to 32 letters and digits."""
    return "".join(_ALPHANUMERIC[byte % len(_ALPHANUMERIC)] for byte in digest(*name)[:length])


def uuid4(*name: object) -> str:
    """Return text of the shape of a random UUID."""
    return str(uuid.UUID(bytes=digest(*name)[:16], version=4))
