"""The gate's record: every check with its numbers, and on what they were measured."""

from __future__ import annotations

from typing import Literal

import msgspec

from leadscore.contract.leaks import Suspicion
from leadscore.intervals import Estimate

# Name of the check for leaks: a model that fails it becomes champion by a named person's word alone.
LEAKS = "leaks"


class GateThresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a challenger must reach and must not lose.

    Attributes:
        auc_gain: Relative gain in AUC that lets it pass.
        headroom: Near AUC 1 that gain does not exist: closing this share of the distance to 1 then suffices.
        kpi_gain: Relative gain of the business KPI (revenue, or conversions, in the top) that lets it pass.
        capacity: Share of leads in the top.
        confidence: Of all intervals (two-sided).
        slice_auc_drop: Loss of AUC tolerated in a slice.
        ece_rise: Rise of the expected calibration error tolerated.
        brier_rise: Relative rise of the Brier score tolerated.
        fairness_rise: Rise of demographic parity or equalized odds difference tolerated.
        latency_ratio: Time per lead against the champion's tolerated …
        latency_free_us: … and time per lead, in microseconds, below which it never matters.
        min_group: Smallest slice that is judged.
        min_rows: Labelled leads that the window must have.
    """

    auc_gain: float = 0.02
    headroom: float = 0.5
    kpi_gain: float = 0.05
    capacity: float = 0.10
    confidence: float = 0.95
    slice_auc_drop: float = 0.02
    ece_rise: float = 0.02
    brier_rise: float = 0.05
    fairness_rise: float = 0.05
    latency_ratio: float = 2.0
    latency_free_us: float = 50.0
    min_group: int = 100
    min_rows: int = 500


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One question and its answer.

    Attributes:
        name: What was looked at.
        kind: `improvement` (one of them must pass), `guard` (all must pass) or `floor` (all must pass; asked
            only where there is no champion).
        passed: The answer.
        champion: Its figure; None without a champion, or where the figure is undefined.
        challenger: Its figure; None where undefined.
        difference: Challenger against champion with its paired interval: relative for improvements and
            Brier, absolute otherwise.
        threshold: What `difference` (or, for floors and latency, the figure) was held against.
        why: A sentence for people.
    """

    name: str
    kind: Literal["improvement", "guard", "floor"]
    passed: bool
    champion: float | None
    challenger: float | None
    difference: Estimate | None
    threshold: float
    why: str


class GateVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The gate's decision with its evidence.

    Attributes:
        passed: Whether the challenger may become champion.
        summary: Why, in a sentence.
        checks: Every check.
        challenger: Artefact digest (SHA-256, hex).
        champion: Artefact digest; None if there was none.
        data: Digest of the labelled leads judged on.
        start: First lead's time (ISO 8601); None without a time column.
        end: Last lead's time.
        rows: Labelled leads.
        positives: Converted ones.
        thresholds: As applied.
        notes: What a reader should know besides (contracts differ, columns were missing, windows overlap).
        suspicions: What looks like a leak, answered or not.
        accepted_suspicion: Who answered for it, and why; None if nobody did.
    """

    passed: bool
    summary: str
    checks: tuple[Check, ...]
    challenger: str
    champion: str | None
    data: str
    start: str | None
    end: str | None
    rows: int
    positives: int
    thresholds: GateThresholds
    notes: tuple[str, ...]
    suspicions: tuple[Suspicion, ...] = ()
    accepted_suspicion: str | None = None

    @property
    def suspected(self) -> bool:
        """Whether there is an unanswered suspicion of a leak."""
        return any(check.name == LEAKS and not check.passed for check in self.checks)


def conclude(checks: tuple[Check, ...]) -> tuple[bool, str]:
    """Passed if some improvement passed (where any was asked for) and every guard and floor did."""
    asked = [c for c in checks if c.kind == "improvement"]
    gained = [c for c in asked if c.passed]
    against = [f"{c.name}: {c.why}" for c in checks if c.kind != "improvement" and not c.passed]
    if asked and not gained:
        against.insert(0, "no supported improvement. " + "; ".join(c.why for c in asked))
    if against:
        return False, "Refused: " + "; ".join(against)
    if gained:
        return True, "Passed: " + "; ".join(c.why for c in gained)
    return True, "Passed: there is no champion, and every absolute floor holds."
