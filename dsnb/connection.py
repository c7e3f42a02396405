"""Where to connect: the live API with a key, a given address, or the emulator on this machine."""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from dsnb.client.credentials import KEY_VARIABLE, Secret, find_key
from dsnb.client.endpoint import DEEPSEEK_API, Endpoint, Provider, provider_for
from dsnb.client.timeouts import Timeouts
from dsnb.contract import at
from dsnb.errors import ConfigurationError, MissingKey
from dsnb.offline import LOOPBACK, OFFLINE_VARIABLE, mode

if TYPE_CHECKING:
    from dsnb.client.budget import Budget
    from dsnb.client.retry import Retry
    from dsnb.client.transport import AsyncClient, SyncClient
    from dsnb.emulator import Emulator
    from dsnb.session import Session
    from dsnb.usage import UsageLog

BUDGET_VARIABLE: Final = "DSNB_BUDGET"
_HOW_TO_SET_A_KEY: Final = (
    f"Put {KEY_VARIABLE}=<your key> into the environment, or into a .env file in this folder or above it, "
    "or pass api_key=... (keys are made at platform.deepseek.com)."
)


def connect(
    base_url: str | Provider | None = None,
    api_key: str | None = None,
    *,
    model: str = "deepseek-flash",
    as_of: datetime | date | str | None = None,
    timeouts: Timeouts | None = None,
    retry: Retry | None = None,
    fallback: Sequence[str | Provider] = (),
    usage: UsageLog | str | os.PathLike[str] | None = None,
    budget: Budget | float | str | None = None,
    http_client: SyncClient | AsyncClient | None = None,
    quiet: bool = False,
) -> Session:
    """Connect to DeepSeek where there is a key, else to the emulator on this machine, and say which in one line.

    ``base_url`` is the URL of any OpenAI-compatible endpoint, or a Provider that describes it; the default is
    api.deepseek.com. The key is ``api_key``, else ``DEEPSEEK_API_KEY`` from the environment or a ``.env`` file; it
    is sent to DeepSeek only, so another host needs its own. ``DSNB_OFFLINE=1`` keeps every call on this machine,
    ``DSNB_OFFLINE=0`` forbids the emulator. ``as_of`` is the date whose contract holds (default now; offline, the
    emulator's); give that of ``dsnb emulate`` with its URL. ``retry`` says how much is done for a turn that fails.
    ``fallback`` are the endpoints to ask when this one is of no use, in their order, each with a key of its own.
    ``usage`` is the ledger, or the path of one: by default ``usage.sqlite`` in the folder that ``DSNB_DATA`` names,
    else in ``data/`` of a checkout or the user's data folder; what an emulator answers is kept in memory. ``budget``
    is what may be spent, such as ``0.50`` (USD), ``"3 CNY"``, ``"200000 tokens"``, or a Budget that several sessions
    share; the default is ``DSNB_BUDGET``, else no limit. ``http_client`` is a Client or AsyncClient of httpx2 or
    httpx. ``quiet`` leaves the line out.

    Raises MissingKey where a key is needed and there is none, and ConfigurationError where the set-up contradicts
    itself.
    """
    from dsnb.session import Session

    instant = None if as_of is None else at(as_of).instant
    provider, emulator = _destination(base_url, api_key, as_of)
    if emulator is not None:
        instant = instant or emulator.contract.instant
    session = Session(
        Endpoint(provider, _key_for(provider, api_key)),
        model=model,
        timeouts=timeouts or Timeouts(),
        as_of=instant,
        http_client=http_client,
        retry=retry,
        fallback=[Endpoint(other, _key_for(other, None)) for other in map(_other, fallback)],
        budget=_budget(budget),
        emulator=emulator if base_url is None else None,
        usage=_ledger(usage, source="emulator" if provider.name == "emulator" else "live"),
    )
    if not quiet:
        # where a notebook shows it among the results, and elsewhere out of the way of a program's output
        print(_announcement(session), file=sys.stdout if hasattr(builtins, "__IPYTHON__") else sys.stderr)
    return session


def _other(place: str | Provider) -> Provider:
    """Return a provider of the chain; raise ConfigurationError where it may not be asked."""
    provider = place if isinstance(place, Provider) else _named(place)
    if mode() == "offline" and not local(provider):
        raise ConfigurationError(
            f"{OFFLINE_VARIABLE}=1 keeps every call on this machine, but fallback names {provider.name}."
        )
    return provider


