"""DriftDetector: keep a CronJob per schedule, and put what its Jobs say into the status. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from leadscore.drift.verdict import SEVERITIES, DriftVerdict
from leadscore.durations import format_time
from leadscore.errors import BadInputError
from leadscore.policy.state import Observation
from leadscore_operator.decide.cron import next_run
from leadscore_operator.decide.jobs import JobEnd, LastWords, job_end
from leadscore_operator.errors import KubeError
from leadscore_operator.kube.resources import CRONJOBS, Manifest
from leadscore_operator.plan import Apply, Change, Delete, Happening, Patch, Plan, condition, prune
from leadscore_operator.resources import DetectorSpec, decode
from leadscore_operator.specs.checks import GENERATION, SCHEDULE_LABEL, cron_job
from leadscore_operator.specs.ownership import claim
from leadscore_operator.specs.workload import Workload

KEPT: Final = 30
# A finished Job whose pod is gone for so long has said its last word to nobody.
PATIENCE: Final = timedelta(minutes=10)
LOOK_AGAIN: Final = timedelta(seconds=2)
# In place of a severity: the check has run and could not judge. Worse than none, which is known.
UNKNOWN: Final = "unknown"
_RANK: Final = (SEVERITIES[0], UNKNOWN, *SEVERITIES[1:])


@dataclass(frozen=True, slots=True)
class DetectorSeen:
    """What was read: the object, its CronJobs, its Jobs, and the last words of the Jobs that need them.

    A Job that `unread` named and that has no entry in `words` has no pod (any more). `left` are CronJobs of a detector that
    had this name before; `installation` is what CronJobs belong to.
    """

    detector: Manifest
    cron_jobs: Sequence[Manifest]
    jobs: Sequence[Manifest]
    words: Mapping[str, LastWords]
    left: Sequence[Manifest] = ()
    installation: Manifest | None = None


def unread(detector: Manifest, jobs: Sequence[Manifest]) -> list[str]:
    """Names of finished Jobs whose verdict is not in the status yet, oldest first."""
    read = set(detector.get("status", {}).get("readJobs", []))
    ended = [(end.at, job["metadata"]["name"]) for job in jobs if (end := job_end(job)) is not None]
    return [name for _, name in sorted(ended) if name not in read]


def plan_detector(seen: DetectorSeen, workload: Workload, now: datetime) -> Plan:
    """Everything to do for a detector now.

    Raises:
        BadInputError: The spec cannot be read (the caller says so in the Ready condition).
        KubeError: The detector that was read is older than its CronJobs.
    """
    detector = seen.detector
    spec = decode(detector["spec"], DetectorSpec, "spec")
    changes = _cron_jobs(seen, spec, workload)
    old: Manifest = detector.get("status", {})
    reading = _Reading(seen, old, now, [s.name for s in spec.schedules])
    upcoming = {s.name: next_run(s.cron, spec.time_zone, now) for s in spec.schedules}
    soonest = min((t for t in upcoming.values() if t is not None), default=None)
    if spec.suspend:
        upcoming, soonest = dict.fromkeys(upcoming), None
    schedules = [
        prune(
            {
                **reading.last.get(s.name, _last_of(old, s.name)),
                "name": s.name,
                "cron": (cron := f"{s.cron} {spec.time_zone}"),
                "since": _since(old, s.name, cron, now, suspended=spec.suspend),
                "cronJob": cron_job(detector, spec, s, workload)["metadata"]["name"],
                "nextRun": _time(upcoming[s.name]),
            }
        )
        for s in spec.schedules
    ]
    generation = detector["metadata"]["generation"]
    failed = [s for s in schedules if s.get("outcome") == "Failed"]
    message = failed[0].get("message", "") if failed else "Every schedule has its CronJob."
    ready = condition(
        old,
        now,
        ready=not failed,
        reason="CheckFailed" if failed else "Scheduled",
        message=message,
        generation=generation,
    )
    status = prune(
        {
            "observedGeneration": generation,
            **_summary(reading.verdicts, [s.name for s in spec.schedules]),
            "lastRun": max((s["lastRun"] for s in schedules if "lastRun" in s), default=None),
            "nextRun": _time(soonest),
            "schedules": schedules,
            "verdicts": reading.verdicts,
            "readJobs": reading.read,
            "conditions": ready,
        }
    )
    times = [t for t in (soonest, reading.again) if t is not None]
    again = min(times, default=None)
    return Plan(changes=changes, happenings=tuple(reading.happenings), status=status, again=again)


class _Reading:
    """Goes through the Jobs that were not read yet, oldest first."""

    def __init__(self, seen: DetectorSeen, old: Manifest, now: datetime, schedules: Sequence[str]) -> None:
        by_name = {job["metadata"]["name"]: job for job in seen.jobs}
        self.verdicts: list[Manifest] = list(old.get("verdicts", []))
        self.happenings: list[Happening] = []
        self.last: dict[str, Manifest] = {}
        self.again: datetime | None = None
        todo = unread(seen.detector, seen.jobs)
        kept = {v["job"] for v in self.verdicts}
        done = [name for name in old.get("readJobs", []) if name in by_name or name in kept]
        for name in todo:
            job = by_name[name]
            end = job_end(job)
            if end is None:
                continue
            words = seen.words.get(name)
            if words is None and now - end.at < PATIENCE:
                # Its pod may still appear in a later read; another look decides.
                self.again = now + LOOK_AGAIN
                continue
            self._one(name, job["metadata"].get("labels", {}).get(SCHEDULE_LABEL, ""), end, words)
            done.append(name)
        self.read = sorted(done)
        self.verdicts.sort(key=lambda v: (v["windowEnd"], v["job"]), reverse=True)
        self.verdicts = _kept(self.verdicts, schedules)

    def _one(self, name: str, schedule: str, end: JobEnd, words: LastWords | None) -> None:
        entry: Manifest = {"lastJob": name, "lastRun": format_time(end.at)}
        try:
            verdict = _verdict(end, words)
        except BadInputError as error:
            text = f"The check {name} gave no verdict: {error.message[:400]}"
            self.last[schedule] = {**entry, "outcome": "Failed", "message": text}
            self.happenings.append(Happening("CheckFailed", text, name, "Warning"))
            return
        self.last[schedule] = {**entry, "outcome": "Verdict"}
        if verdict.unknown:
            self.last[schedule] = prune(
                {**entry, "outcome": "NotJudged", "message": " ".join(verdict.reasons[:1]) or None}
            )
        if any(v["job"] == name for v in self.verdicts):
            return
        self.verdicts.append(_entry(name, schedule, end, verdict))
        if verdict.unknown or verdict.severity != "none":
            self.happenings.append(_happening(name, verdict))


def _kept(verdicts: list[Manifest], schedules: Sequence[str]) -> list[Manifest]:
    """The newest ones, and of every schedule at least the last: an hourly check must not crowd out the weekly one's."""
    kept = verdicts[:KEPT]
    found = {verdict["schedule"] for verdict in kept}
    for verdict in verdicts[KEPT:]:
        if verdict["schedule"] in schedules and verdict["schedule"] not in found:
            kept.append(verdict)
            found.add(verdict["schedule"])
    return kept


