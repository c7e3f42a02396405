"""Who answers: a base URL, the key for it, and the dialect that it speaks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from dsnb.client.credentials import KEY_VARIABLE, Secret
from dsnb.client.dialects import DEEPSEEK, OPENAI_COMPATIBLE, Dialect
from dsnb.errors import ConfigurationError

DEEPSEEK_URL: Final = "https://api.deepseek.com"
_ROUTE: Final = re.compile(r"(/v1|/beta)?/*$")


@dataclass(frozen=True, slots=True)
class Provider:
    """Describe an OpenAI-compatible host: where it is, whose key it takes, how it speaks.

    ``models`` maps DeepSeek's names to the host's own; a name that is not there passes as it is. ``contract`` says
    whether the host is held to DeepSeek's contract: then requests are linted, histories rendered and replies priced by
    it. ``passback`` says whether any other host is sent the reasoning of earlier replies, which many refuse.

    >>> groq = Provider("groq", "https://api.groq.com/openai/v1", key_variable="GROQ_API_KEY")
    >>> dsnb.connect(groq)
    """

    name: str
    base_url: str
    key_variable: str = KEY_VARIABLE
    dialect: Dialect = OPENAI_COMPATIBLE
    models: dict[str, str] = field(default_factory=dict, hash=False)
    contract: bool = False
    passback: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(
                f"{self.base_url!r} is not a base URL: it starts with http:// or https:// and names a host."
            )
        if parts.username or parts.password:
            raise ConfigurationError("A base URL carries no user or password: pass api_key=... instead.")


DEEPSEEK_API: Final = Provider("deepseek", DEEPSEEK_URL, dialect=DEEPSEEK, contract=True)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Join a provider and the key to use there."""

    provider: Provider
    key: Secret

    @property
    def base_url(self) -> str:
        """The provider's base URL, without a trailing slash."""
        return self.provider.base_url.rstrip("/")


def provider_for(base_url: str) -> Provider:
    """Return what is known of a base URL: DeepSeek's own API by its host, else an OpenAI-compatible host."""
    host = urlsplit(base_url).hostname or ""
    if host == urlsplit(DEEPSEEK_URL).hostname:
        base_url = _ROUTE.sub("", base_url)  # the beta routes are chosen request by request
        return Provider("deepseek", base_url, dialect=DEEPSEEK, contract=True)
    return Provider(host or base_url, base_url)
