"""Data of the release machine: spec, status, observations and actions.

A field that is None was looked for and is not there; a read that failed ends the step instead (unknown is not
empty).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from leadscore.release.expected import ExpectedPsi
from leadscore.release.mirror import MirrorObservation, ShadowObservation

ReleasePhase = Literal[
    "Pending", "Gated", "Replay", "Shadow", "AwaitingApproval", "Canary", "Watching",
    "Promoted", "Rejected", "Aborted", "RolledBack",
]  # fmt: skip
Final = Literal["Promoted", "Rejected", "Aborted", "RolledBack"]
Retreat = Literal["Aborted", "RolledBack"]
EvaluationMode = Literal["replay", "shadow", "none"]

FINAL: frozenset[ReleasePhase] = frozenset(("Promoted", "Rejected", "Aborted", "RolledBack"))


class ReleaseSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bring one version of a model to traffic.

    Attributes:
        release: Identity of this wish (the resource's uid); marks what it changed.
        model: Registered name.
        version: The candidate.
        evaluation: How the candidate is tried without answering anybody.
        replay_days: Days of logged requests that a replay scores.
        shadow_seconds: How long requests are mirrored.
        shadow_minimum_leads: Leads that shadow and champion must both have scored for a report to support
            anything.
        shadow_extend_seconds: How much longer they are mirrored if there were too few; then a person decides.
        approval_seconds: How long a request for approval stands; then the release is rejected.
        soak_seconds: How long the business KPI is watched at 100 %.
        soak_every_seconds: How often a KPI report is made in that time.
        soak_exposure_seconds: How long each lead is given to convert before the soak counts it.
        soak_minimum_leads: Mature leads of the candidate without which a soak supports nothing; 0: no fall
            is enough.
        abort: A person wants it stopped.
    """

    release: str
    model: str
    version: int
    evaluation: EvaluationMode = "replay"
    replay_days: int = 14
    shadow_seconds: float = 86_400.0
    shadow_minimum_leads: int = 1_000
    shadow_extend_seconds: float = 3 * 86_400.0
    approval_seconds: float = 7 * 86_400.0
    soak_seconds: float = 48 * 3_600.0
    soak_every_seconds: float = 3_600.0
    soak_exposure_seconds: float = 86_400.0
    soak_minimum_leads: int = 200
    abort: bool = False

    @property
    def ref(self) -> str:
        """The candidate, `leads/7`."""
        return f"{self.model}/{self.version}"


class ReleaseStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was decided so far: only what cannot be seen any more once it is past.

    Names as in the custom resource.

    Attributes:
        phase: Where the release is.
        reason: Why it is there or what it waits for; a sentence.
        since: When the phase began.
        digest: Artefact digest that everything is bound to, from the first evaluation on.
        champion: Champion when the gate's verdict was taken; None if there was none.
        gate: Evidence id of the gate's verdict.
        shadow_since: When the shadow was first ready.
        evaluation: Evidence id of the replay or shadow report.
        approval: Evidence id of the approval.
        approved_by: Who approved.
        previous: Version that the Rollout served when the canary began.
        watch_since: When the candidate had all traffic.
        retreat: Set once it goes back; the release ends in this phase and in no other.
        kpi: Evidence id of the last KPI report that was decided on.
    """

    phase: ReleasePhase = "Pending"
    reason: str = ""
    since: datetime | None = None
    digest: str = ""
    champion: int | None = None
    gate: str = ""
    shadow_since: datetime | None = None
    evaluation: str = ""
    approval: str = ""
    approved_by: str = ""
    previous: int | None = None
    watch_since: datetime | None = None
    retreat: Retreat | None = None
    kpi: str = ""


class ReleaseReport(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that the reports of replays, shadows and soaks share.

    Attributes:
        release: Release that asked for it; "" if a person did.
        number: Which of the release's reports it is: a shadow that saw too few leads is reported on again.
        model: Registered name.
        version: Candidate.
        digest: Its artefact digest.
        passed: Nothing speaks against the candidate so clearly that no person need be asked.
        summary: In a sentence.
        until: End of the data.
    """

    release: str
    number: int = 1
    model: str
    version: int
    digest: str
    passed: bool
    summary: str
    until: datetime

    @property
    def ref(self) -> str:
        """The candidate, `leads/7`."""
        return f"{self.model}/{self.version}"


