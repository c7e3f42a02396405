"""Money as text."""

from __future__ import annotations

from decimal import Decimal

from dsnb.usage.totals import CURRENCIES


def amount(value: Decimal, currency: str) -> str:
    """Return an amount with three digits that count, or whole cents from one unit of the currency on."""
    if abs(value) >= 1:
        return f"{CURRENCIES[currency]}{value:,.2f}"
    # three digits that count, without an exponent and without zeros that say nothing
    text = f"{Decimal(f'{value:.2e}'):f}"
    return CURRENCIES[currency] + (text.rstrip("0").rstrip(".") if "." in text else text)
