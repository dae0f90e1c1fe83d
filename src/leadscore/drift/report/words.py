"""The words and figures that every form of the report shares."""

from __future__ import annotations

from leadscore.drift.report.document import DriftReport, FeatureReport
from leadscore.drift.verdict import DriftVerdict

COLUMNS = (
    "feature",
    "severity",
    "PSI",
    "strongest test",
    "its size",
    "its p",
    "missing",
    "mean",
    "impact",
    "grades changed",
)


# What each test is of, and the unit of its value.
TESTS = {
    "distribution": ("distribution", "divergence"),
    "shift": ("shift", "|z| of ranks"),
    "missing": ("missing", "rate"),
    "unseen": ("unlisted", "rate"),
    "range": ("out of range", "rate"),
}


def headline(report: DriftReport) -> str:
    """One sentence: the verdict."""
    verdict = report.verdict
    if verdict.unknown:
        stands = "ALARM of earlier windows stands: " if verdict.drifted else ""
        return f"{stands}not judged{', the feed is silent' if verdict.state == 'silent' else ''}"
    state = "ALARM" if verdict.drifted else ("breach, no alarm yet" if report.breached else "no alarm")
    percent = "> 99.9%" if verdict.confidence > 0.999 else f"{verdict.confidence:.1%}"
    found = "no" if verdict.severity == "none" else verdict.severity
    part = "" if verdict.state == "judged" else " in what could be judged"
    return f"{state}: {found} drift{part}, {percent} sure"


def severity_of(verdict: DriftVerdict) -> str:
    """The severity for people: `unknown` where nothing could be judged."""
    return "unknown" if verdict.unknown else verdict.severity


def span(report: DriftReport) -> str:
    """Model, window and size."""
    verdict = report.verdict
    return (
        f"{verdict.model_name}/{verdict.model_version}, {verdict.rows:,} leads from "
        f"{verdict.window_start:%Y-%m-%d %H:%M} to {verdict.window_end:%Y-%m-%d %H:%M} UTC"
    )


def calibration(report: DriftReport) -> str:
    """Explain the sizes, and where the critical values come from."""
    found = report.calibration
    if found is None:
        thresholds = report.options.thresholds
        return (
            "The size of a change is its PSI, noise included. "
            f"Fixed thresholds: PSI {thresholds.moderate:g} moderate, {thresholds.significant:g} "
            f"significant, {thresholds.critical:g} critical, KL {thresholds.kl:g}, and p < "
            f"{thresholds.p:g}. They say nothing about how often windows without drift cross them."
        )
    rule = report.options.hysteresis
    needed = "" if rule.windows == 1 else f" ({rule.breaches} of {rule.windows} windows make an alarm)"
    shares = (
        ""
        if report.options.alarming_methods == 1
        else f" (1/{report.options.alarming_methods} of the budget is theirs)"
    )
    return (
        "The size of a change is the PSI of what its test compares (all bins, or a rate), less what noise "
        f"alone gives. One false alarm in {found.run_length:,.0f} windows{shares}{needed} leaves each "
        f"window a chance of {found.breach_expected:.2g}; shared by {found.tests} tests against "
        f"{found.pooled_rows:,} leads, each breaches at p ≤ {found.level:.2g} and a size of at least "
        f"{report.options.min_effect:g}."
    )


def row(feature: FeatureReport) -> tuple[str, ...]:
    """A feature's figures in the order of `COLUMNS`."""
    figures, test = feature.statistics, feature.strongest
    return (
        feature.name,
        feature.severity if feature.judged else "not judged",
        f"{figures.psi:.3f}",
        "PSI" if test is None else TESTS[test.name][0],
        f"{feature.effect:.3f}",
        p_words(figures.chi_square_p if test is None else test.p_value),
        change(figures.reference_missing_rate, figures.missing_rate, "{:.1%}"),
        means(feature),
        "–" if feature.impact is None else f"{feature.impact:.1%}",
        "–" if feature.at_risk is None else f"{feature.at_risk:.1%}",
    )


def p_words(p: float) -> str:
    """A p-value at the precision that it has."""
    return "< 1e-9" if p < 1e-9 else f"{p:.2g}"


def change(before: float | None, after: float | None, form: str) -> str:
    """`before → after`, or one of them if they read the same."""
    if before is None or after is None:
        return "–"
    left, right = form.format(before), form.format(after)
    return right if left == right else f"{left} → {right}"


def means(feature: FeatureReport) -> str:
    """Mean before and now."""
    values = (feature.statistics.reference_mean, feature.statistics.mean)
    form = "{:,.0f}" if max(abs(v or 0.0) for v in values) >= 10_000 else "{:.4g}"
    return change(*values, form)


def ordered(report: DriftReport) -> list[FeatureReport]:
    """Features with the verdict's order first, then by effect."""
    rank = {feature.feature: i for i, feature in enumerate(report.verdict.worst)}
    return sorted(report.features, key=lambda f: (rank.get(f.name, len(rank)), -f.effect))
