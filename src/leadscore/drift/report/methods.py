"""Outcomes, the estimate without outcomes, and the joint tests, as rows and sentences for every report."""

from __future__ import annotations

from leadscore.drift.performance.verdict import loss_or_gain
from leadscore.drift.report.document import DriftReport
from leadscore.drift.report.words import p_words
from leadscore.intervals import Estimate

OUTCOME_COLUMNS = ("figure", "severity", "now", "interval", "should be")
JOINT_COLUMNS = ("method", "severity", "about", "statistic", "value", "p", "breaches from p", "as PSI")


def outcome_rows(report: DriftReport) -> list[tuple[str, ...]]:
    """Figures in the order of `OUTCOME_COLUMNS`; none if outcomes and estimate were not asked."""
    rows: list[tuple[str, ...]] = []
    found = report.performance
    if found is not None:
        verdict, figures = found.verdict, found.figures
        holdout = f"{found.baseline.value:.3f} ({_span(found.baseline, '.3f')}) on the hold-out"
        if verdict.drop is not None:
            rank = verdict.ranking if found.certain or verdict.ranking == "none" else "may be chance"
            what, size = loss_or_gain(verdict.drop)
            limit = f"a loss of at most {report.options.performance.max_drop:.0%}"
            rows.append((f"{what} of AUC", rank, f"{size.value:.1%}", _span(size, "+.1%"), limit))
        if figures is not None:
            ratio = figures.observed_expected
            rows += [
                _row("AUC", figures.auc, ".3f", holdout),
                _row("conversions per one predicted", ratio, ".2f", "1", verdict.calibration),
                _row("calibration intercept", figures.intercept, "+.2f", "0"),
                _row("calibration slope", figures.slope, ".2f", "1"),
                _row("expected calibration error", figures.ece, ".3f", "0"),
                _row("Brier score", figures.brier, ".3f", "–"),
            ]
    if report.expected is not None:
        expected = report.expected
        rows += [
            _row("AUC expected without outcomes", expected.auc, ".3f", "–"),
            _row("conversion rate expected", expected.conversion_rate, ".1%", "–"),
        ]
    return rows


def outcomes_caption(report: DriftReport) -> str:
    """Which leads the figures are about, and how complete their outcomes are."""
    found, parts = report.performance, list[str]()
    if found is not None:
        labels = found.labels
        share = "none is old enough" if labels.share is None else f"{labels.share:.0%} have an outcome"
        judged = "" if found.verdict.judged else ", too few or too incomplete to judge"
        parts.append(
            f"Outcomes of the {labels.mature:,} leads scored from {found.start:%Y-%m-%d %H:%M} to "
            f"{found.end:%Y-%m-%d %H:%M} UTC: {share}{judged}. A loss counts if it is beyond chance at "
            f"p ≤ {found.level / 2:.2g}."
        )
    if report.expected is not None:
        parts.append(
            f"Expected figures: of this window's {report.expected.rows:,} leads, from their probabilities "
            "alone, if those are still calibrated. They see changed leads, never a changed relation of "
            "leads to outcomes, and raise no alarm."
        )
    return " ".join(parts)


def joint_rows(report: DriftReport) -> list[tuple[str, ...]]:
    """Joint tests in the order of `JOINT_COLUMNS`."""
    return [
        (
            m.method,
            m.severity,
            "all features" if m.feature == "joint" else m.feature,
            m.statistic.replace("_", " "),
            f"{m.value:.4g}",
            p_words(m.p_value),
            f"{m.level:.2g}",
            "–" if m.effect is None else f"{m.effect:.3f}",
        )
        for m in report.methods
    ]


def auc_lines(report: DriftReport) -> list[tuple[str, Estimate]]:
    """AUCs with their intervals, for the plot."""
    lines: list[tuple[str, Estimate]] = []
    found = report.performance
    if found is not None:
        lines.append(("hold-out", found.baseline))
        if found.figures is not None and found.figures.auc is not None:
            lines.append(("outcomes", found.figures.auc))
    if report.expected is not None:
        lines.append(("expected", report.expected.auc))
    return lines


def _row(name: str, estimate: Estimate | None, form: str, wanted: str, severity: str = "") -> tuple[str, ...]:
    if estimate is None:
        return (name, severity, "–", "–", wanted)
    return (name, severity, format(estimate.value, form), _span(estimate, form), wanted)


def _span(estimate: Estimate, form: str) -> str:
    return f"{estimate.low:{form}} to {estimate.high:{form}}"
