"""An investigation as a page of its own and as Markdown, for people in sales."""

from __future__ import annotations

from typing import Final

from leadscore.investigation.document import InvestigationReport, InvestigationStep, StepState
from leadscore.reports.renderer import render_html, render_markdown

_SIGNS: Final[dict[StepState, str]] = {"ok": "fine", "attention": "look here", "unknown": "not known"}


def report_html(report: InvestigationReport) -> str:
    """Return the report as one HTML document that needs nothing else."""
    return render_html("investigation.html", **_values(report))


def report_markdown(report: InvestigationReport) -> str:
    """Return the report as Markdown."""
    return render_markdown("investigation.md", **_values(report))


def _values(report: InvestigationReport) -> dict[str, object]:
    return {
        "title": f"Investigation: {report.model}, {report.subject}",
        "headline": report.headline,
        "cause": report.cause,
        "certainty": report.certainty,
        "span": f"{report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} UTC",
        "before": f"{report.before_since:%Y-%m-%d %H:%M} to {report.before_until:%Y-%m-%d %H:%M} UTC",
        "known_until": "never" if report.known_until is None else f"{report.known_until:%Y-%m-%d %H:%M} UTC",
        "steps": [_step(step) for step in report.steps[:5]],
        "resolution": report.resolution,
        "commands": report.commands,
        "follow_up_at": f"{report.follow_up_at:%Y-%m-%d}",
        "follow_up": report.follow_up,
        "id": report.id,
    }


def _step(step: InvestigationStep) -> dict[str, object]:
    return {
        "title": step.title,
        "state": step.state,
        "sign": _SIGNS[step.state],
        "sentence": step.sentence,
        "findings": [(f.id, f.sentence, ", ".join(name for name in f.evidence)) for f in step.findings],
        "tables": [(table.header, table.rows) for table in step.tables if table.rows],
    }
