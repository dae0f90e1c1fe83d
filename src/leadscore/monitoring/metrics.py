"""Write figures of judged windows as rows of a Delta table and as gauges in Prometheus' text format."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import Final

import pyarrow as pa

from leadscore.drift.report.measured_values import figures
from leadscore.drift.verdict import SEVERITIES
from leadscore.errors import UnavailableError
from leadscore.events.windows import to_microseconds
from leadscore.monitoring.records import DriftRecord, subject_of


def append_metrics(path: Path, record: DriftRecord) -> bool:
    """Append the window's figures to the Delta table `drift_metrics`.

    A row per feature, and per figure of another method.

    Each detector is one application in Delta's transaction log, with the window's end as its version: a
    window that is written again is skipped. Returns whether rows were written.

    A window that was not judged has no figures, and may be judged later.

    Raises:
        UnavailableError: The table cannot be read or written.
    """
    if not record.report.judged:
        return False
    from deltalake import (  # noqa: PLC0415 (heavy, and rarely asked for)
        CommitProperties,
        DeltaTable,
        Transaction,
        write_deltalake,
    )
    from deltalake.exceptions import DeltaError  # noqa: PLC0415

    verdict = record.report.verdict
    application = subject_of(f"{verdict.model_name}/{verdict.model_version}", record.detector)
    version = to_microseconds(verdict.window_end)
    try:
        if DeltaTable.is_deltatable(str(path)):
            known = DeltaTable(str(path)).transaction_version(application)
            if known is not None and known >= version:
                return False
        write_deltalake(
            str(path),
            metrics_table(record),
            mode="append",
            # A table that an older version wrote gets the columns that it lacks.
            schema_mode="merge",
            commit_properties=CommitProperties(app_transactions=[Transaction(application, version)]),
        )
    except (DeltaError, OSError) as error:
        raise UnavailableError(f"Cannot append to the Delta table {path}: {error}.") from error
    return True


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
            "severity": feature.severity,
            "effect": feature.effect,
            "smallest_p": min((t.p_value for t in feature.tests), default=feature.statistics.chi_square_p),
            "impact": feature.impact,
            "leads_at_risk": feature.at_risk,
            **{name: getattr(feature.statistics, name) for name in _FIGURES},
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
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


_FIGURES: Final = (
    "psi", "kl", "jensen_shannon", "chi_square", "chi_square_p", "ks", "ks_p", "wasserstein", "mean",
    "reference_mean", "missing_rate", "reference_missing_rate", "unseen_rate", "range_rate",
)  # fmt: skip
_MOMENT: Final = pa.timestamp("us", "UTC")
_SCHEMA: Final = pa.schema(
    [
        *((name, pa.string()) for name in ("detector", "model_name", "model_version")),
        ("window_start", _MOMENT),
        ("window_end", _MOMENT),
        ("rows", pa.int64()),
        ("drifted", pa.bool_()),
        *((name, pa.string()) for name in ("feature", "severity")),
        *((name, pa.float64()) for name in ("effect", "smallest_p", "impact", "leads_at_risk", *_FIGURES)),
        *((name, pa.string()) for name in ("method", "figure")),
        *((name, pa.float64()) for name in ("value", "low", "high")),
    ]
)


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
        "0 none to 3 critical.",
        [({"feature": f.name}, float(SEVERITIES.index(f.severity))) for f in features],
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
