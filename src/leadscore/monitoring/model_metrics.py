"""Figures of each version, day by day, as a Delta table beside `drift_metrics`, for readers of the lake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import pyarrow as pa

from leadscore.errors import UnavailableError
from leadscore.events.store import EventStore
from leadscore.lake.schemas import MODEL_METRICS
from leadscore.lake.table import LakeTable, TableCommit, table_uri
from leadscore.monitoring.exporter import OUTCOME_WINDOW, VersionMeasures, read_version_measures
from leadscore.monitoring.model_facts import ModelFacts
from leadscore.monitoring.queries.freshness import read_freshness
from leadscore.monitoring.rollups.progress import ROLLUPS_REVISION

_APPLICATION: Final = "leadscore/model_metrics"


def publish_model_metrics(
    store: EventStore, lake: str, facts_of: Callable[[str, str], ModelFacts | None], now: datetime
) -> TableCommit:
    """Append the day's figures of every version that scored within the last 90 days, once a day (UTC).

    Args:
        store: Where the roll-ups are.
        lake: Root of the lake: folder or URL.
        facts_of: What a version's artefact says; None if it cannot be had.
        now: UTC.

    Raises:
        UnavailableError: The store or the lake cannot be used, or the roll-ups are behind; nothing was
            written, and the next run of the day may.
    """
    store.require_revision(ROLLUPS_REVISION)
    table = LakeTable(table_uri(lake, MODEL_METRICS.name), MODEL_METRICS)
    day = now.date().toordinal()
    done = table.commit_of(_APPLICATION, day)
    if done is not None:
        return done
    with store.reading() as connection:
        fresh = read_freshness(connection)
        why = fresh.stale(now)
        if why:
            raise UnavailableError(f"The figures of {now:%Y-%m-%d} are not known: {why}")
        versions = read_version_measures(connection, fresh, facts_of, now)
    batch = pa.RecordBatch.from_pylist(metric_rows(versions, now), schema=MODEL_METRICS.schema)
    return table.write([batch], application=_APPLICATION, number=day)


def metric_rows(versions: Sequence[VersionMeasures], now: datetime) -> list[dict[str, object]]:
    """The rows of `model_metrics`."""
    rows: list[dict[str, object]] = []
    for each in versions:
        name, version, role = each.version
        for measure, found in each.measures.items():
            rows.append(
                {
                    "measured_at": now,
                    "window_start": now - OUTCOME_WINDOW,
                    "model_name": name,
                    "model_version": version,
                    "role": role,
                    "measure": measure,
                    "value": found.value,
                    "low": found.low,
                    "high": found.high,
                    "leads": found.n,
                    "completeness": found.completeness,
                    "unknown": found.unknown,
                }
            )
    return rows
