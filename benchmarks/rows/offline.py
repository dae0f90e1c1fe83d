"""Offline scoring, Parquet in, Parquet out, on two cores, beside XGBoost's own way through the same files."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench, Suite
from benchmarks.reference import reference_contract, reference_table
from benchmarks.row import Row, at_least
from leadscore.contract import Categorical
from leadscore.scoring.model import ScoringModel

_THREADS = 2


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    del wanted
    from leadscore.data.bulk import score_file  # noqa: PLC0415
    from leadscore.data.tables import write_table  # noqa: PLC0415

    rows = bench.effort.bulk_rows
    bench.say(f"offline: writing a table of {rows:,} leads")
    source = bench.folder / "leads.parquet"
    write_table(reference_table(rows, seed=3), source)
    model = ScoringModel.load(bench.reference.directory, threads=1)
    ours: list[float] = []
    theirs: list[float] = []
    for turn in range(max(bench.effort.rounds - 2, 1)):
        bench.say(f"offline, round {turn + 1}")
        report = score_file(model, source, bench.folder / "scored.parquet", threads=_THREADS)
        ours.append(report.rows_per_second)
        theirs.append(
            rows / _xgboost_seconds(bench.reference.booster, source, bench.folder / "theirs.parquet")
        )
    difference = _largest_difference(model, bench.folder)
    return [
        Row(
            name="offline-rate",
            what=f"offline scoring of {rows:,} leads, Parquet to Parquet, two cores",
            value=median(ours),
            unit="rows/s",
            goal=at_least(250_000),
            beside=(
                f"XGBoost's own path {median(theirs):,.0f} rows/s (largest difference of a "
                f"probability {difference:.0e})"
            ),
            how=(
                f"end to end, {_THREADS} threads, median of {len(ours)} alternating rounds; theirs: "
                "pyarrow, DMatrix, predict"
            ),
        )
    ]


def _xgboost_seconds(model: Path, source: Path, destination: Path) -> float:
    """XGBoost as its documentation does it: a table of codes, a DMatrix, predict with all threads, write."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415
    import xgboost  # noqa: PLC0415

    started = time.perf_counter()
    booster = xgboost.Booster({"nthread": _THREADS}, model_file=model)
    table = pq.read_table(source)
    columns = [
        _codes(table[feature.name], feature.categories)
        if isinstance(feature, Categorical)
        else table[feature.name].to_numpy().astype(np.float32)
        for feature in reference_contract().inputs
    ]
    matrix = np.stack(columns, axis=1)
    data = xgboost.DMatrix(
        matrix, feature_types=booster.feature_types, enable_categorical=True, nthread=_THREADS
    )
    margins = booster.predict(data, output_margin=True)
    pq.write_table(pa.table({"lead_id": table["lead_id"], "margin": margins}), destination)
    return time.perf_counter() - started


def _codes(column, categories: tuple[str, ...]):
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    # Dictionaries may be ordered differently in every row group: make them the model's.
    known = {name: code for code, name in enumerate(categories)}
    chunks = column.cast(pa.dictionary(pa.int32(), pa.string())).chunks
    recoded = [
        np.array([known[name] for name in chunk.dictionary.to_pylist()], np.float32)[chunk.indices.to_numpy()]
        for chunk in chunks
    ]
    return np.concatenate(recoded)


def _largest_difference(model: ScoringModel, folder: Path) -> float:
    """Both results, compared: a fast wrong answer is no answer."""
    import numpy as np  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    ours = pq.read_table(folder / "scored.parquet")["probability"].to_numpy()
    theirs = model.calibration.probabilities(pq.read_table(folder / "theirs.parquet")["margin"].to_numpy())
    return float(np.abs(ours - theirs).max())


SUITES = (Suite(("offline-rate",), _measure),)
