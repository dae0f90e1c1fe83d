"""Lay a forest out so that each decision is one branch-free integer test on a row of slots.

A row of k features becomes a row of 32-bit slots, and every node tests `(slot & mask) < test`, unsigned:

- A numeric slot holds the value as an integer that sorts like the float (`sortable`), one
  slot per feature and treatment of missing values, NaN replaced by the infinity that leads
  where NaN must go. The mask keeps all bits.
- A category slot holds one bit per code where 30 codes suffice, and the mask is the set of codes that go
  right; else it holds the answers of up to 32 of the forest's category sets ("does the code go right?"),
  looked up once per row, and the mask picks one. The test is 1.
- Slot 0 is always 0: a leaf tests it against 1 and so goes to itself, and every path through a tree can take
  the same number of steps. Its mask holds the leaf's value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leadscore.errors import ArtefactError
from leadscore.scoring.forest import CategorySet, Forest, Ints, Missing, Singles

Words = npt.NDArray[np.uint32]
Shorts = npt.NDArray[np.uint16]

ZERO_BOUND = np.float32(1e-35)
"""LightGBM's kZeroThreshold: with zero_as_missing, magnitudes up to this are missing."""

_MAX_SLOTS = 2**16 - 1
_MAX_TABLE_WORDS = 2**24
_BITS = 32


def sortable(numbers: Singles) -> Words:
    """Unsigned integers in the order of the numbers; both zeros are equal, NaN has no place."""
    bits = (numbers + np.float32(0)).view(np.uint32)
    return np.where(bits >> np.uint32(31) != 0, ~bits, bits | np.uint32(1 << 31))


@dataclass(frozen=True, slots=True)
class Slots:
    """How a row becomes slots, and the nodes that test them.

    Attributes:
        features: Columns of a row.
        count: Slots of a row.
        numeric_feature: Feature of each numeric slot after slot 0.
        numeric_missing: `Missing` of the same.
        category_feature: Categorical features.
        category_codes: Number of codes each knows; beyond them lie "any other code" and "missing".
        category_slot: First slot of each.
        category_width: Slots of each.
        category_start: Where each one's rows (codes + 2, width) start in `category_table`.
        category_table: Slot contents by code.
        lowest_code: Codes must be greater than this to be valid (LightGBM truncates towards zero).
        test: What the masked slot must be less than to go left; one per node.
        mask: Which bits of the slot the node looks at; a leaf's value as float32 bits.
        slot: Slot that each node tests.
        left: Left child relative to the tree's root; a leaf's own position.
    """

    features: int
    count: int
    numeric_feature: Ints
    numeric_missing: Ints
    category_feature: Ints
    category_codes: Ints
    category_slot: Ints
    category_width: Ints
    category_start: Ints
    category_table: Words
    lowest_code: float
    test: Words
    mask: Words
    slot: Shorts
    left: Shorts

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        arrays = (self.category_table, self.test, self.mask, self.slot, self.left)
        return sum(array.nbytes for array in arrays)


@dataclass(frozen=True, slots=True)
class _Categories:
    """One categorical feature's slots: contents by code, and which slot and mask each of its sets uses."""

    codes: int
    table: Words
    slot_and_mask: dict[int, tuple[int, int]]


