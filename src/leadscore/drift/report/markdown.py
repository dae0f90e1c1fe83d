"""The report as Markdown, for a ticket, a chat or a pull request."""

from __future__ import annotations

from leadscore.drift.report.words import COLUMNS, calibration, headline, ordered, row, span
from leadscore.drift.reporting import DriftReport


def to_markdown(report: DriftReport) -> str:
    """The report: verdict, reasons, features."""
    lines = [f"# {_plain(headline(report))}", "", _plain(span(report)), ""]
    lines += [f"- {_plain(reason)}" for reason in report.verdict.reasons]
    if report.features:
        lines += ["", f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
        lines += [f"| {' | '.join(_plain(cell) for cell in row(feature))} |" for feature in ordered(report)]
        lines += ["", calibration(report)]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Names and categories are the user's: they must not become markup or break a table."""
    for sign in "\\`*_[]<>|#":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("\n", " ")
