"""The account behind the keys: its balance, its requests in flight, and what its prefix caches hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from contextlib import contextmanager
from decimal import ROUND_FLOOR, Decimal, InvalidOperation
from typing import TYPE_CHECKING

from dsnb.contract import Cost, Model
from dsnb.contract.cache import PrefixCache
from dsnb.emulator import draw
from dsnb.errors import EmulatorError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CENT = Decimal("0.01")
_RICH = Decimal(10) ** 15  # more digits than this are no balance, and would not round to cents


class Account:
    """Hold one account: every key belongs to it, and its requests share its balance and its concurrency.

    ``balance`` is in USD. ``keys`` are the keys accepted, None for any. ``concurrency`` limits the requests at once,
    all models together; None leaves each model its documented ceiling.
    """

    def __init__(
        self, *, balance: Decimal | str | float, concurrency: int | None, keys: Collection[str] | None
    ) -> None:
        self.balance = _money(balance)
        self.concurrency = _limit(concurrency)
        self._keys = None if keys is None else {_scope(key) for key in ([keys] if isinstance(keys, str) else keys)}
        self._active: Counter[str] = Counter()
        self._caches: dict[tuple[bytes, object, str], PrefixCache] = {}

    @property
    def available(self) -> bool:
        """Return whether there is money left to answer with."""
        return self.balance > 0

    def accepts(self, key: str) -> bool:
        """Return whether ``key`` is one of the account's."""
        return self._keys is None or _scope(key) in self._keys

    def limit(self, model: Model) -> int | None:
        """Return how many requests at once ``model`` takes, None for any number."""
        return model.concurrency if self.concurrency is None else self.concurrency

    def active(self, model: Model) -> int:
        """Return how many requests count against that limit now."""
        return self._active[model.served] if self.concurrency is None else self._active.total()

    @contextmanager
    def slot(self, model: Model) -> Iterator[None]:
        """Count a request as in flight, from its acceptance to the end of its reply."""
        self._active[model.served] += 1
        try:
            yield
        finally:
            self._active[model.served] -= 1

    def cache(self, key: str, user_id: object, model: Model) -> PrefixCache:
        """Return the prefix cache that this key, user and build see; none is shared with another."""
        user = user_id if isinstance(user_id, str) else None
        scope = (_scope(key), user, model.build)
        if scope not in self._caches:
            self._caches[scope] = PrefixCache(model.generation.cache)
        return self._caches[scope]

    def charge(self, cost: Cost) -> None:
        """Take what a reply cost; an unpublished price costs nothing."""
        self.balance -= cost.usd or 0

    def balance_body(self) -> dict[str, object]:
        """Return the body of ``GET /user/balance``: amounts are text, rounded down to cents."""
        amount = str(self.balance.quantize(_CENT, ROUND_FLOOR))
        info = {"currency": "USD", "total_balance": amount, "granted_balance": "0.00", "topped_up_balance": amount}
        return {"is_available": self.available, "balance_infos": [info]}


def _scope(key: str) -> bytes:
    """Return what stands for a key: nothing here keeps the key itself."""
    return draw.digest("key", key)


def _money(balance: Decimal | str | float) -> Decimal:
    try:
        money = Decimal(str(balance))
    except InvalidOperation:
        money = Decimal("NaN")
    if not money.is_finite() or abs(money) >= _RICH:
        raise EmulatorError(f"balance is an amount of dollars such as '100.00', not {balance!r}.")
    return money


def _limit(concurrency: int | None) -> int | None:
    if concurrency is not None and (
        isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1
    ):
        raise EmulatorError(f"concurrency is how many requests may run at once, at least 1, not {concurrency!r}.")
    return concurrency
