"""Fairness: are groups of leads called likely alike?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dash.development.base_component import Component

from leadscore.console.blocks import PageTable, empty_block, section_block, table_block
from leadscore.console.charts import ChartWords, MeasuredGroup, group_chart
from leadscore.console.page import (
    ConsolePage,
    NumberTile,
    PageContent,
    PageFilter,
    PageRequest,
    PageVerdict,
    VerdictLevel,
)
from leadscore.console.reading import (
    SHELF,
    maturity_filter,
    read_versions,
    selection_of,
    version_filter,
)
from leadscore.monitoring.queries.fairness import (
    LEAST_GROUP,
    AttributeRates,
    GroupRates,
    read_fairness,
    read_segments,
)
from leadscore.monitoring.queries.freshness import Freshness, read_freshness

# The four-fifths rule of the US Uniform Guidelines (29 CFR 1607.4 D): a custom, not a proof of fairness.
FOUR_FIFTHS: Final = 0.8
_NO_ATTRIBUTE: Final = "The model reads no attribute that the contract calls sensitive."


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessNumbers:
    """What the page shows.

    Attributes:
        fresh: How far the counts are.
        versions: That scored in the time.
        why_none: Why there is nothing to show; empty if there is.
        sensitive: Attributes that the contract calls sensitive.
        chosen: A feature that was asked for besides; None if none was.
        features: Names that can be asked for.
    """

    fresh: Freshness
    versions: tuple[str, ...]
    why_none: str = ""
    sensitive: tuple[AttributeRates, ...] = ()
    chosen: AttributeRates | None = None
    features: tuple[str, ...] = ()


def build(request: PageRequest) -> PageContent:
    """Make the page."""
    return show_fairness(_read(request), request)


def _read(request: PageRequest) -> FairnessNumbers:
    selection = selection_of(request, version=request.filters.get("version", ""))
    with request.store.reading() as connection:
        fresh = read_freshness(connection)
        versions, version = read_versions(connection, request)
    if not version:
        return FairnessNumbers(fresh=fresh, versions=(), why_none="No lead was scored in this time.")
    facts, why = SHELF.find(request.home, request.model, version)
    if facts is None:
        return FairnessNumbers(fresh=fresh, versions=versions, why_none=why)
    features = tuple(feature.name for feature in facts.contract.inputs)
    asked = request.filters.get("feature", "")
    with request.store.reading() as connection:
        return FairnessNumbers(
            fresh=fresh,
            versions=versions,
            sensitive=read_fairness(connection, selection, fresh, facts),
            chosen=read_segments(connection, selection, fresh, facts, asked) if asked in features else None,
            features=features,
        )


def show_fairness(numbers: FairnessNumbers, request: PageRequest) -> PageContent:
    """Lay the numbers out."""
    shown = [*numbers.sensitive, *([] if numbers.chosen is None else [numbers.chosen])]
    body: list[Component] = [part for rates in shown for part in _attribute(rates)]
    if not body:
        hint = (
            numbers.why_none
            or "Choose a feature above to compare its groups. Attributes that the model does not read are in "
            "no log; `leadscore train` measures them on the hold-out, and the model card shows them."
        )
        body.append(
            empty_block(_NO_ATTRIBUTE if not numbers.why_none else "There is nothing to compare.", hint=hint)
        )
    return PageContent(
        verdict=fairness_verdict(numbers, request),
        tiles=_tiles(shown),
        body=body,
        filters=[
            version_filter(request, numbers.versions, every=False),
            PageFilter(
                name="feature",
                label="Also compare by",
                value=request.filters.get("feature", ""),
                choices=[("", "Nothing else"), *((name, name) for name in numbers.features)],
            ),
            maturity_filter(request),
        ],
        as_of=numbers.fresh.caught_up,
    )


def fairness_verdict(numbers: FairnessNumbers, request: PageRequest) -> PageVerdict:
    """Say whether a group is called likely far less often than another, where the interval says so."""
    why = numbers.why_none or numbers.fresh.stale(request.now)
    if why:
        return PageVerdict(level="unknown", sentence=f"Whether groups are treated alike is not known. {why}")
    if not numbers.sensitive:
        return PageVerdict(level="info", sentence=f"{_NO_ATTRIBUTE} Its absence is no proof of fairness.")
    worst = min(
        (rates for rates in numbers.sensitive if rates.parity_ratio.value is not None),
        key=lambda rates: rates.parity_ratio.value or 0.0,
        default=None,
    )
    if worst is None:
        why = numbers.sensitive[0].parity_ratio.unknown
        return PageVerdict(level="unknown", sentence=f"Whether groups are treated alike is not known. {why}")
    groups = [group for group in worst.groups if group.selection_rate.value is not None]
    least = min(groups, key=lambda group: group.selection_rate.value or 0.0)
    most = max(groups, key=lambda group: group.selection_rate.value or 0.0)
    text = (
        f"By {worst.attribute}, leads of {least.name} are called likely "
        f"{worst.parity_ratio.value or 0.0:.2f} times as often as those of {most.name}"
    )
    return PageVerdict(level=_parity_level(worst) or "info", sentence=f"{text}{_certainty(worst)}")


def _certainty(rates: AttributeRates) -> str:
    ratio = rates.parity_ratio
    if ratio.high is not None and ratio.high < FOUR_FIFTHS:
        return f": below {FOUR_FIFTHS:g}, more than chance explains. Ask whether the difference is justified."
    if ratio.low is not None and ratio.low >= FOUR_FIFTHS:
        return f": above {FOUR_FIFTHS:g}, as sure as the interval is."
    return f"; whether that is below {FOUR_FIFTHS:g} cannot be told yet."


def _parity_level(rates: AttributeRates) -> VerdictLevel | None:
    ratio = rates.parity_ratio
    if ratio.value is None:
        return None
    if ratio.high is not None and ratio.high < FOUR_FIFTHS:
        return "warning"
    return "good" if ratio.low is not None and ratio.low >= FOUR_FIFTHS else "info"


def _tiles(shown: Sequence[AttributeRates]) -> list[NumberTile]:
    found: list[NumberTile] = []
    for rates in shown[:3]:
        found += [
            NumberTile(
                label=f"Selection ratio by {rates.attribute}",
                measure=rates.parity_ratio,
                unit="index",
                level=_parity_level(rates),
                note="smallest by largest; 1 is alike",
            ),
            NumberTile(
                label=f"Odds difference by {rates.attribute}",
                measure=rates.odds_difference,
                unit="index",
                note="0 is alike",
            ),
        ]
    return found


def _attribute(rates: AttributeRates) -> list[Component]:
    return [
        group_chart(
            ChartWords(
                title=f"Called likely, by {rates.attribute}",
                says="Share of each group's leads that the model called likely. Groups of fewer than "
                f"{LEAST_GROUP} leads are in the table only.",
                y_title="share called likely",
                unit="share",
                name="selection",
                empty="No lead of this version was counted in this time.",
            ),
            [MeasuredGroup(name=group.name, measures=(group.selection_rate,)) for group in rates.groups],
            ("called likely",),
            of=rates.attribute,
        ),
        section_block(f"Groups of {rates.attribute}", [_groups_table(rates.attribute, rates.groups)]),
    ]


def _groups_table(attribute: str, groups: Sequence[GroupRates]) -> Component:
    return table_block(
        PageTable(
            header=(
                *(attribute, "leads", "called likely", "low", "high"),
                *("true positive rate", "TPR low", "TPR high"),
                *("false positive rate", "FPR low", "FPR high", "became customers", "why unknown"),
            ),
            rows=[
                (
                    *(g.name, g.leads, g.selection_rate.value, g.selection_rate.low, g.selection_rate.high),
                    *(g.true_positive_rate.value, g.true_positive_rate.low, g.true_positive_rate.high),
                    *(g.false_positive_rate.value, g.false_positive_rate.low, g.false_positive_rate.high),
                    *(g.conversion.value, g.selection_rate.unknown or g.true_positive_rate.unknown),
                )
                for g in groups
            ],
            units={
                "leads": "count",
                **dict.fromkeys(
                    (
                        *("called likely", "low", "high", "true positive rate", "TPR low", "TPR high"),
                        *("false positive rate", "FPR low", "FPR high", "became customers"),
                    ),
                    "share",
                ),
            },
            name=f"groups-{attribute}",
        ),
        caption=f"Rates by {attribute}",
    )


PAGE: Final = ConsolePage(
    path="/fairness",
    title="Fairness",
    group="Compliance",
    question="Are groups of leads called likely alike?",
    build=build,
    span="90d",
)
