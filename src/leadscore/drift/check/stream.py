"""From what the charts of a stream show to the report and the verdict that every detector gives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec
import numpy as np

from leadscore.drift.check.impact import Grading
from leadscore.drift.check.univariate import check
from leadscore.drift.methods import SEQUENTIAL
from leadscore.drift.options import DriftOptions
from leadscore.drift.report.document import DriftReport
from leadscore.drift.runlength import FalseAlarms
from leadscore.drift.verdict import (
    DriftKind,
    DriftVerdict,
    FeatureVerdict,
    Severity,
    VerdictState,
    worst_severity,
)
from leadscore.drift.watch.report import WatchReport
from leadscore.drift.watch.track import ChartEvaluation
from leadscore.drift.windows.inputs import LeadWindow, Reference

# Chance that a diagnosis names a feature that has not changed.
_DIAGNOSED_BY_CHANCE: Final = 0.05
_MOMENT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class StandingAlarms:
    """The newest alarm of each chart, where it still stands.

    Attributes:
        leads: Of features and score.
        outcomes: Of outcomes against probabilities.
    """

    leads: ChartEvaluation | None
    outcomes: ChartEvaluation | None

    @property
    def newest(self) -> ChartEvaluation | None:
        """Return the latest alarm; None if none stands."""
        return max(
            (a for a in (self.leads, self.outcomes) if a is not None), key=lambda a: a.at, default=None
        )


def standing_alarms(found: WatchReport, start: datetime) -> StandingAlarms:
    """Return the alarms that stand.

    An alarm stands as long as it lies in the window, and as long as nothing has been followed since.

    Args:
        found: What the charts show.
        start: First moment of the window.
    """
    told = found.outcomes
    pairs = [(found.leads.alarms.last, found.leads.now)]
    pairs.append((None, None) if told is None else (told.said.alarms.last, told.said.evaluation))
    leads, outcomes = (
        alarm
        if alarm is not None and now is not None and (alarm.at >= start or alarm.lead == now.lead)
        else None
        for alarm, now in pairs
    )
    return StandingAlarms(leads, outcomes)


def diagnose(
    reference: Reference, window: LeadWindow, *, ignored: tuple[str, ...] = (), grade: Grading | None = None
) -> DriftReport:
    """Say which features of the leads behind an alarm have changed, how much, and what kind of change it is.

    Args:
        reference: What the model was trained on.
        window: The leads that the chart's loudest memory knew when it raised the alarm.
        ignored: Features that are not charted.
        grade: As in `check`.
    """
    windows = 1 / _DIAGNOSED_BY_CHANCE
    options = DriftOptions(
        false_alarms=FalseAlarms(expected=1.0, per_hours=windows), season="none", learn_windows=0
    )
    report, _ = check(reference, window, options, every=timedelta(hours=1), grade=grade, ignored=ignored)
    return report


def stream_report(
    found: WatchReport,
    options: DriftOptions,
    alarms: StandingAlarms,
    *,
    start: datetime,
    rows: int,
    diagnosis: DriftReport | None = None,
) -> DriftReport:
    """Return the report of a stream.

    Args:
        found: What the charts show.
        options: With the budget of false alarms.
        alarms: Those that stand.
        start: First moment of the window.
        rows: Leads from there on.
        diagnosis: Of the leads behind the alarm of features and score.
    """
    verdict = _verdict(found, alarms, diagnosis, start, rows)
    report = DriftReport(
        verdict=verdict, features=(), options=options, breached=verdict.drifted, stream=found
    )
    if diagnosis is None:
        return report
    return msgspec.structs.replace(
        report,
        features=diagnosis.features,
        calibration=diagnosis.calibration,
        findings=diagnosis.findings,
        at_risk=diagnosis.at_risk,
        notes=diagnosis.notes,
    )


def unjudged_stream(
    model: tuple[str, str],
    options: DriftOptions,
    reason: str,
    *,
    start: datetime,
    end: datetime,
    state: VerdictState,
) -> DriftReport:
    """Return the report of a stream of which the charts can say nothing yet; `model` is name and version."""
    verdict = DriftVerdict(
        detector=SEQUENTIAL,
        model_name=model[0],
        model_version=model[1],
        window_start=min(start, end),
        window_end=end,
        rows=0,
        severity="none",
        drifted=False,
        reasons=(reason,),
        state=state,
    )
    return DriftReport(verdict=verdict, features=(), options=options, breached=False, notes=(reason,))


def silent_since(newest: datetime | None, start: datetime) -> str:
    """Return the sentence about a silent feed.

    `newest` is its last lead's time, if it ever had one.
    """
    since = "its beginning" if newest is None else f"{newest:%Y-%m-%d %H:%M} UTC"
    return (
        f"Not judged: the feed is silent since {since}. No lead from {start:%Y-%m-%d %H:%M} on was "
        "scored, or none was logged."
    )


def _verdict(
    found: WatchReport, alarms: StandingAlarms, diagnosis: DriftReport | None, start: datetime, rows: int
) -> DriftVerdict:
    name, _, version = found.model.rpartition("/")
    alarm = alarms.newest
    state, reasons = _state(found, rows, start)
    no_drift = DriftVerdict(
        detector=SEQUENTIAL,
        model_name=name,
        model_version=version,
        window_start=start,
        window_end=max(start, found.until),
        rows=rows,
        severity="none",
        drifted=False,
        confidence=_no_drift_confidence(found) if state == "judged" else 0.0,
        reasons=reasons,
        state=state,
    )
    if alarm is None:
        return no_drift
    severities: list[Severity] = [] if alarms.outcomes is None else [_outcome_severity(alarms.outcomes)]
    worst = [] if alarms.outcomes is None else [_sign(alarms.outcomes, severities[0])]
    if alarms.leads is not None:
        changed = () if diagnosis is None else diagnosis.verdict.worst
        # An alarm is at least moderate, even where the diagnosis of so few leads finds nothing.
        severities.append(worst_severity(f.severity for f in changed) if changed else "moderate")
        worst += list(changed) or [_sign(alarms.leads, "moderate")]
    began = [_began(alarms.leads, diagnosis), None if alarms.outcomes is None else alarms.outcomes.since]
    since = min((moment for moment in began if moment is not None), default=alarm.at)
    return msgspec.structs.replace(
        no_drift,
        # It is about the leads up to the alarm: as long as that one stands, the verdict is the same one.
        window_start=min(since, alarm.at),
        window_end=alarm.at + _MOMENT,
        rows=rows if diagnosis is None else diagnosis.verdict.rows,
        severity=worst_severity(severities),
        drifted=True,
        worst=tuple(worst),
        since=since,
        confidence=float(np.clip(1.0 - np.exp(-alarm.statistic), 0.0, 1.0)),
        triage="unclear"
        if diagnosis is None or diagnosis.verdict.triage == "none"
        else diagnosis.verdict.triage,
        reasons=(*_alarm_reasons(found, alarms, diagnosis), *(() if state == "judged" else reasons)),
        kind=_kind(alarms),
        outcomes_end=None if alarms.outcomes is None else alarms.outcomes.at,
        state="judged" if state == "not_judged" else state,
    )


def _kind(alarms: StandingAlarms) -> DriftKind:
    if alarms.leads is None:
        return "concept"
    return "prediction" if alarms.leads.signs[0].feature == "score" else "data"


def _state(found: WatchReport, rows: int, start: datetime) -> tuple[VerdictState, tuple[str, ...]]:
    leads = found.leads
    if not rows:
        return "silent", (silent_since(found.newest, start),)
    if leads.now is None:
        return "not_judged", (
            f"Not judged: {leads.waiting} leads came; the charts are evaluated every {found.plan.every}.",
        )
    share = leads.now.statistic / leads.now.level
    first = (
        f"No alarm: after {leads.followed:,} leads the chart of features and score stands "
        f"at {share:.0%} of its level"
    )
    sentences = [f"{first} ({_budget(found)})."]
    told = found.outcomes
    if told is not None and told.said.evaluation is not None:
        evaluation = told.said.evaluation
        sentences.append(
            f"The chart of outcomes stands at {max(0.0, evaluation.statistic / evaluation.level):.0%} of its"
            f" level, with {told.said.known:,} outcomes known and {told.said.waiting:,} waited for."
        )
    return "judged", tuple(sentences)


def _alarm_reasons(
    found: WatchReport, alarms: StandingAlarms, diagnosis: DriftReport | None
) -> tuple[str, ...]:
    sentences: list[str] = []
    if alarms.leads is not None:
        evaluation = alarms.leads
        sign = evaluation.signs[0]
        sentences.append(
            f"{sign.feature} ({sign.how}) has left its reference with lead {evaluation.lead:,} of "
            f"{evaluation.at:%Y-%m-%d %H:%M} UTC: {evaluation.statistic:.1f} over a level of "
            f"{evaluation.level:.1f} ({_budget(found)})."
        )
        if diagnosis is not None and diagnosis.verdict.severity != "none":
            sentences += diagnosis.verdict.reasons
    if alarms.outcomes is not None:
        evaluation = alarms.outcomes
        began = (
            "" if evaluation.since is None else f", most likely since {evaluation.since:%Y-%m-%d %H:%M} UTC"
        )
        sentences.append(
            f"Outcomes: {evaluation.signs[0].how}{began}; {evaluation.statistic:.1f} over a level of "
            f"{evaluation.level:.1f} ({_budget(found)})."
        )
    return tuple(sentences)


def _budget(found: WatchReport) -> str:
    return f"one false alarm in {found.plan.run_length:,.0f} leads"


def _began(evaluation: ChartEvaluation | None, diagnosis: DriftReport | None) -> datetime | None:
    """The chart of features cannot tell when a change began.

    With the leads that it still knows, at the latest.
    """
    if evaluation is None:
        return None
    return evaluation.at if diagnosis is None else diagnosis.verdict.window_start


def _sign(evaluation: ChartEvaluation, severity: Severity) -> FeatureVerdict:
    sign = evaluation.signs[0]
    return FeatureVerdict(
        # Outcomes against probabilities are reported for the score.
        feature="score" if sign.feature == "outcomes" else sign.feature,
        statistic="outcomes" if sign.feature == "outcomes" else f"qt_ewma_{sign.how}",
        value=evaluation.statistic,
        critical_value=evaluation.level,
        effect=sign.distance or 0.0,
        p_value=float(np.exp(-sign.surprise)) if sign.distance is not None else None,
        severity=severity,
        note=sign.how,
    )


def _outcome_severity(evaluation: ChartEvaluation) -> Severity:
    """Return the severity of changed outcomes, at least significant: only another model fixes them."""
    how = evaluation.signs[0].how
    return "critical" if "far " in how or "no longer" in how else "significant"


def _no_drift_confidence(found: WatchReport) -> float:
    """The share of the way to the level that is left, of the chart that is nearest to its own."""
    evaluations = [found.leads.now, found.outcomes.said.evaluation if found.outcomes else None]
    ways = [
        1.0 - evaluation.statistic / evaluation.level for evaluation in evaluations if evaluation is not None
    ]
    return float(np.clip(min(ways, default=0.0), 0.0, 1.0))
