"""A drift check of a million rows beside Evidently's preset, in the same run."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.bench import Bench, single
from benchmarks.environments import environment
from benchmarks.errors import BenchError
from benchmarks.row import Row, at_least
from leadscore.contract import Categorical, FeatureContract, Numeric, Target

if TYPE_CHECKING:
    import pyarrow as pa

_REFERENCE = 20_000
_NUMBERS, _CATEGORIES = 15, 10
_LETTERS = tuple("abcdefghijkl")
_SCRIPT = Path(__file__).parents[1] / "servers" / "evidently_once.py"
_SECONDS = 900

Matrix = npt.NDArray[np.float32]


def _measure(bench: Bench) -> Row:
    rows = bench.effort.bulk_rows
    rng = np.random.default_rng(0)
    before, now = _leads(rng, _REFERENCE), _leads(rng, rows)
    bench.say(f"drift: checks of {rows:,} rows")
    ours = _ours(rng, before, now)
    bench.say(f"drift: Evidently's preset on {rows:,} rows")
    theirs = _evidently(bench.folder, before, now)
    return Row(
        name="drift-evidently",
        what=(
            f"drift check of {rows:,} rows x {_NUMBERS + _CATEGORIES} features: times "
            "faster than Evidently's preset"
        ),
        value=theirs / ours,
        unit="x",
        goal=at_least(20),
        beside=f"LeadScore {ours:.2f} s, Evidently {theirs:.1f} s",
        how=(
            "every univariate test and its false-alarm budget from the encoded matrix, against "
            "DataDriftPreset from a data frame (it tests one statistic per column)"
        ),
    )


def _ours(rng: np.random.Generator, before: Matrix, now: Matrix) -> float:
    from leadscore.drift.check.univariate import check  # noqa: PLC0415
    from leadscore.drift.options import DriftOptions  # noqa: PLC0415
    from leadscore.drift.reference import build_profile  # noqa: PLC0415
    from leadscore.drift.windows.inputs import LeadWindow, Reference  # noqa: PLC0415

    contract = FeatureContract(
        name="speed",
        id="id",
        target=Target(column="y"),
        features=(
            *(Numeric(name=f"number{i}") for i in range(_NUMBERS)),
            *(Categorical(name=f"category{i}", categories=_LETTERS) for i in range(_CATEGORIES)),
        ),
    )
    scores, live = rng.random(len(before)), rng.random(len(now))
    profile = build_profile(contract, before, scores)
    reference = Reference.of(
        "speed", "1", contract, profile, sample=before[:10_000], sample_probabilities=scores[:10_000]
    )
    start, options, seconds = datetime(2026, 1, 1, tzinfo=UTC), DriftOptions(season="none"), list[float]()
    for _ in range(3):
        started = time.perf_counter()
        check(reference, LeadWindow.of(reference, start, start.replace(day=2), now, live), options)
        seconds.append(time.perf_counter() - started)
    return median(seconds)


def _evidently(folder: Path, before: Matrix, now: Matrix) -> float:
    import pyarrow.parquet as pq  # noqa: PLC0415

    paths = [folder / "evidently-reference.parquet", folder / "evidently-current.parquet"]
    for path, matrix in zip(paths, (before, now), strict=True):
        pq.write_table(_table(matrix), path)
    command = [str(environment("evidently")), "-W", "ignore", str(_SCRIPT), *map(str, paths), "1"]
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "DO_NOT_TRACK": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False, env=environ)
    if done.returncode:
        raise BenchError(f"Evidently failed: {done.stderr.strip()[-500:]}")
    return median(json.loads(done.stdout.splitlines()[-1])["seconds"])


def _leads(rng: np.random.Generator, rows: int) -> Matrix:
    numbers = rng.standard_normal((rows, _NUMBERS), dtype=np.float32)
    categories = rng.integers(0, len(_LETTERS), (rows, _CATEGORIES)).astype(np.float32)
    return np.concatenate([numbers, categories], axis=1)


def _table(matrix: Matrix) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415

    columns = {f"number{i}": pa.array(matrix[:, i].copy()) for i in range(_NUMBERS)}
    for i in range(_CATEGORIES):
        codes = pa.array(matrix[:, _NUMBERS + i].astype(np.int8))
        columns[f"category{i}"] = pa.DictionaryArray.from_arrays(codes, list(_LETTERS))
    return pa.table(columns)


SUITES = (single("drift-evidently", _measure),)
