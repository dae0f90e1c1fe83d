"""RetrainRun: one Job per attempt, and what came of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from leadscore.documents import DECODE_ERRORS
from leadscore.durations import format_time, parse_duration
from leadscore.errors import ExitCode
from leadscore.events.retraining import RetrainReport
from leadscore.policy.state import Window
from leadscore_operator.decide.jobs import JobEnd, LastWords, job_end, parse_time
from leadscore_operator.kube.resources import JOBS, RELEASES, Manifest
from leadscore_operator.plan import Change, Create, Happening, Plan, condition, prune
from leadscore_operator.resources import PolicySpec, RunSpec, decode
from leadscore_operator.specs.names import job_name
from leadscore_operator.specs.releases import model_release
from leadscore_operator.specs.trainings import train_job
from leadscore_operator.specs.workload import Workload

FINAL: Final = ("Succeeded", "Failed")
# Exit codes that another attempt cannot change.
HOPELESS: Final = (ExitCode.USAGE, ExitCode.BAD_INPUT, ExitCode.NOT_FOUND, ExitCode.REFUSED, ExitCode.CORRUPT)
_PATIENCE: Final = timedelta(minutes=10)
_LOOK_AGAIN: Final = timedelta(seconds=2)
_LONGEST_DELAY: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class RunInView:
    """What was read.

    Attributes:
        run: The RetrainRun.
        policy: Its policy.
        job: The Job of the present attempt.
        words: That Job's last words, if it ended and its pod is there.
        ahead: Name of an older live run of the same policy, or "".
    """

    run: Manifest
    policy: Manifest | None
    job: Manifest | None
    words: LastWords | None
    ahead: str = ""


def attempt_of(run: Manifest) -> int:
    """Number of the present attempt, from 1."""
    return int(run.get("status", {}).get("attempt") or 1)


def current_job(run: Manifest) -> str:
    """Name of the present attempt's Job."""
    return job_name(run["metadata"]["name"], run["metadata"]["uid"], attempt_of(run))


def plan_run(seen: RunInView, workload: Workload, now: datetime) -> Plan:
    """Everything to do for a run now.

    Raises:
        BadInputError: A spec cannot be read.
    """
    old: Manifest = seen.run.get("status", {})
    if old.get("phase") in FINAL:
        return _release(seen, old)
    if seen.policy is None:
        name = seen.run["spec"]["policy"]
        return _waiting(
            seen, old, now, "PolicyMissing", f"There is no RetrainPolicy {name} in this namespace."
        )
    policy = decode(seen.policy["spec"], PolicySpec, "spec of the policy")
    if seen.job is None:
        return _begin(seen, policy, workload, now)
    end = job_end(seen.job)
    if end is not None:
        return _ended(seen, policy, end, now)
    return Plan(
        status=_running(seen, old, now, old.get("started", seen.job["metadata"]["creationTimestamp"]))
    )


def _begin(seen: RunInView, policy: PolicySpec, workload: Workload, now: datetime) -> Plan:
    """Make the Job of the present attempt; if it had been made, it is lost and the next attempt is due."""
    old: Manifest = seen.run.get("status", {})
    attempt, name = attempt_of(seen.run), current_job(seen.run)
    if old.get("job") == name:
        return _next_attempt(seen, policy, now, f"The Job {name} is gone.")
    if seen.ahead:
        message = f"The RetrainRun {seen.ahead} of the same policy is still live."
        return _waiting(seen, old, now, "Queued", message)
    later = _not_before(old)
    # A wait that is longer than the delay was written by a clock that has been set back since.
    if later is not None and now < later <= now + _delay(policy, attempt - 1):
        return Plan(again=later)
    spec = decode(seen.run["spec"], RunSpec, "spec")
    job = train_job(seen.run, policy, _window(spec, policy, seen.run), attempt, workload)
    happening = Happening("Started", f"The Job {name} trains.", f"start{attempt}")
    status = _running(seen, old, now, old.get("started", format_time(now)))
    return Plan(
        changes=(Create(JOBS, job, seen.run["metadata"]["uid"]),), happenings=(happening,), status=status
    )


def _running(seen: RunInView, old: Manifest, now: datetime, started: str) -> Manifest:
    attempt = attempt_of(seen.run)
    status = _status(seen, old, now, phase="Running", message=f"Attempt {attempt} trains.")
    return status | {"attempt": attempt, "job": current_job(seen.run), "started": started}


