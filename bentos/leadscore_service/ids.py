"""Prediction ids: unique without coordination, ordered by time, cheap enough for every request.

26 characters of Crockford's base 32, as a ULID (https://github.com/ulid/spec): ten for the milliseconds since
the epoch, ten random ones drawn when the worker starts, six that count its predictions.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = tuple(a + b for a in _ALPHABET for b in _ALPHABET)
_TEN_BITS: Final = 0x3FF


class PredictionIds:
    """Ids of one worker. Safe to share between threads."""

    def __init__(self) -> None:
        self._worker = "".join(secrets.choice(_ALPHABET) for _ in range(10))
        # From anywhere in the first half of the range: a restart within a millisecond is still told apart.
        self._next = itertools.count(secrets.randbits(29)).__next__

    def next(self, now_ns: int) -> str:
        """A fresh id for something that happened at `now_ns`, nanoseconds since the epoch."""
        ms = now_ns // 1_000_000
        n = self._next()
        pairs = _PAIRS
        return (
            f"{pairs[ms >> 40 & _TEN_BITS]}{pairs[ms >> 30 & _TEN_BITS]}{pairs[ms >> 20 & _TEN_BITS]}"
            f"{pairs[ms >> 10 & _TEN_BITS]}{pairs[ms & _TEN_BITS]}{self._worker}"
            f"{pairs[n >> 20 & _TEN_BITS]}{pairs[n >> 10 & _TEN_BITS]}{pairs[n & _TEN_BITS]}"
        )


def repeatable_id(digest: bytes, number: int) -> str:
    """The same id for the same digest and number, on any worker: what an `Idempotency-Key` is answered with.

    Starts with `Z`, which no id made from a time does (48 bits of milliseconds start with `7` at most).
    """
    bits = int.from_bytes(hashlib.sha256(digest + number.to_bytes(8, "big")).digest()[:16], "big")
    return "Z" + "".join(_ALPHABET[bits >> shift & 31] for shift in range(120, -1, -5))
