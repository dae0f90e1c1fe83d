"""Random numbers by name: what one feature draws never moves what another one gets."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from leadscore.arrays import Floats


@dataclass(frozen=True, slots=True)
class Streams:
    """The random numbers of one block of rows.

    A stream depends on seed, block, variant and name only. Draws are of fixed distributions and one per row;
    what is wanted is made from them by inverse transforms. So a scenario changes what it touches, and every
    other value of every row stays what it is without it.

    Attributes:
        seed: Seed of the table.
        block: Number of the block.
        rows: Rows in the block.
        variant: 0 for the leads themselves; 1, 2, … for stand-ins of leads that a scenario turns away.
    """

    seed: int
    block: int
    rows: int
    variant: int = 0

    def uniform(self, name: str) -> Floats:
        """Uniform on [0, 1), one per row."""
        return self._generator(name).random(self.rows)

    def normal(self, name: str) -> Floats:
        """Standard normal, one per row."""
        return self._generator(name).standard_normal(self.rows)

    def _generator(self, name: str) -> np.random.Generator:
        key = np.random.SeedSequence([self.seed, zlib.crc32(name.encode()), self.block, self.variant])
        return np.random.Generator(np.random.PCG64DXSM(key))
