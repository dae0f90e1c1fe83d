"""Check each feature of a window: from window, reference and memory to a report and the next memory. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

import msgspec

from leadscore.drift.check import triage as kinds
from leadscore.drift.check.impact import Grading, leads_at_risk, shapley_impact
from leadscore.drift.check.summary import NOTHING_TO_GO_BY, SILENT, no_verdict, verdict_of
from leadscore.drift.options import SCORE, DriftOptions
from leadscore.drift.report.document import CalibrationReport, DriftReport, FeatureReport, TestReport
from leadscore.drift.univariate.compare import measure, name_of
from leadscore.drift.univariate.comparison_baseline import (
    Calibrated,
    ComparisonBaseline,
    calibrate,
    comparison_baseline,
)
from leadscore.drift.univariate.feature_statistics import Statistics
from leadscore.drift.univariate.seasonal import stratum_of
from leadscore.drift.verdict import DriftVerdict, Severity, VerdictState, at_least, worst_severity
from leadscore.drift.windows.counts import FeatureCounts
from leadscore.drift.windows.history import ALL, History, Judged, advance, check_order, learn
from leadscore.drift.windows.inputs import LeadWindow, Reference, cell_labels
from leadscore.scoring.profile import FeatureProfile


def check(
    reference: Reference,
    window: LeadWindow,
    options: DriftOptions,
    history: History | None = None,
    *,
    every: timedelta | None = None,
    grade: Grading | None = None,
    ignored: Collection[str] = (),
) -> tuple[DriftReport, History]:
    """Judge one window.

    Args:
        reference: What the model was trained on.
        window: What was scored.
        options: How to judge.
        history: The memory from the window before; None begins one.
        every: Time from one judged window to the next; the window's own length if None.
        grade: Encoded leads to grade codes: with it, leads at risk are counted.
        ignored: Features whose change is measured and counts for nothing.

    Returns:
        The report, and the memory for the next window. A window with too few leads leaves the memory as it
        is.

    Raises:
        ConflictError: The window lies before the last judged one, or the memory belongs to another model.
        BadInputError: The budget cannot be kept with so few windows.
    """
    history = history or History(model=reference.model)
    check_order(history, reference.model, window.start)
    if window.counts.rows < options.min_rows:
        return _not_judged(reference, window, options, history), history
    baseline = comparison_baseline(reference, options, history, window, ignored=ignored)
    calibrated = None
    if options.mode == "budget":
        calibrated = calibrate(reference, window, options, baseline, every=every)
    features = _features(reference, window, options, baseline, calibrated)
    worst = worst_severity(feature.severity for feature in features)
    breached = at_least(worst, options.breach_from)
    following = advance(
        history,
        reference.profile,
        options,
        window.counts,
        stratum=baseline.stratum,
        judged=Judged(window.start, breached),
        end=window.end,
    )
    features, at_risk = _weigh(reference, window, features, grade)
    suspects = [
        (i, f) for i, f in enumerate(features[: len(reference.profile.features)]) if f.severity != "none"
    ]
    kind, sure, findings = kinds.triage(reference, window, suspects)
    if kind == "none" and worst != "none":
        # The score alone has moved: features in combination, or each by less than could be seen.
        kind = "unclear"
    report = DriftReport(
        verdict=no_verdict(reference, window, ""),
        features=features,
        options=options,
        breached=breached,
        recent=tuple(judged.breached for judged in following.recent),
        p_value=None if calibrated is None else calibrated.p_value,
        calibration=None if calibrated is None else _calibration(reference, history, calibrated),
        findings=findings,
        at_risk=at_risk,
        notes=_notes(reference, options, baseline, ignored),
    )
    if any(feature.judged for feature in features):
        verdict = verdict_of(report, following, triage=kind, triage_confidence=sure)
    else:
        verdict = _without_judgement(reference, window, history, NOTHING_TO_GO_BY, "not_judged")
    return msgspec.structs.replace(report, verdict=verdict), following


def warm_up(reference: Reference, window: LeadWindow, options: DriftOptions, history: History) -> History:
    """Learn, without judging, from a window known to be without drift (such as the weeks after training).

    Raises:
        ConflictError: As `check`.
    """
    check_order(history, reference.model, window.start)
    stratum = stratum_of(window.start, window.end, options)
    pools = learn(history.pools, reference.profile, options, window.counts, stratum)
    return msgspec.structs.replace(history, pools=pools, end=window.end)


def _features(
    reference: Reference,
    window: LeadWindow,
    options: DriftOptions,
    baseline: ComparisonBaseline,
    calibrated: Calibrated | None,
) -> tuple[FeatureReport, ...]:
    profile = reference.profile
    pairs = list(zip(profile.features, baseline.base, window.counts.features, strict=True))
    if window.counts.scores:
        pairs.append(_score_as_feature(reference, baseline.base_scores, window.counts.scores))
    reports: list[FeatureReport] = []
    for i, (feature, before, after) in enumerate(pairs):
        name = name_of(profile, i)
        figures = measure(feature, before, after)
        judged = name not in baseline.untested
        tests = _test_reports(i, calibrated, options)
        breaching = [t.effect for t in tests if t.breached]
        effect = max(breaching or [t.effect for t in tests] or [figures.psi])
        if calibrated is None:
            severity = _line_severity(figures, options) if judged else "none"
            effect = figures.psi
        else:
            severity = _budget_severity(effect, options) if breaching else "none"
        reports.append(
            FeatureReport(
                name=name,
                kind="score" if i == len(profile.features) else feature.kind,
                severity=severity,
                effect=effect,
                statistics=figures,
                tests=tests,
                seasonal=judged and name in baseline.follows,
                judged=judged,
                labels=cell_labels(reference, i),
                reference=before.cells(feature.kind),
                window=after.cells(feature.kind),
            )
        )
    return tuple(reports)


def _test_reports(
    feature: int, calibrated: Calibrated | None, options: DriftOptions
) -> tuple[TestReport, ...]:
    if calibrated is None:
        return ()
    level = calibrated.critical_values.level
    return tuple(
        TestReport(
            name=test.name,
            value=test.value,
            critical_value=test.critical_value(level),
            p_value=test.p_value,
            effect=test.effect,
            breached=test.p_value <= level and test.effect >= options.min_effect,
        )
        for test in calibrated.tests
        if test.feature == feature
    )


def _line_severity(figures: Statistics, options: DriftOptions) -> Severity:
    """Return the severity by the fixed thresholds; `none` unless p is significant."""
    thresholds = options.thresholds
    if figures.chi_square_p >= thresholds.p:
        return "none"
    severity = thresholds.severity(figures.psi)
    return "moderate" if severity == "none" and figures.kl >= thresholds.kl else severity


def _budget_severity(effect: float, options: DriftOptions) -> Severity:
    """Return the severity of a significant change: at least moderate."""
    severity = options.thresholds.severity(effect)
    return "moderate" if severity == "none" else severity


def _score_as_feature(
    reference: Reference, before: tuple[int, ...], after: tuple[int, ...]
) -> tuple[FeatureProfile, FeatureCounts, FeatureCounts]:
    """The probability in the form of a feature; its bins are known, its means are not."""
    profile = reference.profile
    bins = len(profile.score_counts)
    described = FeatureProfile(
        name=SCORE,
        kind="numeric",
        edges=profile.score_edges,
        counts=profile.score_counts,
        missing=0,
        bin_means=(0.0,) * bins,
        bin_stds=(0.0,) * bins,
    )
    return described, FeatureCounts(counts=before, missing=0), FeatureCounts(counts=after, missing=0)


def _weigh(
    reference: Reference, window: LeadWindow, features: tuple[FeatureReport, ...], grade: Grading | None
) -> tuple[tuple[FeatureReport, ...], float | None]:
    """Impact of every feature and, where rows and grades are known, leads at risk of those that breached."""
    impacts: Sequence[float | None] = shapley_impact(reference, window) or [None] * len(features)
    changed = [i for i, f in enumerate(features) if f.severity != "none" and f.kind != "score"]
    together: float | None = None
    risks: dict[int, float] = {}
    if grade is not None and window.rows is not None and reference.sample is not None:
        together, alone = leads_at_risk(reference, window.rows, changed, grade)
        risks = dict(zip(changed, alone, strict=True))
    weighed = tuple(
        msgspec.structs.replace(f, impact=None if f.kind == "score" else impacts[i], at_risk=risks.get(i))
        for i, f in enumerate(features)
    )
    return weighed, together


def _calibration(reference: Reference, history: History, calibrated: Calibrated) -> CalibrationReport:
    learned = history.pool(reference.profile, ALL).rows
    return CalibrationReport(
        run_length=calibrated.run_length,
        tests=len(calibrated.tests),
        reference_rows=reference.profile.rows,
        pooled_rows=reference.profile.rows + learned,
        breach_asked=calibrated.critical_values.asked,
        breach_expected=calibrated.critical_values.expected,
        level=calibrated.critical_values.level,
        overlap=calibrated.critical_values.overlap,
    )


def _notes(
    reference: Reference, options: DriftOptions, baseline: ComparisonBaseline, ignored: Collection[str]
) -> tuple[str, ...]:
    notes: list[str] = []
    unknown = baseline.seasonal.rows == 0
    if clock := sorted(baseline.untested.difference(ignored, baseline.follows)):
        notes.append(
            f"{', '.join(clock)} say when a lead came: a window shorter than their cycle differs from "
            "training without any change, and is not judged by them."
        )
    if reference.sample is None and options.mode == "budget":
        notes.append(
            "No reference sample: features count as independent, so critical values are a little strict."
        )
    if baseline.follows and unknown:
        listed = ", ".join(sorted(baseline.follows))
        notes.append(
            f"No window without drift of {baseline.stratum} is known yet: {listed} could not be judged."
        )
    if baseline.stratum != ALL and unknown and options.seasonal_features is None:
        others = "what else" if baseline.follows else "what"
        notes.append(
            f"No window without drift of {baseline.stratum} is known yet: {others} follows the week "
            "looks like drift. Let the detector learn some weeks without drift (--warm-up 4w), or judge "
            "whole weeks."
        )
    return tuple(notes)


def _not_judged(
    reference: Reference, window: LeadWindow, options: DriftOptions, history: History
) -> DriftReport:
    rows = window.counts.rows
    reason = f"Not judged: only {rows} leads in the window; {options.min_rows} are needed to judge it."
    if not rows:
        reason = SILENT
    return DriftReport(
        verdict=_without_judgement(reference, window, history, reason, "not_judged" if rows else "silent"),
        features=(),
        options=options,
        breached=False,
        recent=tuple(judged.breached for judged in history.recent),
        notes=(reason,),
    )


def _without_judgement(
    reference: Reference, window: LeadWindow, history: History, reason: str, state: VerdictState
) -> DriftVerdict:
    """An alarm of earlier windows stands until one is judged."""
    empty = no_verdict(reference, window, reason, state)
    return msgspec.structs.replace(empty, drifted=history.drifted, since=history.since)
