"""Drift: are the leads of today like those that the model was trained on?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Final

from dash.development.base_component import Component

from leadscore.alerts.rules import rules_or_defaults, rules_path
from leadscore.console.blocks import PageTable, badge, empty_block, section_block, table_block
from leadscore.console.charts import ChartWords, MeasuredGroup, group_chart, time_chart
from leadscore.console.page import (
    ConsolePage,
    NumberTile,
    PageContent,
    PageFilter,
    PageRequest,
    PageVerdict,
    VerdictLevel,
)
from leadscore.console.reading import SHELF, read_versions, selection_of, version_filter
from leadscore.drift.options import SCORE
from leadscore.drift.verdict import Severity
from leadscore.monitoring.measures import Measure, MeasureSeries
from leadscore.monitoring.queries.drift import (
    THRESHOLDS,
    FeatureDrift,
    read_drift_series,
    read_feature_drift,
)
from leadscore.monitoring.queries.freshness import Freshness, read_freshness
from leadscore.monitoring.queries.verdicts import DetectorVerdict, read_latest_verdicts, read_verdicts

SEVERITY_LEVELS: Final[dict[Severity, VerdictLevel]] = {
    "none": "good", "moderate": "info", "significant": "warning", "critical": "critical",
}  # fmt: skip
_SEVERITY_WORDS: Final[dict[Severity, str]] = {
    "none": "none", "moderate": "moderate", "significant": "significant",
    "critical": "critical",
}  # fmt: skip
_LINES: Final = (
    (THRESHOLDS.significant, f"warning above {THRESHOLDS.significant:g}"),
    (THRESHOLDS.critical, f"critical above {THRESHOLDS.critical:g}"),
)
# Verdicts older than that say nothing of today.
OLD_VERDICT: Final = timedelta(days=8)
_MOST_LINES: Final = 5
_MOST_BARS: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftNumbers:
    """What the page shows.

    Attributes:
        fresh: How far the counts are.
        versions: That scored in the time, the one with most leads first.
        version: That is shown; empty if none scored.
        why_no_facts: Why its artefact cannot be read; empty if it can.
        features: Against training, the largest PSI first.
        chosen: The feature whose distribution is shown.
        series: PSI over time of the worst features, or of the chosen one.
        latest: Newest verdict of each detector.
        history: Verdicts on windows of the time, newest first.
    """

    fresh: Freshness
    versions: tuple[str, ...]
    version: str
    why_no_facts: str = ""
    features: tuple[FeatureDrift, ...] = ()
    chosen: str = ""
    series: tuple[MeasureSeries, ...] = ()
    latest: tuple[DetectorVerdict, ...] = ()
    history: tuple[DetectorVerdict, ...] = ()


def build(request: PageRequest) -> PageContent:
    """Make the page."""
    return show_drift(_read(request), request)


def _read(request: PageRequest) -> DriftNumbers:
    selection = selection_of(request, version=request.filters.get("version", ""))
    # What alerts do not compare, the page does not either.
    without = rules_or_defaults(rules_path())[0].clock_parts
    with request.store.reading() as connection:
        fresh = read_freshness(connection)
        versions, version = read_versions(connection, request)
        if not version:
            return DriftNumbers(fresh=fresh, versions=(), version="")
        latest = read_latest_verdicts(connection, request.model, version)
        history = read_verdicts(connection, request.model, version, selection.time)
    # Outside the transaction: a registry may take its time.
    facts, why = SHELF.find(request.home, request.model, version)
    if facts is None:
        return DriftNumbers(
            fresh=fresh, versions=versions, version=version, why_no_facts=why, latest=latest, history=history
        )
    with request.store.reading() as connection:
        features = read_feature_drift(connection, selection, fresh, facts, without)
        asked = request.filters.get("feature", "")
        chosen = asked if any(f.name == asked for f in features) else features[0].name
        lines = (chosen,) if chosen == asked else _worst(features)
        series = read_drift_series(connection, selection, fresh, facts, lines, without)
    return DriftNumbers(
        fresh=fresh,
        versions=versions,
        version=version,
        features=features,
        chosen=chosen,
        series=series,
        latest=latest,
        history=history,
    )


def _worst(features: Sequence[FeatureDrift]) -> tuple[str, ...]:
    known = (f.name for f in features if f.psi.value is not None)
    return tuple(islice(known, _MOST_LINES))


def show_drift(numbers: DriftNumbers, request: PageRequest) -> PageContent:
    """Lay the numbers out."""
    body: list[Component] = []
    if numbers.why_no_facts:
        hint = "Drift is measured against the version's training leads, which its artefact holds."
        body.append(empty_block(numbers.why_no_facts, hint=hint))
    elif numbers.features:
        body += [*_charts(numbers), section_block("All features", [_features_table(numbers.features)])]
    body.append(section_block("What detectors said", [_verdict_table(numbers.history or numbers.latest)]))
    feature_names = sorted(feature.name for feature in numbers.features)
    return PageContent(
        verdict=drift_verdict(numbers, request),
        tiles=_tiles(numbers),
        body=body,
        filters=[
            version_filter(request, numbers.versions, every=False),
            PageFilter(
                name="feature",
                label="Feature",
                value=request.filters.get("feature", ""),
                choices=[("", "The worst ones"), *((name, name) for name in feature_names)],
            ),
        ],
        as_of=numbers.fresh.caught_up,
    )


def drift_verdict(numbers: DriftNumbers, request: PageRequest) -> PageVerdict:
    """Say what detectors found last; without one that could judge, the distances judge nothing."""
    stale = numbers.fresh.stale(request.now)
    if not numbers.version:
        return PageVerdict(
            level="unknown",
            sentence=f"Whether leads have changed is not known. {stale or 'None was scored.'}",
        )
    judged = [found.verdict for found in numbers.latest if found.verdict is not None]
    worst = max(judged, key=lambda v: (v.drifted, list(SEVERITY_LEVELS).index(v.severity)), default=None)
    if worst is not None and (worst.drifted or worst.severity in {"significant", "critical"}):
        reason = worst.reasons[0] if worst.reasons else f"severity {worst.severity}"
        since = f" since {worst.since:%Y-%m-%d}" if worst.since is not None else ""
        level: VerdictLevel = "critical" if worst.severity == "critical" else "warning"
        return PageVerdict(level=level, sentence=f"Leads have changed{since}: {reason}")
    if worst is None or all(v.unknown for v in judged) or len(judged) < len(numbers.latest):
        why = "No detector could judge." if numbers.latest else "No detector has judged this version yet."
        return PageVerdict(
            level="unknown",
            sentence=f"Whether leads have changed beyond chance is not known. {why} "
            "Run `leadscore drift check --window 1w`, or let the operator do it on a schedule.",
        )
    if stale:
        return PageVerdict(level="unknown", sentence=f"Detectors saw no change, but counts are old. {stale}")
    until = max(v.window_end for v in judged)
    if request.now - until > OLD_VERDICT:
        return PageVerdict(
            level="unknown",
            sentence="No detector has judged today's leads: the newest verdict, no change, is of leads "
            f"until {until:%Y-%m-%d %H:%M} UTC. Run `leadscore drift check --window 1w`, or schedule it.",
        )
    return PageVerdict(
        level="good",
        sentence=f"Leads are like those of training, as detectors judged until {until:%Y-%m-%d %H:%M} UTC.",
    )


def _tiles(numbers: DriftNumbers) -> list[NumberTile]:
    if not numbers.features:
        return []
    worst = numbers.features[0]
    score = next(feature for feature in numbers.features if feature.name == SCORE)
    counted = [f for f in numbers.features if f.severity is not None]
    as_of = numbers.fresh.caught_up
    changed = [f for f in counted if f.severity != "none"]
    n = max((f.psi.n for f in numbers.features), default=0)
    return [
        NumberTile(label="Leads compared", measure=Measure(value=n, n=n, as_of=as_of), unit="count"),
        NumberTile(
            label="Largest PSI",
            measure=worst.psi,
            unit="index",
            level=_level(worst),
            note=f"of {worst.name}",
        ),
        NumberTile(label="PSI of the score", measure=score.psi, unit="index", level=_level(score)),
        NumberTile(
            label="Features with a change",
            measure=Measure(value=len(changed), n=len(counted), as_of=as_of)
            if counted
            else Measure.missing("There are too few leads.", n=n, as_of=as_of),
            unit="count",
            note=f"PSI of {THRESHOLDS.moderate:g} or more{_left_out(numbers)}",
        ),
        NumberTile(
            label="PSI by chance alone",
            measure=Measure.missing("There is nothing to compare.", as_of=as_of)
            if worst.chance is None
            else Measure(value=worst.chance, n=worst.psi.n, as_of=as_of),
            unit="index",
            note=f"of {worst.name}, so few leads as there are",
        ),
    ]


def _left_out(numbers: DriftNumbers) -> str:
    clocks = [feature.name for feature in numbers.features if feature.clock]
    return f"; without {', '.join(clocks)}: when a lead came" if clocks else ""


def _level(feature: FeatureDrift) -> VerdictLevel | None:
    return None if feature.severity is None else SEVERITY_LEVELS[feature.severity]


def _charts(numbers: DriftNumbers) -> list[Component]:
    known = [feature for feature in numbers.features if feature.psi.value is not None][:_MOST_BARS]
    chosen = next(feature for feature in numbers.features if feature.name == numbers.chosen)
    return [
        group_chart(
            ChartWords(
                title="Change by feature",
                says=f"PSI of each feature against training, the largest {_MOST_BARS}. "
                f"{THRESHOLDS.moderate:g} is moderate, {THRESHOLDS.significant:g} significant, "
                f"{THRESHOLDS.critical:g} critical.",
                y_title="PSI",
                unit="index",
                name="drift-by-feature",
                empty="There are too few leads of this version in this time.",
            ),
            [MeasuredGroup(name=feature.name, measures=(feature.psi,)) for feature in known],
            ("PSI",),
            of="feature",
            thresholds=_LINES,
        ),
        time_chart(
            ChartWords(
                title="Change over time",
                says="PSI of the features that changed most, without those that say when a lead came. "
                "Gaps: too few leads to tell change from chance.",
                y_title="PSI",
                unit="index",
                name="drift-over-time",
                empty="No day of this time has enough leads to tell a change from chance.",
            ),
            numbers.series,
            of="feature",
            thresholds=_LINES,
        ),
        group_chart(
            ChartWords(
                title=f"{chosen.name}: training against now",
                says="Share of leads in each cell: grey as in training, coloured as now.",
                y_title="share of leads",
                unit="share",
                name="distribution",
                empty="No lead of this version was counted in this time.",
            ),
            _distribution(chosen),
            ("now", "in training"),
            of="value",
            reference="in training",
        ),
    ]


def _distribution(feature: FeatureDrift) -> list[MeasuredGroup]:
    window, reference = sum(feature.window), sum(feature.reference)
    if not window or not reference:
        return []
    return [
        MeasuredGroup(
            name=label, measures=(Measure(value=now / window, n=now), Measure(value=then / reference, n=then))
        )
        for label, now, then in zip(feature.labels, feature.window, feature.reference, strict=True)
        if now or then
    ]


def _features_table(features: Sequence[FeatureDrift]) -> Component:
    return table_block(
        PageTable(
            header=(
                *("feature", "kind", "change", "PSI", "PSI by chance", "KL", "KS", "χ² per degree"),
                *("leads", "why unknown"),
            ),
            rows=[
                (
                    feature.name,
                    feature.kind,
                    badge("unknown")
                    if feature.severity is None
                    else badge(SEVERITY_LEVELS[feature.severity], _SEVERITY_WORDS[feature.severity]),
                    feature.psi.value,
                    feature.chance,
                    feature.kl.value,
                    # KS needs values in an order: of categories there is none to know.
                    "–" if feature.ks.value is None and feature.psi.value is not None else feature.ks.value,
                    feature.chi_square.value,
                    feature.psi.n,
                    feature.psi.unknown,
                )
                for feature in features
            ],
            units={
                **dict.fromkeys(("PSI", "PSI by chance", "KL", "KS", "χ² per degree"), "index"),
                "leads": "count",
            },
            name="drift-features",
        ),
        caption="Every feature against training",
    )


def _verdict_table(found: Sequence[DetectorVerdict]) -> Component:
    rows = [
        (
            judged.detector,
            None if judged.verdict is None else judged.verdict.window_end,
            badge("unknown", "cannot be read")
            if judged.verdict is None
            else badge("unknown", "could not judge")
            if judged.verdict.unknown
            else badge(SEVERITY_LEVELS[judged.verdict.severity], _SEVERITY_WORDS[judged.verdict.severity]),
            "" if judged.verdict is None else "yes" if judged.verdict.drifted else "no",
            None if judged.verdict is None else judged.verdict.rows,
            "" if judged.verdict is None else " ".join(judged.verdict.reasons[:2]),
            judged.evidence_id,
        )
        for judged in found
    ]
    return table_block(
        PageTable(
            header=("detector", "window until", "change", "act", "leads", "says", "evidence"),
            rows=rows,
            units={"leads": "count"},
            name="drift-verdicts",
            empty="No detector has judged a window. Run `leadscore drift check --window 1w`, "
            "or add a DriftDetector.",
        ),
        caption="Verdicts of detectors",
    )


PAGE: Final = ConsolePage(
    path="/drift",
    title="Drift",
    group="Model",
    question="Are today's leads like those that the model was trained on?",
    build=build,
    span="7d",
)
