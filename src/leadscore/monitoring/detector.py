"""A detector at work: which windows are due, judged in order, each once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from leadscore.drift.check.impact import Grading
from leadscore.drift.check.judge import JudgedWindow, judge_window, method_level
from leadscore.drift.check.univariate import warm_up
from leadscore.drift.methods import ALIBI
from leadscore.drift.multivariate.alibi import AlibiName, AlibiWindow, run_alibi
from leadscore.drift.options import DriftOptions
from leadscore.drift.performance.outcomes import PerformanceBaseline
from leadscore.drift.windows.history import History
from leadscore.drift.windows.inputs import LeadWindow, Reference
from leadscore.events.store import EventStore
from leadscore.monitoring.records import DriftRecord, latest_record, save
from leadscore.monitoring.windows import Windows, aligned


class DetectorRun:
    """A detector at work: which windows are due, judged in order."""

    def __init__(
        self,
        reference: Reference,
        windows: Windows,
        options: DriftOptions,
        span: timedelta,
        detector: str,
        *,
        grade: Grading,
        baseline: PerformanceBaseline | None = None,
    ) -> None:
        self._reference = reference
        self._windows = windows
        self._options = options
        self._span = span
        self._detector = detector
        self._grade = grade
        self._baseline = baseline

    def judge_stored(
        self, store: EventStore, until: datetime | None, count: int, warm_up: timedelta | None
    ) -> list[DriftRecord]:
        """Go on from the newest record.

        A window that is recorded already is shown again, not judged again.
        """
        model = self._reference.model
        newest = latest_record(store, model, self._detector)
        end = self._end(until)
        if newest is not None and newest.history.end == end:
            return [newest]
        judged = self.judge(None if newest is None else newest.history, until, count, warm_up)
        for record in judged:
            if record.report.judged:
                save(store, model, record)
        return judged

    def judge(
        self, history: History | None, until: datetime | None, count: int, warm_up: timedelta | None
    ) -> list[DriftRecord]:
        """Judge the windows that are due, at most `count`.

        A new detector learns from the windows of `warm_up` before.
        """
        end = self._end(until)
        first = end - count * self._span
        if history is None or history.end is None:
            history = self._warm_up(History(model=self._reference.model), first, warm_up)
        elif first < history.end <= end - self._span:
            # Judged windows are not judged again; what is due begins where the last one ended.
            first = end - (end - history.end) // self._span * self._span
        judged: list[DriftRecord] = []
        while first < end:
            found, history = judge_window(
                self._reference,
                self._seen(first, first + self._span),
                self._options,
                history,
                baseline=self._baseline,
                every=self._span,
                grade=self._grade,
            )
            judged.append(DriftRecord(detector=self._detector, report=found, history=history))
            first += self._span
        return judged

    def _seen(self, start: datetime, end: datetime) -> JudgedWindow:
        """The window and what the methods ask besides."""
        options = self._options
        window = self._windows.read(start, end)
        outcomes = None
        if "performance" in options.methods:
            mature = end - timedelta(hours=options.performance.maturity_hours)
            outcomes = self._windows.outcomes(
                mature - timedelta(hours=options.performance.window_hours), mature
            )
        return JudgedWindow(window, outcomes, self._alibi(window))

    def _alibi(self, window: LeadWindow) -> dict[str, AlibiWindow]:
        """Return alibi-detect's results for the window, if it has enough rows."""
        sample, rows = self._reference.sample, window.rows
        if sample is None or rows is None or len(rows) < self._options.min_rows:
            return {}
        found: dict[str, AlibiWindow] = {}
        for method in self._options.methods:
            if method.startswith(ALIBI):
                level = method_level(self._options, self._span)
                name = cast("AlibiName", method.removeprefix(ALIBI))
                result = run_alibi(name, self._reference.contract, sample, [rows], {"p_val": level})
                found[method] = result.windows[0]
        return found

    def _warm_up(self, history: History, end: datetime, span: timedelta | None) -> History:
        start = end if span is None else end - span // self._span * self._span
        while start < end:
            window = self._windows.read(start, start + self._span)
            history = warm_up(self._reference, window, self._options, history)
            start += self._span
        return history

    def _end(self, until: datetime | None) -> datetime:
        return until or aligned(self._windows.latest(), self._span)