def _budget(budget: Budget | float | str | None) -> Budget | None:
    """Return what may be spent, None without a limit."""
    from dsnb.client.budget import Budget

    if budget is None:
        budget = os.environ.get(BUDGET_VARIABLE, "").strip() or None
    return budget if budget is None or isinstance(budget, Budget) else Budget(budget)


def _ledger(usage: UsageLog | str | os.PathLike[str] | None, *, source: str) -> UsageLog:
    """Return the ledger to keep; what an emulator answered is worth no file unless somebody names one."""
    from dsnb.usage import UsageLog, default_path

    if isinstance(usage, UsageLog):
        return usage
    return UsageLog(default_path() if usage is None and source == "live" else usage, source=source)


def _destination(
    base_url: str | Provider | None, api_key: str | None, as_of: datetime | date | str | None
) -> tuple[Provider, Emulator | None]:
    """Return who is to answer, and the emulator if it is one of this process."""
    reach = mode()
    if base_url is None:
        if reach == "live" or (reach == "auto" and (api_key or find_key())):
            return DEEPSEEK_API, None
        from dsnb.emulator import Emulator

        emulator = Emulator(as_of).start()
        return _emulated(emulator.base_url), emulator
    provider = base_url if isinstance(base_url, Provider) else _named(base_url, as_of)
    if reach == "offline" and not local(provider):
        raise ConfigurationError(
            f"{OFFLINE_VARIABLE}=1 keeps every call on this machine, but base_url names "
            f"{urlsplit(provider.base_url).hostname}. "
            f"Leave base_url out to use the emulator, or unset {OFFLINE_VARIABLE}."
        )
    return provider, _running(provider)


def _named(base_url: str, as_of: datetime | date | str | None = None) -> Provider:
    """Return the provider at a URL.

    On this machine it is an emulator if it runs in this process, or if a date is given: only DeepSeek's contract has
    one. Any other server here runs models of its own, and may be sent their reasoning.
    """
    provider = provider_for(base_url)
    if not local(provider):
        return provider
    return _emulated(base_url) if as_of is not None or _running(provider) else replace(provider, passback=True)


def _running(provider: Provider) -> Emulator | None:
    if not local(provider):
        return None
    from dsnb.emulator import running

    return running(provider.base_url)


def _emulated(base_url: str) -> Provider:
    return Provider("emulator", base_url, dialect=DEEPSEEK_API.dialect, contract=True)


def local(provider: Provider) -> bool:
    """Whether a provider is a server on this machine, which asks for no real key."""
    return (urlsplit(provider.base_url).hostname or "") in LOOPBACK


def _origin(provider: Provider) -> tuple[str, str | None]:
    parts = urlsplit(provider.base_url)
    return parts.scheme, parts.hostname


def _key_for(provider: Provider, api_key: str | None) -> Secret:
    """Return the key for a provider; DeepSeek's own is sent to nobody else."""
    if api_key and api_key.strip():
        return Secret(api_key.strip())
    if local(provider):
        return Secret("local")  # a server on this machine asks for no real key, and the SDK for some text
    if provider.key_variable == KEY_VARIABLE and _origin(provider) != _origin(DEEPSEEK_API):
        raise MissingKey(
            f"{provider.name} needs a key of its own, since {KEY_VARIABLE} is sent to {DEEPSEEK_API.base_url} only. "
            "Pass api_key=..., or a Provider with its key_variable=...."
        )
    key = find_key(provider.key_variable)
    if key is None:
        how = (
            _HOW_TO_SET_A_KEY
            if provider.key_variable == KEY_VARIABLE
            else f"Set {provider.key_variable} or pass api_key=...."
        )
        forbidden = f"{OFFLINE_VARIABLE}=0 forbids the emulator, and n" if mode() == "live" else "N"
        raise MissingKey(f"{forbidden}o API key is configured for {provider.name}. {how}")
    return key


def _announcement(session: Session) -> str:
    """Say who will answer; the same words however it came to this, since notebooks keep them and are compared."""
    day = f"{session.contract.instant:%Y-%m-%d}"
    if session.emulator is not None:
        contract = f"the DeepSeek API's contract of {day}"
        return f"dsnb is offline: an emulator answers, by {contract} ({KEY_VARIABLE} takes it live)."
    if session.endpoint.provider.name == "emulator":
        return f"dsnb asks your emulator, by the DeepSeek API's contract of {day}."
    return f"dsnb asks {session.endpoint.base_url} (model {session.model}, key configured)."
