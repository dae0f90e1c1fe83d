"""The figures of the methods besides the univariate checks as one flat list, for tables and gauges."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from leadscore.drift.performance.outcomes import PerformanceReport
from leadscore.drift.report.document import DriftReport
from leadscore.drift.verdict import Severity
from leadscore.intervals import Estimate


class MeasuredValue(msgspec.Struct, frozen=True, kw_only=True):
    """One figure.

    Attributes:
        method: Which method's.
        name: `auc`, `auc_drop` (relative; a gain is negative), `brier`, `label_completeness`, ….
        rows: Leads that it is about.
        value: The figure.
        low: Lower end of its interval; None if it has none.
        high: Upper end.
        p_value: Without change; None if it was not tested.
        severity: Of the finding.
    """

    method: str
    name: str
    rows: int
    value: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    severity: Severity = "none"


def figures(report: DriftReport) -> tuple[MeasuredValue, ...]:
    """All of them: outcomes, the estimate without outcomes, joint tests."""
    found: list[MeasuredValue] = []
    if report.performance is not None:
        found += _performance(report.performance)
    if report.expected is not None:
        for name, estimate in (
            ("auc", report.expected.auc),
            ("conversion_rate", report.expected.conversion_rate),
        ):
            found.append(_figure("cbpe", name, report.expected.rows, estimate))
    found += [
        MeasuredValue(
            method=finding.method,
            name=finding.statistic,
            rows=finding.window_rows,
            value=finding.value,
            p_value=finding.p_value,
            severity=finding.severity,
        )
        for finding in report.methods
    ]
    return tuple(found)


def _performance(report: PerformanceReport) -> Iterator[MeasuredValue]:
    labels, verdict = report.labels, report.verdict
    if labels.share is not None:
        yield MeasuredValue(
            method="performance", name="label_completeness", rows=labels.predictions, value=labels.share
        )
    yield _figure("performance", "auc_baseline", labels.predictions, report.baseline)
    if verdict.drop is not None:
        yield msgspec.structs.replace(
            _figure("performance", "auc_drop", labels.mature_labelled, verdict.drop),
            p_value=verdict.p_value,
            severity=verdict.ranking if report.certain else "none",
        )
    found = report.figures
    if found is None:
        return
    for name in ("auc", "brier", "ece", "observed_expected", "intercept", "slope"):
        estimate: Estimate | None = getattr(found, name)
        if estimate is not None:
            figure = _figure("performance", name, found.rows, estimate)
            if name == "observed_expected":
                figure = msgspec.structs.replace(figure, severity=verdict.calibration)
            yield figure


def _figure(method: str, name: str, rows: int, estimate: Estimate) -> MeasuredValue:
    return MeasuredValue(
        method=method, name=name, rows=rows, value=estimate.value, low=estimate.low, high=estimate.high
    )