# --- What is seen -----------------------------------------------------------------------------------------


class VersionObservation(msgspec.Struct, frozen=True, kw_only=True):
    """A version in the registry."""

    version: int
    digest: str
    archived: bool = False
    challenger: bool = False


class GateObservation(msgspec.Struct, frozen=True, kw_only=True):
    """The newest gate verdict on the candidate; `champion` is the digest it was judged against."""

    evidence: str
    passed: bool
    summary: str
    digest: str
    champion: str | None


class ReportObservation(msgspec.Struct, frozen=True, kw_only=True):
    """A report that a Job makes: replay, shadow or KPI.

    Attributes:
        state: `absent`: no Job and no record. `failed`: the Job gave up.
        evidence: Id of its record, once `done`.
        digest: Artefact digest that it is about.
        passed: Replay and shadow: nothing speaks against the candidate. KPI: no supported fall.
        summary: In a sentence.
        at: Until when its data reaches.
        number: Shadow and KPI: which of the release's reports it is, from 1; 0 with `absent`.
        too_few: Shadow: there were fewer leads than the release asks for, so it says nothing for or against.
        leads: KPI: mature leads of the candidate. Shadow with `too_few`: leads that both had scored.
        judged: KPI: whether so many leads could have shown a fall at all.
        expected: Replay and shadow: how far the candidate's scores lie from the champion's.
    """

    state: Literal["absent", "running", "failed", "done"] = "absent"
    evidence: str = ""
    digest: str = ""
    passed: bool = False
    summary: str = ""
    at: datetime | None = None
    number: int = 0
    too_few: bool = False
    leads: int = 0
    judged: bool = False
    expected: ExpectedPsi | None = None


