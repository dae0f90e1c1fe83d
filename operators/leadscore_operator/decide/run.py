"""RetrainRun: one Job per attempt, and its result. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec.structs import replace

from leadscore.documents import DECODE_ERRORS
from leadscore.durations import parse_duration
from leadscore.errors import ExitCode
from leadscore.events.retraining import RetrainReport
from leadscore.policy.state import RetrainWindow
from leadscore_operator.decide.jobs import JobEnd, TerminationMessage, job_end
from leadscore_operator.kube.resources import JOBS, RELEASES, Manifest
from leadscore_operator.plan import Change, Create, Event, Plan
from leadscore_operator.resources import PolicySpec, RunSpec, decode
from leadscore_operator.specs.names import job_name
from leadscore_operator.specs.releases import model_release
from leadscore_operator.specs.trainings import train_job
from leadscore_operator.specs.workload import Workload
from leadscore_operator.statuses import Candidate, GateResult, RunStatus, condition_now, to_wire

RUN_FINAL: Final = ("Succeeded", "Failed")
# Exit codes for which another attempt is no use.
HOPELESS: Final = (ExitCode.USAGE, ExitCode.BAD_INPUT, ExitCode.NOT_FOUND, ExitCode.REFUSED, ExitCode.CORRUPT)
_PATIENCE: Final = timedelta(minutes=10)
_LOOK_AGAIN: Final = timedelta(seconds=2)
_LONGEST_DELAY: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class RunObservation:
    """What was read.

    Attributes:
        run: The RetrainRun.
        policy: Its policy.
        job: The Job of the present attempt.
        words: That Job's last words, if it ended and its pod is there.
        blocked_by: Name of an older live run of the same policy, or "".
    """

    run: Manifest
    policy: Manifest | None
    job: Manifest | None
    words: TerminationMessage | None
    blocked_by: str = ""


def run_status(run: Manifest) -> RunStatus:
    """Return a run's status.

    Raises:
        BadInputError: It is not one.
    """
    return decode(run.get("status", {}), RunStatus, "status")


def current_job(run: Manifest) -> str:
    """Return the name of the present attempt's Job."""
    return job_name(run["metadata"]["name"], run["metadata"]["uid"], _attempt(run_status(run)))


def _attempt(status: RunStatus) -> int:
    """Number of the present attempt, from 1."""
    return status.attempt or 1


def plan_run(seen: RunObservation, workload: Workload, now: datetime) -> Plan:
    """Return everything to do for a run now.

    Raises:
        BadInputError: A spec or the status cannot be read.
    """
    old = run_status(seen.run)
    if old.phase in RUN_FINAL:
        return _release(seen, old)
    if seen.policy is None:
        name = seen.run["spec"]["policy"]
        return _waiting(
            seen, old, now, "PolicyMissing", f"There is no RetrainPolicy {name} in this namespace."
        )
    policy = decode(seen.policy["spec"], PolicySpec, "spec of the policy")
    if seen.job is None:
        return _begin(seen, old, policy, workload, now)
    end = job_end(seen.job)
    if end is not None:
        return _ended(seen, old, policy, end, now)
    made = datetime.fromisoformat(seen.job["metadata"]["creationTimestamp"])
    return Plan(status=to_wire(_running(seen, old, now, old.started or made)))


def _begin(
    seen: RunObservation, old: RunStatus, policy: PolicySpec, workload: Workload, now: datetime
) -> Plan:
    """Make the Job of the present attempt; if it had been made, it is lost and the next attempt is due."""
    attempt, name = _attempt(old), current_job(seen.run)
    if old.job == name:
        return _next_attempt(seen, old, policy, now, f"The Job {name} is gone.")
    if seen.blocked_by:
        message = f"The RetrainRun {seen.blocked_by} of the same policy is still live."
        return _waiting(seen, old, now, "Queued", message)
    later = old.not_before
    # A wait that is longer than the delay was written by a clock that has been set back since.
    if later is not None and now < later <= now + _delay(policy, attempt - 1):
        return Plan(again=later)
    spec = decode(seen.run["spec"], RunSpec, "spec")
    job = train_job(seen.run, policy, _window(spec, policy, seen.run), attempt, workload)
    event = Event("Started", f"The Job {name} trains.", f"start{attempt}")
    return Plan(
        changes=(Create(JOBS, job, seen.run["metadata"]["uid"]),),
        events=(event,),
        status=to_wire(_running(seen, old, now, old.started or now)),
    )


def _running(seen: RunObservation, old: RunStatus, now: datetime, started: datetime) -> RunStatus:
    attempt, job = _attempt(old), current_job(seen.run)
    status = _status(seen, old, now, phase="Running", message=f"Attempt {attempt} trains.")
    return replace(status, attempt=attempt, job=job, started=started)


