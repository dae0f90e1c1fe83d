"""The report as one HTML file that loads nothing: it can be mailed, archived, or opened from a ticket.

A content security policy in the page itself forbids scripts and every load, so a category named `<script>`
stays a name even if escaping failed.
"""

from __future__ import annotations

from typing import Final

from leadscore.drift.report.document import DriftReport
from leadscore.drift.report.methods import (
    JOINT_COLUMNS,
    OUTCOME_COLUMNS,
    auc_lines,
    joint_rows,
    outcome_rows,
    outcomes_caption,
)
from leadscore.drift.report.plots import auc_plot, feature_plot
from leadscore.drift.report.stream import stream_section
from leadscore.drift.report.words import (
    COLUMNS,
    TESTS,
    calibration,
    headline,
    ordered,
    p_words,
    row,
    severity_of,
    span,
)
from leadscore.drift.verdict import SEVERITIES
from leadscore.reports import Html, render_html

_MOST_PLOTS: Final = 12
_FINDING_COLUMNS: Final = ("feature", "pattern", "points to", "confidence")
_TEST_COLUMNS: Final = ("feature", "test · unit", "value", "critical value", "p", "size", "breached")


def to_html(report: DriftReport) -> str:
    """Return the page."""
    verdict = report.verdict
    severity = severity_of(verdict)
    features = ordered(report)
    return render_html(
        "drift.html",
        title=f"Drift of {verdict.model_name}: {severity}",
        severity=severity,
        severities=SEVERITIES,
        headline=headline(report),
        span=span(report),
        since=f" Since {verdict.since:%Y-%m-%d %H:%M} UTC." if verdict.since else "",
        reasons=verdict.reasons,
        stream=None if report.stream is None else stream_section(report.stream),
        outcomes=_outcomes(report),
        joint={"columns": JOINT_COLUMNS, "rows": joint_rows(report)},
        features={"columns": COLUMNS, "rows": [row(f) for f in features]} if features else None,
        finding_columns=_FINDING_COLUMNS,
        findings=[
            (f.feature, f.pattern.replace("_", " "), f.points_to.replace("_", " "), f"{f.confidence:.0%}")
            for f in report.findings
        ],
        # The functions that draw have escaped what is the user's.
        plots=[Html(feature_plot(feature)) for feature in features[:_MOST_PLOTS]],
        test_columns=_TEST_COLUMNS,
        tests=_tests(report),
        calibration=calibration(report),
    )


def _outcomes(report: DriftReport) -> dict[str, object] | None:
    rows = outcome_rows(report)
    if not rows and report.performance is None:
        return None
    plot = Html(auc_plot(auc_lines(report)))
    return {"caption": outcomes_caption(report), "columns": OUTCOME_COLUMNS, "rows": rows, "plot": plot}


def _tests(report: DriftReport) -> list[tuple[str, ...]]:
    return [
        (
            feature.name,
            " · ".join(TESTS[test.name]),
            f"{test.value:.4g}",
            "–" if test.critical_value is None else f"{test.critical_value:.4g}",
            p_words(test.p_value),
            f"{test.effect:.3f}",
            "yes" if test.breached else "no",
        )
        for feature in report.features
        for test in feature.tests
    ]