def _verdict(end: JobEnd, words: LastWords | None) -> DriftVerdict:
    if not end.succeeded:
        said = words.message.strip() if words else ""
        raise BadInputError(said or end.reason or "The Job failed.")
    if words is None:
        raise BadInputError("Its pod was gone before its verdict was read.")
    return DriftVerdict.from_json(words.message)


def observations(detector: Manifest) -> list[Observation]:
    """The verdicts in a detector's status, as policies take them.

    Raises:
        BadInputError: An entry is not one (never "no verdict").
    """
    return [
        decode(
            {
                "detector": detector["metadata"]["name"],
                "schedule": v["schedule"],
                "model_version": v["modelVersion"],
                "window_start": v["windowStart"],
                "window_end": v["windowEnd"],
                "severity": "none" if v["severity"] == UNKNOWN else v["severity"],
                "judged": v["severity"] != UNKNOWN,
                "drifted": v["drifted"],
                "triage": v["triage"],
                "kind": v["kind"],
                "drop": v.get("drop"),
                "outcomes_end": v.get("outcomesEnd"),
                "worst": v.get("worst", ""),
                "why": v.get("why", ""),
            },
            Observation,
            "status.verdicts",
        )
        for v in detector.get("status", {}).get("verdicts", [])
    ]


def _cron_jobs(seen: DetectorSeen, spec: DetectorSpec, workload: Workload) -> tuple[Change, ...]:
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
    taken_over = claim(meta)
    if taken_over is None:
        return [Apply(CRONJOBS, wanted | {"metadata": wanted["metadata"] | exactly})]
    patch = {"metadata": {**exactly, "managedFields": taken_over}}
    # The patch has changed the version, and only from the one that was read.
    body = wanted | {"metadata": wanted["metadata"] | {"uid": meta["uid"]}}
    return [Patch(CRONJOBS, meta["name"], patch), Apply(CRONJOBS, body)]


