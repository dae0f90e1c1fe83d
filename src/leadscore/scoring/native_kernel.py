"""The native evaluator, once it is built."""

from __future__ import annotations

from typing import Literal

from leadscore.errors import NotFoundError
from leadscore.scoring.forest import Doubles, Floats, Forest


class NativeKernel:
    """Margins and Shapley values of one forest, compiled."""

    backend: Literal["native"] = "native"
    nbytes: int

    def __init__(self, forest: Forest, *, threads: int) -> None:
        raise NotFoundError("The native kernel was not built.", hint="Set LEADSCORE_KERNEL=numpy.")

    def margin(self, row: Floats) -> float: ...
    def margins(self, matrix: Floats) -> Floats: ...
    def shapley(self, row: Floats) -> Doubles: ...
    def shapley_many(self, matrix: Floats) -> Doubles: ...
