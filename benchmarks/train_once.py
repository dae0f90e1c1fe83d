"""One training run in a process of its own, so that its time and its peak memory are its own.

`python -m benchmarks.train_once TABLE TRIALS OUT` prints one JSON line.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec

from benchmarks.processes import peak_bytes
from benchmarks.reference import reference_contract
from leadscore.training.progress import TrialReport


class TrainedOnce(msgspec.Struct, frozen=True):
    """Seconds of tuning and of the run, peak memory (GiB), rows tuned on, trials finished and stopped."""

    tuning_seconds: float
    seconds: float
    peak_gib: float
    training_rows: int
    trials: int
    pruned: int


class _Clock:
    """Notes when each stage began, and says on stderr how far the run is."""

    def __init__(self) -> None:
        self.began: list[tuple[str, float]] = []

    def stage(self, sentence: str) -> None:
        """A new stage begins."""
        self.began.append((sentence, time.perf_counter()))
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()

    def trial(self, report: TrialReport) -> None:
        """A trial finished."""
        sys.stderr.write(f"trial {report.finished} of {report.total}\n")
        sys.stderr.flush()


def _run(source: Path, trials: int, out: Path) -> TrainedOnce:
    from leadscore.data.tables import read_table  # noqa: PLC0415
    from leadscore.training.options import TrainOptions  # noqa: PLC0415
    from leadscore.training.pipeline import train  # noqa: PLC0415

    clock, started = _Clock(), time.perf_counter()
    options = TrainOptions(name="bench", trials=trials, folds=5, seed=1)
    trained = train(read_table(source), reference_contract(), options, out=out, progress=clock)
    finished = time.perf_counter()
    moments = [*(moment for _, moment in clock.began), finished]
    tuning = next(i for i, (name, _) in enumerate(clock.began) if name == "Tuning")
    return TrainedOnce(
        # The tuner's stage ends where the next one begins.
        tuning_seconds=moments[tuning + 1] - moments[tuning],
        seconds=finished - started,
        peak_gib=peak_bytes() / 2**30,
        training_rows=trained.evidence.window.train,
        trials=trained.evidence.tuning.complete,
        pruned=trained.evidence.tuning.pruned,
    )


if __name__ == "__main__":
    sys.stdout.write(
        msgspec.json.encode(_run(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))).decode() + "\n"
    )
