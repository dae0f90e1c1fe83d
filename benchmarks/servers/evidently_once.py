"""Runs inside Evidently's own environment.

Seconds of its data drift preset on two Parquet tables, printed as JSON.

`python evidently_once.py REFERENCE CURRENT TURNS`; reading the tables is not counted.
"""

from __future__ import annotations

import json
import sys
import time

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset


def main(reference: str, current: str, turns: int) -> None:
    """Time the preset and print `{"seconds": [...], "drifted": columns}`."""
    tables = [pd.read_parquet(path) for path in (reference, current)]
    categories = [name for name in tables[0].columns if name.startswith("category")]
    numbers = [name for name in tables[0].columns if name not in categories]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=categories)
    seconds, result = [], {}
    for _ in range(turns):
        started = time.perf_counter()
        before, now = (Dataset.from_pandas(table, data_definition=definition) for table in tables)
        result = Report([DataDriftPreset()]).run(now, before).dict()
        seconds.append(time.perf_counter() - started)
    drifted = result["metrics"][0]["value"]["count"]
    print(json.dumps({"seconds": seconds, "drifted": drifted}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
