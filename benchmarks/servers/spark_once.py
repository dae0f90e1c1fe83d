"""Scoring on Spark local[2], Delta to Delta: `mapInArrow` beside a pandas UDF with XGBoost, in turns.

Runs by the Python of Spark's environment. Prints one JSON document: seconds of each round.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost
from pyspark.sql import DataFrame
from pyspark.sql.functions import pandas_udf

from leadscore.batch.records import BatchClaim
from leadscore.batch.spark import model_archive, open_session, score_frame
from leadscore.batch.spark_worker import SparkWork
from leadscore.contract import Categorical, FeatureContract
from leadscore.scoring.model import ScoringModel


def main(folder: Path, model: Path, booster: Path, claim: BatchClaim, rounds: int) -> dict[str, list[float]]:
    """Score the table `leads` of the folder into `ours`, `theirs`, and the columns of `theirs` by our way."""
    spark = open_session("bench")
    contract = ScoringModel.load(model).contract
    leads = spark.read.format("delta").load(str(folder / "leads"))
    names = [contract.id, *(feature.name for feature in contract.inputs)]
    leads = leads.select(*names)
    found: dict[str, list[float]] = {"ours": [], "theirs": [], "two columns": []}
    with model_archive(spark, model, claim.digest) as archive:
        work = SparkWork(claim, archive, None)
        ways: dict[str, Callable[[], DataFrame]] = {
            "ours": lambda: score_frame(leads, work),
            "theirs": lambda: with_xgboost(leads, contract, booster),
            "two columns": lambda: score_frame(leads, work).select("lead_id", "probability"),
        }
        # The first turn warms the Python workers up; the model is loaded in each.
        for turn in range(rounds + 1):
            for way, frame in ways.items():
                seconds = written(frame(), folder / way)
                if turn:
                    found[way].append(seconds)
    spark.stop()
    return found


def with_xgboost(leads: DataFrame, contract: FeatureContract, booster: Path) -> DataFrame:
    """As tutorials do it, with the model loaded once per task and one thread each: a pandas UDF."""
    categories = {f.name: list(f.categories) for f in contract.inputs if isinstance(f, Categorical)}
    names = [feature.name for feature in contract.inputs]
    path = str(booster)

    @pandas_udf("double")
    def predict(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.Series]:
        model = xgboost.Booster({"nthread": 1}, model_file=path)
        for columns in batches:
            coded = [
                pd.Categorical(column, categories=categories[name]).codes if name in categories else column
                for name, column in zip(names, columns, strict=True)
            ]
            matrix = np.column_stack(coded).astype(np.float32)
            data = xgboost.DMatrix(
                matrix, feature_types=model.feature_types, enable_categorical=True, nthread=1
            )
            yield pd.Series(model.predict(data).astype(np.float64))

    return leads.select(contract.id, predict(*names).alias("probability"))


def written(frame: DataFrame, folder: Path) -> float:
    """Seconds that it takes to compute and commit it."""
    shutil.rmtree(folder, ignore_errors=True)
    started = time.perf_counter()
    frame.write.format("delta").save(str(folder))
    return time.perf_counter() - started


if __name__ == "__main__":
    import msgspec

    place, artefact, trees, pinned, turns = sys.argv[1:]
    claimed = msgspec.json.decode(pinned, type=BatchClaim)
    sys.stdout.write(json.dumps(main(Path(place), Path(artefact), Path(trees), claimed, int(turns))))
