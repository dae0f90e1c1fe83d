"""Golden rows: rows with the training library's own answers, to check an evaluator before it serves."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.documents import DECODE_ERRORS, decode_json
from leadscore.errors import ArtefactError

GOLDEN_ROWS = 32


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A few encoded rows (null = missing) with the margins of the library that trained the model."""

    rows: tuple[tuple[float | None, ...], ...]
    margins: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.rows or len(self.rows) != len(self.margins):
            raise ValueError("golden rows and margins must be as many, at least one")
        if len({len(row) for row in self.rows}) != 1:
            raise ValueError("golden rows differ in length")

    @classmethod
    def of(cls, matrix: npt.NDArray[np.float32], margins: npt.NDArray[np.floating]) -> Golden:
        """From encoded rows float32 (n, k) and the library's margins (n,)."""
        rows = tuple(tuple(None if math.isnan(v) else v for v in row) for row in matrix.tolist())
        return cls(rows=rows, margins=tuple(float(m) for m in margins))

    def matrix(self) -> npt.NDArray[np.float32]:
        """The rows as float32 (n, k), NaN where null."""
        with np.errstate(over="ignore"):
            return np.array(
                [[math.nan if v is None else v for v in row] for row in self.rows], dtype=np.float32
            )

    def to_json(self) -> bytes:
        """The document `golden.json`."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> Golden:
        """Read `golden.json`; ArtefactError if it is not one."""
        try:
            return decode_json(data, type=Golden)
        except DECODE_ERRORS as error:
            raise ArtefactError(f"golden.json holds no golden rows: {error}.") from error
