"""The report as Markdown, for a ticket, a chat or a pull request."""

from __future__ import annotations

from leadscore.drift.report.document import DriftReport
from leadscore.drift.report.methods import (
    JOINT_COLUMNS,
    OUTCOME_COLUMNS,
    joint_rows,
    outcome_rows,
    outcomes_caption,
)
from leadscore.drift.report.stream import stream_section
from leadscore.drift.report.words import COLUMNS, calibration, headline, ordered, row, span
from leadscore.reports import render_markdown


def to_markdown(report: DriftReport) -> str:
    """Return the report: verdict, reasons, what each method found."""
    return render_markdown(
        "drift.md",
        headline=headline(report),
        span=span(report),
        reasons=report.verdict.reasons,
        stream=None if report.stream is None else stream_section(report.stream),
        features={"columns": COLUMNS, "rows": [row(feature) for feature in ordered(report)]},
        calibration=calibration(report),
        caption=outcomes_caption(report),
        outcomes={"columns": OUTCOME_COLUMNS, "rows": outcome_rows(report)},
        joint={"columns": JOINT_COLUMNS, "rows": joint_rows(report)},
    )
