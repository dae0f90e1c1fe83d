"""Nights on a real Spark with real Delta tables, by the Python of Spark's own environment.

    PYTHONPATH=src python nights.py FOLDER

FOLDER holds the artefact `7` and Delta tables of leads. Prints one JSON document: what each night ended with.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pyarrow as pa
from pyspark.sql import SparkSession

from leadscore.batch import spark as batch_spark
from leadscore.batch import spark_worker
from leadscore.batch.records import BatchClaim
from leadscore.batch.run import BatchRequest
from leadscore.batch.spark_tables import SparkTable, spark_errors
from leadscore.batch.spark_worker import SparkWork
from leadscore.errors import LeadScoreError, UnavailableError
from leadscore.settings import Home

DAY = date(2026, 11, 29)
BAD = ("empty", "missing-id", "missing-input", "texts", "odd-type", "twice", "no-id", "no-value", "nowhere")


def main(folder: Path) -> dict[str, object]:
    home = Home.from_environment({"LEADSCORE_HOME": str(folder / "home")})
    spark = batch_spark.open_session("tests")
    request = BatchRequest(date=DAY, model=str(folder / "7"), leads=str(folder / "crm"), reasons=("A", "B"))

    def night(days: int = 0, leads: str = "crm") -> dict[str, object]:
        wanted = replace(request, date=DAY + timedelta(days=days), leads=str(folder / leads))
        try:
            result = batch_spark.run_on_spark(wanted, home, home.events_url, spark)
        except LeadScoreError as error:
            return {"error": error.code, "message": error.message, "versions": versions()}
        record = json.loads(msgspec.json.encode(result.record))
        return {"record": record, "repeated": result.repeated, "versions": versions()}

    def versions() -> list[int | None]:
        names = ("scores", "lead_states/sample/7")
        return [SparkTable(spark, f"{home.lake}/{name}").version() for name in names]

    found: dict[str, Any] = {"first": night(), "again": night()}
    steps = (("commit", False), ("commit", True), ("save_record", False))
    for number, (step, after) in enumerate(steps):
        with dying(step, after=after):
            died = night(1 + number)
        found[f"{step} {after}"] = [died, night(1 + number)]
    found["bad"] = {name: night(10 + number, name) for number, name in enumerate(BAD)}
    mend(spark, folder / "no-value")
    found["mended"] = night(10 + BAD.index("no-value"), "no-value")
    with killing_workers(folder / "killed", times=1):
        found["worker killed once"] = night(30)
    with killing_workers(folder / "killed", times=1_000):
        died = night(31)
    found["workers killed"] = [died, night(31)]
    claim = msgspec.convert(found["first"]["record"]["claim"], BatchClaim)
    found["loads"] = loads(spark, request, claim)
    found["other model"] = other_model(spark, request, claim)
    spark.stop()
    return found


@contextmanager
def dying(step: str, *, after: bool) -> Generator[None]:
    """A step that ends with an error, before or after its work."""
    owner = SparkTable if hasattr(SparkTable, step) else batch_spark
    works: Callable[..., object] = getattr(owner, step)

    def dies(*arguments: object, **options: object) -> object:
        if after:
            works(*arguments, **options)
        elif step == "commit":
            # The workers have told the event store; the commit has not happened.
            arguments[1].write.format("noop").mode("append").save()  # type: ignore[attr-defined]
        raise UnavailableError("The power went off.")

    with mock.patch.object(owner, step, dies):
        yield


def mend(spark: SparkSession, table: Path) -> None:
    """Remove the leads without a value."""
    whole = spark.read.format("delta").load(str(table)).dropna(subset=["pricing_visits"])
    whole.write.format("delta").mode("overwrite").save(str(table))


@contextmanager
def killing_workers(folder: Path, *, times: int) -> Generator[None]:
    """Python workers that are killed in the middle of their task: its predictions are in the event store."""
    folder.mkdir(exist_ok=True)

    def killed(work: SparkWork, batches: Iterable[pa.RecordBatch]) -> Generator[pa.RecordBatch]:
        import os
        import signal

        for scored in spark_worker.score_partition(work, batches):
            for number in range(times):
                with suppress(FileExistsError):
                    (folder / f"{times}-{number}").touch(exist_ok=False)
                    os.kill(os.getpid(), signal.SIGKILL)
            yield scored

    with mock.patch.object(batch_spark, "score_partition", killed):
        yield


def loads(spark: SparkSession, request: BatchRequest, claim: BatchClaim) -> list[list[int]]:
    """Of each of six tasks: its worker, how often that has read a model, and how often it had it already."""
    leads, folder = SparkTable(spark, request.leads), Path(request.model)

    def look(batches: Iterable[pa.RecordBatch]) -> Generator[pa.RecordBatch]:
        import os

        for _ in spark_worker.score_partition(work, batches):
            pass
        info = spark_worker._model.cache_info()
        yield pa.RecordBatch.from_pylist([{"pid": os.getpid(), "misses": info.misses, "hits": info.hits}])

    with batch_spark.model_archive(spark, folder, claim.digest) as archive:
        work = SparkWork(claim, archive, None)
        frame = leads.read().repartition(6).mapInArrow(look, "pid bigint, misses bigint, hits bigint")
        return [list(row) for row in frame.collect()]


def other_model(spark: SparkSession, request: BatchRequest, claim: BatchClaim) -> dict[str, str]:
    """What the workers say of an artefact that is not the claimed one."""
    leads = SparkTable(spark, request.leads)
    claim = msgspec.structs.replace(claim, digest="0" * 64)
    folder = Path(request.model)
    try:
        with spark_errors(), batch_spark.model_archive(spark, folder, "f" * 64) as archive:
            batch_spark.score_frame(leads.read(), SparkWork(claim, archive, None)).count()
    except LeadScoreError as error:
        return {"error": error.code, "message": error.message}
    return {}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))))
