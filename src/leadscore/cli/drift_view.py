"""A drift report on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.console import Group, RenderableType
from rich.text import Text

from leadscore.cli.output import table

if TYPE_CHECKING:
    from leadscore.drift.report.document import DriftReport
    from leadscore.drift.watch.report import WatchReport
    from leadscore.monitoring.records import DriftRecord

_COLOURS: Final = {
    "none": "green",
    "unknown": "magenta",
    "moderate": "yellow",
    "significant": "dark_orange",
    "critical": "red",
}


def report_view(found: DriftReport) -> RenderableType:
    """Return what a person reads of a report."""
    from leadscore.drift.report.methods import (
        JOINT_COLUMNS,
        OUTCOME_COLUMNS,
        joint_rows,
        outcome_rows,
        outcomes_caption,
    )
    from leadscore.drift.report.words import COLUMNS, calibration, headline, ordered, row, severity_of, span

    colour = _COLOURS[severity_of(found.verdict)]
    parts: list[RenderableType] = [
        Text(headline(found), style=f"bold {colour}"),
        Text(span(found), style="dim"),
    ]
    parts += [Text(f"• {reason}") for reason in found.verdict.reasons]
    if found.stream is not None:
        parts += stream_view(found.stream)
    caption = outcomes_caption(found)
    if caption:
        if rows := outcome_rows(found):
            parts.append(table("", OUTCOME_COLUMNS, rows, right=OUTCOME_COLUMNS[2:]))
        parts.append(Text(caption, style="dim"))
    if rows := joint_rows(found):
        parts.append(table("", JOINT_COLUMNS, rows, right=JOINT_COLUMNS[4:]))
    if found.features:
        parts += [
            table("", COLUMNS, [row(f) for f in ordered(found)], right=COLUMNS[2:]),
            Text(calibration(found), style="dim"),
        ]
    return Group(*parts)


def stream_view(found: WatchReport) -> list[RenderableType]:
    """Return what the charts of a stream show."""
    from leadscore.drift.report.stream import (
        SIGN_COLUMNS,
        STREAM_COLUMNS,
        outcome_lines,
        sign_tables,
        stream_budget,
        stream_headline,
        stream_rows,
    )

    parts: list[RenderableType] = [
        Text(stream_headline(found), style=f"bold {'red' if found.alarmed else 'green'}"),
        Text(stream_budget(found), style="dim"),
        table(
            "",
            STREAM_COLUMNS,
            stream_rows(found),
            right=("followed", "waiting", "alarms", *STREAM_COLUMNS[5:]),
        ),
    ]
    parts += [table(title, SIGN_COLUMNS, rows, right=SIGN_COLUMNS[2:]) for title, rows in sign_tables(found)]
    if found.outcomes:
        parts += [Text(line, "dim") for line in outcome_lines(found.outcomes)]
    return parts


def windows_view(judged: Sequence[DriftRecord]) -> RenderableType:
    """Return a row per window."""
    from leadscore.drift.report.words import severity_of

    rows = [
        (
            f"{r.report.verdict.window_start:%Y-%m-%d %H:%M}",
            f"{r.report.verdict.rows:,}",
            severity_of(r.report.verdict),
            "ALARM" if r.report.verdict.drifted else "",
            ", ".join(f.feature for f in r.report.verdict.worst[:3]),
        )
        for r in judged
    ]
    return table("Windows", ("window", "leads", "severity", "alarm", "worst"), rows, right=("leads",))
