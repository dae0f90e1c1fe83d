"""The release machine: from a wish, the status and what is seen now to the one next step. Pure.

Level-triggered: nothing is decided from an event, everything from the present state, so a decision may be
asked for any number of times, by a process that has just started, after a step that was or was not completed.
A crash between an action and its status is harmless because each action either leaves a trace that the next
look finds (a Job of that key, a record of that id, an annotation set in the same patch) or does no harm when
it is done twice. Facts that cannot be seen any more once they are past (which version served before, that a
canary was aborted) are put into the status *before* anything is done about them.

How a reconciler uses it: look; `decide_step`; do the action; write the status if it differs; again, until the
action is a Wait or the same as the one just done. A read that fails ends the round.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from leadscore.release.approval import approve_command
from leadscore.release.binding import bound_evidence, expected_of, is_bound
from leadscore.release.expected import NOTABLE, allowance
from leadscore.release.mirror import ShadowObservation
from leadscore.release.states import (
    FINAL,
    Final,
    Finish,
    Nominate,
    Note,
    Observations,
    ReleasePhase,
    ReleaseSpec,
    ReleaseStatus,
    ReportShadow,
    RequestApproval,
    StartReplay,
    StartShadow,
    Step,
    StopShadow,
    Wait,
)
from leadscore.release.traffic import canary, soaking


def decide_step(spec: ReleaseSpec, status: ReleaseStatus, seen: Observations, now: datetime) -> Step:
    """The next step of a release.

    Args:
        spec: What is wanted.
        status: As it was last written.
        seen: Read afresh; a failed read must have ended the round before.
        now: With a time zone.
    """
    if _is_left_behind(spec, status, seen):
        return Step(StopShadow("Its phase is over."), status)
    if status.phase in FINAL:
        return Step(Wait("It has ended."), status)
    if seen.ended is not None:
        # A crash came between the record and the status: the record is what counts, whatever is seen now.
        ended = msgspec.structs.replace(status, phase=seen.ended.phase, reason=seen.ended.reason)
        return Step(Note(), ended)
    if status.since is None:
        status = msgspec.structs.replace(status, since=now)
    if status.phase == "Canary":
        return canary(spec, status, seen, now)
    if status.phase == "Watching":
        return soaking(spec, status, seen, now)
    return _without_traffic(spec, status, seen, now)


def _without_traffic(spec: ReleaseSpec, status: ReleaseStatus, seen: Observations, now: datetime) -> Step:
    refusal = _before_traffic(spec, status, seen)
    if refusal is not None:
        return _end(spec, status, seen, refusal)
    match status.phase:
        case "Pending":
            return _pending(spec, status, seen, now)
        case "Gated":
            return _gated(spec, status, seen, now)
        case "Replay":
            return _replay(spec, status, seen, now)
        case "Shadow":
            return _shadow(spec, status, seen, now)
        case _:
            return _awaiting(spec, status, seen, now)


def _before_traffic(spec: ReleaseSpec, status: ReleaseStatus, seen: Observations) -> Finish | None:
    """What ends a release that has not touched traffic, whatever its phase."""
    if spec.abort:
        return Finish("Aborted", "A person stopped it before it had any traffic.")
    if seen.candidate is None:
        if status.digest:
            return Finish("Rejected", f"{spec.ref} is not in the registry any more.")
        return None
    if seen.candidate.archived:
        return Finish("Rejected", f"{spec.ref} is archived; archived models do not come back.")
    if status.digest and seen.candidate.digest != status.digest:
        return Finish(
            "Rejected",
            f"{spec.ref} was {status.digest[:12]} and is now {seen.candidate.digest[:12]}: a published "
            "version never changes, so somebody tampered with it.",
        )
    if seen.champion is not None and seen.champion.version == spec.version:
        return Finish("Rejected", f"{spec.ref} is the champion already: there is nothing to release.")
    champion = None if seen.champion is None else seen.champion.version
    if status.gate and champion != status.champion:
        return Finish(
            "Rejected",
            f"The champion is {_ref(spec, champion)}; {spec.ref} was judged against "
            f"{_ref(spec, status.champion)}. Run the gate against the present champion.",
        )
    return None


def _pending(spec: ReleaseSpec, status: ReleaseStatus, seen: Observations, now: datetime) -> Step:
    if seen.blocked_by:
        return _wait(status, f"{seen.blocked_by} came first; one release at a time changes a Rollout.")
    if seen.candidate is None:
        return _wait(status, f"{spec.ref} is not in the registry yet.")
    if not seen.candidate.challenger:
        return Step(Nominate(spec.version, f"Release of {spec.ref}."), status)
    gate = seen.gate
    if gate is None:
        return _wait(status, f"No gate has judged {spec.ref} yet.")
    champion = seen.champion
    if gate.digest != seen.candidate.digest:
        return _wait(status, f"The gate's verdict is about {gate.digest[:12]}, not {spec.ref} as it is now.")
    if not gate.passed:
        return _end(spec, status, seen, Finish("Rejected", gate.summary))
    if gate.champion != (None if champion is None else champion.digest):
        judged = "no champion" if gate.champion is None else f"the champion {gate.champion[:12]}"
        present = None if champion is None else champion.version
        return _end(
            spec,
            status,
            seen,
            Finish(
                "Rejected",
                f"The gate judged {spec.ref} against {judged}; the champion is {_ref(spec, present)} now.",
            ),
        )
    return _enter(
        status,
        "Gated",
        gate.summary,
        now,
        digest=seen.candidate.digest,
        champion=None if champion is None else champion.version,
        gate=gate.evidence,
    )


def _gated(spec: ReleaseSpec, status: ReleaseStatus, seen: Observations, now: datetime) -> Step:
    match spec.evaluation:
        case "replay":
            return _enter(status, "Replay", f"Replays the requests of the last {spec.replay_days} days.", now)
        case "shadow" if status.champion is None:
            # Otherwise a day would pass before the report finds nothing to compare with.
            words = (
                f"There is no champion whose answers those of {spec.ref} could be "
                "compared with: evaluation: none."
            )
            return _end(spec, status, seen, Finish("Rejected", words))
        case "shadow":
            return _enter(status, "Shadow", "Gets a copy of the traffic.", now)
        case "none":
            return _enter(status, "AwaitingApproval", "Waits for a person's approval.", now)


def _replay(spec: ReleaseSpec, status: ReleaseStatus, seen: Observations, now: datetime) -> Step:
    match seen.evaluation.state:
        case "absent":
            return Step(StartReplay(spec.version, spec.replay_days, "replay"), status)
        case "running":
            return _wait(status, "The replay is running.")
        case "failed":
            return _end(spec, status, seen, _no_report("replay", seen))
        case "done":
            return _evaluated(spec, status, seen, now)


def _shadow(spec: ReleaseSpec, status: ReleaseStatus, seen: Observations, now: datetime) -> Step:
    match seen.evaluation.state:
        case "done" if seen.evaluation.too_few and seen.evaluation.digest == status.digest:
            return _shadowing(spec, status, seen, now)
        case "done" if _is_ours(seen.shadow, spec):
            return Step(StopShadow("The report is there."), status)
        case "done":
            return _evaluated(spec, status, seen, now)
        case "failed":
            return _end(spec, status, seen, _no_report("shadow's", seen))
        case "running":
            return _wait(status, "The shadow's answers are being compared.")
        case "absent":
            return _shadowing(spec, status, seen, now)


def _shadowing(spec: ReleaseSpec, status: ReleaseStatus, seen: Observations, now: datetime) -> Step:
    shadow = seen.shadow
    if shadow is None:
        if seen.mirror.lacks:
            return _wait(status, seen.mirror.lacks, needs_human_since=status.since or now)
        if seen.rollout is None:
            return _wait(status, "There is no Rollout yet whose pods a shadow could be like.")
        return Step(StartShadow(spec.version), status)
    if not _is_ours(shadow, spec):
        busy = f"The shadow is busy with {_ref(spec, shadow.version)}"
        if shadow.release:
            return _wait(status, f"{busy}.")
        words = f"{busy}, which no release has started: take it away (shadow.version=0 in the chart)."
        return _wait(status, words, needs_human_since=status.since or now)
    if status.shadow_since is None:
        if shadow.ready_since is not None:
            # What is seen later may be another readiness: pods come and go in a day.
            return Step(Note(), msgspec.structs.replace(status, shadow_since=shadow.ready_since))
        if shadow.trouble:
            words = (
                f"The shadow does not become ready: {shadow.trouble} Fix it, or stop "
                "the release (abort: true)."
            )
            return _wait(status, words, needs_human_since=status.since or now)
        return _wait(status, "The shadow is not ready yet.")
    return _report_when_due(spec, status, seen, status.shadow_since, now)


def _report_when_due(
    spec: ReleaseSpec, status: ReleaseStatus, seen: Observations, since: datetime, now: datetime
) -> Step:
    """Report on the shadow at the end of its time.

    While it has seen too few leads: after twice the time, and so on.

    At its limit a person is asked: who allows more time or asks for fewer leads (both in the spec) gets
    another report.
    """
    last, first = seen.evaluation, timedelta(seconds=spec.shadow_seconds)
    limit = since + first + timedelta(seconds=spec.shadow_extend_seconds)
    until = min(since + first * 2**last.number, limit)
    enough = last.too_few and last.leads >= spec.shadow_minimum_leads
    exhausted = last.too_few and min(since + first * 2 ** (last.number - 1), limit) >= limit
    if enough or (now >= until and not exhausted):
        return Step(ReportShadow(spec.version, since, seen.mirror.percent, last.number + 1), status)
    if exhausted:
        words = (
            f"A person must decide: {last.leads:,} of at least {spec.shadow_minimum_leads:,} leads until"
            f" {limit:%Y-%m-%d %H:%M} UTC. To go on: a longer spec.shadow.extendFor; to be content with "
            "fewer: a smaller spec.shadow.minimumLeads; to stop: abort: true."
        )
        return _wait(status, words, needs_human_since=limit)
    words = f"Gets a copy of the traffic until {until:%Y-%m-%d %H:%M} UTC."
    if last.too_few:
        words = f"{last.summary} {words} From {limit:%Y-%m-%d %H:%M} UTC on a person must decide."
    return _wait(status, words, until)


def _evaluated(spec: ReleaseSpec, status: ReleaseStatus, seen: Observations, now: datetime) -> Step:
    report = seen.evaluation
    if report.digest != status.digest:
        return _end(
            spec,
            status,
            seen,
            Finish("Rejected", f"The report is about {report.digest[:12]}, not {spec.ref}."),
        )
    if not report.passed:
        return _end(spec, status, seen, Finish("Rejected", report.summary))
    return _enter(
        status, "AwaitingApproval", "Waits for a person's approval.", now, evaluation=report.evidence
    )


def _awaiting(spec: ReleaseSpec, status: ReleaseStatus, seen: Observations, now: datetime) -> Step:
    answer = seen.approval
    if answer is not None and not is_bound(answer, spec, status):
        answer = None
    if answer is None:
        if not seen.requested:
            return Step(RequestApproval(status.digest, bound_evidence(status)), status)
        asked = status.since or now
        until = asked + timedelta(seconds=spec.approval_seconds)
        if now >= until:
            late = f"Nobody approved {spec.ref} until {until:%Y-%m-%d %H:%M} UTC."
            return _end(spec, status, seen, Finish("Rejected", late))
        words = f"{seen.unproven} Waits for a person: {approve_command(spec.ref)}".lstrip()
        expected = expected_of(status, seen)
        if expected is not None and max(expected.scores, expected.grades) >= NOTABLE:
            words += f" {allowance(expected)}"
        return _wait(status, words, until, needs_human_since=asked, unproven=seen.unproven)
    if answer.verdict == "denied":
        return _end(spec, status, seen, Finish("Rejected", f"{answer.by} denied it: {answer.reason}"))
    if seen.blocked_by:
        return _wait(status, f"Approved by {answer.by}; {seen.blocked_by} came first.")
    rollout = seen.rollout
    if rollout is None:
        return _wait(status, f"Approved by {answer.by}; there is no Rollout yet.")
    if rollout.desired != rollout.stable:
        return _wait(
            status, f"Approved by {answer.by}; the Rollout is on its way to {_ref(spec, rollout.desired)}."
        )
    return _enter(
        status,
        "Canary",
        f"Approved by {answer.by}: {answer.reason}",
        now,
        approval=answer.evidence,
        approved_by=answer.by,
        previous=rollout.stable,
    )


def _end(spec: ReleaseSpec, status: ReleaseStatus, seen: Observations, finish: Finish) -> Step:
    """End before traffic: first the shadow goes, then it is recorded."""
    if _is_ours(seen.shadow, spec):
        return Step(StopShadow(finish.reason), status)
    phase: Final = finish.phase
    return Step(finish, msgspec.structs.replace(status, phase=phase, reason=finish.reason))


def _is_ours(shadow: ShadowObservation | None, spec: ReleaseSpec) -> bool:
    return shadow is not None and shadow.release == spec.release


def _is_left_behind(spec: ReleaseSpec, status: ReleaseStatus, seen: Observations) -> bool:
    """Whether a shadow of this release is there that none of its phases from here on needs."""
    over = status.phase not in {"Pending", "Gated", "Shadow"} or seen.ended is not None
    return over and _is_ours(seen.shadow, spec)


def _enter(
    status: ReleaseStatus,
    phase: ReleasePhase,
    reason: str,
    now: datetime,
    **facts: str | int | datetime | None,
) -> Step:
    return Step(Note(), msgspec.structs.replace(status, phase=phase, reason=reason, since=now, **facts))


def _wait(
    status: ReleaseStatus,
    reason: str,
    until: datetime | None = None,
    *,
    needs_human_since: datetime | None = None,
    unproven: str = "",
) -> Step:
    return Step(
        Wait(reason, until, needs_human_since, unproven), msgspec.structs.replace(status, reason=reason)
    )


def _no_report(which: str, seen: Observations) -> Finish:
    words = seen.evaluation.summary or "its Job gave up"
    return Finish("Rejected", f"The {which} report could not be made: {words}. Release again once it can.")


def _ref(spec: ReleaseSpec, version: int | None) -> str:
    return "none" if version is None else f"{spec.model}/{version}"
