"""The result of an investigation: what is kept as evidence, shown on a page and printed."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

import msgspec

Cause = Literal["data_drift", "concept_drift", "model", "integration", "no_fault", "unknown"]
Certainty = Literal["high", "medium", "low"]
StepState = Literal["ok", "attention", "unknown"]

CAUSE_NAMES: Final[dict[Cause, str]] = {
    "data_drift": "other leads than before",
    "concept_drift": "the same leads convert differently",
    "model": "the model",
    "integration": "the data feed",
    "no_fault": "no fault found",
    "unknown": "not known yet",
}


class InvestigationFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was found.

    Attributes:
        id: Within the investigation: `F1`, ….
        points_to: The cause that it speaks for; None: it is context.
        strength: How strongly, 0 to 1; 0 for context.
        sentence: For people.
        evidence: Ids of stored records that say so.
    """

    id: str
    points_to: Cause | None
    strength: float
    sentence: str
    evidence: tuple[str, ...] = ()


class InvestigationTable(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of a step, as they are read."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class InvestigationStep(msgspec.Struct, frozen=True, kw_only=True):
    """One of the six steps.

    Attributes:
        title: What was looked at.
        state: Whether anything asks for attention; `unknown`: it could not be looked at.
        sentence: What it says.
        findings: What was found.
        tables: Numbers behind it.
    """

    title: str
    state: StepState
    sentence: str
    findings: tuple[InvestigationFinding, ...] = ()
    tables: tuple[InvestigationTable, ...] = ()


class InvestigationReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of it.

    Attributes:
        id: Of the investigation.
        model: Registered name.
        subject: Who or what is complained about, in words.
        since: First moment of the span.
        until: First moment after it.
        before_since: First moment of the span that it is compared with.
        before_until: First moment after that.
        asked_at: When it was asked.
        known_until: Until when records had been counted; None: nothing was counted.
        cause: Root cause.
        certainty: How sure that is.
        headline: The result in a sentence.
        steps: The six steps, in order.
        resolution: What to do, in sentences.
        commands: That do it, or show more.
        follow_up_at: When to look again.
        follow_up: What to look at then.
        asked_by: Who asked; empty if that is not on record.
    """

    id: str
    model: str
    subject: str
    since: datetime
    until: datetime
    before_since: datetime
    before_until: datetime
    asked_at: datetime
    known_until: datetime | None
    cause: Cause
    certainty: Certainty
    headline: str
    steps: tuple[InvestigationStep, ...]
    resolution: tuple[str, ...]
    commands: tuple[str, ...]
    follow_up_at: datetime
    follow_up: str
    asked_by: str = ""

    @property
    def findings(self) -> tuple[InvestigationFinding, ...]:
        """Of all steps, in order."""
        return tuple(finding for step in self.steps for finding in step.findings)
