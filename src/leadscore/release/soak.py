"""Judge the soak at 100 %: whether business has got worse since the candidate took over. Pure.

There is no second arm any more, so the candidate's leads are compared with those of the version before, in
the weeks before the release, each after the same exposure. That is not a randomised comparison: days differ.
Therefore a fall must be larger than `margin` as well as supported, and the sequence for the candidate holds
at all evaluations at once, so hourly reports do not add up to a false alarm. Two days bring few outcomes;
until they come, one figure without labels stands in: the share of leads that get grade A. If it falls beyond
`proxy_margin` of what the version before gave, sales has nothing to work on, whatever the outcomes will be.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
import numpy as np
from scipy import stats

from leadscore.release.cohorts import Cohort
from leadscore.release.states import ReleaseReport
from leadscore.sequences import Floats, asymptotic_sequence, betting_sequence

# Figures that are tested; each has an equal part of alpha.
_FIGURES = 3


class SoakPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Chosen before the soak.

    Attributes:
        alpha: Probability that an unchanged business is ever called fallen beyond the margin.
        margin: Relative fall of conversion or revenue per lead that is tolerated.
        proxy_margin: Relative fall of the share of grade A that is tolerated.
        horizon: Candidate's leads at which the revenue sequence is to be tightest.
        burn_in: Paying leads of the candidate (and of the baseline) before which revenue says nothing.
    """

    alpha: float = 0.01
    margin: float = 0.10
    proxy_margin: float = 0.50
    horizon: float = 5_000.0
    burn_in: int = 20