def _ended(seen: RunInView, policy: PolicySpec, end: JobEnd, now: datetime) -> Plan:
    if seen.words is None and now - end.at < _PATIENCE:
        return Plan(again=now + _LOOK_AGAIN)
    if not end.succeeded:
        said = seen.words.message.strip() if seen.words else ""
        why = said or end.reason or "The Job failed."
        if seen.words is not None and seen.words.exit_code in HOPELESS:
            return _failed(seen, now, why, end.at)
        return _next_attempt(seen, policy, now, why)
    try:
        report = msgspec.json.decode(seen.words.message if seen.words else "", type=RetrainReport)
    except DECODE_ERRORS as error:
        return _next_attempt(seen, policy, now, f"The Job succeeded, but its report cannot be read: {error}.")
    old: Manifest = seen.run.get("status", {})
    result = "Passed" if report.passed else "Refused"
    ref = f"{report.model}/{report.version}"
    message = f"{ref}: gate {result.lower()}. {report.summary}"[:1000]
    status = _status(seen, old, now, phase="Succeeded", message=message)
    gate = {"result": result, "summary": report.summary[:1000]}
    if report.champion is not None:
        gate["champion"] = f"{report.model}/{report.champion}"
    status |= {
        "attempt": attempt_of(seen.run),
        "job": current_job(seen.run),
        "started": old.get("started", format_time(end.at)),
        "finished": format_time(end.at),
        "candidate": {"ref": ref, "version": report.version, "digest": report.digest},
        "gate": gate,
        "metrics": report.metrics,
    }
    reason = "GatePassed" if report.passed else "GateRefused"
    kind = "Normal" if report.passed else "Warning"
    return Plan(happenings=(Happening(reason, message, "gate", kind),), status=status)


def _release(seen: RunInView, old: Manifest) -> Plan:
    """A candidate that passed gets its release, if the policy says so. The status remembers that it did."""
    if old.get("phase") != "Succeeded" or old.get("release") or old.get("gate", {}).get("result") != "Passed":
        return Plan()
    if seen.policy is None:
        return Plan()
    policy = decode(seen.policy["spec"], PolicySpec, "spec of the policy")
    if policy.release is None:
        return Plan()
    release = model_release(policy.model, old["candidate"], policy.release, seen.run)
    name = release["metadata"]["name"]
    change: Change = Create(RELEASES, release, "")
    happening = Happening(
        "ReleaseMade", f"The ModelRelease {name} brings the candidate to traffic.", "release"
    )
    return Plan(changes=(change,), happenings=(happening,), status={**old, "release": name})


def _next_attempt(seen: RunInView, policy: PolicySpec, now: datetime, why: str) -> Plan:
    """Put the next attempt on record; its Job is made by the look that finds it there."""
    attempt = attempt_of(seen.run)
    if attempt >= policy.run.attempts:
        return _failed(seen, now, f"{why} That was attempt {attempt} of {policy.run.attempts}.", now)
    old: Manifest = seen.run.get("status", {})
    later = now + _delay(policy, attempt)
    message = f"Attempt {attempt} failed: {why}"[:1000]
    status = _status(seen, old, now, phase="Pending", message=message)
    status |= {"attempt": attempt + 1, "notBefore": format_time(later)}
    if "started" in old:
        status["started"] = old["started"]
    happening = Happening("AttemptFailed", message, f"attempt{attempt}", "Warning")
    return Plan(happenings=(happening,), status=status, again=later)


def _delay(policy: PolicySpec, attempt: int) -> timedelta:
    """Time after a failed attempt before the next one."""
    first = parse_duration(policy.run.retry_delay)
    # From some point on the next attempt is a matter of days, not of more patience; and no time may overflow.
    return min(first * 2 ** max(attempt - 1, 0), max(first, _LONGEST_DELAY))


def _failed(seen: RunInView, now: datetime, why: str, at: datetime) -> Plan:
    old: Manifest = seen.run.get("status", {})
    status = _status(seen, old, now, phase="Failed", message=why[:1000])
    status |= prune({"attempt": attempt_of(seen.run), "job": old.get("job"), "started": old.get("started")})
    status["finished"] = format_time(at)
    return Plan(happenings=(Happening("Failed", why[:1000], "failed", "Warning"),), status=status)


def _waiting(seen: RunInView, old: Manifest, now: datetime, reason: str, message: str) -> Plan:
    status = {
        **old,
        **_status(seen, old, now, phase=old.get("phase", "Pending"), message=message, reason=reason),
    }
    return Plan(happenings=(Happening(reason, message, reason, "Warning"),), status=status)


def _status(
    seen: RunInView, old: Manifest, now: datetime, *, phase: str, message: str, reason: str = "AsAsked"
) -> Manifest:
    generation = seen.run["metadata"]["generation"]
    ready = reason == "AsAsked"
    return {
        "observedGeneration": generation,
        "phase": phase,
        "message": message,
        "conditions": condition(
            old, now, ready=ready, reason=reason, message=message if not ready else "", generation=generation
        ),
    }


def _window(spec: RunSpec, policy: PolicySpec, run: Manifest) -> Window:
    if spec.window is not None:
        return Window(spec.window.start, spec.window.end)
    created = parse_time(run["metadata"]["creationTimestamp"])
    return Window(created - parse_duration(policy.data_window), created)


def _not_before(status: Manifest) -> datetime | None:
    return parse_time(status["notBefore"]) if "notBefore" in status else None
