"""One segment of the leads: what is counted of it, and whether it changed while the rest did not. Pure."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np

from leadscore.investigation.comparison import SURE, share_score
from leadscore.investigation.document import Cause
from leadscore.investigation.feed import Findings
from leadscore.investigation.observed import CellsByFeature, LeadSample, Observed, SpanObservation
from leadscore.investigation.request import LeadSegment
from leadscore.monitoring.queries.counts import CellCounts, PredictionCounts
from leadscore.scoring.probability_bins import PROBABILITY_EDGES
from leadscore.scoring.profile import ReferenceProfile, comparable_cells, feature_cells

# Who names a segment asks one question of it, so its interval is one of 99 %: no dozens of numbers are tried.
_ONE_QUESTION: Final = 2.576
_SURE_STRENGTH: Final = 0.4


def count_sample(profile: ReferenceProfile, rows: np.ndarray) -> CellsByFeature:
    """Count encoded leads, float32 (n, inputs), by the cells of a profile."""
    counted: dict[str, tuple[int, ...]] = {}
    for column, feature in enumerate(profile.features):
        cells = feature_cells(feature, np.array(feature.edges), rows[:, column])
        sizes = np.bincount(cells, minlength=len(feature.counts) + 1).tolist()
        counted[feature.name] = comparable_cells(feature.kind, sizes[:-1], sizes[-1])
    return counted


def only_segment(
    span: SpanObservation, sample: LeadSample, profile: ReferenceProfile, segment: LeadSegment
) -> SpanObservation:
    """Replace what roll-ups cannot count of a segment by counts of a sample of its leads."""
    places = np.searchsorted(np.array(PROBABILITY_EDGES), sample.probabilities, side="left")
    old_enough = ~np.isnan(sample.told)
    mature = {
        int(place): PredictionCounts(
            predictions=int(chosen.sum()),
            labelled=int((chosen & ~np.isnan(sample.converted)).sum()),
            converted=int((chosen & (sample.converted == 1.0)).sum()),
        )
        for place in np.unique(places[old_enough])
        for chosen in [old_enough & (places == place)]
    }
    return replace(
        span,
        sample=sample,
        mature=mature or None,
        shadows={},
        cells=count_sample(profile, sample.rows) if len(sample) else {},
        uncounted="" if len(sample) else f"No lead with {segment} was scored in one of the two spans.",
    )


def find_segment_change(seen: Observed, found: Findings) -> None:
    """Whether the segment's leads convert otherwise, and whether the other leads do."""
    segment, before, now = seen.request.segment, seen.before.segment, seen.now.segment
    if segment is None:
        return
    said = (
        f"Leads with {segment}: {_rate(now)} converted now, {_rate(before)} before; of all other leads"
        f" {_rate(seen.now.others)} now, {_rate(seen.before.others)} before."
    )
    if before is None or now is None:
        found.add(said)
        return
    score = _score(before, now)
    if abs(score) < _ONE_QUESTION:
        found.add(said)
        return
    rest = 0.0
    if seen.before.others is not None and seen.now.others is not None:
        rest = _score(seen.before.others, seen.now.others)
        if not (seen.before.others.labelled and seen.now.others.labelled):
            said += " Whether other leads changed, too, is not known."
        elif abs(rest) < _ONE_QUESTION:
            said += " The change is limited to this segment: chance explains that of the others."
        else:
            said += " The others have changed, too."
    size = abs(math.log(_share(now) / _share(before)))
    strength = max(_SURE_STRENGTH, min(1.0, size)) if abs(score) >= SURE else 0.75 * _SURE_STRENGTH
    found.add(said, _cause(before, now), strength)


def _score(before: CellCounts, now: CellCounts) -> float:
    """Standard score of the change, of leads with an outcome and of all: the smaller one if both agree.

    Losses that are told late raise the first of these rates now, conversions that are told late lower the
    second: a change that both show is none of what is known later.
    """
    scores = (
        share_score(now.converted, now.labelled, before.converted, before.labelled),
        share_score(now.converted, now.predictions, before.converted, before.predictions),
    )
    return min(scores, key=abs) if scores[0] * scores[1] > 0 else 0.0


def _cause(before: CellCounts, now: CellCounts) -> Cause:
    """Whether other leads were promised less, or leads of the same promise convert otherwise."""
    promised = [max(c.sum_probability, 1e-9) / c.predictions for c in (before, now)]
    mix = math.log(promised[1] / promised[0])
    relation = math.log(_share(now) / _share(before)) - mix
    return "data_drift" if abs(mix) > abs(relation) else "concept_drift"


def _share(counts: CellCounts) -> float:
    # Half a conversion keeps a segment without one finite.
    return max(counts.converted, 0.5) / counts.labelled


def _rate(counts: CellCounts | None) -> str:
    if counts is None or not counts.labelled:
        return "unknown"
    return f"{counts.converted / counts.labelled:.1%} of {counts.labelled:,}"