class SoakMetric(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of the soak.

    Attributes:
        name: Which.
        before: The version before, over its baseline.
        before_low: Lower end of the interval of that.
        now: The candidate's; None: too little seen.
        low: Lower end of the candidate's confidence sequence.
        high: Upper end.
        margin: Relative fall that is tolerated.
        fallen: Whether a fall beyond the margin is supported.
    """

    name: str
    before: float
    before_low: float
    now: float | None
    low: float | None
    high: float | None
    margin: float
    fallen: bool


class KpiReport(ReleaseReport, frozen=True, kw_only=True):
    """A report of the soak; `passed` means that there is no supported fall.

    Attributes:
        judged: Whether a fall could have been seen at all: with so many leads, a candidate with which nobody
            converts would have been found. Without it, `passed` says nothing for the candidate.
        previous: The version before.
        since: When the candidate had all traffic.
        exposure_hours: How long each lead was given.
        leads: Candidate's mature leads.
        immature: Candidate's leads whose exposure is not over.
        baseline_leads: Mature leads of the version before.
        figures: Conversion, revenue per lead, share of grade A.
        plan: As chosen.
        currency: Of revenue, by ISO 4217; empty if the contract names none.
    """

    judged: bool
    previous: int
    since: datetime
    exposure_hours: float
    leads: int
    immature: int
    baseline_leads: int
    figures: tuple[SoakMetric, ...]
    plan: SoakPlan
    currency: str = ""


class SoakRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a report is about: see the fields of `KpiReport`."""

    release: str = ""
    number: int = 1
    model: str
    version: int
    digest: str
    previous: int
    since: datetime
    until: datetime
    exposure_hours: float
    currency: str = ""


def evaluate_soak(
    before: Cohort, now: Cohort, proxies: tuple[Floats, Floats], plan: SoakPlan, about: SoakRequest
) -> KpiReport:
    """Compare the candidate's leads with those of the version before.

    Args:
        before: Mature leads of the version before.
        now: Mature leads of the candidate, since it had all traffic.
        proxies: 1.0 per lead with grade A, of both, mature or not: grades need no outcome.
        plan: As chosen before.
        about: What the report is about.
    """
    alpha = plan.alpha / _FIGURES
    figures = (
        _share("conversion", before.converted, now.converted, plan.margin, alpha),
        _revenue(before.value, now.value, plan, alpha),
        _share("share of grade A", *proxies, plan.proxy_margin, alpha),
    )
    fallen = [figure for figure in figures if figure.fallen]
    judged = _would_see_a_loss(len(now.at), figures[0], alpha)
    seen = f"{len(now.at):,} leads with {about.exposure_hours:g} h of exposure, {now.immature:,} younger"
    if fallen:
        summary = "; ".join(_says(figure, about) for figure in fallen) + f" ({seen})."
    else:
        verdict = "No supported fall" if judged else "Too little seen to find any fall"
        summary = f"{verdict}: {seen}; " + "; ".join(_says(figure, about) for figure in figures) + "."
    return KpiReport(
        **{name: getattr(about, name) for name in SoakRequest.__struct_fields__},
        passed=not fallen,
        judged=judged or bool(fallen),
        summary=summary,
        leads=len(now.at),
        immature=now.immature,
        baseline_leads=len(before.at),
        figures=figures,
        plan=plan,
    )


def _share(name: str, before: Floats, now: Floats, margin: float, alpha: float) -> SoakMetric:
    """A share of leads: exact binomial interval before (evaluated once), betting sequence now."""
    base, floor = _mean(before), 0.0
    if len(before):
        hits = round(float(before.sum()))
        # Half of alpha for each side of the comparison.
        floor = float(stats.beta.ppf(alpha / 2, hits, len(before) - hits + 1)) if hits else 0.0
    if not len(now):
        return SoakMetric(
            name=name,
            before=base,
            before_low=floor,
            now=None,
            low=None,
            high=None,
            margin=margin,
            fallen=False,
        )
    sequence = betting_sequence(now, alpha)
    high = float(sequence.high[-1])
    return SoakMetric(
        name=name,
        before=base,
        before_low=floor,
        now=_mean(now),
        low=float(sequence.low[-1]),
        high=high,
        margin=margin,
        fallen=high < (1 - margin) * floor,
    )


def _would_see_a_loss(leads: int, conversion: SoakMetric, alpha: float) -> bool:
    """Whether no conversion at all among so many leads would have been called a fall."""
    if not leads:
        return False
    worst = betting_sequence(np.zeros(leads), alpha)
    return float(worst.high[-1]) < (1 - conversion.margin) * conversion.before_low


def _revenue(before: Floats, now: Floats, plan: SoakPlan, alpha: float) -> SoakMetric:
    name, base = "revenue per lead", _mean(before)
    enough = (before > 0).sum() >= plan.burn_in and (now > 0).sum() >= plan.burn_in
    if not enough:
        return SoakMetric(
            name=name,
            before=base,
            before_low=0.0,
            now=None,
            low=None,
            high=None,
            margin=plan.margin,
            fallen=False,
        )
    spread = float(stats.norm.isf(alpha / 2)) * float(before.std(ddof=1)) / float(np.sqrt(len(before)))
    # The baseline has seen more of the rare large deals: the candidate's spread counts as at least that.
    least = np.full(len(now), float(before.std()))
    _, low, high = asymptotic_sequence(now, alpha / 2, horizon=plan.horizon, least_spread=least)
    after = np.cumsum(now > 0) >= plan.burn_in
    top = float(high[after].min())
    floor = max(0.0, base - spread)
    return SoakMetric(
        name=name,
        before=base,
        before_low=floor,
        now=_mean(now),
        low=float(low[after].max()),
        high=top,
        margin=plan.margin,
        fallen=top < (1 - plan.margin) * floor,
    )


def _says(figure: SoakMetric, about: SoakRequest) -> str:
    ref = f"{about.model}/{about.previous}"
    if figure.now is None or figure.high is None:
        return f"{figure.name}: too little seen"
    number = "{:.1f}" if figure.name == "revenue per lead" else "{:.2%}"
    now, high, before = (number.format(v) for v in (figure.now, figure.high, figure.before))
    if figure.fallen:
        return f"{figure.name} fell from {before} with {ref} to {now} (at most {high})"
    return f"{figure.name} {now}, before {before}"


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else 0.0
