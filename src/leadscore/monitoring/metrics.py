"""Write figures of judged windows as rows of a Delta table and as gauges in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.dataset as ds

from leadscore.drift.report.measured_values import figures
from leadscore.drift.verdict import SEVERITIES
from leadscore.errors import ConflictError
from leadscore.events.store import EventStore
from leadscore.events.windows import to_microseconds
from leadscore.lake.publishing import PublishedRows
from leadscore.lake.schemas import DRIFT_FIGURES, DRIFT_METRICS
from leadscore.lake.table import LakeTable, locate, table_uri
from leadscore.monitoring.records import DriftRecord, list_windows, read_windows, subject_of


def append_metrics(path: Path, record: DriftRecord) -> bool:
    """Append the window's figures to a Delta table such as the lake's `drift_metrics`, unless it has them.

    Returns whether rows were written: a window that was not judged has no figures, and may be judged later.

    Raises:
        BadInputError: The table there has other types.
        UnavailableError: The table cannot be read or written.
    """
    return bool(_append(LakeTable(locate(str(path)), DRIFT_METRICS), [record]))


def publish_drift_metrics(store: EventStore, lake: str) -> PublishedRows:
    """Append the figures of every stored window that the lake's table lacks, however late it was judged.

    Args:
        store: Whose records.
        lake: Root of the lake: folder or URL.

    Raises:
        BadInputError: The table there has other types, or a record is damaged.
        ConflictError: Others write to the table again and again.
        UnavailableError: Store or lake cannot be used.
    """
    table = LakeTable(table_uri(lake, DRIFT_METRICS.name), DRIFT_METRICS)
    known = _known_windows(table, table.version(), 0)
    wanted = [each.evidence_id for each in list_windows(store) if (each.subject, each.at) not in known]
    rows = 0
    for start in range(0, len(wanted), _RECORDS_AT_ONCE):
        rows += _append(table, read_windows(store, wanted[start : start + _RECORDS_AT_ONCE]))
    return PublishedRows(DRIFT_METRICS.name, rows, table.version())


def _append(table: LakeTable, records: Sequence[DriftRecord]) -> int:
    """Append the figures of windows that the table lacks; returns how many rows that was.

    Detectors write to one table at the same time: whoever comes second looks again.
    """
    judged = {_window_of(record): record for record in records if record.report.judged}
    since = min((end for _, end in judged), default=0)
    for again in range(_TRIES):
        version = table.version()
        known = _known_windows(table, version, since)
        batches = [
            batch
            for window, record in judged.items()
            if window not in known
            for batch in metrics_table(record).to_batches()
        ]
        if not batches:
            return 0
        try:
            done = table.write(
                batches, application=_APPLICATION, number=0 if version is None else version + 1
            )
        except ConflictError:
            if again == _TRIES - 1:
                raise
            continue
        if not done.repeated:
            return done.rows
    return 0


def _window_of(record: DriftRecord) -> tuple[str, int]:
    verdict = record.report.verdict
    subject = subject_of(f"{verdict.model_name}/{verdict.model_version}", record.detector)
    return subject, to_microseconds(verdict.window_end)


def _known_windows(table: LakeTable, version: int | None, since: int) -> set[tuple[str, int]]:
    """Detectors and ends of the windows that the table has, of those that end at a moment or later."""
    if version is None:
        return set()
    found: set[tuple[str, int]] = set()
    end = ds.field("window_end") >= pa.scalar(since, pa.timestamp("us", "UTC"))
    for batch in table.read(version, _WINDOW_COLUMNS, where=end):
        for row in pa.Table.from_batches([batch]).group_by(_WINDOW_COLUMNS).aggregate([]).to_pylist():
            subject = subject_of(f"{row['model_name']}/{row['model_version']}", row["detector"])
            found.add((subject, to_microseconds(row["window_end"])))
    return found


def metrics_table(record: DriftRecord) -> pa.Table:
    """The rows of `drift_metrics`.

    One per feature of the window, and one per figure of another method (`feature` is null).
    """
    verdict = record.report.verdict
    common: dict[str, object] = {
        "detector": record.detector,
        "model_name": verdict.model_name,
        "model_version": verdict.model_version,
        "window_start": verdict.window_start.astimezone(UTC),
        "window_end": verdict.window_end.astimezone(UTC),
        "rows": verdict.rows,
        "drifted": verdict.drifted,
    }
    rows = [
        {
            **common,
            "method": "univariate",
            "feature": feature.name,
            "severity": feature.severity if feature.judged else None,
            "effect": feature.effect,
            "smallest_p": min((t.p_value for t in feature.tests), default=feature.statistics.chi_square_p),
            "impact": feature.impact,
            "leads_at_risk": feature.at_risk,
            **{name: getattr(feature.statistics, name) for name in DRIFT_FIGURES},
        }
        for feature in record.report.features
    ]
    rows += [
        {
            **common,
            "rows": figure.rows,
            "method": figure.method,
            "figure": figure.name,
            "severity": figure.severity,
            "smallest_p": figure.p_value,
            "value": figure.value,
            "low": figure.low,
            "high": figure.high,
        }
        for figure in figures(record.report)
    ]
    return pa.Table.from_pylist(rows, schema=DRIFT_METRICS.schema)


_APPLICATION: Final = "leadscore/drift_metrics"
_WINDOW_COLUMNS: Final = ["detector", "model_name", "model_version", "window_end"]
# Records are some ten kilobytes each.
_RECORDS_AT_ONCE: Final = 500
_TRIES: Final = 5


def prometheus_text(record: DriftRecord) -> str:
    """The window as gauges in Prometheus' text format, for a textfile collector or a push gateway."""
    report = record.report
    verdict = report.verdict
    common = {
        "detector": record.detector,
        "model_name": verdict.model_name,
        "model_version": verdict.model_version,
    }
    lines: list[str] = []

    def gauge(name: str, text: str, samples: list[tuple[dict[str, str], float]]) -> None:
        if samples:
            lines.extend((f"# HELP leadscore_drift_{name} {text}", f"# TYPE leadscore_drift_{name} gauge"))
            lines.extend(
                f"leadscore_drift_{name}{_labels(common | more)} {value!r}" for more, value in samples
            )

    gauge("drifted", "1 while the detector's alarm stands.", [({}, float(verdict.drifted))])
    gauge("judged", "0 where too few leads or outcomes came, or none.", [({}, float(not verdict.unknown))])
    # An unknown severity must not show as 0.
    known = [] if verdict.unknown else [({}, float(SEVERITIES.index(verdict.severity)))]
    gauge("severity", "0 none, 1 moderate, 2 significant, 3 critical; absent if not judged.", known)
    gauge("rows", "Leads in the last judged window.", [({}, float(verdict.rows))])
    gauge("window_end_timestamp_seconds", "End of that window.", [({}, verdict.window_end.timestamp())])
    features = report.features
    gauge("psi", "PSI against training.", [({"feature": f.name}, f.statistics.psi) for f in features])
    gauge(
        "effect",
        "Size of its strongest test: that test's PSI above noise.",
        [({"feature": f.name}, f.effect) for f in features],
    )
    gauge(
        "feature_severity",
        "0 none to 3 critical; absent if not judged.",
        [({"feature": f.name}, float(SEVERITIES.index(f.severity))) for f in features if f.judged],
    )
    for figure in figures(report):
        if figure.method in {"performance", "cbpe"}:
            for end, value in (("", figure.value), ("_low", figure.low), ("_high", figure.high)):
                if value is not None:
                    name = f"{figure.method}_{figure.name}{end}"
                    gauge(name, f"{figure.name} by {figure.method}{end.replace('_', ', ')}.", [({}, value)])
    if report.performance is not None:
        judged = report.performance.verdict.judged
        gauge("performance_judged", "1 if outcomes were complete enough to judge.", [({}, float(judged))])
    gauge("method_p_value", "Joint tests.", [({"method": m.method}, m.p_value) for m in report.methods])
    gauge(
        "method_breached", "Joint tests.", [({"method": m.method}, float(m.breached)) for m in report.methods]
    )
    return "\n".join(lines) + "\n"


def _labels(labels: dict[str, str]) -> str:
    def quoted(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    return "{" + ",".join(f'{name}="{quoted(value)}"' for name, value in labels.items()) + "}"
