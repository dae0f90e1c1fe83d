"""What every measurement gets.

A scratch folder, how much effort to spend, and a way to say what it is doing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.reference import Reference, reference
from benchmarks.row import Row, Section


@dataclass(frozen=True, slots=True)
class Effort:
    """Length of the measurements; `QUICK` only shows that they work.

    Attributes:
        rounds: Times each contender takes its turn.
        wrk_seconds: Of load per turn.
        open_loop_seconds: At 25 req/s.
        batches: Of in-process calls.
        bulk_rows: Offline table.
        tuning_rows: Table of the tuning row.
        trials: Of the tuning row.
        memory_rows: Table of the training-memory row.
    """

    rounds: int
    wrk_seconds: int
    open_loop_seconds: float
    batches: int
    bulk_rows: int
    tuning_rows: int
    trials: int
    memory_rows: int


# Of 165,000 leads, 100,000 are left to tune on: the rest is gap, calibration and hold-out.
FULL = Effort(5, 4, 60.0, 25, 1_000_000, 165_000, 50, 1_000_000)
QUICK = Effort(2, 1, 4.0, 3, 50_000, 25_000, 3, 50_000)


@dataclass(slots=True)
class Bench:
    """The run.

    Attributes:
        folder: Scratch, removed afterwards.
        effort: How long to measure.
        say: Shows one line of progress.
        bank_data: The bank-marketing table, if it is there.
        sections: Tables beside the rows, added by measurements.
    """

    folder: Path
    effort: Effort
    say: Callable[[str], None]
    bank_data: Path
    sections: list[Section] = field(default_factory=list)
    _reference: Reference | None = None

    @property
    def reference(self) -> Reference:
        """The reference model of the speed rows."""
        if self._reference is None:
            self.say("training the reference model")
            self._reference = reference()
        return self._reference


@dataclass(frozen=True, slots=True)
class Suite:
    """Rows that are measured together.

    Attributes:
        rows: Their names.
        measure: Gets the names that are wanted; may leave a row out only by raising LeadScoreError.
    """

    rows: tuple[str, ...]
    measure: Callable[[Bench, frozenset[str]], list[Row]]


def single(name: str, measure: Callable[[Bench], Row]) -> Suite:
    """A suite of one row."""
    return Suite((name,), lambda bench, _: [measure(bench)])