class ApprovalObservation(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to this release's request."""

    evidence: str
    verdict: Literal["approved", "denied"]
    by: str
    reason: str
    model: str
    version: int
    digest: str
    bound_to: tuple[str, ...]


class RolloutObservation(msgspec.Struct, frozen=True, kw_only=True):
    """The Rollout.

    Attributes:
        desired: Version in its pod template.
        stable: Version of its stable ReplicaSet.
        weight: Share of traffic, percent, of `desired` where it is not `stable` yet.
        state: Argo's phase; `Healthy` only if it was reported for the present generation.
        aborted: Argo sent `desired` back.
        message: Argo's own words.
        release: Which release patched it last (annotation, set in the same patch as the version).
    """

    desired: int
    stable: int | None
    weight: int
    state: Literal["Healthy", "Progressing", "Paused", "Degraded"]
    aborted: bool = False
    message: str = ""
    release: str = ""


class EndObservation(msgspec.Struct, frozen=True, kw_only=True):
    """The record of how this release ended."""

    phase: Final
    reason: str


class Observations(msgspec.Struct, frozen=True, kw_only=True):
    """All that a decision may look at, read afresh.

    Attributes:
        candidate: The spec's version; None: the registry has none.
        champion: Now; None: there is none.
        gate: Newest verdict on the candidate's present digest.
        evaluation: The replay's or shadow's report of this release.
        approval: Answer to this release's request that counts; None: nobody answered.
        unproven: What is wrong with the answer on record that does not count; "" if there is none such.
        requested: Whether the request for approval is on record.
        shadow: The shadow workload, whoever started it; None: not there.
        mirror: What copies requests to it.
        rollout: None: not there.
        kpi: Newest KPI report of this release's soak.
        blocked_by: Name of an older unfinished release of the same Rollout, or "".
        ended: What `Finish` recorded (one record per release); None: nothing yet.
    """

    candidate: VersionObservation | None
    champion: VersionObservation | None
    gate: GateObservation | None
    evaluation: ReportObservation = ReportObservation()
    approval: ApprovalObservation | None = None
    unproven: str = ""
    requested: bool = False
    shadow: ShadowObservation | None = None
    mirror: MirrorObservation = MirrorObservation()
    rollout: RolloutObservation | None = None
    kpi: ReportObservation = ReportObservation()
    blocked_by: str = ""
    ended: EndObservation | None = None


# --- What to do -------------------------------------------------------------------------------------------


class Note(msgspec.Struct, frozen=True, tag=True):
    """Only write the status: a fact that must be on record before anything is done about it."""


class Wait(msgspec.Struct, frozen=True, tag=True):
    """Nothing to do before `until` (None: before something changes).

    `needs_human_since`: since when a person's decision is needed; `unproven`: what is wrong with the answer
    that there is.
    """

    reason: str
    until: datetime | None = None
    needs_human_since: datetime | None = None
    unproven: str = ""


class Nominate(msgspec.Struct, frozen=True, tag=True):
    """Make the candidate the challenger."""

    version: int
    reason: str


class StartReplay(msgspec.Struct, frozen=True, tag=True):
    """Create (or adopt) the Job that replays logged requests; `key` names it."""

    version: int
    days: int
    key: str


class StartShadow(msgspec.Struct, frozen=True, tag=True):
    """Create (or adopt) the shadow workload of a version."""

    version: int


class ReportShadow(msgspec.Struct, frozen=True, tag=True):
    """Create (or adopt) the Job that compares the shadow's answers since `since` with the champion's.

    `percent` of the requests were copied (None: unknown); `number` tells the reports of a release apart, from
    1.
    """

    version: int
    since: datetime
    percent: float | None
    number: int = 1


class StopShadow(msgspec.Struct, frozen=True, tag=True):
    """Remove the shadow workload; one that is gone is removed already."""

    reason: str


class RequestApproval(msgspec.Struct, frozen=True, tag=True):
    """Put the question on record: this digest, this evidence."""

    digest: str
    evidence: tuple[str, ...]


class PatchRollout(msgspec.Struct, frozen=True, tag=True):
    """Set, in one patch, version, `release` and what the replay lets its canary's scores differ (or None)."""

    version: int
    release: str
    reason: str
    expected: ExpectedPsi | None = None


class ReportKpi(msgspec.Struct, frozen=True, tag=True):
    """Create (or adopt) the Job of the soak's report `number`.

    The business KPI since `since` against `previous`.
    """

    version: int
    previous: int
    since: datetime
    number: int


class Promote(msgspec.Struct, frozen=True, tag=True):
    """Move the champion alias, refused by the registry if the champion is not `expected`."""

    version: int
    expected: int | None
    reason: str


class RollBack(msgspec.Struct, frozen=True, tag=True):
    """Give the Rollout its previous version back, steps skipped; same patch as `PatchRollout`."""

    to: int
    release: str
    reason: str


class ReturnAlias(msgspec.Struct, frozen=True, tag=True):
    """Move the champion alias back from the candidate to `to` (a promotion that expects the candidate)."""

    to: int
    expected: int
    reason: str


class Finish(msgspec.Struct, frozen=True, tag=True):
    """Record how it ended; the status becomes final."""

    phase: Final
    reason: str


Action = (
    Note | Wait | Nominate | StartReplay | StartShadow | ReportShadow | StopShadow | RequestApproval
    | PatchRollout | ReportKpi | Promote | RollBack | ReturnAlias | Finish
)  # fmt: skip


class Step(msgspec.Struct, frozen=True):
    """Do `action`, write `status` (if it differs), observe and decide again, until the action is a Wait."""

    action: Action
    status: ReleaseStatus
