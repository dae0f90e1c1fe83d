"""Drift: false alarms on unchanged streams against the number asked for, and the time of a check."""

from __future__ import annotations

import time
from statistics import median

import numpy as np
import numpy.typing as npt

from benchmarks.bench import Bench, single
from benchmarks.drift_streams import START, Stream, breach_chances, learning_run_lengths, static_run_lengths
from benchmarks.row import Row, at_most

_RUN_LENGTHS = (50, 500, 5_000)
_REFERENCES = 300
_ROWS = 1_000_000


def _run_length(bench: Bench, windows: int) -> Row:
    quick = bench.effort.rounds <= 2
    references = 6 if quick else _REFERENCES
    stream = Stream(6, 5_000, 100, float(windows))
    bench.say(f"drift: unchanged streams, a false alarm per {windows:,} windows asked for")
    ratios = 1.0 / breach_chances(stream, references, seed=1) / windows
    error = float(ratios.std(ddof=1) / len(ratios) ** 0.5)
    beside = f"ratio {ratios.mean():.3f} ± {error:.3f}"
    if windows == _RUN_LENGTHS[0]:
        plain = static_run_lengths(stream, 6 if quick else 60, 20, seed=2) / windows
        small = Stream(6, 1_000, 200, float(windows))
        learned = learning_run_lengths(small, 40 if quick else 1_000, seed=1) / windows
        alone = Stream(6, 1_000, 200, float(windows), learn_windows=0)
        fixed = static_run_lengths(alone, 6 if quick else 60, 8, seed=2, most_windows=30.0) / windows
        beside += (
            f"; windows waited for one by one {_mean(plain)}; reference of 5 windows' size "
            f"{_mean(learned)} with calm windows learned, {_mean(fixed)} with the reference alone"
        )
    return Row(
        name=f"drift-run-length-{windows}",
        what=f"achieved over requested run length, {windows:,} windows: distance from 1",
        value=abs(float(ratios.mean()) - 1.0),
        unit="",
        goal=at_most(0.05),
        beside=beside,
        how=f"mean ± standard error over {references} references of 5,000 leads, 6 correlated features, "
        "windows of 100 leads; the chance of a breach given each reference by importance sampling",
    )


def _mean(ratios: npt.NDArray[np.float64]) -> str:
    return f"{ratios.mean():.2f} ± {ratios.std(ddof=1) / len(ratios) ** 0.5:.2f}"


def _check_time(bench: Bench) -> Row:
    from leadscore.contract import Boolean, Categorical, FeatureContract, Numeric, Target  # noqa: PLC0415
    from leadscore.drift.check.univariate import check  # noqa: PLC0415
    from leadscore.drift.options import DriftOptions  # noqa: PLC0415
    from leadscore.drift.reference import build_profile  # noqa: PLC0415
    from leadscore.drift.windows.inputs import LeadWindow, Reference  # noqa: PLC0415

    rng = np.random.default_rng(0)
    rows = min(_ROWS, bench.effort.bulk_rows)
    features = (
        *(Numeric(name=f"number{i}") for i in range(15)),
        *(Categorical(name=f"category{i}", categories=tuple("abcdefghijkl")) for i in range(8)),
        *(Boolean(name=f"truth{i}") for i in range(2)),
    )
    contract = FeatureContract(name="speed", id="id", target=Target(column="y"), features=features)
    matrix = np.column_stack(
        [rng.normal(size=(rows, 15)), rng.integers(0, 12, (rows, 8)), rng.integers(0, 2, (rows, 2))]
    ).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.03] = np.nan
    scores = rng.random(rows)
    profile = build_profile(contract, matrix[:20_000], scores[:20_000])
    reference = Reference.of(
        "speed", "1", contract, profile, sample=matrix[:10_000], sample_probabilities=scores[:10_000]
    )
    options = DriftOptions(season="none")
    end = START.replace(day=2)
    seconds, spent = list[float](), list[float]()
    for turn in range(max(bench.effort.rounds, 2)):
        bench.say(f"drift: check of {rows:,} rows, round {turn + 1}")
        started, began = time.perf_counter(), time.process_time()
        check(reference, LeadWindow.of(reference, START, end, matrix, scores), options)
        seconds.append(time.perf_counter() - started)
        spent.append(time.process_time() - began)
    return Row(
        name="drift-check-time",
        what=f"drift check of {rows:,} rows x 25 features, all univariate tests, calibrated",
        value=median(seconds),
        unit="s",
        goal=at_most(1.0),
        beside=f"{median(spent):.2f} s of processor time",
        how=f"from the encoded matrix to the report, median of {len(seconds)}",
    )


SUITES = (
    *(
        single(f"drift-run-length-{windows}", lambda bench, windows=windows: _run_length(bench, windows))
        for windows in _RUN_LENGTHS
    ),
    single("drift-check-time", _check_time),
)
