"""Lay a forest out so that each decision is one branch-free test on a row of slots.

A row of k features becomes a row of 32-bit slots. Numeric slots come first (slot 0 is minus infinity): one per
feature and treatment of missing values, NaN replaced by the infinity that leads where NaN must go, so a numeric test
is `slot < threshold`. Category slots hold small numbers (0 … 31) and a test is one bit of the node's 32-bit mask:
the mask itself is the set of codes where 30 codes suffice; otherwise a slot packs five yes/no answers ("is the code
in this node's set?"), looked up once per row, and the mask picks one of them.
Nodes take eight bytes. A leaf tests slot 0 against its own value, which sends it to itself: every path through a
tree can then take the same number of steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leadscore.errors import ArtefactError
from leadscore.scoring.forest import CategorySet, Forest, Ints, Missing

Words = npt.NDArray[np.uint32]
Shorts = npt.NDArray[np.uint16]

ZERO_BOUND = np.float32(1e-35)
"""LightGBM's kZeroThreshold: with zero_as_missing, magnitudes up to this are missing."""

_MAX_SLOTS = 2**16 - 1
_MAX_TABLE_WORDS = 2**24
_MASK_BITS = 32
_ANSWERS_PER_SLOT = 5
# Mask number b has bit v set exactly if bit b of v is set: it asks for answer b of the five in a slot.
_ANSWER_MASKS = tuple(sum(1 << v for v in range(_MASK_BITS) if v >> b & 1) for b in range(_ANSWERS_PER_SLOT))


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
        test: Threshold bits, mask, or the leaf's value as float32 bits; one per node.
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
    slot: Shorts
    left: Shorts

    @property
    def first_category_slot(self) -> int:
        """Slots below this are numeric."""
        return len(self.numeric_feature) + 1

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        arrays = (self.category_table, self.test, self.slot, self.left)
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
    test = np.where(leaf, forest.value, forest.threshold).astype(np.float32).view(np.uint32)
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
            offset, test[node] = plan.slot_and_mask[chosen]
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
        slot=slot.astype(np.uint16),
        left=np.where(leaf, position, forest.left - (np.arange(len(leaf)) - position)).astype(np.uint16),
    )


def _plan_categories(sets: tuple[CategorySet, ...], wanted: list[int]) -> _Categories:
    """Slots for the category sets `wanted` of one feature."""
    codes = max(len(sets[number].left) for number in wanted)
    if codes + 2 <= _MASK_BITS:
        contents = np.arange(codes + 2, dtype=np.uint32).reshape(-1, 1)
        masks = {number: (0, _mask(_answers(sets[number], codes))) for number in wanted}
        return _Categories(codes, contents, masks)
    width = -(-len(wanted) // _ANSWERS_PER_SLOT)
    if (codes + 2) * width > _MAX_TABLE_WORDS:
        raise ArtefactError(
            f"A feature with {codes} categories is decided on in {len(wanted)} different ways: too many.",
            hint="Group rare categories in the contract and train again.",
        )
    table = np.zeros((codes + 2, width), np.uint32)
    chosen: dict[int, tuple[int, int]] = {}
    for index, number in enumerate(wanted):
        offset, bit = divmod(index, _ANSWERS_PER_SLOT)
        table[:, offset] |= _answers(sets[number], codes).astype(np.uint32) << np.uint32(bit)
        chosen[number] = (offset, _ANSWER_MASKS[bit])
    return _Categories(codes, table, chosen)


def _answers(chosen: CategorySet, codes: int) -> npt.NDArray[np.bool_]:
    """Does each code go left; then any other code; then a missing one; shape (codes + 2,)."""
    answers = np.full(codes + 2, chosen.other_left, np.bool_)
    answers[: len(chosen.left)] = chosen.left
    answers[-1] = chosen.missing_left
    return answers


def _mask(answers: npt.NDArray[np.bool_]) -> int:
    return sum(1 << int(code) for code in np.flatnonzero(answers))
