"""What an investigation looks at: everything that was read, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np
import numpy.typing as npt

from leadscore.arrays import Matrix
from leadscore.investigation.request import InvestigationRequest
from leadscore.monitoring.model_facts import ModelFacts
from leadscore.monitoring.queries.counts import CellCounts, PredictionCounts

CellsByFeature = Mapping[str, tuple[int, ...]]
"""Leads per cell of each feature, in the order of `comparable_cells`."""


@dataclass(frozen=True, slots=True)
class RecordedChange:
    """Something that somebody or something did: a release, a promotion, a drift verdict, an alert.

    Attributes:
        at: When, UTC.
        what: In words.
        evidence: Id of its record.
        changes_model: Whether another version answers callers since.
    """

    at: datetime
    what: str
    evidence: str
    changes_model: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class LeadSample:
    """Some stored predictions of one version, spread over a span.

    Attributes:
        rows: Encoded leads, float32 (n, inputs).
        probabilities: As answered (n,).
        converted: 1 and 0, NaN where no outcome is known (n,).
        told: Whether an outcome was told within the maturity: 1 and 0, NaN for leads that are younger, and
            for those that were scored again before (n,).
        won: Whether that outcome was a conversion: 1 and 0, NaN likewise (n,). Of all leads alike, whether
            losses are told late or never.
        warned: Leads by warning, `field:reason`.
        repeated: Leads that were scored more than once within a few minutes.
    """

    rows: Matrix
    probabilities: npt.NDArray[np.float64]
    converted: npt.NDArray[np.float64]
    told: npt.NDArray[np.float64]
    won: npt.NDArray[np.float64]
    warned: Mapping[str, int]
    repeated: int

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True, eq=False)
class SpanObservation:
    """One of the two spans.

    Attributes:
        version: The version that answered most callers; empty if nobody was answered.
        by_version: All predictions that callers were answered with, by version.
        hours: Predictions by the hour's first moment.
        bins: Of `version`: by probability bin.
        mature: The same, of leads that are old enough to have an outcome; None: none are.
        shadows: Of versions in the shadow, mature leads by probability bin.
        cells: Of `version`, by feature; empty if they were not counted.
        uncounted: Why they were not.
        segment: Of the segment that is asked for, leads that are old enough; None: no segment, or none are.
        others: Likewise, of all other leads.
        segment_leads: Leads of the segment, old enough or not.
        sample: Some of its predictions; None: none were read. Of a segment, if one is asked for, as `cells`
            and `mature`, which are counted from it then.
    """

    version: str = ""
    by_version: Mapping[str, PredictionCounts] = field(default_factory=dict)
    hours: Mapping[datetime, int] = field(default_factory=dict)
    bins: Mapping[int, PredictionCounts] = field(default_factory=dict)
    mature: Mapping[int, PredictionCounts] | None = None
    shadows: Mapping[str, Mapping[int, PredictionCounts]] = field(default_factory=dict)
    cells: CellsByFeature = field(default_factory=dict)
    uncounted: str = ""
    segment: CellCounts | None = None
    others: CellCounts | None = None
    segment_leads: int = 0
    sample: LeadSample | None = None

    @property
    def total(self) -> PredictionCounts:
        """All predictions of the version."""
        return PredictionCounts.total(self.bins.values())

    @property
    def mature_total(self) -> PredictionCounts:
        """All its predictions that are old enough."""
        return PredictionCounts.total((self.mature or {}).values())


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """Everything that was read.

    Attributes:
        request: What is asked.
        counted_until: Until when everything stored is counted; None: nothing is.
        first_lead: First hour in which the model scored a lead, as far as is counted; None: none is.
        stale: Why counts are not up to date; empty if they are.
        now: The span that the complaint is about.
        before: The span before.
        facts: What the version of `now` says of itself; None if it cannot be read.
        no_facts: Why it cannot.
        changes: From the beginning of the span before, oldest first.
        no_registry: Why promotions are not among them; empty if they are.
        outcome_days: Outcomes that were told, by day, from the first to the last day without gaps.
        replayed: What the version of `before` says of the leads of `now.sample` (n,); None: the same
            version, or it cannot be asked.
        not_replayed: Why it cannot.
    """

    request: InvestigationRequest
    counted_until: datetime | None
    stale: str
    now: SpanObservation
    before: SpanObservation
    facts: ModelFacts | None = None
    no_facts: str = ""
    changes: tuple[RecordedChange, ...] = ()
    no_registry: str = ""
    outcome_days: tuple[tuple[date, int], ...] = ()
    replayed: npt.NDArray[np.float64] | None = None
    not_replayed: str = ""
    first_lead: datetime | None = None

    @property
    def covered(self) -> float:
        """Share of the span before in which leads were stored at all, 0 to 1."""
        span = self.request.before
        if self.first_lead is None:
            return 1.0
        return min(max((span.end - self.first_lead) / span.length, 0.0), 1.0)
