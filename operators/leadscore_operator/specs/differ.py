"""Whether an object still says what we want: what we set must be as we set it; what others added is theirs."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

_SUFFIXES: Final = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1), "k": Decimal(10**3),
    "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "Ki": Decimal(2**10), "Mi": Decimal(2**20),
    "Gi": Decimal(2**30), "Ti": Decimal(2**40),
}  # fmt: skip


def differs(wanted: object, found: object) -> bool:
    """True if `found` lacks something of `wanted`. Quantities are compared by value: the server rewrites `1000m`."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            return bool(wanted)
        return any(differs(item, found.get(key)) for key, item in wanted.items())
    if isinstance(wanted, list):
        if not isinstance(found, list) or len(wanted) != len(found):
            return bool(wanted or found)
        return any(differs(a, b) for a, b in zip(wanted, found, strict=True))
    # The server leaves out fields that are empty or false.
    if wanted == found or found is None:
        return wanted != found and bool(wanted)
    a, b = _quantity(wanted), _quantity(found)
    return a is None or a != b


def _quantity(value: object) -> Decimal | None:
    text = str(value)
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if suffix and text.endswith(suffix):
            break
    else:
        suffix = ""
    try:
        return Decimal(text[: len(text) - len(suffix)]) * _SUFFIXES[suffix]
    except InvalidOperation:
        return None
