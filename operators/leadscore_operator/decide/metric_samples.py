"""Make an object's metric samples, on which alerts are based. Pure.

Labels are names of objects, schedules, features and phases: as many as people have made and the contract has
features, never one per lead, per Job or per finished release.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from leadscore.drift.verdict import SEVERITIES
from leadscore.release.states import FINAL as ENDED
from leadscore_operator.decide.cron import next_run
from leadscore_operator.decide.run import RUN_FINAL as FINISHED
from leadscore_operator.kube.resources import DETECTORS, RELEASES, RUNS, Manifest
from leadscore_operator.resources import DetectorSpec, decode
from leadscore_operator.statuses import (
    UNKNOWN,
    DetectorStatus,
    ModelReleaseStatus,
    RunStatus,
    Status,
    VerdictStatus,
)

# A detector is silent once so many of its scheduled checks in a row have given no verdict, or could not
# judge.
SILENT_CHECKS: Final = 3


@dataclass(frozen=True, slots=True)
class Series:
    """A gauge: its name, meaning and labels, and what several objects with the same labels make together."""

    name: str
    help: str
    labels: tuple[str, ...]
    together: Callable[[float, float], float] = max


SEVERITY: Final = Series(
    "leadscore_drift_severity",
    "Newest verdict of a schedule: 0 none, 1 moderate, 2 significant, 3 critical.",
    ("detector", "schedule", "model", "triage", "feature"),
)
DRIFTED: Final = Series(
    "leadscore_drift_drifted",
    "Whether that verdict asks to act (its hysteresis is met).",
    ("detector", "schedule"),
)
VERDICT_AT: Final = Series(
    "leadscore_drift_verdict_timestamp_seconds",
    "When the check of the newest verdict that could judge ended.",
    ("detector", "schedule"),
)
SILENT_FROM: Final = Series(
    "leadscore_drift_silent_from_timestamp_seconds",
    f"When the {SILENT_CHECKS}rd scheduled check after the newest verdict that could judge is due: "
    "without another it is silent.",
    ("detector", "schedule"),
)
RUN_COUNT: Final = Series(
    "leadscore_retrain_runs", "RetrainRuns that exist.", ("policy", "phase"), operator.add
)
RUN_FINISHED: Final = Series(
    "leadscore_retrain_finished_timestamp_seconds",
    "When the newest RetrainRun that ended so did.",
    ("policy", "phase"),
)
RELEASE_COUNT: Final = Series(
    "leadscore_releases", "ModelReleases that exist.", ("model", "phase"), operator.add
)
RELEASE_SINCE: Final = Series(
    "leadscore_release_phase_since_timestamp_seconds",
    "Since when a release that has not ended is in its phase.",
    ("release", "model", "version", "phase"),
)
RELEASE_NEEDS_HUMAN: Final = Series(
    "leadscore_release_asks_since_timestamp_seconds",
    "Since when a release waits for a person's decision.",
    ("release", "model", "version", "phase"),
)
UNAVAILABLE_SINCE: Final = Series(
    "leadscore_unavailable_since_timestamp_seconds",
    "Since when objects wait because the event store or the registry is away.",
    ("kind", "reason"),
    min,
)
CATALOGUE: Final = (
    SEVERITY, DRIFTED, VERDICT_AT, SILENT_FROM, RUN_COUNT, RUN_FINISHED, RELEASE_COUNT, RELEASE_SINCE,
    RELEASE_NEEDS_HUMAN, UNAVAILABLE_SINCE,
)  # fmt: skip
# Reasons of the condition Ready that are about neither the object nor the operator.
_AWAY: Final = frozenset(("EventStoreUnavailable", "RegistryUnavailable"))


@dataclass(frozen=True, slots=True)
class MetricSample:
    """A value of a series."""

    series: Series
    labels: tuple[str, ...]
    value: float


def metric_samples_of(plural: str, item: Manifest) -> tuple[MetricSample, ...]:
    """The metric samples of an object with its status as it was written last.

    Raises:
        BadInputError: The spec cannot be read.
    """
    samples = {DETECTORS.plural: _detector, RUNS.plural: _run, RELEASES.plural: _release}.get(plural)
    return (*_unavailable(plural, item), *(() if samples is None else samples(item)))


def _unavailable(plural: str, item: Manifest) -> Iterator[MetricSample]:
    for condition in decode(item.get("status", {}), Status, "status").conditions:
        if condition.type == "Ready" and condition.status == "False" and condition.reason in _AWAY:
            since = condition.last_transition_time.timestamp()
            yield MetricSample(UNAVAILABLE_SINCE, (plural, condition.reason), since)


def _detector(item: Manifest) -> Iterator[MetricSample]:
    spec = decode(item["spec"], DetectorSpec, "spec")
    name, status = item["metadata"]["name"], decode(item.get("status", {}), DetectorStatus, "status")
    newest, known = dict[str, VerdictStatus](), dict[str, VerdictStatus]()
    for verdict in status.verdicts:
        newest.setdefault(verdict.schedule, verdict)
        if verdict.severity != UNKNOWN:
            known.setdefault(verdict.schedule, verdict)
    begun = {each.name: each.since for each in status.schedules}
    for schedule in spec.schedules:
        which = (name, schedule.name)
        verdict = known.get(schedule.name)
        since = begun.get(schedule.name)
        moments = [] if since is None else [since]
        if verdict is not None and verdict.severity != UNKNOWN:
            labels = (*which, spec.model, verdict.triage, verdict.worst or "")
            # While newer windows cannot be judged an alarm stands, and no drift is not known any more.
            if newest[schedule.name] is verdict or newest[schedule.name].drifted:
                yield MetricSample(SEVERITY, labels, float(SEVERITIES.index(verdict.severity)))
                yield MetricSample(DRIFTED, which, float(verdict.drifted))
            moments.append(verdict.finished)
            yield MetricSample(VERDICT_AT, which, moments[-1].timestamp())
        if moments and not spec.suspend:
            silent = _nth_run(schedule.cron, spec.time_zone, max(moments))
            if silent is not None:
                yield MetricSample(SILENT_FROM, which, silent.timestamp())


def _nth_run(cron: str, zone: str, after: datetime) -> datetime | None:
    moment: datetime | None = after
    for _ in range(SILENT_CHECKS):
        moment = None if moment is None else next_run(cron, zone, moment)
    return moment


def _run(item: Manifest) -> Iterator[MetricSample]:
    status = decode(item.get("status", {}), RunStatus, "status")
    which = (item["spec"]["policy"], status.phase or "Pending")
    yield MetricSample(RUN_COUNT, which, 1.0)
    if status.phase in FINISHED and status.finished is not None:
        yield MetricSample(RUN_FINISHED, which, status.finished.timestamp())


def _release(item: Manifest) -> Iterator[MetricSample]:
    spec, status = item["spec"], decode(item.get("status", {}), ModelReleaseStatus, "status")
    phase = status.phase
    yield MetricSample(RELEASE_COUNT, (spec["model"], phase), 1.0)
    if phase in ENDED:
        return
    which = (item["metadata"]["name"], spec["model"], str(spec["version"]), phase)
    if status.since is not None:
        yield MetricSample(RELEASE_SINCE, which, status.since.timestamp())
    if status.asked_since is not None:
        yield MetricSample(RELEASE_NEEDS_HUMAN, which, status.asked_since.timestamp())
