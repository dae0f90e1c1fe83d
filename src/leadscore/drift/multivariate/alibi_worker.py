"""Runs inside alibi-detect's own environment, as a program: `python alibi_worker.py JOB_FOLDER`.

Imports nothing of ours (Python 3.11, numpy 1.24 and alibi-detect 0.11.4 are all that is there). Reads
`job.json` and the Arrow files that it names, writes `result.json`; `alibi.py` is the other side.
"""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa


def main(folder: Path) -> int:
    """Do the job in the folder; 0 if `result.json` was written."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    reference = _read(folder / job["reference"])
    judge = _judge(job["detector"], reference, job["options"])
    result = {"windows": [judge(_read(folder / name)) for name in job["windows"]]}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return 0


def _judge(name: str, reference: np.ndarray, options: dict):
    """A function from a window to its answer."""
    from alibi_detect import cd  # noqa: PLC0415 (ten seconds: not before the job has been read)

    np.random.seed(options.pop("seed", 0))  # noqa: NPY002 (the generator that alibi-detect uses)
    if name == "ChiSquareDrift":
        # A category that occurs on neither side breaks its table, one that is new must not be left out: the
        # categories are those of this very comparison.
        return lambda window: _batch(
            cd.ChiSquareDrift(reference, categories_per_feature=_categories(reference, window), **options),
            window,
        )
    detector = getattr(cd, name)(reference, **options)
    judge = _stream if name.endswith("Online") else _batch
    return lambda window: judge(detector, window)


def _categories(reference: np.ndarray, window: np.ndarray) -> dict:
    both = np.concatenate([reference, window])
    return {column: np.unique(both[:, column]).astype(int).tolist() for column in range(both.shape[1])}


def _batch(detector, window: np.ndarray) -> dict:
    data = detector.predict(window)["data"]
    return {
        "drift": bool(data["is_drift"]),
        "p_values": np.atleast_1d(data["p_val"]).astype(float).tolist(),
        "distances": np.atleast_1d(data["distance"]).astype(float).tolist(),
        "critical_value": float(np.min(data["threshold"])),
        "alarm_row": None,
    }


def _stream(detector, window: np.ndarray) -> dict:
    """Row by row until the first alarm; the detector forgets what came before."""
    detector.reset_state()
    data: dict = {}
    alarm = None
    for number, row in enumerate(window, start=1):
        data = detector.predict(row)["data"]
        if data["is_drift"]:
            alarm = number
            break
    distances = np.nan_to_num(np.atleast_1d(data["test_stat"]).astype(float)).ravel()
    thresholds = np.nan_to_num(np.atleast_1d(data["threshold"]).astype(float)).ravel()
    return {
        "drift": alarm is not None,
        "p_values": [],
        "distances": distances.tolist(),
        "critical_value": float(thresholds.min()),
        "alarm_row": alarm,
    }


def _read(path: Path) -> np.ndarray:
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    columns = [column.to_numpy().astype(np.float32) for column in table.columns]
    return np.ascontiguousarray(np.stack(columns, axis=1))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
