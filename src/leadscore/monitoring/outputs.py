"""Write a check's outputs: a report, a page, figures, the verdict for Kubernetes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leadscore.drift.report.html import to_html
from leadscore.monitoring.files import write_file, write_termination
from leadscore.monitoring.metrics import append_metrics, prometheus_text
from leadscore.monitoring.records import DriftRecord


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where results are written; None: not at all.

    Attributes:
        report: The last window's report as JSON.
        page: The same as HTML.
        delta: Delta table that every window's figures are appended to.
        metrics: Gauges of the last window.
        termination_message: The last window's verdict.
    """

    report: Path | None = None
    page: Path | None = None
    delta: Path | None = None
    metrics: Path | None = None
    termination_message: Path | None = None

    def write(self, judged: Sequence[DriftRecord]) -> None:
        """Write them; the verdict for Kubernetes comes last, when all else is done.

        Raises:
            UnavailableError: One of them cannot be written.
        """
        last = judged[-1]
        if self.delta is not None:
            for record in judged:
                append_metrics(self.delta, record)
        if self.report is not None:
            write_file(self.report, last.report.to_json())
        if self.page is not None:
            write_file(self.page, to_html(last.report).encode())
        if self.metrics is not None:
            write_file(self.metrics, prometheus_text(last).encode())
        if self.termination_message is not None:
            write_termination(self.termination_message, last.report.verdict)
