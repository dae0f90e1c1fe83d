"""DriftDetector: keep a CronJob per schedule, and write its Jobs' verdicts into the status. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec.structs import replace

from leadscore.drift.verdict import SEVERITIES, DriftVerdict
from leadscore.errors import BadInputError
from leadscore.policy.state import Observation
from leadscore_operator.decide.cron import next_run
from leadscore_operator.decide.freshness import (
    ASK_AGAIN,
    JudgedCondition,
    freshness_conditions,
    freshness_events,
)
from leadscore_operator.decide.jobs import JobEnd, TerminationMessage, job_end
from leadscore_operator.errors import KubeError
from leadscore_operator.kube.resources import CRONJOBS, Manifest
from leadscore_operator.plan import Apply, Change, Delete, Event, Patch, Plan
from leadscore_operator.resources import DetectorSpec, decode
from leadscore_operator.specs.checks import GENERATION, SCHEDULE_LABEL, cron_job
from leadscore_operator.specs.ownership import claim_fields
from leadscore_operator.specs.workload import Workload
from leadscore_operator.statuses import (
    UNKNOWN,
    DetectorStatus,
    ScheduleStatus,
    VerdictStatus,
    condition_now,
    to_wire,
)

KEPT: Final = 30
# A finished Job without a pod for so long counts as one without a verdict.
PATIENCE: Final = timedelta(minutes=10)
LOOK_AGAIN: Final = timedelta(seconds=2)
_RANK: Final = (SEVERITIES[0], UNKNOWN, *SEVERITIES[1:])


@dataclass(frozen=True, slots=True)
class DetectorObservation:
    """What was read: the object, its CronJobs, its Jobs, and the last words of the Jobs that need them.

    A Job that `unread` named and that has no entry in `words` has no pod (any more). `left` are CronJobs of a
    detector that had this name before; `installation` is what CronJobs belong to; `freshness` is what is on
    record of the model beside its checks.
    """

    detector: Manifest
    cron_jobs: Sequence[Manifest]
    jobs: Sequence[Manifest]
    words: Mapping[str, TerminationMessage]
    left: Sequence[Manifest] = ()
    installation: Manifest | None = None
    freshness: Sequence[JudgedCondition] = ()


def detector_status(detector: Manifest) -> DetectorStatus:
    """Return a detector's status.

    Raises:
        BadInputError: It is not one.
    """
    return decode(detector.get("status", {}), DetectorStatus, "status")


def unread(detector: Manifest, jobs: Sequence[Manifest]) -> list[str]:
    """Return names of finished Jobs whose verdict is not in the status yet, oldest first."""
    read = detector_status(detector).read_jobs
    ended = [(end.at, job["metadata"]["name"]) for job in jobs if (end := job_end(job)) is not None]
    return [name for _, name in sorted(ended) if name not in read]


def plan_detector(seen: DetectorObservation, workload: Workload, now: datetime) -> Plan:
    """Return everything to do for a detector now.

    Raises:
        BadInputError: The spec cannot be read (the caller says so in the Ready condition).
        KubeError: The detector that was read is older than its CronJobs.
    """
    detector = seen.detector
    spec = decode(detector["spec"], DetectorSpec, "spec")
    changes = _cron_jobs(seen, spec, workload)
    old = detector_status(detector)
    names = [s.name for s in spec.schedules]
    reading = _Reading(seen, old, now, names)
    upcoming = {
        s.name: None if spec.suspend else next_run(s.cron, spec.time_zone, now) for s in spec.schedules
    }
    soonest = min((t for t in upcoming.values() if t is not None), default=None)
    schedules = tuple(
        _schedule(
            reading.last.get(s.name) or _known(old, s.name),
            cron=f"{s.cron} {spec.time_zone}",
            cron_job=cron_job(detector, spec, s, workload)["metadata"]["name"],
            upcoming=upcoming[s.name],
            now=now,
            suspended=spec.suspend,
        )
        for s in spec.schedules
    )
    generation = detector["metadata"]["generation"]
    failed = [s for s in schedules if s.outcome == "Failed"]
    status = DetectorStatus(
        observed_generation=generation,
        **_summary(reading.verdicts, names),
        last_run=max((s.last_run for s in schedules if s.last_run is not None), default=None),
        next_run=soonest,
        schedules=schedules,
        verdicts=tuple(reading.verdicts),
        read_jobs=reading.read,
        conditions=condition_now(
            old,
            now,
            ready=not failed,
            reason="CheckFailed" if failed else "Scheduled",
            message=failed[0].message or "" if failed else "Every schedule has its CronJob.",
            generation=generation,
        )
        + freshness_conditions(seen.freshness, old, now, generation),
    )
    asked = now + ASK_AGAIN if seen.freshness else None
    again = min((t for t in (soonest, reading.again, asked) if t is not None), default=None)
    events = (*reading.events, *freshness_events(seen.freshness))
    return Plan(changes=changes, events=events, status=to_wire(status), again=again)


class _Reading:
    """Goes through the Jobs that were not read yet, oldest first."""

    def __init__(
        self, seen: DetectorObservation, old: DetectorStatus, now: datetime, schedules: Sequence[str]
    ) -> None:
        by_name = {job["metadata"]["name"]: job for job in seen.jobs}
        self._old = old
        self.verdicts = list(old.verdicts)
        self.events: list[Event] = []
        self.last: dict[str, ScheduleStatus] = {}
        self.again: datetime | None = None
        kept = {v.job for v in self.verdicts}
        done = [name for name in old.read_jobs if name in by_name or name in kept]
        for name in unread(seen.detector, seen.jobs):
            job = by_name[name]
            end = job_end(job)
            if end is None:
                continue
            words = seen.words.get(name)
            if words is None and now - end.at < PATIENCE:
                # Its pod may still appear in a later read.
                self.again = now + LOOK_AGAIN
                continue
            self._one(name, job["metadata"].get("labels", {}).get(SCHEDULE_LABEL, ""), end, words)
            done.append(name)
        self.read = tuple(sorted(done))
        self.verdicts.sort(key=lambda v: (v.window_end, v.job), reverse=True)
        self.verdicts = _kept(self.verdicts, schedules)

    def _one(self, name: str, schedule: str, end: JobEnd, words: TerminationMessage | None) -> None:
        entry = replace(_known(self._old, schedule), last_job=name, last_run=end.at, message=None)
        try:
            verdict = _verdict(end, words)
        except BadInputError as error:
            text = f"The check {name} gave no verdict: {error.message[:400]}"
            self.last[schedule] = replace(entry, outcome="Failed", message=text)
            self.events.append(Event("CheckFailed", text, name, "Warning"))
            return
        self.last[schedule] = replace(entry, outcome="Verdict")
        if verdict.unknown:
            reason = verdict.reasons[0] if verdict.reasons else None
            self.last[schedule] = replace(entry, outcome="NotJudged", message=reason)
        if any(v.job == name for v in self.verdicts):
            return
        self.verdicts.append(_entry(name, schedule, end, verdict))
        if verdict.unknown or verdict.severity != "none":
            self.events.append(_event(name, verdict))


def _kept(verdicts: list[VerdictStatus], schedules: Sequence[str]) -> list[VerdictStatus]:
    """The newest ones, and of every schedule at least the last.

    An hourly check must not crowd out the weekly one's.
    """
    kept = verdicts[:KEPT]
    found = {verdict.schedule for verdict in kept}
    for verdict in verdicts[KEPT:]:
        if verdict.schedule in schedules and verdict.schedule not in found:
            kept.append(verdict)
            found.add(verdict.schedule)
    return kept


def _verdict(end: JobEnd, words: TerminationMessage | None) -> DriftVerdict:
    if not end.succeeded:
        said = words.message.strip() if words else ""
        raise BadInputError(said or end.reason or "The Job failed.")
    if words is None:
        raise BadInputError("Its pod was gone before its verdict was read.")
    return DriftVerdict.from_json(words.message)


def observations(detector: Manifest) -> list[Observation]:
    """Return the verdicts in a detector's status, as policies take them.

    Raises:
        BadInputError: An entry is not one (never "no verdict").
    """
    return [
        Observation(
            detector=detector["metadata"]["name"],
            schedule=v.schedule,
            model_version=v.model_version,
            window_start=v.window_start,
            window_end=v.window_end,
            severity="none" if v.severity == UNKNOWN else v.severity,
            judged=v.severity != UNKNOWN,
            drifted=v.drifted,
            triage=v.triage,
            kind=v.kind,
            drop=v.drop,
            outcomes_end=v.outcomes_end,
            worst=v.worst or "",
            why=v.why or "",
        )
        for v in detector_status(detector).verdicts
    ]


def _cron_jobs(seen: DetectorObservation, spec: DetectorSpec, workload: Workload) -> tuple[Change, ...]:
    found = {c["metadata"]["name"]: c for c in seen.cron_jobs}
    made_from = [int(c["metadata"].get("annotations", {}).get(GENERATION, 0)) for c in seen.cron_jobs]
    if max(made_from, default=0) > seen.detector["metadata"]["generation"]:
        raise KubeError(
            "A CronJob was made from a newer generation of the detector than the one that was read."
        )
    changes: list[Change] = []
    for schedule in spec.schedules:
        wanted = cron_job(seen.detector, spec, schedule, workload, seen.installation)
        changes += _applied(wanted, found.pop(wanted["metadata"]["name"], None))
    return (*changes, *without([*found.values(), *seen.left]))


def _applied(wanted: Manifest, known: Manifest | None) -> list[Change]:
    """Set a CronJob as it should be: the server compares, and writes nothing where nothing differs."""
    if known is None:
        return [Apply(CRONJOBS, wanted)]
    meta = known["metadata"]
    exactly = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
    taken_over = claim_fields(meta)
    if taken_over is None:
        return [Apply(CRONJOBS, wanted | {"metadata": wanted["metadata"] | exactly})]
    patch = {"metadata": {**exactly, "managedFields": taken_over}}
    # The patch has changed the version, and only from the one that was read.
    body = wanted | {"metadata": wanted["metadata"] | {"uid": meta["uid"]}}
    return [Patch(CRONJOBS, meta["name"], patch), Apply(CRONJOBS, body)]


def without(cron_jobs: Sequence[Manifest]) -> list[Change]:
    """Delete these CronJobs, and no others of their names."""
    return [Delete(CRONJOBS, c["metadata"]["name"], c["metadata"]["uid"]) for c in cron_jobs]


def _entry(name: str, schedule: str, end: JobEnd, verdict: DriftVerdict) -> VerdictStatus:
    seen = Observation.of("", schedule, verdict)
    return VerdictStatus(
        job=name,
        schedule=schedule,
        finished=end.at,
        model_version=verdict.model_version,
        window_start=verdict.window_start,
        window_end=verdict.window_end,
        rows=verdict.rows,
        severity=UNKNOWN if verdict.unknown else verdict.severity,
        drifted=verdict.drifted,
        triage=verdict.triage,
        kind=verdict.kind,
        since=verdict.since,
        drop=seen.drop,
        outcomes_end=seen.outcomes_end,
        worst=seen.worst or None,
        why=seen.why or None,
    )


def _event(name: str, verdict: DriftVerdict) -> Event:
    if verdict.unknown:
        return Event("NotJudged", " ".join(verdict.reasons[:1]) or "Not judged.", name, "Warning")
    worst = f", worst in {verdict.worst[0].feature}" if verdict.worst else ""
    why = f" {verdict.reasons[0]}" if verdict.reasons else ""
    text = f"{verdict.severity.capitalize()} drift{worst} ({verdict.triage}).{why}"
    if verdict.triage == "pipeline_bug":
        # The verdict's own sentence may contain it.
        tell = "" if "data owner" in why else " Tell the data owner."
        return Event("PipelineBug", f"{text}{tell}", name, "Warning")
    return Event("Drifted" if verdict.drifted else "DriftSeen", text, name, "Warning")


def _summary(verdicts: Sequence[VerdictStatus], schedules: Sequence[str]) -> dict[str, Any]:
    """Return the fields of the status that say the worst of the newest verdicts of each schedule."""
    newest: dict[str, VerdictStatus] = {}
    for verdict in verdicts:
        if verdict.schedule in schedules:
            newest.setdefault(verdict.schedule, verdict)
    if not newest:
        return {}
    worst = max(newest.values(), key=lambda v: (_RANK.index(v.severity), v.drifted, v.window_end))
    streak = 0
    for verdict in verdicts:
        # A window that could not be judged neither adds to a run of breaches nor ends it.
        if verdict.schedule == worst.schedule and verdict.severity != UNKNOWN:
            if verdict.severity == "none":
                break
            streak += 1
    return {
        "severity": worst.severity,
        "drifted": worst.drifted,
        "triage": worst.triage,
        "worst": worst.worst,
        "since": worst.since,
        "message": worst.why,
        "model_version": worst.model_version,
        "consecutive_breaches": streak,
    }


def _schedule(
    known: ScheduleStatus,
    *,
    cron: str,
    cron_job: str,
    upcoming: datetime | None,
    now: datetime,
    suspended: bool,
) -> ScheduleStatus:
    """Return a schedule's status with when it runs.

    `since` is from when it was first served, resumed, or given another cron: checks are late by the present
    cron only from then on, and one that was daily and is hourly now has missed none yet.
    """
    since = known.since if known.cron in {None, cron} and known.since is not None else now
    return replace(known, cron=cron, cron_job=cron_job, next_run=upcoming, since=None if suspended else since)


def _known(status: DetectorStatus, schedule: str) -> ScheduleStatus:
    found = (s for s in status.schedules if s.name == schedule)
    return next(found, ScheduleStatus(name=schedule))