def plan_slots(forest: Forest) -> Slots:
    """Lay out the forest.

    Raises:
        ArtefactError: It needs more slots or larger category tables than any sensible model does.
    """
    leaf = forest.left < 0
    numeric = ~leaf & (forest.category_set < 0)
    pairs, pair_of = np.unique(
        forest.feature[numeric] * np.int32(len(Missing)) + forest.missing[numeric], return_inverse=True
    )
    test = np.where(numeric, sortable(forest.threshold), np.uint32(1))
    mask = np.where(leaf, forest.value.astype(np.float32).view(np.uint32), np.uint32(0xFFFFFFFF))
    slot = np.zeros(len(leaf), np.int64)
    slot[numeric] = pair_of + 1
    features: list[int] = []
    plans: list[_Categories] = []
    slots_of: list[int] = []
    count = len(pairs) + 1
    categorical = forest.category_set >= 0
    for feature in np.unique(forest.feature[categorical]).tolist():
        mine = np.flatnonzero(categorical & (forest.feature == feature))
        plan = _plan_categories(forest.sets, np.unique(forest.category_set[mine]).tolist())
        for node, chosen in zip(mine.tolist(), forest.category_set[mine].tolist(), strict=True):
            offset, mask[node] = plan.slot_and_mask[chosen]
            slot[node] = count + offset
        features.append(feature)
        plans.append(plan)
        slots_of.append(count)
        count += plan.table.shape[1]
    if count > _MAX_SLOTS or sum(plan.table.size for plan in plans) > _MAX_TABLE_WORDS:
        raise ArtefactError(
            f"The model's categorical decisions need {count} slots per row, more than this evaluator holds.",
            hint="Group rare categories in the contract and train again.",
        )
    position = np.arange(len(leaf)) - np.repeat(forest.roots[:-1], np.diff(forest.roots))
    return Slots(
        features=forest.features,
        count=count,
        numeric_feature=(pairs // len(Missing)).astype(np.int32),
        numeric_missing=(pairs % len(Missing)).astype(np.int32),
        category_feature=np.array(features, np.int32),
        category_codes=np.array([plan.codes for plan in plans], np.int32),
        category_slot=np.array(slots_of, np.int32),
        category_width=np.array([plan.table.shape[1] for plan in plans], np.int32),
        category_start=np.cumsum([0, *(plan.table.size for plan in plans)])[:-1].astype(np.int32),
        category_table=np.concatenate([plan.table.ravel() for plan in plans] or [np.zeros(0, np.uint32)]),
        lowest_code=-1.0
        if forest.negative_fraction_is_zero
        else float(np.nextafter(np.float32(0), np.float32(-1))),
        test=test,
        mask=mask,
        slot=slot.astype(np.uint16),
        left=np.where(leaf, position, forest.left - (np.arange(len(leaf)) - position)).astype(np.uint16),
    )


def _plan_categories(sets: tuple[CategorySet, ...], wanted: list[int]) -> _Categories:
    """Slots for the category sets `wanted` of one feature."""
    codes = max(sets[number].known for number in wanted)
    if codes + 2 <= _BITS:
        contents = np.uint32(1) << np.arange(codes + 2, dtype=np.uint32).reshape(-1, 1)
        return _Categories(codes, contents, {n: (0, _goes_right(sets[n], codes)) for n in wanted})
    width = -(-len(wanted) // _BITS)
    if (codes + 2) * width > _MAX_TABLE_WORDS:
        raise ArtefactError(
            f"A feature with {codes} categories is decided on in {len(wanted)} different ways: too many.",
            hint="Group rare categories in the contract and train again.",
        )
    table = np.zeros((codes + 2, width), np.uint32)
    slot_and_mask: dict[int, tuple[int, int]] = {}
    for index, number in enumerate(wanted):
        offset, bit = divmod(index, _BITS)
        table[:, offset] |= _bits(_goes_right(sets[number], codes), codes + 2) << np.uint32(bit)
        slot_and_mask[number] = (offset, 1 << bit)
    return _Categories(codes, table, slot_and_mask)


def _goes_right(chosen: CategorySet, codes: int) -> int:
    """One bit per code that goes right.

    Bit `codes` stands for any other code, the next one for a missing value.
    """
    left = chosen.left
    if chosen.other_left:
        left |= (1 << codes + 1) - (1 << chosen.known)
    if chosen.missing_left:
        left |= 1 << codes + 1
    return left ^ ((1 << codes + 2) - 1)


def _bits(mask: int, count: int) -> Words:
    data = np.frombuffer(mask.to_bytes(-(-count // 8), "little"), np.uint8)
    return np.unpackbits(data, count=count, bitorder="little").astype(np.uint32)
