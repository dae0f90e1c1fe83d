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
from leadscore.drift.report.words import COLUMNS, calibration, headline, ordered, row, span


def to_markdown(report: DriftReport) -> str:
    """The report: verdict, reasons, features."""
    lines = [f"# {_plain(headline(report))}", "", _plain(span(report)), ""]
    lines += [f"- {_plain(reason)}" for reason in report.verdict.reasons]
    if report.features:
        lines += _table(COLUMNS, [row(feature) for feature in ordered(report)])
        lines += ["", calibration(report)]
    caption = outcomes_caption(report)
    if caption:
        lines += ["", _plain(caption), *_table(OUTCOME_COLUMNS, outcome_rows(report))]
    lines += _table(JOINT_COLUMNS, joint_rows(report))
    return "\n".join(lines) + "\n"


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    head = ["", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return head + [f"| {' | '.join(_plain(cell) for cell in found)} |" for found in rows]


def _plain(text: str) -> str:
    """Names and categories are the user's: they must not become markup or break a table."""
    for sign in "\\`*_[]<>|#":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("\n", " ")