def _ended(seen: RunObservation, old: RunStatus, policy: PolicySpec, end: JobEnd, now: datetime) -> Plan:
    if seen.words is None and now - end.at < _PATIENCE:
        return Plan(again=now + _LOOK_AGAIN)
    if not end.succeeded:
        said = seen.words.message.strip() if seen.words else ""
        why = said or end.reason or "The Job failed."
        if seen.words is not None and seen.words.exit_code in HOPELESS:
            return _failed(seen, old, now, why, end.at)
        return _next_attempt(seen, old, policy, now, why)
    try:
        report = msgspec.json.decode(seen.words.message if seen.words else "", type=RetrainReport)
    except DECODE_ERRORS as error:
        why = f"The Job succeeded, but its report cannot be read: {error}."
        return _next_attempt(seen, old, policy, now, why)
    result, ref = "Passed" if report.passed else "Refused", f"{report.model}/{report.version}"
    message = f"{ref}: gate {result.lower()}. {report.summary}"[:1000]
    champion = None if report.champion is None else f"{report.model}/{report.champion}"
    status = replace(
        _status(seen, old, now, phase="Succeeded", message=message),
        attempt=_attempt(old),
        job=current_job(seen.run),
        started=old.started or end.at,
        finished=end.at,
        candidate=Candidate(ref=ref, version=report.version, digest=report.digest),
        gate=GateResult(result=result, summary=report.summary[:1000], champion=champion),
        metrics=report.metrics,
    )
    kind = "Normal" if report.passed else "Warning"
    return Plan(events=(Event(f"Gate{result}", message, "gate", kind),), status=to_wire(status))


def _release(seen: RunObservation, old: RunStatus) -> Plan:
    """A candidate that passed gets its release, if the policy says so. The status remembers that it did."""
    passed = old.phase == "Succeeded" and old.gate is not None and old.gate.result == "Passed"
    if not passed or old.candidate is None or old.release or seen.policy is None:
        return Plan()
    policy = decode(seen.policy["spec"], PolicySpec, "spec of the policy")
    if policy.release is None:
        return Plan()
    release = model_release(policy.model, old.candidate.version, policy.release, seen.run)
    name = release["metadata"]["name"]
    change: Change = Create(RELEASES, release, "")
    event = Event("ReleaseMade", f"The ModelRelease {name} brings the candidate to traffic.", "release")
    return Plan(changes=(change,), events=(event,), status=to_wire(replace(old, release=name)))


def _next_attempt(seen: RunObservation, old: RunStatus, policy: PolicySpec, now: datetime, why: str) -> Plan:
    """Record the next attempt; the reconcile that finds it recorded makes its Job."""
    attempt = _attempt(old)
    if attempt >= policy.run.attempts:
        return _failed(seen, old, now, f"{why} That was attempt {attempt} of {policy.run.attempts}.", now)
    later = now + _delay(policy, attempt)
    message = f"Attempt {attempt} failed: {why}"[:1000]
    status = replace(
        _status(seen, old, now, phase="Pending", message=message),
        attempt=attempt + 1,
        not_before=later,
        started=old.started,
    )
    event = Event("AttemptFailed", message, f"attempt{attempt}", "Warning")
    return Plan(events=(event,), status=to_wire(status), again=later)


def _delay(policy: PolicySpec, attempt: int) -> timedelta:
    """Time after a failed attempt before the next one."""
    first = parse_duration(policy.run.retry_delay)
    # Delays have an upper bound, also so that no time overflows.
    return min(first * 2 ** max(attempt - 1, 0), max(first, _LONGEST_DELAY))


def _failed(seen: RunObservation, old: RunStatus, now: datetime, why: str, at: datetime) -> Plan:
    status = replace(
        _status(seen, old, now, phase="Failed", message=why[:1000]),
        attempt=_attempt(old),
        job=old.job,
        started=old.started,
        finished=at,
    )
    return Plan(events=(Event("Failed", why[:1000], "failed", "Warning"),), status=to_wire(status))


def _waiting(seen: RunObservation, old: RunStatus, now: datetime, reason: str, message: str) -> Plan:
    new = _status(seen, old, now, phase=old.phase or "Pending", message=message, reason=reason)
    status = replace(
        old,
        observed_generation=new.observed_generation,
        phase=new.phase,
        message=message,
        conditions=new.conditions,
    )
    return Plan(events=(Event(reason, message, reason, "Warning"),), status=to_wire(status))


def _status(
    seen: RunObservation, old: RunStatus, now: datetime, *, phase: str, message: str, reason: str = "AsAsked"
) -> RunStatus:
    generation, ready = seen.run["metadata"]["generation"], reason == "AsAsked"
    said = "" if ready else message
    return RunStatus(
        observed_generation=generation,
        phase=phase,
        message=message,
        conditions=condition_now(old, now, ready=ready, reason=reason, message=said, generation=generation),
    )


def _window(spec: RunSpec, policy: PolicySpec, run: Manifest) -> RetrainWindow:
    if spec.window is not None:
        return RetrainWindow(spec.window.start, spec.window.end)
    created = datetime.fromisoformat(run["metadata"]["creationTimestamp"])
    return RetrainWindow(created - parse_duration(policy.data_window), created)
