"""Two-sample tests of the joint distribution of all features.

Both tests compare the reference sample with a window and have exact p-values by permutation: under no change
the rows are exchangeable, so the observed statistic is one among the permuted ones (Phipson & Smyth 2010).
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.arrays import Flags, Matrix
from leadscore.contract import Categorical, FeatureContract
from leadscore.drift.statistics.distances import Floats
from leadscore.errors import BadInputError

RowsOfEither = TypeVar("RowsOfEither", Floats, Matrix)

PERMUTATIONS: Final = 999
# The kernel matrix is quadratic in rows: more rows than this per side are drawn down.
_KERNEL_ROWS: Final = 1_000
_CLASSIFIER_ROWS: Final = 20_000
_LEAST_ROWS: Final = 20
_TREES: Final = 60
# Permutations that are multiplied in one go: 1,000 take 16 MB.
_CHUNK: Final = 1_000


class JointTest(msgspec.Struct, frozen=True):
    """What a joint test found.

    Attributes:
        test: `mmd` or `c2st`.
        statistic: Squared MMD (unbiased; may be below 0), or the classifier's mean cross-fitted AUC.
        p_value: Of a statistic at least as large without change; exact.
        reference_rows: Rows that were used of the reference.
        window_rows: Rows that were used of the window.
    """

    test: str
    statistic: float
    p_value: float
    reference_rows: int
    window_rows: int


def embed(contract: FeatureContract, reference: Matrix, window: Matrix) -> tuple[Floats, Floats]:
    """Both samples as points whose distances mean something.

    Numbers become normal scores of their rank in both samples together (no unit, no outlier dominates),
    missing ones 0 with an indicator; a category becomes a corner of a simplex with edges of length 1. The map
    treats both samples alike, so permutation stays exact.
    """
    from scipy.special import ndtri  # noqa: PLC0415
    from scipy.stats import rankdata  # noqa: PLC0415

    both = np.concatenate([reference, window]).astype(np.float64)
    columns: list[Floats] = []
    for index, feature in enumerate(contract.inputs):
        column = both[:, index]
        missing = np.isnan(column)
        if isinstance(feature, Categorical):
            codes = np.where(missing, -1, column)
            columns += [(codes == code) / np.sqrt(2) for code in range(-1, len(feature.categories) + 1)]
            continue
        scores = np.zeros(len(column))
        present = column[~missing]
        if len(present):
            scores[~missing] = ndtri((rankdata(present) - 0.5) / len(present))
        columns += [scores, missing.astype(np.float64)]
    points = np.stack([c for c in columns if c.any()] or [np.zeros(len(both))], axis=1)
    return points[: len(reference)], points[len(reference) :]


def mmd_test(
    reference: Floats, window: Floats, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> JointTest:
    """Maximum mean discrepancy, unbiased, with a Gaussian kernel of median width (Gretton et al. 2012).

    Args:
        reference: Points (n, d) from `embed`.
        window: Points (m, d).
        permutations: The smallest possible p-value is 1 / (permutations + 1).
        seed: Of the permutations and of drawing down more than 1,000 rows per side.

    Raises:
        BadInputError: Fewer than 20 rows on a side.
    """
    _check_rows(len(reference), len(window))
    rng = np.random.default_rng(seed)
    x, y = _at_most(reference, _KERNEL_ROWS, rng), _at_most(window, _KERNEL_ROWS, rng)
    n, m = len(x), len(y)
    kernel = _gaussian_kernel(np.concatenate([x, y]))
    found: list[Floats] = []
    for begin in range(0, permutations + 1, _CHUNK):
        member = np.zeros((n + m, min(_CHUNK, permutations + 1 - begin)), dtype=np.float32)
        for index in range(member.shape[1]):
            # The first column is the division that was observed.
            member[slice(n) if begin + index == 0 else rng.permutation(n + m)[:n], index] = 1.0
        found.append(_squared_mmd(kernel, member, n, m))
    statistics = np.concatenate(found)
    p_value = _permutation_p(statistics[0], statistics[1:])
    return JointTest("mmd", float(statistics[0]), p_value, n, m)


def classifier_test(
    contract: FeatureContract,
    reference: Matrix,
    window: Matrix,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> JointTest:
    """Classifier two-sample test: can gradient boosting tell the window's rows from the reference's?

    Two-fold cross-fitting: each half is judged by a forest that was trained on the other. Given the
    forest, the labels of the half that it judges are exchangeable without change, so each half has an
    exact permutation p-value of its AUC; the smaller one, doubled, is the test's (Lopez-Paz & Oquab
    2017; Kim, Ramdas, Singh & Wasserman 2021).

    Raises:
        BadInputError: Fewer than 20 rows on a side.
    """
    _check_rows(len(reference), len(window))
    rng = np.random.default_rng(seed)
    x, y = _at_most(reference, _CLASSIFIER_ROWS, rng), _at_most(window, _CLASSIFIER_ROWS, rng)
    rows, label = np.concatenate([x, y]), np.arange(len(x) + len(y)) >= len(x)
    first = np.zeros(len(rows), dtype=np.bool_)
    for side in (label, ~label):
        members = rng.permutation(np.flatnonzero(side))
        first[members[: len(members) // 2]] = True
    classifier = _Boosted(contract, seed)
    found = [
        _exact_auc(
            label[judged], classifier.scores(rows[~judged], label[~judged], rows[judged]), permutations, rng
        )
        for judged in (first, ~first)
    ]
    auc = float(np.mean([value for value, _ in found]))
    p_value = min(1.0, 2 * min(p for _, p in found))
    return JointTest("c2st", auc, p_value, len(x), len(y))


class _Boosted:
    def __init__(self, contract: FeatureContract, seed: int) -> None:
        self.types = ["c" if isinstance(f, Categorical) else "q" for f in contract.inputs]
        self.seed = seed

    def scores(self, rows: Matrix, label: Flags, judged: Matrix) -> Floats:
        import xgboost as xgb  # noqa: PLC0415 (two seconds, and only this test needs it)

        def data(matrix: Matrix, target: npt.NDArray[np.float32] | None = None) -> xgb.DMatrix:
            return xgb.DMatrix(matrix, target, feature_types=self.types, enable_categorical=True, nthread=1)

        settings = {
            "objective": "binary:logistic",
            "max_depth": 3,
            "learning_rate": 0.15,
            "subsample": 0.8,
            "colsample_bytree": 0.8,
            "nthread": 1,
            "seed": self.seed,
            "verbosity": 0,
        }
        booster = xgb.train(settings, data(rows, label.astype(np.float32)), _TREES)
        return np.asarray(booster.predict(data(judged), output_margin=True), dtype=np.float64)


def _exact_auc(
    label: Flags, scores: Floats, permutations: int, rng: np.random.Generator
) -> tuple[float, float]:
    """AUC of the window's rows over the reference's, and its permutation p-value."""
    from scipy.stats import rankdata  # noqa: PLC0415

    ranks = rankdata(scores)
    ones = int(label.sum())
    lowest, pairs = ones * (ones + 1) / 2, ones * (len(label) - ones)
    drawn = np.array([ranks[rng.permutation(len(ranks))[:ones]].sum() for _ in range(permutations)])
    observed = float(ranks[label].sum())
    return (observed - lowest) / pairs, _permutation_p(observed, drawn)


def _gaussian_kernel(points: Floats) -> npt.NDArray[np.float32]:
    norms = (points**2).sum(axis=1)
    squares = np.maximum(norms[:, None] + norms[None, :] - 2 * points @ points.T, 0.0)
    width = float(np.median(squares[np.triu_indices(len(points), 1)]))
    kernel = np.exp(-squares / max(width, 1e-12)).astype(np.float32)
    np.fill_diagonal(kernel, 0.0)
    return kernel


def _squared_mmd(kernel: npt.NDArray[np.float32], member: npt.NDArray[np.float32], n: int, m: int) -> Floats:
    """Unbiased squared MMD of each column of `member` (1: in the first sample)."""
    toward = kernel @ member
    first = (member * toward).sum(axis=0, dtype=np.float64)
    across = toward.sum(axis=0, dtype=np.float64) - first
    second = float(kernel.sum(dtype=np.float64)) - first - 2 * across
    return first / (n * (n - 1)) + second / (m * (m - 1)) - 2 * across / (n * m)


def _permutation_p(observed: float, drawn: Floats) -> float:
    # Rounding must not make a permutation of equal value smaller than the observed one.
    at_least = int((drawn >= observed - 1e-9 * max(1.0, abs(observed))).sum())
    return (1 + at_least) / (1 + len(drawn))


def _at_most(rows: RowsOfEither, limit: int, rng: np.random.Generator) -> RowsOfEither:
    return rows if len(rows) <= limit else rows[np.sort(rng.choice(len(rows), limit, replace=False))]


def _check_rows(reference: int, window: int) -> None:
    if min(reference, window) < _LEAST_ROWS:
        raise BadInputError(
            f"A joint test of {reference} reference rows and {window} rows in the window.",
            hint=f"At least {_LEAST_ROWS} are needed on each side: take a longer window.",
        )
