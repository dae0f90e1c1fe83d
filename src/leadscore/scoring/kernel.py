"""Open an evaluator for a forest: the native one where it loads and agrees with NumPy, else NumPy."""

from __future__ import annotations

import logging
import os
from typing import Literal, Protocol, cast

import numpy as np

from leadscore.errors import BadInputError, NotFoundError
from leadscore.scoring.forest import Doubles, Forest, Singles
from leadscore.scoring.numpy_kernel import NumpyKernel
from leadscore.scoring.paths import Paths, plan_paths
from leadscore.scoring.slots import Slots, plan_slots

KernelChoice = Literal["auto", "native", "numpy"]

BACKEND_VARIABLE = "LEADSCORE_KERNEL"
"""Environment variable that says which evaluator `auto` means: `native` or `numpy`."""

_log = logging.getLogger(__name__)


class Kernel(Protocol):
    """Margins and exact explanations of one model. All methods may be called from several threads at once.

    Rows are float32 in model column order (see `FeatureContract.inputs`); NaN is missing. A row of
    another length or type raises ValueError.
    """

    @property
    def backend(self) -> Literal["native", "numpy"]:
        """Which evaluator this is."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes that the prepared model holds."""
        ...

    def margin(self, row: Singles) -> float:
        """Log-odds of one row of shape (k,), as the training library computes them (float32)."""
        ...

    def margins(self, matrix: Singles) -> Singles:
        """Log-odds of each row of a matrix (n, k); float32 of shape (n,)."""
        ...

    def shapley(self, row: Singles) -> Doubles:
        """Exact path-dependent TreeSHAP of one row.

        float64 of shape (k + 1,), the last entry is the base value.

        The entries sum to the margin; they equal XGBoost's and LightGBM's `pred_contrib(s)`.
        """
        ...

    def shapley_many(self, matrix: Singles) -> Doubles:
        """`shapley` of each row; float64 of shape (n, k + 1)."""
        ...


def open_kernel(forest: Forest, *, backend: KernelChoice = "auto", threads: int = 1) -> Kernel:
    """Prepare a forest for evaluation.

    Args:
        forest: From `read_xgboost` or `read_lightgbm`.
        backend: `auto` takes the native kernel if it is there and passes its self-test on this forest,
            otherwise NumPy with one warning; the variable LEADSCORE_KERNEL overrides `auto` only.
        threads: Threads for `margins` and `shapley_many` (native only); results do not depend on it.

    Raises:
        NotFoundError: `native` is asked for, and it was not built for this machine or fails the self-test.
        BadInputError: LEADSCORE_KERNEL is set to something else.
        ArtefactError: The forest is larger than the evaluators hold.
    """
    if backend == "auto":
        wanted = os.environ.get(BACKEND_VARIABLE, "auto")
        if wanted not in {"auto", "native", "numpy"}:
            raise BadInputError(
                f"{BACKEND_VARIABLE}={wanted!r} names no kernel.", hint="Use auto, native or numpy."
            )
        backend = cast("KernelChoice", wanted)
    fallback = NumpyKernel(forest, slots := plan_slots(forest), paths := plan_paths(forest))
    if backend == "numpy":
        return fallback
    try:
        return _native(forest, slots, paths, threads, fallback)
    except NotFoundError as error:
        if backend == "native":
            raise
        _log.warning("%s Scoring with NumPy: same results, slower.", error.message)
        return fallback


def _native(forest: Forest, slots: Slots, paths: Paths, threads: int, oracle: Kernel) -> Kernel:
    from leadscore.scoring.native_kernel import NativeKernel  # noqa: PLC0415  (NumPy must work without it)

    kernel = NativeKernel(forest, slots, paths, threads=threads)
    if not _agree(kernel, oracle, forest.features):
        raise NotFoundError(
            "The native kernel fails its self-test on this machine.", hint=f"Set {BACKEND_VARIABLE}=numpy."
        )
    return kernel


def _agree(native: Kernel, oracle: Kernel, features: int) -> bool:
    """Tell whether the kernel computes what NumPy does, on rows with missing, huge and unknown values."""
    random = np.random.default_rng(7)
    rows = random.integers(-2, 40, (8, features)).astype(np.float32)
    rows[random.random(rows.shape) < 0.2] = np.nan
    rows[0], rows[1], rows[2] = 0.0, np.nan, np.finfo(np.float32).max
    margins = oracle.margins(rows)
    return (
        np.array_equal(native.margins(rows), margins)
        and [native.margin(row) for row in rows] == margins.tolist()
        and np.allclose(native.shapley(rows[3]), oracle.shapley(rows[3]), rtol=1e-9, atol=1e-9)
    )
