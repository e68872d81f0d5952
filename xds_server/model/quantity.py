"""Amounts of memory as Kubernetes writes them: `512Mi`, `4Gi`, `500M`, or plain bytes. Pure.

Guarantees: `parse_bytes(format_bytes(n)) == n` for every n that is a whole number of bytes.
"""

import re
from fractions import Fraction

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)(|k|M|G|T|Ki|Mi|Gi|Ti)")
MEMORY_HINT = 'an amount of memory like "512Mi" or "4Gi"'


def parse_bytes(text: str) -> int | None:
    """Return the bytes of `512Mi`; None when it is no amount."""
    found = _QUANTITY.fullmatch(text)
    return round(Fraction(found[1]) * _UNITS[found[2]]) if found else None


def format_bytes(amount: int) -> str:
    """Return bytes in the largest unit that divides them: `512Mi`, `1500`."""
    for unit in ("Ti", "Gi", "Mi", "Ki"):
        if amount and amount % _UNITS[unit] == 0:
            return f"{amount // _UNITS[unit]}{unit}"
    return str(amount)
