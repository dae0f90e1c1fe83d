"""Steps five and six: the root cause, how sure it is, and what to do. Pure.

Causes are tried in the order in which one explains the others away: a feed that breaks makes leads look
different and scores worse; a model that was exchanged makes promises of its own; leads that come from
elsewhere are promised less. What is left is that the same leads convert differently.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from leadscore.investigation.comparison import PerformanceChange
from leadscore.investigation.document import (
    CAUSE_NAMES,
    Cause,
    Certainty,
    InvestigationFinding,
    InvestigationStep,
    StepState,
)
from leadscore.investigation.observed import Observed
from leadscore.investigation.steps import COVERED, RELATION, performance

_ORDER: Final[tuple[Cause, ...]] = ("integration", "model", "data_drift", "concept_drift")
_STATES: Final[dict[Cause, StepState]] = {"no_fault": "ok", "unknown": "unknown"}
_RESOLUTIONS: Final[dict[Cause, tuple[str, ...]]] = {
    "integration": (
        "Show the evidence to whoever looks after the CRM's connection, and have the feed repaired.",
        "Do not train on leads of this time: the model would learn the fault.",
        "Score the leads of this time again once their fields are right.",
    ),
    "model": (
        "Go back to the version before until the new one is understood.",
        "Compare the two versions' reports before the next release.",
    ),
    "data_drift": (
        "Ask marketing what has changed: campaigns, sources, regions.",
        "Train again with recent leads once enough of their outcomes are known.",
        "Until then work the list from the top as before: there are fewer good leads in it, or more.",
    ),
    "concept_drift": (
        "Train again with recent outcomes: what made customers before no longer does.",
        "Until then trust the grades less, and let sales say what has changed (prices, competitors, season).",
    ),
    "no_fault": (
        "Nothing needs repair.",
        "Single leads and short spells vary: of ten leads with a score of 90, one becomes no customer.",
    ),
    "unknown": (
        "Wait for what is missing, and investigate again then.",
        "Close leads in the CRM, the lost ones, too: without outcomes nobody can tell.",
    ),
}
_COMMANDS: Final[dict[Cause, tuple[str, ...]]] = {
    "integration": ("leadscore events status", "leadscore drift check --model {model}@champion"),
    "model": (
        "leadscore models list {model}",
        "leadscore models rollback {model} --reason 'investigation of the time since {day}'",
    ),
    "data_drift": (
        "leadscore drift check --model {model}@champion",
        "leadscore retrain --model {model}",
    ),
    "concept_drift": ("leadscore retrain --model {model}",),
    "no_fault": (),
    "unknown": ("leadscore events status",),
}
_FOLLOW_UP: Final = timedelta(days=14)
# A fall that is seen is also larger than what is called one; from which on an acquittal is less sure.
_LEAST_DROP: Final = 1 - math.exp(-RELATION)
_SEEN: Final = 0.35
_HARDLY_SEEN: Final = 0.5
_TOO_FEW: Final = (
    "Give a longer time (an earlier --since): these leads are too few to see anything but a large fault.",
)


@dataclass(frozen=True, slots=True)
class CauseVerdict:
    """What an investigation ends with.

    Attributes:
        cause: Root cause.
        certainty: How sure.
        because: Findings that say so, strongest first.
        headline: In a sentence.
    """

    cause: Cause
    certainty: Certainty
    because: tuple[InvestigationFinding, ...]
    headline: str


def find_cause(seen: Observed, steps: Sequence[InvestigationStep]) -> CauseVerdict:
    """Weigh the findings of the first four steps."""
    found = [f for step in steps for f in step.findings if f.points_to is not None]
    strengths: dict[Cause, float] = {
        cause: max((f.strength for f in found if f.points_to == cause), default=0.0) for cause in _ORDER
    }
    change = performance(seen)
    if strengths["data_drift"] and strengths["concept_drift"] and change is not None:
        # Both are seen: the one that moved the conversion more is the cause, the other its companion.
        strengths[_weaker(change, strengths["concept_drift"])] *= 0.25
    cause = _choose(strengths)
    if cause is None:
        return _nothing_found(seen, steps)
    because = tuple(sorted((f for f in found if f.points_to == cause), key=lambda f: -f.strength))
    others = max((s for name, s in strengths.items() if name != cause), default=0.0)
    best = strengths[cause]
    certainty: Certainty = (
        "high" if best >= 0.4 and others <= best / 2 else "medium" if best >= others else "low"
    )
    if cause in {"data_drift", "concept_drift"} and change is None:
        certainty = "low" if certainty == "low" else "medium"
    certainty = _limited(certainty, seen)
    headline = f"Root cause: {CAUSE_NAMES[cause]}. {because[0].sentence}"
    return CauseVerdict(cause, certainty, because, headline)


def _choose(strengths: dict[Cause, float]) -> Cause | None:
    """The first cause in order that is no smaller by far than what would be explained by it."""
    most = max(strengths.values())
    if most == 0.0:
        return None
    return next(cause for cause in _ORDER if strengths[cause] >= 0.4 * most)


def _weaker(change: PerformanceChange, concept: float) -> Cause:
    return "concept_drift" if abs(change.mix) >= max(abs(change.relation), concept) else "data_drift"


def _nothing_found(seen: Observed, steps: Sequence[InvestigationStep]) -> CauseVerdict:
    blind = [step for step in steps if step.state == "unknown"]
    if blind or performance(seen) is None:
        why = blind[0].sentence if blind else "There are too few outcomes to say how well the model does."
        headline = f"Not known yet: nothing wrong was seen, but not everything could be looked at. {why}"
        return CauseVerdict("unknown", "low", (), headline)
    headline = (
        "No fault found: leads, fields, scores and outcomes are as before, within what chance explains."
    )
    change = performance(seen)
    drop = max(1.0 if change is None else change.least_drop, _LEAST_DROP)
    sure: Certainty = "high" if drop <= _SEEN else "medium" if drop <= _HARDLY_SEEN else "low"
    seen_from = f"A fall of conversions by {drop:.0%} or more would have been seen"
    few = "" if sure == "high" else ", less than that not: these leads are few"
    return CauseVerdict("no_fault", _limited(sure, seen), (), f"{headline} {seen_from}{few}.")


def _limited(certainty: Certainty, seen: Observed) -> Certainty:
    """No more than what is known of the span before allows."""
    if seen.covered < 0.5:
        return "low"
    return "medium" if seen.covered < COVERED and certainty == "high" else certainty


def cause_step(verdict: CauseVerdict) -> InvestigationStep:
    """Step 5."""
    ids = ", ".join(finding.id for finding in verdict.because)
    sure = f"How sure: {verdict.certainty}." + (f" Evidence: {ids}." if ids else "")
    return InvestigationStep(
        title="Root cause",
        state=_STATES.get(verdict.cause, "attention"),
        sentence=f"{verdict.headline} {sure}",
    )


def resolution_step(verdict: CauseVerdict) -> InvestigationStep:
    """Step 6."""
    return InvestigationStep(
        title="Proposed resolution",
        state=_STATES.get(verdict.cause, "attention"),
        sentence=" ".join(_sentences(verdict)),
    )


def _sentences(verdict: CauseVerdict) -> tuple[str, ...]:
    if verdict.cause == "no_fault" and verdict.certainty == "low":
        return (*_TOO_FEW, *_RESOLUTIONS["no_fault"][1:])
    return _RESOLUTIONS[verdict.cause]


def resolution(verdict: CauseVerdict, seen: Observed) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What to do, in sentences, and commands that do it or show more."""
    words = {"model": seen.request.model, "day": f"{seen.request.time.start:%Y-%m-%d}"}
    return _sentences(verdict), tuple(c.format_map(words) for c in _COMMANDS[verdict.cause])


def follow_up(verdict: CauseVerdict, seen: Observed) -> tuple[datetime, str]:
    """When to look again, and at what."""
    request = seen.request
    if verdict.cause == "unknown":
        ready = max(request.time.end + request.maturity, request.asked_at + timedelta(days=1))
        return ready, "Investigate again: by then the outcomes of this time should be known."
    if verdict.cause == "no_fault":
        return request.asked_at + request.maturity, "Look whether the complaint has come up again."
    return request.asked_at + _FOLLOW_UP, "Look whether what was done has helped: investigate the time since."
