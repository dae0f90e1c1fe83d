"""Read an XGBoost model (`model.ubj`) without XGBoost.

Format: https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html and its JSON schema. A
categorical decision sends a category of the stored set right, any other code left, and NaN to the node's
default; a numeric one sends `value < split condition` left. Margins start at logit(base_score).
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from leadscore.errors import ArtefactError
from leadscore.scoring.forest import (
    MAX_SPLIT_CATEGORIES,
    MAX_TREES,
    CategorySet,
    Forest,
    Ints,
    Missing,
    RawTree,
    assemble,
)
from leadscore.scoring.ubjson import NumberArray, Ubj, is_object, read_ubjson

Number = TypeVar("Number", bound=np.generic)


def read_xgboost(data: bytes) -> Forest:
    """Read a booster saved as UBJSON.

    Args:
        data: Content of a file written by `Booster.save_model("….ubj")` (XGBoost 2 or 3).

    Returns:
        The forest; early stopping must have been applied by slicing the booster before it was saved.

    Raises:
        ArtefactError: The bytes are malformed, or the model is not a single-output `gbtree` with objective
            `binary:logistic`.
    """
    learner = _child(_object(read_ubjson(data), "the document"), "learner")
    objective = _text(_child(learner, "objective"), "name")
    if objective != "binary:logistic":
        raise ArtefactError(
            f"The model's objective is {objective!r}.",
            hint="Only binary:logistic models give a lead's probability.",
        )
    booster = _child(learner, "gradient_booster")
    kind = _text(booster, "name")
    if kind != "gbtree":
        raise ArtefactError(f"The model's booster is {kind!r}.", hint="Only gbtree is supported.")
    parameters = _child(learner, "learner_model_param")
    for name, allowed in (("num_class", ("0", "1")), ("num_target", ("1",))):
        if name in parameters and _text(parameters, name) not in allowed:
            raise ArtefactError(f"The model has {name}={_text(parameters, name)}: more than one output.")
    trees = _field(_child(booster, "model"), "trees")
    if not isinstance(trees, list):
        raise ArtefactError("The model's `trees` are not a list.")
    if len(trees) > MAX_TREES:
        raise ArtefactError(f"The model has more than {MAX_TREES} trees.")
    return assemble(
        [_tree(_object(tree, f"tree {index}")) for index, tree in enumerate(trees)],
        features=_integer(parameters, "num_feature"),
        base=_base_margin(_text(parameters, "base_score")),
    )


def _base_margin(text: str) -> float:
    """logit(base_score) in float32, as XGBoost computes it; 3.x writes a one-element vector."""
    try:
        score = np.float32(float(text.strip("[]")))
    except ValueError as error:
        raise ArtefactError(f"The model's base_score {text[:40]!r} is not one number.") from error
    if not 0 < score < 1:
        raise ArtefactError(f"The model's base_score {text[:40]!r} is not a probability.")
    return float(np.float32(-math.log(np.float32(1) / score - np.float32(1))))


def _tree(node: dict[str, Ubj]) -> RawTree:
    parameters = _child(node, "tree_param")
    if "size_leaf_vector" in parameters and _text(parameters, "size_leaf_vector") not in {"0", "1"}:
        raise ArtefactError("The model has vector leaves: more than one output.")
    condition = _numbers(node, "split_conditions", np.float32)
    left = _numbers(node, "left_children", np.int32)
    default_left = _numbers(node, "default_left", np.uint8)
    split_type = _numbers(node, "split_type", np.uint8)
    size = len(left)
    if len(default_left) != size or len(split_type) != size:
        raise ArtefactError("The model has a tree with columns of different lengths.")
    category_set, sets = _categories(node, default_left != 0, split_type == 1)
    return RawTree(
        left=left,
        right=_numbers(node, "right_children", np.int32),
        feature=_numbers(node, "split_indices", np.int32),
        threshold=np.where(category_set >= 0, np.float32(0), condition)
        if len(condition) == size
        else condition,
        missing=np.where(default_left != 0, Missing.LEFT, Missing.RIGHT).astype(np.int32),
        category_set=category_set,
        sets=sets,
        value=condition.astype(np.float64),
        cover=_numbers(node, "sum_hessian", np.float32).astype(np.float64),
    )


def _categories(
    node: dict[str, Ubj], default_left: NumberArray, categorical: NumberArray
) -> tuple[Ints, tuple[CategorySet, ...]]:
    """Each node's category set (-1 if numeric), and the sets."""
    chosen = np.full(len(default_left), -1, np.int32)
    nodes = _numbers(node, "categories_nodes", np.int32)
    starts = _numbers(node, "categories_segments", np.int64)
    sizes = _numbers(node, "categories_sizes", np.int64)
    codes = _numbers(node, "categories", np.int32)
    sound = len(starts) == len(nodes) == len(sizes) and not (
        np.any((nodes < 0) | (nodes >= len(chosen)))
        or np.any((starts < 0) | (sizes < 0) | (starts > len(codes)) | (sizes > len(codes) - starts))
        or np.any((codes < 0) | (codes >= MAX_SPLIT_CATEGORIES))
        or int(sizes.sum()) > len(codes)
    )
    if not sound or not np.array_equal(np.unique(nodes), np.flatnonzero(categorical)):
        raise ArtefactError(
            "The model has a tree with malformed categories (codes 0 … "
            f"{MAX_SPLIT_CATEGORIES - 1} are supported)."
        )
    sets: list[CategorySet] = []
    for position, start, size in zip(nodes.tolist(), starts.tolist(), sizes.tolist(), strict=True):
        members = codes[start : start + size].tolist()
        right = 0
        for code in members:
            right |= 1 << code
        known = right.bit_length()
        chosen[position] = len(sets)
        sets.append(
            CategorySet(right ^ ((1 << known) - 1), known, bool(default_left[position]), other_left=True)
        )
    return chosen, tuple(sets)


def _field(node: dict[str, Ubj], name: str) -> Ubj:
    if name not in node:
        raise ArtefactError(f"The model lacks the field `{name}`.", hint="Save it with XGBoost 2 or 3.")
    return node[name]


def _child(node: dict[str, Ubj], name: str) -> dict[str, Ubj]:
    return _object(_field(node, name), f"`{name}`")


def _object(value: Ubj, name: str) -> dict[str, Ubj]:
    if not is_object(value):
        raise ArtefactError(f"In the model {name} is not an object.", hint="Save it with XGBoost 2 or 3.")
    return value


def _numbers(node: dict[str, Ubj], name: str, dtype: type[Number]) -> npt.NDArray[Number]:
    """An array of numbers; the writer leaves an empty array untyped."""
    value = _field(node, name)
    if isinstance(value, list):
        if not all(isinstance(item, int | float) for item in value):
            raise ArtefactError(f"The model's `{name}` are not numbers.")
        value = np.array(value, np.float64)
    if not isinstance(value, np.ndarray):
        raise ArtefactError(f"The model's `{name}` are not an array.")
    converted = value.astype(dtype)
    if not np.array_equal(converted, value, equal_nan=value.dtype.kind == "f"):
        raise ArtefactError(f"The model's `{name}` do not fit {np.dtype(dtype).name}.")
    return converted


def _text(node: dict[str, Ubj], name: str) -> str:
    value = _field(node, name)
    if not isinstance(value, str):
        raise ArtefactError(f"The model's field `{name}` is not text.")
    return value


def _integer(node: dict[str, Ubj], name: str) -> int:
    text = _text(node, name)
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ArtefactError(f"The model's field `{name}` is not a whole number.")
    return int(text)
