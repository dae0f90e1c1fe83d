"""The nightly run on Spark, for tables that one machine is too small for: same scores, ids and records.

What differs from `leadscore.batch.run`: Spark reads and writes the tables, every lead is scored (not only
what has changed), and the workers themselves tell the event store, so each of them has to reach it.
"""

# pyspark is installed where there is Spark, not in this project's own environment.
# pyright: reportMissingImports=false, reportUntypedBaseClass=false

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from leadscore.batch.records import (
    BatchClaim,
    BatchRecord,
    batch_subject,
    claim_run,
    find_claim,
    find_record,
    save_record,
)
from leadscore.batch.run import BatchRequest, BatchResult, check_claim, new_claim
from leadscore.batch.scoring import columns_of
from leadscore.batch.spark_tables import SparkTable, column_named, located, spark_errors, spark_schema
from leadscore.batch.spark_worker import (
    SparkWork,
    check_rows,
    read_lead_ids,
    score_partition,
    states_of_scores,
)
from leadscore.contract import FeatureContract, Numeric
from leadscore.data.delimited import require_columns
from leadscore.errors import BadInputError, ConflictError, NotFoundError, TableError
from leadscore.events.store import EventStore
from leadscore.lake.schemas import LEAD_STATES, SCORES
from leadscore.lake.table import table_uri
from leadscore.registry.model_reference import fetch_model
from leadscore.revision import code_revision
from leadscore.scoring.grades import GRADES
from leadscore.scoring.model import ScoringModel
from leadscore.settings import Home

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Rows that a Python worker is given at once: what bounds its memory, and one write to the event store.
_BATCH_ROWS: Final = 10_000


def open_session(name: str) -> SparkSession:
    """The session that there is (Databricks, a notebook), or one by `spark-defaults.conf`.

    Raises:
        NotFoundError: Spark is not installed here.
    """
    try:
        from pyspark.sql import SparkSession  # noqa: PLC0415
    except ImportError as error:
        raise NotFoundError(
            "pyspark is not installed here.",
            hint="`make spark` makes an environment with it; see docs/batch.md.",
        ) from error
    return SparkSession.builder.appName(name).getOrCreate()


def run_on_spark(request: BatchRequest, home: Home, events_url: str, spark: SparkSession) -> BatchResult:
    """Score a date's leads into the lake and the event store, unless that has been done.

    As `run_batch`: claimed first, predictions before scores, scores in one commit that happens once, and
    whoever runs it again after a failure goes on where it stopped.

    Args:
        request: What to score; all leads are. `leads` may also be the name of a table of the catalog.
        home: Registry, model cache and lake.
        events_url: The event store; driver and workers have to reach it.
        spark: A session with Delta Lake.

    Raises:
        NotFoundError: There is no such model or table, or the claimed version was vacuumed away.
        TableError: The table has no leads, not the contract's columns or types, or an id is missing or stands
            in several rows; nothing was committed.
        ConflictError: The run was claimed for another table or artefact, or for changed leads only.
        UnavailableError: Spark, registry, store or lake failed. Run it again.
    """
    name, version, folder = fetch_model(request.model, home)
    subject = batch_subject(name, version, request.date)
    with EventStore(events_url) as store:
        done = find_record(store, subject)
        if done is not None:
            return BatchResult(done, repeated=True)
        model = ScoringModel.load(folder, threads=1)
        with spark_errors():
            spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", _BATCH_ROWS)
            _check_places(spark, events_url, home.lake)
            leads = SparkTable(spark, located(request.leads))
            claim = find_claim(store, subject)
            if claim is None:
                claim = new_claim(
                    request,
                    store,
                    name=name,
                    version=version,
                    digest=model.digest,
                    leads=leads.uri,
                    leads_version=leads.version(),
                    states_version=None,
                )
            _check_claim(claim, leads.uri, model.digest)
            # Before it is claimed: a claim pins the table, and this may be one that cannot be scored.
            frame = _checked_leads(leads, claim.leads_version, model)
            if claim_run(store, claim) != claim:
                raise ConflictError(f"The run {subject} was begun by another process.", hint="Run it again.")
            record = _carry_out(claim, frame, folder, home.lake, events_url)
        save_record(store, record)
    return BatchResult(record, repeated=False)


def score_frame(leads: DataFrame, work: SparkWork) -> DataFrame:
    """Scores of leads, lazily: the columns of the table of scores."""
    return leads.mapInArrow(partial(score_partition, work), spark_schema(SCORES))


@contextmanager
def model_archive(spark: SparkSession, folder: Path, digest: str) -> Generator[str]:
    """Give an artefact to every worker of the job; yields the name of its folder there."""
    name = f"leadscore-{digest[:16]}"
    with tempfile.TemporaryDirectory() as scratch:
        archive = shutil.make_archive(f"{scratch}/{name}", "zip", folder)
        spark.sparkContext.addArchive(f"{archive}#{name}")
        yield name