def without(cron_jobs: Sequence[Manifest]) -> list[Change]:
    """Delete these CronJobs, and no others of their names."""
    return [Delete(CRONJOBS, c["metadata"]["name"], c["metadata"]["uid"]) for c in cron_jobs]


def _entry(name: str, schedule: str, end: JobEnd, verdict: DriftVerdict) -> Manifest:
    seen = Observation.of("", schedule, verdict)
    return prune(
        {
            "job": name,
            "schedule": schedule,
            "finished": format_time(end.at),
            "modelVersion": verdict.model_version,
            "windowStart": format_time(verdict.window_start),
            "windowEnd": format_time(verdict.window_end),
            "rows": verdict.rows,
            "severity": UNKNOWN if verdict.unknown else verdict.severity,
            "drifted": verdict.drifted,
            "triage": verdict.triage,
            "kind": verdict.kind,
            "since": _time(verdict.since),
            "drop": seen.drop,
            "outcomesEnd": _time(seen.outcomes_end),
            "worst": seen.worst or None,
            "why": seen.why or None,
        }
    )


def _happening(name: str, verdict: DriftVerdict) -> Happening:
    if verdict.unknown:
        return Happening("NotJudged", " ".join(verdict.reasons[:1]) or "Not judged.", name, "Warning")
    worst = f", worst in {verdict.worst[0].feature}" if verdict.worst else ""
    why = f" {verdict.reasons[0]}" if verdict.reasons else ""
    text = f"{verdict.severity.capitalize()} drift{worst} ({verdict.triage}).{why}"
    if verdict.triage == "pipeline_bug":
        # A verdict's own sentence may have said so.
        tell = "" if "data owner" in why else " Tell the data owner."
        return Happening("PipelineBug", f"{text}{tell}", name, "Warning")
    return Happening("Drifted" if verdict.drifted else "DriftSeen", text, name, "Warning")


def _summary(verdicts: list[Manifest], schedules: list[str]) -> Manifest:
    """The worst of the newest verdicts of each schedule: what a person sees first."""
    newest: dict[str, Manifest] = {}
    for verdict in verdicts:
        if verdict["schedule"] in schedules:
            newest.setdefault(verdict["schedule"], verdict)
    if not newest:
        return {"severity": UNKNOWN, "drifted": False, "triage": "none", "consecutiveBreaches": 0}
    worst = max(newest.values(), key=lambda v: (_RANK.index(v["severity"]), v["drifted"], v["windowEnd"]))
    streak = 0
    for verdict in verdicts:
        # A window that could not be judged neither adds to a run of breaches nor ends it.
        if verdict["schedule"] == worst["schedule"] and verdict["severity"] != UNKNOWN:
            if verdict["severity"] == "none":
                break
            streak += 1
    return {
        "severity": worst["severity"],
        "drifted": worst["drifted"],
        "triage": worst["triage"],
        "worst": worst.get("worst"),
        "since": worst.get("since"),
        "message": worst.get("why"),
        "modelVersion": worst["modelVersion"],
        "consecutiveBreaches": streak,
    }


def _since(status: Manifest, schedule: str, cron: str, now: datetime, *, suspended: bool) -> str | None:
    """Since when this schedule is run: from when it was first served, resumed, or given another cron.

    Checks are late by the present cron only from then on: one that was daily and is hourly now has missed none yet.
    """
    if suspended:
        return None
    known = _known(status, schedule)
    if known.get("cron", cron) != cron:
        return format_time(now)
    return known.get("since", format_time(now))


def _last_of(status: Manifest, schedule: str) -> Manifest:
    known = _known(status, schedule)
    return {key: known[key] for key in ("lastJob", "lastRun", "outcome", "message") if key in known}


def _known(status: Manifest, schedule: str) -> Manifest:
    return next((s for s in status.get("schedules", []) if s["name"] == schedule), {})


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
