"""The report of a replay or a shadow: put together from two models' scores of the same requests. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt

from leadscore.registry.versions import ModelVersion
from leadscore.release.canary_psi import expected_psi
from leadscore.release.compare import (
    Codes,
    Distribution,
    Floats,
    GradeChanges,
    KnownOutcomes,
    Latency,
    Ranks,
    distribution,
    grade_changes,
    known_outcomes,
    objections,
    ranks,
    remarks,
)
from leadscore.release.expected import ExpectedPsi
from leadscore.release.states import ReleaseReport

ComparisonKind = Literal["replay", "shadow"]


class Comparison(ReleaseReport, frozen=True, kw_only=True):
    """The report of a replay or a shadow.

    Attributes:
        kind: `replay`: both models scored what was logged. `shadow`: the candidate scored copies of requests,
            and both answers are as they were logged.
        champion: Version compared with.
        champion_digest: Its artefact digest.
        since: Begin of the window.
        rows: Logged requests that both scored.
        left_out: Logged requests that were not: their features were encoded under another contract (replay),
            or another version than the champion answered them (shadow).
        unpaired: Shadow: what it scored and no caller was answered.
        copied: Shadow: share of the requests copied to it that it scored, from what the mirror was told to
            copy and how many requests were answered; None: unknown.
        reproduced: Share of the champion's own logged answers that it gives again; below 1 the log and the
            artefact disagree. None: it answered none of these.
        shadow_reproduced: The same of the shadow's answers and the candidate's artefact.
        scores: Spread of the scores.
        order: Order of the leads.
        grades: Changes of grade.
        latency: Time per lead.
        known: Leads whose outcome is known.
        objections: Why not passed.
        remarks: What the approver should look at.
        seconds: How long it took to make.
        expected: What the scores of its canary may differ from the champion's.
    """

    kind: ComparisonKind = "replay"
    champion: int
    champion_digest: str
    since: datetime
    rows: int
    left_out: int
    unpaired: int = 0
    copied: float | None = None
    reproduced: float | None
    shadow_reproduced: float | None = None
    scores: Distribution
    order: Ranks
    grades: GradeChanges
    latency: Latency
    known: KnownOutcomes
    objections: tuple[str, ...]
    remarks: tuple[str, ...]
    seconds: float
    expected: ExpectedPsi | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What a replay or a shadow is about.

    Attributes:
        candidate: Version to try.
        champion: Version to compare with.
        since: Begin of the window.
        until: End of the window.
        maturity: Age at which an outcome should be known.
        release: Release that asks; "" if a person does.
        number: Which of the release's reports it is.
    """

    candidate: ModelVersion
    champion: ModelVersion
    since: datetime
    until: datetime
    maturity: timedelta
    release: str = ""
    number: int = 1


@dataclass(slots=True, eq=False)
class Scored:
    """What both models said about each logged request (n,), oldest first, and what is known of its lead.

    `own`: the logged answer is the champion's own; `same`: it gives it again. `sample`: some rows as the
    champion reads them.
    """

    champion: Floats
    candidate: Floats
    champion_grades: Codes
    candidate_grades: Codes
    labelled: npt.NDArray[np.bool_]
    converted: npt.NDArray[np.bool_]
    mature: npt.NDArray[np.bool_]
    own: npt.NDArray[np.bool_]
    same: npt.NDArray[np.bool_]
    sample: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ShadowFacts:
    """What only a shadow's report knows; the fields are those of `Comparison`."""

    unpaired: int
    copied: float | None
    reproduced: float


def comparison_report(
    scored: Scored,
    latency: Latency,
    question: Question,
    *,
    left_out: int = 0,
    shadow: ShadowFacts | None = None,
    against: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
    seconds: Callable[[], float] = lambda: 0.0,
) -> Comparison:
    """Put the comparison together. Pure but for `seconds`, which is asked last.

    Args:
        scored: What both said.
        latency: Time per lead.
        question: What it is about.
        left_out: Requests that could not be compared.
        shadow: The answers are a shadow's; None: a replay's.
        against: Objections that come from elsewhere than the comparison.
        notes: More remarks.
        seconds: How long it took so far.
    """
    candidate, champion = question.candidate, question.champion
    spread = distribution(scored.champion, scored.candidate)
    order = ranks(scored.champion, scored.candidate)
    grades = grade_changes(scored.champion_grades, scored.candidate_grades)
    due = int(scored.mature.sum())
    known = known_outcomes(
        scored.champion[scored.labelled],
        scored.candidate[scored.labelled],
        scored.converted[scored.labelled],
        int((scored.mature & scored.labelled).sum()) / due if due else None,
        question.maturity / timedelta(days=1),
    )
    own = int(scored.own.sum())
    reproduced = int(scored.same.sum()) / own if own else None
    objected = [*against, *objections(known, latency)]
    expected = expected_psi(
        scored.champion,
        scored.candidate,
        scored.champion_grades,
        scored.candidate_grades,
        against=champion.version,
    )
    look_at = [*remarks(spread, order, grades, known, expected), *notes]
    if reproduced is not None and reproduced < 1.0:
        look_at.append(
            f"{champion.ref} gives only {reproduced:.1%} of its own logged answers again: the "
            "log or the artefact changed."
        )
    what = "logged requests" if shadow is None else "leads of mirrored requests"
    return Comparison(
        kind="replay" if shadow is None else "shadow",
        release=question.release,
        number=question.number,
        model=candidate.name,
        version=candidate.version,
        digest=candidate.digest,
        passed=not objected,
        summary=_summary(candidate, champion, f"{len(scored.champion):,} {what}", known, objected),
        until=question.until,
        champion=champion.version,
        champion_digest=champion.digest,
        since=question.since,
        rows=len(scored.champion),
        left_out=left_out,
        unpaired=0 if shadow is None else shadow.unpaired,
        copied=None if shadow is None else shadow.copied,
        reproduced=reproduced,
        shadow_reproduced=None if shadow is None else shadow.reproduced,
        scores=spread,
        order=order,
        grades=grades,
        latency=latency,
        known=known,
        objections=tuple(objected),
        remarks=tuple(look_at),
        seconds=round(seconds(), 3),
        expected=expected,
    )


def _summary(
    candidate: ModelVersion, champion: ModelVersion, rows: str, known: KnownOutcomes, against: list[str]
) -> str:
    about = f"{candidate.ref} on {rows} against {champion.ref}: "
    if against:
        return about + "; ".join(against) + "."
    if known.difference is None:
        return about + "nothing speaks against it; no outcomes known."
    d = known.difference
    return (
        f"{about}AUC {d.value:+.4f} ({d.low:+.4f} to {d.high:+.4f}) on {known.rows:,} known outcomes; nothing"
        " speaks against it."
    )
