"""Counts of live leads in the reference profile's bins, so that drift (PSI) can be computed from `/metrics`.

Rows are noted on the hot path (two copies into a buffer) and binned a few hundred at a time, which costs each
lead a fraction of a microsecond. `flush` runs every second and before each scrape of this worker.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from leadscore.scoring.grades import Grades
from leadscore.scoring.probability_bins import PROBABILITY_EDGES
from leadscore.scoring.profile import ReferenceProfile, feature_cells
from leadscore_service.metrics_layout import CounterLayout

Tally = npt.NDArray[np.uint64]

_ROWS: Final = 256
_PROBABILITY_EDGES: Final = np.array(PROBABILITY_EDGES)


class BinCounts:
    """Feature, score and grade counters of one worker.

    `tally` may run on any thread, the rest on the event loop's.
    """

    def __init__(
        self, profile: ReferenceProfile, grades: Grades, layout: CounterLayout, cells: Tally
    ) -> None:
        self._features = tuple(
            (feature, start, np.array(feature.edges))
            for feature, start in zip(profile.features, layout.feature_starts, strict=True)
        )
        self._score_edges = np.array(profile.score_edges)
        self._grades = grades
        self._layout = layout
        self._cells = cells
        self._rows = np.empty((_ROWS, len(profile.features)), dtype=np.float32)
        self._probabilities = np.empty(_ROWS)
        self._noted = 0

    def note(self, row: npt.NDArray[np.float32], probability: float) -> None:
        """Note one scored lead, float32 (k,)."""
        at = self._noted
        self._rows[at] = row
        self._probabilities[at] = probability
        self._noted = at + 1
        if at + 1 == _ROWS:
            self.flush()

    def flush(self) -> None:
        """Count what was noted."""
        noted, self._noted = self._noted, 0
        if noted:
            self.add(self.tally(self._rows[:noted], self._probabilities[:noted]))

    def tally(self, rows: npt.NDArray[np.float32], probabilities: npt.NDArray[np.float64]) -> Tally:
        """What many leads, float32 (n, k) and float64 (n,), add to the counters: for `add`."""
        first = self._layout.grades
        tally = np.zeros(self._layout.size - first, dtype=np.uint64)

        def put(start: int, bins: npt.NDArray[np.intp], count: int) -> None:
            tally[start - first : start - first + count] = np.bincount(bins, minlength=count)

        put(self._layout.grades, self._grades.codes(probabilities), 4)
        scores = np.searchsorted(self._score_edges, probabilities, side="right")
        put(self._layout.scores, scores, len(self._score_edges) + 1)
        # "left": a bin holds its upper edge, as the label `le` says.
        fixed = np.searchsorted(_PROBABILITY_EDGES, probabilities, side="left")
        put(self._layout.probabilities, fixed, len(PROBABILITY_EDGES) + 1)
        for column, (feature, start, edges) in enumerate(self._features):
            put(start, feature_cells(feature, edges, rows[:, column]), len(feature.counts) + 1)
        return tally

    def add(self, tally: Tally) -> None:
        """Add a tally to this worker's counters."""
        self._cells[self._layout.grades :] += tally
