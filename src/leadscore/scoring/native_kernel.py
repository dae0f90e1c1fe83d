"""The native evaluator.

The C in `native/`, called through ctypes, so one object serves every Python version.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from leadscore.errors import NotFoundError
from leadscore.scoring.forest import Doubles, Forest, Singles
from leadscore.scoring.paths import POINTS, Paths, quadrature
from leadscore.scoring.slots import Slots
from leadscore.scoring.tables import BRANCH, GROUP_ROWS, MAX_TABLE_BYTES, plan_tables

LIBRARY = Path(__file__).parent / "native" / "_kernel.so"

_ABI_VERSION = 2
_FLOAT32 = np.dtype(np.float32)
_NODE = np.dtype([("test", np.uint32), ("mask", np.uint32), ("slot", np.uint16), ("left", np.uint16)])
_EDGE = np.dtype([("feature", np.uint16), ("earlier", np.uint16)])
# Smaller shares of a matrix are not worth waking a thread for.
_LEAST_ROWS_PER_THREAD = 256
_LEAST_EXPLAINED_PER_THREAD = 8

_NUMBERS = (
    ("features", ctypes.c_int32),
    ("slots", ctypes.c_int32),
    ("numeric", ctypes.c_int32),
    ("categorical", ctypes.c_int32),
    ("trees", ctypes.c_int32),
    ("largest_tree", ctypes.c_int32),
    ("most_points", ctypes.c_int32),
    ("lowest_code", ctypes.c_float),
    ("base_float", ctypes.c_float),
    ("base_double", ctypes.c_double),
    ("expectation", ctypes.c_double),
)
_ARRAYS: dict[str, npt.DTypeLike] = {
    "numeric_feature": np.int32,
    "numeric_missing": np.int32,
    "category_feature": np.int32,
    "category_codes": np.int32,
    "category_slot": np.int32,
    "category_width": np.int32,
    "category_start": np.int32,
    "category_table": np.uint32,
    "nodes": _NODE,
    "roots": np.int32,
    "depths": np.int32,
    "value": np.float64,
    "edges": _EDGE,
    "share": np.float64,
    "points": np.int32,
    "quadrature": np.float64,
    "parts": np.int32,
    "branches": BRANCH,
    "groups": GROUP_ROWS,
    "leaves": np.float64,
    "entries": np.float64,
}


class _Forest(ctypes.Structure):
    """`Forest` of native/kernel.h."""

    _fields_ = (*_NUMBERS, *((name, ctypes.c_void_p) for name in _ARRAYS))


class NativeKernel:
    """Margins and Shapley values of one forest.

    See `leadscore.scoring.kernel.Kernel` for the methods' meaning.

    Args:
        forest: The forest.
        slots: Its `plan_slots`.
        paths: Its `plan_paths`.
        threads: Threads for matrices.
        table_bytes: What the tables for Shapley values may take; a forest that needs more does without,
            slower.

    Raises:
        NotFoundError: The library was not built for this machine, or belongs to another version of this
            module.
    """

    def __init__(
        self,
        forest: Forest,
        slots: Slots,
        paths: Paths,
        *,
        threads: int = 1,
        table_bytes: int = MAX_TABLE_BYTES,
    ) -> None:
        self.backend: Literal["native", "numpy"] = "native"
        library = _library()
        self._arrays = {
            name: np.ascontiguousarray(array, _ARRAYS[name])
            for name, array in _arrays(forest, slots, paths, table_bytes).items()
        }
        self._forest = _Forest(
            **_numbers(forest, slots, paths),
            **{name: array.ctypes.data for name, array in self._arrays.items() if array.size},
        )
        handle = ctypes.addressof(self._forest)
        self._features = forest.features
        self._row_bytes = forest.features * _FLOAT32.itemsize
        self._margin: Callable[[bytes], float] = functools.partial(library.margin, handle)
        self._one_shapley: Callable[..., int] = functools.partial(library.one_shapley, handle)
        self._margins: Callable[..., int] = functools.partial(library.margins, handle)
        self._shapley: Callable[..., int] = functools.partial(library.shapley, handle)
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "leadscore-kernel") if threads > 1 else None

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays that the library reads."""
        return sum(array.nbytes for array in self._arrays.values())

    def margin(self, row: Singles) -> float:
        """Log-odds of one row."""
        margin = self._margin(self._row(row))
        if margin != margin:  # noqa: PLR0124  (NaN: the library's word for "out of memory"; isnan costs more)
            raise MemoryError
        return margin

    def margins(self, matrix: Singles) -> Singles:
        """Log-odds of each row."""
        matrix = self._matrix(matrix)
        margins = np.empty(len(matrix), np.float32)
        self._split(self._margins, matrix, margins, _LEAST_ROWS_PER_THREAD)
        return margins

    def shapley(self, row: Singles) -> Doubles:
        """Exact path-dependent Shapley values of one row; the last entry is the base value."""
        values = np.zeros(self._features + 1)
        if self._one_shapley(self._row(row), 1, values.ctypes.data) != 0:
            raise MemoryError
        return values

    def shapley_many(self, matrix: Singles) -> Doubles:
        """Exact path-dependent Shapley values of each row."""
        matrix = self._matrix(matrix)
        values = np.zeros((len(matrix), self._features + 1))
        self._split(self._shapley, matrix, values, _LEAST_EXPLAINED_PER_THREAD)
        return values

    def _row(self, row: Singles) -> bytes:
        """A row's bytes: the quickest argument that ctypes takes, and safe against other threads."""
        content = row.tobytes()
        if len(content) != self._row_bytes or row.dtype != _FLOAT32:
            raise ValueError(
                f"A float32 row of {self._features} values is needed, not {row.dtype} {row.shape}."
            )
        return content

    def _matrix(self, matrix: Singles) -> Singles:
        if matrix.ndim != 2 or matrix.shape[1] != self._features or matrix.dtype != _FLOAT32:
            raise ValueError(
                f"A float32 matrix with {self._features} columns is needed, not "
                f"{matrix.dtype} {matrix.shape}."
            )
        return np.ascontiguousarray(matrix)

    def _split(
        self, work: Callable[..., int], matrix: Singles, out: npt.NDArray[np.generic], least: int
    ) -> None:
        """Run the work on shares of the rows, one per thread; the library leaves Python's lock alone."""
        rows = len(matrix)
        shares = max(1, min(self._threads, rows // least))
        bounds = [rows * i // shares for i in range(shares + 1)]
        calls = [(matrix[a:].ctypes.data, b - a, out[a:].ctypes.data) for a, b in pairwise(bounds)]
        if self._pool is None or shares == 1:
            statuses = [work(*call) for call in calls]
        else:
            statuses = [pending.result() for pending in [self._pool.submit(work, *call) for call in calls]]
        if any(statuses):
            raise MemoryError


class _Library:
    """The library's functions, with their types.

    Calls for one row keep Python's lock: they take microseconds, while getting the lock back from a busy
    thread can take milliseconds. Calls for a matrix release it.
    """

    def __init__(self, path: Path) -> None:
        holding, releasing = ctypes.PyDLL(str(path)), ctypes.CDLL(str(path))
        abi = holding.leadscore_abi()
        if abi != _ABI_VERSION * 65536 + ctypes.sizeof(_Forest):
            raise NotFoundError(
                f"The native kernel {path.name} is of another version (ABI {abi}).",
                hint="Install leadscore again.",
            )
        self.margin = holding.leadscore_margin
        self.margin.restype = ctypes.c_float
        self.margin.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
        self.one_shapley = holding.leadscore_shapley
        self.one_shapley.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64, ctypes.c_void_p)
        self.margins, self.shapley = releasing.leadscore_margins, releasing.leadscore_shapley
        for function in (self.margins, self.shapley):
            function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)


@functools.cache
def _library() -> _Library:
    try:
        return _Library(LIBRARY)
    except (OSError, AttributeError) as error:
        raise NotFoundError(
            "The native kernel was not built for this machine.",
            hint="Install a wheel for this platform, or a C compiler before installing leadscore.",
        ) from error


def _numbers(forest: Forest, slots: Slots, paths: Paths) -> dict[str, int | float]:
    return {
        "features": forest.features,
        "slots": slots.count,
        "numeric": len(slots.numeric_feature),
        "categorical": len(slots.category_feature),
        "trees": forest.trees,
        "largest_tree": int(np.diff(forest.roots).max()),
        "most_points": int(paths.points.max()),
        "lowest_code": slots.lowest_code,
        "base_float": forest.base,
        "base_double": forest.base,
        "expectation": paths.expectation,
    }


def _arrays(
    forest: Forest, slots: Slots, paths: Paths, table_bytes: int
) -> dict[str, npt.NDArray[np.generic]]:
    nodes = np.empty(len(slots.left), _NODE)
    nodes["test"], nodes["mask"] = slots.test, slots.mask
    nodes["slot"], nodes["left"] = slots.slot, slots.left
    root_of = np.repeat(forest.roots[:-1], np.diff(forest.roots))
    edges = np.zeros(len(slots.left), _EDGE)
    edges["feature"] = np.maximum(forest.feature, 0)
    edges["earlier"] = np.where(paths.earlier < 0, 0, paths.earlier - root_of)
    return {
        "numeric_feature": slots.numeric_feature,
        "numeric_missing": slots.numeric_missing,
        "category_feature": slots.category_feature,
        "category_codes": slots.category_codes,
        "category_slot": slots.category_slot,
        "category_width": slots.category_width,
        "category_start": slots.category_start,
        "category_table": slots.category_table,
        "nodes": nodes,
        "roots": forest.roots,
        "depths": forest.tree_depths(),
        "value": forest.value if forest.double else np.zeros(0),
        "edges": edges,
        "share": paths.share,
        "points": paths.points,
        "quadrature": np.concatenate([np.concatenate(quadrature(points)) for points in POINTS]),
        **_tables(forest, slots, paths, table_bytes),
    }


def _tables(forest: Forest, slots: Slots, paths: Paths, limit: int) -> dict[str, npt.NDArray[np.generic]]:
    """The tables, or nothing: the library takes absent entries to mean that it must do without."""
    tables = plan_tables(forest, slots, paths, limit)
    if tables is None:
        return {}
    return {
        "parts": tables.parts,
        "branches": tables.branches,
        "groups": tables.groups,
        "leaves": tables.leaves,
        "entries": tables.entries,
    }
