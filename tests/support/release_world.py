"""A registry, an evidence store, Jobs and a Rollout in a few plain fields: what the release machine acts on.

Every action is done the way a correct shell does it (create or adopt, record once), so doing one twice must
leave the world as doing it once: tests compare.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from leadscore.release.machine import decide_step
from leadscore.release.mirror import MirrorObservation, ShadowObservation
from leadscore.release.states import (
    Action,
    ApprovalObservation,
    EndObservation,
    Finish,
    GateObservation,
    Nominate,
    Note,
    Observations,
    PatchRollout,
    Promote,
    ReleaseSpec,
    ReleaseStatus,
    ReportKpi,
    ReportObservation,
    ReportShadow,
    RequestApproval,
    ReturnAlias,
    RollBack,
    RolloutObservation,
    StartReplay,
    StartShadow,
    StopShadow,
    VersionObservation,
    Wait,
)

START = datetime(2026, 3, 1, tzinfo=UTC)
SPEC = ReleaseSpec(release="uid-1", model="leads", version=7, evaluation="replay")
DIGEST = "d" * 64
OLD_DIGEST = "c" * 64


@dataclass
class World:
    """What exists. `served` keeps, in order, every version the Rollout was ever told to serve."""

    spec: ReleaseSpec = SPEC
    now: datetime = START
    digest: str = DIGEST
    archived: bool = False
    challenger: int | None = None
    champion: int | None = 6
    gate: GateObservation | None = None
    evaluation: ReportObservation = field(default_factory=ReportObservation)
    approval: ApprovalObservation | None = None
    unproven: str = ""
    requested: tuple[str, tuple[str, ...]] | None = None
    shadow: ShadowObservation | None = None
    mirror: MirrorObservation = field(default_factory=lambda: MirrorObservation(percent=10))
    rollout: RolloutObservation = field(
        default_factory=lambda: RolloutObservation(desired=6, stable=6, weight=100, state="Healthy")
    )
    kpi: ReportObservation = field(default_factory=ReportObservation)
    status: ReleaseStatus = field(default_factory=ReleaseStatus)
    ended: EndObservation | None = None
    champions: list[int | None] = field(default_factory=list["int | None"])
    patches: list[int] = field(default_factory=list[int])

    def look(self) -> Observations:
        """A fresh read of everything."""
        digests = {6: OLD_DIGEST, self.spec.version: self.digest}
        return Observations(
            candidate=VersionObservation(
                version=self.spec.version,
                digest=self.digest,
                archived=self.archived,
                challenger=self.challenger == self.spec.version,
            ),
            champion=None
            if self.champion is None
            else VersionObservation(version=self.champion, digest=digests.get(self.champion, "e" * 64)),
            gate=self.gate,
            evaluation=self.evaluation,
            approval=self.approval,
            unproven=self.unproven,
            requested=self.requested is not None,
            shadow=self.shadow,
            mirror=self.mirror,
            rollout=self.rollout,
            kpi=self.kpi,
            ended=self.ended,
        )

    def act(self, action: Action) -> None:  # noqa: C901, PLR0912 (one arm per action)
        """Do one action."""
        match action:
            case Note() | Wait():
                pass
            case Nominate(version=version):
                self.challenger = version
            case StartReplay():
                if self.evaluation.state == "absent":
                    self.evaluation = ReportObservation(state="running", number=1)
            case ReportShadow(number=number):
                if number > self.evaluation.number:
                    self.evaluation = ReportObservation(state="running", number=number)
            case StartShadow(version=version):
                if self.shadow is None:
                    self.shadow = ShadowObservation(
                        version=version, ready_since=self.now, release=self.spec.release
                    )
            case StopShadow():
                # Nobody else's may be stopped.
                assert self.shadow is None or self.shadow.release == self.spec.release
                self.shadow = None
            case RequestApproval(digest=digest, evidence=evidence):
                self.requested = self.requested or (digest, evidence)
            case PatchRollout(version=version, release=release) | RollBack(to=version, release=release):
                self._patch(version, release)
            case ReportKpi(number=number):
                if number > self.kpi.number:
                    self.kpi = ReportObservation(state="running", number=number)
            case Promote(version=version, expected=expected):
                if self.champion in {expected, version}:
                    self._move(version)
            case ReturnAlias(to=to, expected=expected):
                if self.champion == expected:
                    self._move(to)
            case Finish(phase=phase, reason=reason):
                self.ended = self.ended or EndObservation(phase=phase, reason=reason)

    def step(self, *, crash: str = "") -> Action:
        """One round of a shell.

        `crash` is `before` the action, `after` it (the status is not written) or "" (no crash).
        """
        decided = decide_step(self.spec, self.status, self.look(), self.now)
        if crash == "before":
            return decided.action
        self.act(decided.action)
        once = self.picture()
        self.act(decided.action)
        assert self.picture() == once, f"{decided.action} done twice is not the same as done once"
        if not crash:
            self.status = decided.status
        return decided.action

    def settle(self, limit: int = 50) -> Action:
        """Rounds until the machine waits."""
        for _ in range(limit):
            action = self.step()
            if isinstance(action, Wait):
                return action
        raise AssertionError(f"still busy after {limit} rounds in {self.status}")

    def picture(self) -> dict[str, object]:
        """Everything, to compare."""
        return {name: copy.copy(value) for name, value in vars(self).items()}

    # --- What others do -----------------------------------------------------------------------------------

    def judge(self, *, passed: bool = True, champion: str | None = OLD_DIGEST) -> None:
        self.gate = GateObservation(
            evidence="gate-1",
            passed=passed,
            summary="Passed: AUC +3 %" if passed else "Refused: no supported improvement.",
            digest=self.digest,
            champion=champion,
        )

    def evaluate(self, *, passed: bool = True, too_few: int | None = None) -> None:
        """The report's Job ends; `too_few`: leads that it has counted, fewer than it was asked for."""
        if self.evaluation.state == "running" and too_few is not None:
            self.evaluation = ReportObservation(
                state="done", evidence=f"shadow-{self.evaluation.number}", digest=self.digest, too_few=True,
                number=self.evaluation.number, leads=too_few, summary=f"{too_few} leads.",
            )  # fmt: skip
        elif self.evaluation.state == "running":
            self.evaluation = ReportObservation(
                number=self.evaluation.number,
                state="done",
                evidence="replay-1",
                digest=self.digest,
                passed=passed,
                summary="fine" if passed else "AUC is lower.",
            )

    def answer(self, verdict: str = "approved", *, digest: str | None = None) -> None:
        """A person answers once: the evidence is append-only and has one slot per request."""
        if self.requested is None or self.approval is not None:
            return
        self.approval = ApprovalObservation(
            evidence=f"approval-{digest or self.requested[0]}",
            verdict="denied" if verdict == "denied" else "approved",
            by="Ada",
            reason="read the report",
            model=self.spec.model,
            version=self.spec.version,
            digest=digest or self.requested[0],
            bound_to=self.requested[1],
        )

    def roll(self) -> None:
        """Argo brings the desired version one step on: 10, 50, 100, stable."""
        r = self.rollout
        if r.aborted or r.desired == r.stable:
            return
        following = {0: 10, 10: 50, 50: 100}.get(r.weight)
        if following is None:
            self._roll(stable=r.desired, weight=100, state="Healthy")
        else:
            self._roll(weight=following, state="Paused")

    def abort(self) -> None:
        """Argo's analysis fails."""
        if self.rollout.desired != self.rollout.stable:
            self._roll(aborted=True, weight=0, state="Degraded", message="error rate 0.31 > 0.02")

    def report(self, *, passed: bool = True, leads: int = 1_000, judged: bool = True) -> None:
        """A KPI Job ends."""
        if self.kpi.state == "running":
            self.kpi = ReportObservation(
                state="done",
                number=self.kpi.number,
                evidence=f"kpi-{self.kpi.number}",
                digest=self.digest,
                passed=passed,
                summary="no supported fall" if passed else "conversion fell by 30 %",
                at=self.now,
                leads=leads,
                judged=judged,
            )

    def fail_report(self) -> None:
        """A KPI Job gives up."""
        if self.kpi.state == "running":
            self.kpi = ReportObservation(state="failed", number=self.kpi.number)

    def someone_sets(self, version: int) -> None:
        """A person sets the Rollout (the annotation stays as it was)."""
        self._roll(desired=version, weight=0, aborted=False, state="Progressing", message="")
        if self.rollout.stable == version:
            self._roll(weight=100, state="Healthy")

    def someone_promotes(self) -> None:
        """A person makes the candidate champion."""
        self._move(self.spec.version)

    def pass_time(self, span: timedelta) -> None:
        self.now += span

    def _patch(self, version: int, release: str) -> None:
        if (self.rollout.desired, self.rollout.release) == (version, release):
            return
        self.patches.append(version)
        changed = version != self.rollout.desired
        self._roll(release=release)
        if changed:
            self.someone_sets(version)

    def _move(self, version: int) -> None:
        if self.champion != version:
            self.champion = version
            self.champions.append(version)

    def _roll(self, **facts: object) -> None:
        self.rollout = msgspec.structs.replace(self.rollout, **facts)