def _check_claim(claim: BatchClaim, leads: str, digest: str) -> None:
    check_claim(claim, leads, digest)
    if claim.states_version is not None:
        raise ConflictError(
            f"The run {claim.subject} was begun for changed leads only, and Spark scores all of them.",
            hint="End it with `leadscore batch run`.",
        )


def _check_places(spark: SparkSession, events_url: str, lake: str) -> None:
    """Refuse what only one machine can see, where there are several."""
    if spark.sparkContext.master.startswith("local"):
        return
    if events_url.startswith("sqlite"):
        raise BadInputError(
            "The embedded event store is a file of this machine; Spark's workers cannot reach it.",
            hint="Set LEADSCORE_EVENTS_URL to a PostgreSQL store that all of them reach.",
        )
    if "://" not in lake:
        raise BadInputError(
            f"The lake {lake} is a folder of this machine; Spark's workers cannot reach it.",
            hint="Set LEADSCORE_LAKE to a URL such as abfss://lake@account.dfs.core.windows.net/leadscore.",
        )


def _carry_out(claim: BatchClaim, leads: DataFrame, folder: Path, lake: str, events_url: str) -> BatchRecord:
    spark: SparkSession = leads.sparkSession
    scores = SparkTable(spark, table_uri(lake, SCORES.name))
    with model_archive(spark, folder, claim.digest) as archive:
        scored = score_frame(leads, SparkWork(claim, archive, events_url))
        scores.commit(scored, SCORES, application=claim.application)
    version = scores.version()
    committed = _scores_of(scores.read(version), claim)
    _keep_states(spark, committed, claim, lake)
    counted = {row["grade"]: row["count"] for row in committed.groupBy("grade").count().collect()}
    return BatchRecord(
        claim=claim,
        leads=sum(counted.values()),
        scored=sum(counted.values()),
        grades={grade: counted.get(grade, 0) for grade in GRADES},
        scores_version=version or 0,
        code=code_revision(),
    )


def _checked_leads(table: SparkTable, version: int, model: ScoringModel) -> DataFrame:
    """The columns of a version that scoring reads, if each lead can be told from the others."""
    leads = table.read(version)
    names, _ = columns_of(model)
    _check_columns(table.uri, leads, model.contract, names)
    leads = leads.select(*(column_named(name) for name in names))
    _check_rows(table.uri, leads, model.contract)
    return leads


def _check_columns(uri: str, leads: DataFrame, contract: FeatureContract, names: Sequence[str]) -> None:
    """Refuse before any work what the table's schema already tells."""
    require_columns(uri, leads.columns, names)
    for feature in contract.inputs:
        kind = leads.schema[feature.name].dataType.simpleString()
        if isinstance(feature, Numeric) and kind == "string":
            raise TableError(
                f"Column {feature.name!r} of {uri} holds text, but the contract says numbers.",
                hint="Whether all parts of a table write numbers alike cannot be seen in one of them: "
                "convert the column, or score with `leadscore batch run`.",
            )


def _check_rows(uri: str, leads: DataFrame, contract: FeatureContract) -> None:
    """Refuse no leads, a value that does not fit the contract, and an id in several rows."""
    from pyspark.sql import functions as f  # noqa: PLC0415

    digests = leads.mapInArrow(partial(check_rows, contract), "id_digest bigint")
    counts = digests.groupBy("id_digest").count()
    found = counts.agg(f.sum("count").alias("rows"), f.max("count").alias("most")).first()
    if found is None or not found["rows"]:
        raise TableError(
            f"The table of leads {uri} has no rows.", hint="Was its export cut short? Nothing was scored."
        )
    if found["most"] == 1:
        return
    # Digests may collide: the ids themselves decide.
    ids = leads.select(column_named(contract.id))
    texts = ids.mapInArrow(partial(read_lead_ids, contract), "lead_id string").groupBy("lead_id").count()
    twice = texts.where("count > 1")
    first = twice.orderBy("lead_id").first()
    if first is not None:
        raise TableError(
            f"{twice.count():,} ids of the column {contract.id!r} stand in several rows: "
            f"{first['lead_id']!r}, ….",
            hint="A lead has one row: remove the older ones.",
        )


def _scores_of(scores: DataFrame, claim: BatchClaim) -> DataFrame:
    """The rows that the run has committed."""
    from pyspark.sql import functions as f  # noqa: PLC0415

    return scores.where(
        (f.col("business_date") == f.lit(claim.date))
        & (f.col("model_name") == f.lit(claim.model))
        & (f.col("model_version") == f.lit(claim.version))
    )


def _keep_states(spark: SparkSession, scores: DataFrame, claim: BatchClaim, lake: str) -> None:
    """Keep what a `leadscore batch run` of a later date compares leads with."""
    name = f"{LEAD_STATES.name}/{claim.model}/{claim.version}"
    states = scores.select("lead_id", "row_digest").mapInArrow(states_of_scores, spark_schema(LEAD_STATES))
    SparkTable(spark, table_uri(lake, name)).commit(
        states, LEAD_STATES, application=claim.application, mode="overwrite"
    )
