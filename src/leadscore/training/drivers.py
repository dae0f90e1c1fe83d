"""What drives a model: exact Shapley values of unseen leads, averaged by feature and along each feature."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.contract import Boolean, Categorical, FeatureContract
from leadscore.scoring.artefact import Algorithm
from leadscore.scoring.kernel import open_kernel
from leadscore.scoring.lightgbm_text import read_lightgbm
from leadscore.scoring.xgboost_ubj import read_xgboost

# Enough for means; a few hundred microseconds each.
_ROWS = 1000
_BINS = 8
_QUANTILES = np.linspace(0, 1, _BINS + 1)[1:-1]
_SHAPES = 6
# With fewer leads in a bin or category its mean is noise, and may tell about one person.
_MIN_BIN = 10


class Driver(msgspec.Struct, frozen=True):
    """How much one feature moves the score.

    Mean absolute Shapley value (log-odds), and its share of all features'.
    """

    feature: str
    mean_abs: float
    share: float


@dataclass(frozen=True, slots=True)
class Shape:
    """How one feature moves the score along its values.

    Attributes:
        feature: Its name.
        labels: Values, or ranges of values, in order.
        effects: Mean Shapley value (log-odds) of the leads there.
    """

    feature: str
    labels: tuple[str, ...]
    effects: tuple[float, ...]


def explain_model(
    model: bytes, algorithm: Algorithm, contract: FeatureContract, matrix: npt.NDArray[np.float32]
) -> tuple[tuple[Driver, ...], tuple[Shape, ...]]:
    """Drivers, strongest first, and the shapes of the strongest few.

    Args:
        model: The model file.
        algorithm: Its library.
        contract: Of the leads.
        matrix: Leads that the model has not trained on, float32 (n, inputs); at most 1,000 are used, evenly
            spread.
    """
    forest = read_xgboost(model) if algorithm == "xgboost" else read_lightgbm(model.decode())
    rows = np.unique(np.linspace(0, len(matrix) - 1, min(_ROWS, len(matrix))).astype(np.intp))
    sample = np.ascontiguousarray(matrix[rows])
    values = np.asarray(open_kernel(forest).shapley_many(sample))[:, :-1]
    strength = np.abs(values).mean(axis=0)
    order = np.argsort(-strength, kind="stable")
    total = float(strength.sum()) or 1.0
    drivers = tuple(
        Driver(contract.inputs[i].name, float(strength[i]), float(strength[i] / total)) for i in order
    )
    shapes = (
        _shape(contract, int(i), sample[:, i], values[:, i]) for i in order[:_SHAPES] if strength[i] > 0
    )
    return drivers, tuple(shapes)


def _shape(
    contract: FeatureContract,
    position: int,
    column: npt.NDArray[np.float32],
    effects: npt.NDArray[np.float64],
) -> Shape:
    feature = contract.inputs[position]
    missing = np.isnan(column)
    match feature:
        case Categorical():
            names = dict(enumerate(feature.categories))
        case Boolean():
            names = {0: "no", 1: "yes"}
        case _:
            names = None
    if names is None:
        present = column[~missing]
        edges = _edges(present)
        codes = np.where(missing, -1, np.searchsorted(edges, column, side="right"))
        labels = {i: _range(present[codes[~missing] == i]) for i in range(len(edges) + 1)}
    else:
        codes, labels = np.where(missing, -1, np.nan_to_num(column)).astype(np.intp), names
    labels[-1] = "missing"
    bins = [int(c) for c in np.unique(codes) if np.count_nonzero(codes == c) >= _MIN_BIN]
    means = {c: float(effects[codes == c].mean()) for c in bins}
    if names is not None:
        # Categories have no order of their own: the strongest effects, from the one that lowers the score
        # most.
        bins = sorted(sorted(bins, key=lambda c: -abs(means[c]))[:_BINS], key=lambda c: means[c])
    return Shape(feature.name, tuple(labels[c] for c in bins), tuple(means[c] for c in bins))


def _edges(present: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Where one bin ends and the next begins: every value by itself where they are few, else quantiles."""
    distinct = np.unique(present)
    return distinct[1:] if len(distinct) <= _BINS else np.unique(np.quantile(present, _QUANTILES))


def _range(values: npt.NDArray[np.float32]) -> str:
    if len(values) == 0:
        return ""
    low, high = float(values.min()), float(values.max())
    return _number(low) if low == high else f"{_number(low)} to {_number(high)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"
