"""The part of the release machine that touches traffic: canary, soak, promotion, and the way back. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from leadscore.release.approval import approve_command
from leadscore.release.binding import expected_of, is_bound
from leadscore.release.states import (
    Finish,
    Note,
    Observations,
    PatchRollout,
    Promote,
    ReleaseSpec,
    ReleaseStatus,
    ReportKpi,
    ReportObservation,
    Retreat,
    ReturnAlias,
    RollBack,
    RolloutObservation,
    Step,
    Wait,
)


def canary(spec: ReleaseSpec, status: ReleaseStatus, seen: Observations, now: datetime) -> Step:
    """Bring the candidate to all traffic; Argo moves the weights and aborts within minutes."""
    if status.retreat is not None:
        return _go_back(spec, status, status.retreat, seen)
    rollout = seen.rollout
    if rollout is None:
        return _wait(status, "The Rollout is gone.")
    if rollout.release != spec.release:
        return _begin(spec, status, seen, rollout, now)
    if rollout.desired != spec.version:
        return _taken(spec, status, "Aborted", rollout)
    against = _against(spec, status, seen) or _sent_back(rollout)
    if against:
        return _turn(status, "Aborted", against)
    if rollout.stable == spec.version or rollout.weight >= 100:
        reason = f"Has all traffic; its business figures are watched from {now:%Y-%m-%d %H:%M} UTC."
        return Step(
            Note(),
            msgspec.structs.replace(status, phase="Watching", reason=reason, since=now, watch_since=now),
        )
    words = f": {rollout.message}" if rollout.message else ""
    return _wait(status, f"Canary at {rollout.weight} %, {rollout.state}{words}.")


def soaking(spec: ReleaseSpec, status: ReleaseStatus, seen: Observations, now: datetime) -> Step:
    """Watch the business KPI at 100 %; then promote, or go back."""
    if status.retreat is not None:
        return _go_back(spec, status, status.retreat, seen)
    rollout = seen.rollout
    if rollout is None:
        return _wait(status, "The Rollout is gone.")
    if rollout.release != spec.release or rollout.desired != spec.version:
        return _taken(spec, status, "RolledBack", rollout)
    against = _against(spec, status, seen) or _sent_back(rollout)
    if against:
        return _turn(status, "RolledBack", against)
    since = status.watch_since or now
    end = since + timedelta(seconds=spec.soak_seconds)
    previous = _target(spec, status, seen)
    if previous is not None:
        pending = _kpi(spec, status, seen, since, previous, now)
        if pending is not None:
            return pending
    elif now < end:
        return _wait(
            status, f"No other version to compare with; watched until {end:%Y-%m-%d %H:%M} UTC.", end
        )
    if rollout.stable != spec.version or rollout.state != "Healthy":
        return _wait(status, f"The soak is over; the Rollout is {rollout.state} at {rollout.weight} %.")
    if _is_champion(spec, seen):
        words = (
            f"{spec.ref} is champion: approved by {status.approved_by}, watched until "
            f"{end:%Y-%m-%d %H:%M} UTC."
        )
        return _finish(status, Finish("Promoted", words + _in_spite(spec, seen, previous)))
    reason = f"Released by {spec.release}: gate, approval of {status.approved_by}, canary and soak passed."
    return Step(Promote(spec.version, status.champion, reason), status)


def _begin(
    spec: ReleaseSpec, status: ReleaseStatus, seen: Observations, rollout: RolloutObservation, now: datetime
) -> Step:
    """Start the canary after every condition was checked again, from fresh reads."""
    against = _against(spec, status, seen)
    if against:
        return _finish(status, Finish("Aborted", against))
    answer = seen.approval
    if answer is None or answer.verdict != "approved" or not is_bound(answer, spec, status):
        words = f"No approval of {spec.ref} with digest {status.digest[:12]} that counts is on record."
        words += f" {seen.unproven} Waits for a person: {approve_command(spec.ref)}"
        return _wait(
            status, " ".join(words.split()), needs_human_since=status.since or now, unproven=seen.unproven
        )
    if answer.evidence != status.approval:
        # The earlier answer no longer counts (its key was revoked, or it has no proof).
        by = f"Approved by {answer.by}: {answer.reason}"
        return Step(
            Note(),
            msgspec.structs.replace(status, approval=answer.evidence, approved_by=answer.by, reason=by),
        )
    if rollout.desired not in {status.previous, spec.version}:
        return _taken(spec, status, "Aborted", rollout)
    reason = f"Canary of {spec.ref}, approved by {status.approved_by}."
    return Step(PatchRollout(spec.version, spec.release, reason, expected_of(status, seen)), status)


def _kpi(
    spec: ReleaseSpec,
    status: ReleaseStatus,
    seen: Observations,
    since: datetime,
    previous: int,
    now: datetime,
) -> Step | None:
    """The soak's next step.

    None when its last report is there and supports the candidate, or a person has promoted it.

    The last report must reach to the end of the soak and have seen enough to find a fall:
    without it the candidate is not promoted, however long ago the soak ended. Reports go on
    until then, because a late fall must still be found.
    """
    end = since + timedelta(seconds=spec.soak_seconds)
    report = seen.kpi
    ours = report.state == "done" and report.digest == status.digest
    if ours and not report.passed:
        return _turn(status, "RolledBack", report.summary, kpi=report.evidence)
    lacking = _lacking(spec, report)
    if ours and report.at is not None and report.at >= end and (not lacking or _is_champion(spec, seen)):
        return None
    due, upcoming = reports_due(spec, since, now)
    if due > report.number and report.state != "running":
        return Step(ReportKpi(spec.version, previous, since, due), status)
    # After twice its time a soak needs a person, whatever its report's state.
    patience = end + timedelta(seconds=spec.soak_seconds)
    needs_human_since = patience if now >= patience else None
    if report.state == "failed":
        words = (
            f"KPI report {report.number} could not be made "
            f"({report.summary or 'its Job gave up'}); the next is due"
        )
    elif ours and lacking and now >= end:
        words = _undecided(spec, lacking, now, end)
        if needs_human_since is not None:
            words += f" Looked at again at {upcoming:%Y-%m-%d %H:%M} UTC."
    elif ours:
        words = report.summary
    else:
        words = "No KPI report yet; the next is due"
    if report.state == "running":
        return _wait(
            status, f"KPI report {report.number} is being made.", needs_human_since=needs_human_since
        )
    if not ours:
        words = f"{words} at {upcoming:%Y-%m-%d %H:%M} UTC."
    return _wait(status, words, upcoming, needs_human_since=needs_human_since)


def reports_due(spec: ReleaseSpec, since: datetime, now: datetime) -> tuple[int, datetime]:
    """How many KPI reports of a soak that began at `since` are due now, and when the next one is.

    One per interval, and one more at the end. From twice the soak on a person is asked, and the time between
    reports doubles: a late fall is still found, and a release that nobody answers makes a handful of Jobs a
    year, not thousands. The number only rises.
    """
    every, soak = timedelta(seconds=spec.soak_every_seconds), timedelta(seconds=spec.soak_seconds)
    passed, patience = max(now - since, timedelta()), 2 * soak
    regular = min(passed, patience)
    number = regular // every + (regular >= soak)
    if passed < patience:
        upcoming = (passed // every + 1) * every
        if passed < soak:
            upcoming = min(upcoming, soak)
        return number, since + (upcoming if upcoming <= patience else patience + every)
    # The k-th report after that is due 1, 3, 7, 15 … intervals later.
    more = ((passed - patience) // every + 1).bit_length() - 1
    return number + more, since + patience + (2 ** (more + 1) - 1) * every


def _lacking(spec: ReleaseSpec, report: ReportObservation) -> str:
    """What a report lacks to support the candidate, or ""."""
    if report.leads < spec.soak_minimum_leads:
        return f"{report.leads:,} of at least {spec.soak_minimum_leads:,} leads had their exposure"
    if spec.soak_minimum_leads and not report.judged:
        return f"{report.leads:,} leads are too few to find even a loss of all conversions"
    return ""


def _undecided(spec: ReleaseSpec, lacking: str, now: datetime, end: datetime) -> str:
    """Return the reason of a soak that is over and has seen too few leads.

    It goes on for as long again, then a person is asked.
    """
    patience = end + timedelta(seconds=spec.soak_seconds)
    if now < patience:
        return (
            f"Too little seen: {lacking}. Watched on; from {patience:%Y-%m-%d %H:%M} "
            "UTC on a person must decide."
        )
    return (
        f"A person must decide: {lacking}. To keep it: leadscore models promote {spec.ref} --reason …;"
        " to take it back: abort: true in the release."
    )


def _in_spite(spec: ReleaseSpec, seen: Observations, previous: int | None) -> str:
    """What is added where a person has decided for the candidate because the soak could not, or ""."""
    lacking = "" if previous is None else _lacking(spec, seen.kpi)
    return f" A person promoted it; the soak supports nothing: {lacking}." if lacking else ""


def _is_champion(spec: ReleaseSpec, seen: Observations) -> bool:
    return seen.champion is not None and seen.champion.version == spec.version


def _go_back(spec: ReleaseSpec, status: ReleaseStatus, retreat: Retreat, seen: Observations) -> Step:
    rollout = seen.rollout
    if rollout is None:
        return _wait(status, f"{status.reason} (The Rollout is gone.)", keep=True)
    target = _target(spec, status, seen)
    if target is None:
        words = f"{status.reason} There is no other version to return to: a person must decide."
        return _finish(status, Finish(retreat, words))
    if rollout.desired == spec.version:
        return Step(RollBack(target, spec.release, status.reason), status)
    if _is_champion(spec, seen):
        to = target if status.champion is None else status.champion
        return Step(ReturnAlias(to, spec.version, status.reason), status)
    if rollout.desired != target:
        return _taken(spec, status, retreat, rollout)
    if rollout.stable == target and rollout.state == "Healthy":
        return _finish(status, Finish(retreat, status.reason))
    return _wait(status, f"Returning to {spec.model}/{target}.", keep=True)


def _against(spec: ReleaseSpec, status: ReleaseStatus, seen: Observations) -> str:
    """What ends a release whose candidate has traffic, or ""."""
    if spec.abort:
        return "A person stopped it."
    if seen.candidate is None:
        return f"{spec.ref} is not in the registry any more."
    if seen.candidate.archived:
        return f"{spec.ref} was archived."
    if seen.candidate.digest != status.digest:
        return (
            f"{spec.ref} was {status.digest[:12]} and is now "
            f"{seen.candidate.digest[:12]}: it was tampered with."
        )
    champion = None if seen.champion is None else seen.champion.version
    if champion not in {status.champion, spec.version}:
        return f"Somebody made {_named(spec, champion)} champion meanwhile."
    return ""


def _sent_back(rollout: RolloutObservation) -> str:
    return f"Argo sent it back: {rollout.message or 'no message'}" if rollout.aborted else ""


def _target(spec: ReleaseSpec, status: ReleaseStatus, seen: Observations) -> int | None:
    """Where the way back leads: to what served before, else to the champion."""
    champion = None if seen.champion is None else seen.champion.version
    for version in (status.previous, status.champion, champion):
        if version is not None and version != spec.version:
            return version
    return None


def _taken(spec: ReleaseSpec, status: ReleaseStatus, phase: Retreat, rollout: RolloutObservation) -> Step:
    """Leave a Rollout that somebody else has set as it is."""
    words = f"Somebody else set the Rollout to {_named(spec, rollout.desired)}; it is left as it is."
    reason = f"{status.reason} {words}" if status.retreat else words
    return _finish(status, Finish(phase, reason))


def _turn(status: ReleaseStatus, retreat: Retreat, reason: str, *, kpi: str = "") -> Step:
    """Put the decision to go back on record before acting on it: it is never taken back."""
    return Step(Note(), msgspec.structs.replace(status, retreat=retreat, reason=reason, kpi=kpi))


def _finish(status: ReleaseStatus, finish: Finish) -> Step:
    return Step(finish, msgspec.structs.replace(status, phase=finish.phase, reason=finish.reason))


def _wait(
    status: ReleaseStatus,
    reason: str,
    until: datetime | None = None,
    *,
    needs_human_since: datetime | None = None,
    keep: bool = False,
    unproven: str = "",
) -> Step:
    """Wait; `keep` leaves the status' reason alone because it says why the release goes back."""
    return Step(
        Wait(reason, until, needs_human_since, unproven),
        status if keep else msgspec.structs.replace(status, reason=reason),
    )


def _named(spec: ReleaseSpec, version: int | None) -> str:
    return "none" if version is None else f"{spec.model}/{version}"
