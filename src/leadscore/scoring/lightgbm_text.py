"""Read a LightGBM model (`Booster.model_to_string`) without LightGBM.

The text is `key=value` lines: a header, a block per tree, then parameters. Decisions follow
LightGBM's `Tree::Decision`: a numeric value goes left if `value <= threshold` as doubles,
where magnitudes up to 1e-35 count as zero; a category goes left if it is in the node's bit
set, and right if it is missing, negative or unknown.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from leadscore.errors import ArtefactError
from leadscore.scoring.forest import (
    MAX_NODES,
    MAX_SPLIT_CATEGORIES,
    MAX_TREES,
    CategorySet,
    Doubles,
    Forest,
    Ints,
    Missing,
    RawTree,
    Singles,
    assemble,
)

Number = TypeVar("Number", bound=np.generic)

_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_MISSING_NONE, _MISSING_ZERO, _MISSING_NAN = 0, 1, 2
_ZERO = float(np.float32(1e-35))
# A tree has some twenty lines; a number at most 25 characters and a space.
_MAX_LINES, _MAX_NUMBER = 64, 32


def read_lightgbm(text: str) -> Forest:
    """Read a booster's text.

    Args:
        text: What `Booster.model_to_string()` or `save_model` wrote (format v3 or v4). With early stopping,
            write it with `num_iteration=booster.best_iteration` (LightGBM's default).

    Returns:
        The forest; leaf values are summed as doubles.

    Raises:
        ArtefactError: The text is malformed, or the model is not a single-output `binary` one with plain
            leaves.
    """
    body, complete, _ = text.partition("\nend of trees")
    if not complete:
        raise ArtefactError("The text is not a LightGBM model, or it was cut off.")
    # Counted before it is split: short pieces of text take many times their size.
    if body.count("\nTree=") > MAX_TREES or body.count("\n") > _MAX_LINES * MAX_TREES:
        raise ArtefactError(f"The model has more than {MAX_TREES} trees, or too many lines.")
    blocks = body.split("\nTree=")
    header = _fields(blocks[0])
    if "tree" not in blocks[0].split("\n", 1)[0] or header.get("version") not in {"v3", "v4"}:
        raise ArtefactError(
            "The text is not a LightGBM model of format v3 or v4.", hint="Use Booster.save_model."
        )
    objective = header.get("objective", "(none)")
    if objective.split(" ") not in (["binary", "sigmoid:1"], ["binary"]):
        raise ArtefactError(
            f"The model's objective is {objective[:60]!r}.", hint="Only `binary` with sigmoid 1 is supported."
        )
    sizes = header.get("tree_sizes", "")
    if len(sizes) > _MAX_NUMBER * len(blocks) or len(sizes.split()) != len(blocks) - 1:
        raise ArtefactError("The model does not hold as many trees as its header says.")
    if header.get("num_class") != "1" or header.get("num_tree_per_iteration") != "1":
        raise ArtefactError("The model has more than one output.")
    if "average_output" in blocks[0]:
        raise ArtefactError(
            "The model is a LightGBM random forest (average_output).", hint="Use boosting=gbdt."
        )
    return assemble(
        [_tree(index, _fields(block)) for index, block in enumerate(blocks[1:])],
        features=int(_column(header, "max_feature_idx", np.int32, 1)[0]) + 1,
        base=0.0,
        double=True,
        negative_fraction_is_zero=True,
    )


def _fields(block: str) -> dict[str, str]:
    if block.count("\n") > _MAX_LINES:
        raise ArtefactError(f"A part of the model has more than {_MAX_LINES} lines.")
    pairs = (line.partition("=") for line in block.split("\n"))
    return {key: value for key, mark, value in pairs if mark}


def _column(fields: dict[str, str], name: str, dtype: type[Number], size: int) -> npt.NDArray[Number]:
    if name not in fields:
        raise ArtefactError(f"The model lacks the field `{name}`.")
    if not 0 <= size <= MAX_NODES or len(fields[name]) > _MAX_NUMBER * (size + 1):
        raise ArtefactError(f"The model's `{name}` has more than {size} values, or none that fit.")
    try:
        values = np.array(fields[name].split(), dtype=dtype)
    except (ValueError, OverflowError) as error:
        raise ArtefactError(
            f"The model's `{name}` are not numbers that fit {np.dtype(dtype).name}."
        ) from error
    if len(values) != size:
        raise ArtefactError(f"The model's `{name}` has {len(values)} values instead of {size}.")
    return values


def _tree(index: int, fields: dict[str, str]) -> RawTree:
    """Inner nodes first, then the leaves: LightGBM refers to leaf i as ~i."""
    if fields.get("is_linear", "0") != "0":
        raise ArtefactError(f"Tree {index} of the model has linear leaves.", hint="Use linear_tree=false.")
    leaves = int(_column(fields, "num_leaves", np.int32, 1)[0])
    if not 1 <= leaves <= len(fields.get("leaf_value", "")):
        raise ArtefactError(f"Tree {index} of the model says it has {leaves} leaves.")
    inner = leaves - 1
    value = _column(fields, "leaf_value", np.float64, leaves)
    if inner == 0:
        return _single_leaf(float(value[0]))
    decision = _column(fields, "decision_type", np.int32, inner)
    threshold = _column(fields, "threshold", np.float64, inner)
    categorical = (decision & _CATEGORICAL) != 0
    category_set, sets = _categories(index, fields, np.where(categorical, threshold, -1))
    return RawTree(
        left=_children(fields, "left_child", inner),
        right=_children(fields, "right_child", inner),
        feature=_with_leaves(_column(fields, "split_feature", np.int32, inner), leaves, 0),
        threshold=_with_leaves(_strict_thresholds(np.where(categorical, 0.0, threshold)), leaves, 0),
        missing=_with_leaves(_missing(decision), leaves, 0),
        category_set=_with_leaves(category_set, leaves, -1),
        sets=sets,
        value=np.concatenate((np.zeros(inner), value)),
        cover=np.concatenate(
            (
                _column(fields, "internal_count", np.float64, inner),
                _column(fields, "leaf_count", np.float64, leaves),
            )
        ),
    )


def _single_leaf(value: float) -> RawTree:
    zero = np.zeros(1, np.int32)
    return RawTree(
        zero - 1, zero - 1, zero, np.zeros(1, np.float32), zero, zero - 1, (), np.array([value]), np.ones(1)
    )


def _children(fields: dict[str, str], name: str, inner: int) -> Ints:
    children = _column(fields, name, np.int32, inner)
    return _with_leaves(np.where(children < 0, inner + ~children, children).astype(np.int32), inner + 1, -1)


def _with_leaves(column: npt.NDArray[Number], leaves: int, filler: int) -> npt.NDArray[Number]:
    return np.concatenate((column, np.full(leaves, filler, column.dtype)))


def _strict_thresholds(threshold: Doubles) -> Singles:
    """The float32 t for which every finite float32 x has `x < t` exactly if LightGBM finds `x <= threshold`.

    LightGBM writes `inf` where only missing values go right.
    """
    around_zero = np.where((threshold >= 0) & (threshold < _ZERO), _ZERO, threshold)
    below_zero = (threshold < 0) & (threshold >= -_ZERO)
    with np.errstate(over="ignore"):
        nearest = around_zero.astype(np.float32)
        floor = np.where(nearest > around_zero, np.nextafter(nearest, np.float32(-np.inf)), nearest)
        above = np.nextafter(floor, np.float32(np.inf))
    return np.where(below_zero, np.float32(-_ZERO), above).astype(np.float32)


def _missing(decision: Ints) -> Ints:
    kind, default_left = (decision >> 2) & 3, (decision & _DEFAULT_LEFT) != 0
    return np.select(
        [kind == _MISSING_NONE, kind == _MISSING_ZERO, kind == _MISSING_NAN],
        [
            np.full(len(decision), Missing.AS_ZERO),
            np.where(default_left, Missing.OR_ZERO_LEFT, Missing.OR_ZERO_RIGHT),
            np.where(default_left, Missing.LEFT, Missing.RIGHT),
        ],
        default=-1,
    ).astype(np.int32)


def _categories(index: int, fields: dict[str, str], chosen: Doubles) -> tuple[Ints, tuple[CategorySet, ...]]:
    """Each inner node's category set (-1 if numeric), and the sets."""
    count = int(_column(fields, "num_cat", np.int32, 1)[0])
    if not 0 <= count <= len(chosen) or np.any(chosen != np.floor(chosen)) or np.any(chosen >= max(count, 1)):
        raise ArtefactError(f"Tree {index} of the model refers to a category set that does not exist.")
    numbers = chosen.astype(np.int32)
    if count == 0:
        if np.any(numbers >= 0):
            raise ArtefactError(f"Tree {index} of the model refers to a category set that does not exist.")
        return numbers, ()
    bounds = _column(fields, "cat_boundaries", np.int64, count + 1)
    words = np.array(_column(fields, "cat_threshold", np.int64, int(bounds[-1])))
    if (
        bounds[0] != 0
        or np.any(np.diff(bounds) < 0)
        or np.any(np.diff(bounds) > MAX_SPLIT_CATEGORIES // 32)
        or np.any((words < 0) | (words >= 2**32))
    ):
        raise ArtefactError(
            f"Tree {index} of the model has malformed categories (codes 0 … "
            f"{MAX_SPLIT_CATEGORIES - 1} are supported)."
        )
    data = words.astype("<u4").tobytes()
    masks = [int.from_bytes(data[4 * a : 4 * b], "little") for a, b in pairwise(bounds.tolist())]
    return numbers, tuple(CategorySet(m, m.bit_length(), missing_left=False, other_left=False) for m in masks)
