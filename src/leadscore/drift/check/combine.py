"""One verdict from the findings of several methods, with sentences."""

from __future__ import annotations

import msgspec

from leadscore.drift.performance.outcomes import PerformanceReport
from leadscore.drift.performance.verdict import performance_drift
from leadscore.drift.report.document import DriftReport, MethodReport
from leadscore.drift.verdict import (
    SEVERITIES,
    DriftKind,
    DriftVerdict,
    FeatureVerdict,
    Severity,
    Triage,
    VerdictState,
    overall_state,
    worst_severity,
)
from leadscore.drift.windows.history import History

_MOST_FEATURES = 10


def combined_verdict(report: DriftReport, univariate: DriftVerdict, following: History) -> DriftVerdict:
    """The verdict of a report.

    Args:
        report: With the findings of all methods.
        univariate: What the univariate checks say; an empty verdict if they were not asked.
        following: The memory with this window in it.
    """
    rule = report.options.hysteresis
    alarms = {name: trail for name, trail in following.methods.items() if trail.drifted(rule)}
    outcomes = None if report.performance is None else _outcomes(report, report.performance)
    severities: dict[str, Severity] = {f.method: f.severity for f in report.methods}
    if report.performance is not None:
        severities["performance"] = report.performance.severity
    others = worst_severity(severities.values())
    concept = severities.get("performance", "none")
    data = worst_severity([univariate.severity, *(f.severity for f in report.methods)])
    kind: DriftKind = "concept" if concept != "none" and data == "none" else univariate.kind
    starts = [t.since for t in following.methods.values() if t.since is not None]
    starts += [] if univariate.since is None else [univariate.since]
    triage: Triage = univariate.triage
    if triage == "none" and others != "none":
        triage = "unclear"
    return msgspec.structs.replace(
        univariate,
        detector="+".join(report.options.methods),
        severity=worst_severity((univariate.severity, others)),
        drifted=univariate.drifted or bool(alarms),
        worst=_worst(report, univariate, outcomes),
        since=min(starts, default=None),
        confidence=_confidence(report, univariate, outcomes, others),
        triage=triage,
        reasons=_reasons(report, univariate, outcomes, concept),
        kind=kind,
        drop=None if outcomes is None else outcomes.drop,
        outcomes_end=None
        if report.performance is None or not report.performance.verdict.judged
        else report.performance.end,
        state=_state(report, univariate),
    )


def _state(report: DriftReport, univariate: DriftVerdict) -> VerdictState:
    """Of the methods that were asked and may alarm.

    Joint tests go without the window where it has no leads for them.
    """
    methods = report.options.methods
    states: list[VerdictState] = [univariate.state] if "univariate" in methods else []
    if report.performance is not None:
        states.append(report.performance.verdict.state)
    if set(methods) - {"univariate", "performance", "cbpe"}:
        states.append("judged" if report.methods else "not_judged" if univariate.rows else "silent")
    return overall_state(states)


def _outcomes(report: DriftReport, found: PerformanceReport) -> DriftVerdict:
    said = report.verdict
    return performance_drift(
        found.verdict,
        found.figures,
        model=(said.model_name, said.model_version),
        start=found.start,
        end=found.end,
        rows=found.labels.predictions,
    )


def _worst(
    report: DriftReport, univariate: DriftVerdict, outcomes: DriftVerdict | None
) -> tuple[FeatureVerdict, ...]:
    """The findings of all methods, most severe first; the features keep the order of their own verdict."""
    found = list(univariate.worst[:_MOST_FEATURES])
    found += [_joint(finding) for finding in report.methods if finding.severity != "none"]
    performance = report.performance
    if outcomes is not None and performance is not None and performance.severity != "none":
        # Insignificant results are in the sentences, not among the findings.
        found += [
            f
            for f in outcomes.worst
            if f.severity != "none" and (f.statistic == "observed_expected" or performance.certain)
        ]
    return tuple(sorted(found, key=lambda f: -SEVERITIES.index(f.severity)))


def _joint(finding: MethodReport) -> FeatureVerdict:
    return FeatureVerdict(
        feature=finding.feature,
        statistic="mmd" if finding.method == "mmd" else finding.statistic,
        value=finding.value,
        effect=finding.effect or 0.0,
        p_value=finding.p_value,
        severity=finding.severity,
        note=f"{finding.method}: p {finding.p_value:.2g}, breaches at {finding.level:.2g}",
    )


def _confidence(
    report: DriftReport, univariate: DriftVerdict, outcomes: DriftVerdict | None, others: Severity
) -> float:
    """Of the surest finding; of no drift, what the least sure method gives."""
    if others == "none":
        if report.features or outcomes is None:
            return univariate.confidence
        return outcomes.confidence
    sure = [univariate.confidence] if univariate.severity != "none" else []
    sure += [1.0 - f.p_value for f in report.methods if f.severity != "none"]
    if outcomes is not None and report.performance is not None and report.performance.severity != "none":
        # A miscalibration without a loss of AUC has no p-value of its own: its level is what it was held to.
        sure.append(
            max(outcomes.confidence if report.performance.certain else 0.0, 1.0 - report.performance.level)
        )
    return max(sure)


def _reasons(
    report: DriftReport, univariate: DriftVerdict, outcomes: DriftVerdict | None, concept: Severity
) -> tuple[str, ...]:
    """Order methods by severity, the most severe first."""
    notes = [note for note in report.notes if note not in univariate.reasons]
    features = list(univariate.reasons)
    others = [sentence(finding, report) for finding in report.methods]
    performance = [] if outcomes is None else list(outcomes.reasons)
    if report.expected is not None:
        auc = report.expected.auc
        performance.append(
            f"Expected AUC of this window from the probabilities alone: {auc.value:.3f} ({auc.low:.3f} to "
            f"{auc.high:.3f}), if they are still calibrated."
        )
    first = SEVERITIES.index(concept) > SEVERITIES.index(univariate.severity)
    ordered = [*performance, *features, *others] if first else [*features, *others, *performance]
    return (*ordered, *notes)


def sentence(finding: MethodReport, report: DriftReport) -> str:
    """A joint finding in words."""
    about = "all features together" if finding.feature == "joint" else finding.feature
    found = f"{finding.method} on {about}: p = {finding.p_value:.2g}"
    if finding.effect is not None:
        found += f", as large as a PSI of {finding.effect:.3f}"
    if finding.severity == "none":
        least = "" if finding.effect is None else " and the least effect"
        return f"{found}: no change beyond p ≤ {finding.level:.2g}{least}."
    counts = "" if finding.breached else f" Below {report.options.breach_from}, from which it counts."
    return f"{found}: changed (it signals from p ≤ {finding.level:.2g}).{counts}"
