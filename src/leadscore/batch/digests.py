"""64-bit digests of lead ids and of encoded leads, and which leads have changed since the last run.

Digests are sums of words times random odd numbers, mixed at the end: about as unlikely to collide as random
numbers are, and made of whole columns at once. Where a collision would matter (one id twice in a table) the
ids themselves are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Digests = npt.NDArray[np.int64]
_Words = npt.NDArray[np.uint64]

# Changing the seed makes every lead look changed once.
_SEED: Final = 0x1EAD5C0E
_LONGEST_ID: Final = 512 * 4
_FACTORS: Final[_Words] = np.random.default_rng(_SEED).integers(
    0, 2**64, size=_LONGEST_ID + 1, dtype=np.uint64, endpoint=False
) | np.uint64(1)


def id_digests(ids: pa.Array) -> Digests:
    """Digests of texts, int64 (n,)."""
    texts = ids.cast(pa.binary())
    _, offsets_buffer, data_buffer = texts.buffers()
    count = len(texts)
    if not count:
        return np.empty(0, np.int64)
    offsets = np.frombuffer(offsets_buffer, np.int32)[texts.offset : texts.offset + count + 1].astype(
        np.int64
    )
    lengths = np.diff(offsets)
    data = np.frombuffer(data_buffer or b"", np.uint8)[offsets[0] : offsets[-1]]
    starts = offsets[:-1] - offsets[0]
    place = np.arange(len(data), dtype=np.int64) - np.repeat(starts, lengths)
    weighted = (data.astype(np.uint64) + np.uint64(1)) * _FACTORS[place]
    # A running sum instead of `reduceat`, which counts an empty text as its neighbour's first byte.
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(weighted, dtype=np.uint64)])
    return _mixed(sums[starts + lengths] - sums[starts])


def row_digests(matrix: npt.NDArray[np.float32]) -> Digests:
    """Digests of encoded leads, float32 (n, inputs) to int64 (n,)."""
    # Every NaN is the same "missing", whatever its bits.
    words = np.where(np.isnan(matrix), np.float32("nan"), matrix).view(np.uint32)
    total = np.zeros(len(matrix), np.uint64)
    for column in range(matrix.shape[1]):
        total += (words[:, column].astype(np.uint64) + np.uint64(1)) * _FACTORS[column]
    return _mixed(total)


@dataclass(frozen=True, slots=True)
class LeadStates:
    """What a run knew of each lead: 16 bytes a lead.

    Attributes:
        ids: Digests of lead ids, increasing, int64 (n,).
        rows: Digest of each lead's encoded row, int64 (n,).
    """

    ids: Digests
    rows: Digests

    @classmethod
    def of(cls, ids: list[Digests], rows: list[Digests]) -> LeadStates:
        """Join and sort the pieces that were read, which the two lists lose: ten million leads are 160 MB."""
        known = _joined(ids)
        order = np.argsort(known, kind="stable")
        known = known[order]
        return cls(known, _joined(rows)[order])

    def changed(self, ids: Digests, rows: Digests) -> npt.NDArray[np.bool_]:
        """Which of these leads are new or have another row, bool (n,)."""
        if not len(self.ids):
            return np.ones(len(ids), np.bool_)
        # In order, neighbours are looked for in the same part of memory: ten times as fast.
        order = np.argsort(ids)
        place = np.empty(len(ids), np.intp)
        place[order] = np.searchsorted(self.ids, ids[order])
        np.minimum(place, len(self.ids) - 1, out=place)
        return (self.ids[place] != ids) | (self.rows[place] != rows)


def _joined(pieces: list[Digests]) -> Digests:
    joined = np.concatenate(pieces) if pieces else np.empty(0, np.int64)
    pieces.clear()
    return joined


def _mixed(words: _Words) -> Digests:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (words ^ (words >> np.uint64(31))).view(np.int64)
