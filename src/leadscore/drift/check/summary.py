"""Make a report's verdict, with sentences for people."""

from __future__ import annotations

import math

from scipy import stats

from leadscore.drift.report.document import DriftReport, FeatureReport, TestReport
from leadscore.drift.verdict import (
    SEVERITIES,
    DriftVerdict,
    FeatureVerdict,
    Triage,
    VerdictState,
    worst_severity,
)
from leadscore.drift.windows.history import History
from leadscore.drift.windows.inputs import LeadWindow, Reference

DETECTOR = "univariate"
SILENT = "Not judged: the feed is silent. No lead of the window was scored, or none was logged."
NOTHING_TO_GO_BY = "Not judged: no feature can be compared in so short a window yet; the notes say why."
_MOST_FEATURES = 10


def no_verdict(
    reference: Reference, window: LeadWindow, reason: str, state: VerdictState = "judged"
) -> DriftVerdict:
    """Return a verdict of a window that was not judged, with the reason."""
    return DriftVerdict(
        detector=DETECTOR,
        model_name=reference.model_name,
        model_version=reference.model_version,
        window_start=window.start,
        window_end=window.end,
        rows=window.counts.rows,
        severity="none",
        drifted=False,
        reasons=(reason,) if reason else (),
        state=state,
    )


def verdict_of(
    report: DriftReport, history: History, *, triage: Triage, triage_confidence: float
) -> DriftVerdict:
    """The verdict of a report whose own is still empty; `history` is the memory with this window in it."""
    changed = ranked(report)
    severity = worst_severity(feature.severity for feature in report.features)
    empty = report.verdict
    reasons = _reasons(report, changed, history, triage, triage_confidence)
    return DriftVerdict(
        detector=empty.detector,
        model_name=empty.model_name,
        model_version=empty.model_version,
        window_start=empty.window_start,
        window_end=empty.window_end,
        rows=empty.rows,
        severity=severity,
        drifted=history.drifted,
        worst=tuple(_feature(feature, report) for feature in changed[:_MOST_FEATURES]),
        since=history.since,
        confidence=_confidence(report, no_drift=severity == "none"),
        triage=triage,
        reasons=(*reasons, *report.notes),
        kind="prediction" if changed and all(f.kind == "score" for f in changed) else "data",
    )


def ranked(report: DriftReport) -> list[FeatureReport]:
    """Features that breached, most important first: leads at risk, then impact, then severity and effect."""

    def weight(feature: FeatureReport) -> tuple[float, float, int, float]:
        return (
            # Below a percent the count of leads at risk is noise.
            round(feature.at_risk or 0.0, 2),
            round(feature.impact or 0.0, 3),
            SEVERITIES.index(feature.severity),
            feature.effect,
        )

    changed = [feature for feature in report.features if feature.severity != "none"]
    return sorted(changed, key=weight, reverse=True)


def _feature(feature: FeatureReport, report: DriftReport) -> FeatureVerdict:
    strongest = feature.strongest
    if strongest is None:
        return FeatureVerdict(
            feature=feature.name,
            statistic="psi",
            value=feature.statistics.psi,
            critical_value=report.options.thresholds.moderate,
            effect=feature.effect,
            p_value=feature.statistics.chi_square_p,
            severity=feature.severity,
            impact=feature.impact,
            note=_note(feature),
        )
    return FeatureVerdict(
        feature=feature.name,
        statistic=_STATISTIC[strongest.name],
        value=strongest.value,
        critical_value=strongest.critical_value,
        effect=feature.effect,
        p_value=strongest.p_value,
        severity=feature.severity,
        impact=feature.impact,
        note=_note(feature),
    )


_STATISTIC = {
    "distribution": "divergence",
    "shift": "rank_z",
    "missing": "missing_rate",
    "unseen": "unseen_rate",
    "range": "range_rate",
}


def _note(feature: FeatureReport) -> str:
    figures = feature.statistics
    parts = [f"PSI {figures.psi:.2f}"]
    if figures.mean is not None and figures.reference_mean is not None:
        parts.append(f"mean {figures.reference_mean:.4g} → {figures.mean:.4g}")
    if max(figures.missing_rate, figures.reference_missing_rate) >= 0.001:
        parts.append(f"missing {figures.reference_missing_rate:.1%} → {figures.missing_rate:.1%}")
    if figures.unseen_rate:
        parts.append(f"unseen {figures.unseen_rate:.1%}")
    if feature.at_risk is not None:
        parts.append(f"grade changed for {feature.at_risk:.1%} of leads")
    return ", ".join(parts)


def _confidence(report: DriftReport, *, no_drift: bool) -> float:
    """Of a change: that an unchanged stream would not show it.

    Of no drift: that a moderate change would have been seen.
    """
    if report.p_value is None:
        ps = [f.statistics.chi_square_p for f in report.features]
        smallest = min(ps, default=1.0)
        # Bonferroni over the features: fixed thresholds have no joint calibration.
        return 0.0 if no_drift else max(0.0, 1.0 - min(1.0, smallest * len(ps)))
    if not no_drift:
        return 1.0 - report.p_value
    return _power(report)


def _power(report: DriftReport) -> float:
    """Chance that the least favourable feature's distribution test sees a change of moderate PSI."""
    if report.calibration is None:
        return 0.0
    chances: list[float] = []
    window, known = report.verdict.rows, report.calibration.pooled_rows
    size = report.options.thresholds.moderate * window * known / (window + known)
    for feature in report.features:
        test = _named(feature, "distribution")
        if test is None or test.critical_value is None:
            continue
        degrees = max(1, sum(1 for n in feature.reference[:-1] if n) - 1)
        critical = test.critical_value * window * known / (window + known)
        chance = float(stats.ncx2.sf(critical, degrees, size))
        chances.append(chance if math.isfinite(chance) else 0.0)
    return min(1.0, max(0.0, min(chances, default=0.0)))


def _named(feature: FeatureReport, name: str) -> TestReport | None:
    return next((test for test in feature.tests if test.name == name), None)


def _reasons(
    report: DriftReport,
    changed: list[FeatureReport],
    history: History,
    triage: Triage,
    sure: float,
) -> tuple[str, ...]:
    rule = report.options.hysteresis
    if not changed:
        again = (
            f" The alarm since {history.since:%Y-%m-%d %H:%M} stands until fewer than {rule.breaches} of "
            f"{rule.windows} windows breach."
            if history.drifted and history.since
            else ""
        )
        return (f"No feature has changed beyond what chance and the least effect allow.{again}",)
    if all(feature.kind == "score" for feature in changed):
        triage = "none"
    words = {
        "pipeline_bug": (
            f"This looks like a broken pipeline ({sure:.0%} sure): tell the data owner, do not retrain."
        ),
        "market_moved": f"The leads themselves have changed ({sure:.0%} sure): retraining can help.",
        "unclear": "Some changes look like a broken pipeline, others do not: look before retraining.",
        "none": "The scores have changed although no single feature has: look at the joint tests.",
    }
    reasons = [words[triage], *(finding.sentence for finding in report.findings[:5])]
    if report.at_risk:
        reasons.append(f"{report.at_risk:.1%} of the leads have another grade than without the change.")
    if not history.drifted:
        count = sum(report.recent[-rule.windows :])
        reasons.append(
            f"{count} of the last {rule.windows} windows breached; {rule.breaches} make an alarm."
            if report.breached
            else f"Below {report.options.breach_from}, from which a window counts."
        )
    return tuple(reasons)
