"""CronJobs that check for drift."""

from __future__ import annotations

from leadscore.drift.methods import ALIBI, SEQUENTIAL
from leadscore_operator.kube.resources import (
    DEPLOYMENTS,
    DETECTORS,
    MANAGED_LABEL,
    MANAGER,
    OWNER_LABEL,
    Manifest,
)
from leadscore_operator.resources import DetectorSpec, Schedule
from leadscore_operator.specs.names import cron_job_name
from leadscore_operator.specs.workload import (
    MESSAGE_PATH,
    NAME_LABEL,
    PART_LABEL,
    Workload,
    object_metadata,
    owner_reference,
    pod_template,
)

CHECK = "drift-check"
# Generation of the detector that a CronJob was made from: a stale read of the detector must not undo a newer
# one.
GENERATION = "leadscore.dev/generation"
SCHEDULE_LABEL = "leadscore.dev/schedule"


def methods_of(spec: DetectorSpec, schedule: Schedule) -> tuple[str, ...]:
    """Return what a schedule looks at."""
    return spec.methods if schedule.methods is None else schedule.methods


def check_command(detector: str, spec: DetectorSpec, schedule: Schedule) -> list[str]:
    """The command line of a check: what to compare, by which rule, and where to say the verdict."""
    methods = methods_of(spec, schedule)
    verb = "watch" if SEQUENTIAL in methods else "check"
    command = ["leadscore", "drift", verb, f"--model={spec.model}", f"--window={schedule.window}"]
    # A detector's memory of earlier windows is kept under its name: each schedule has its own.
    command.append(f"--detector={detector}-{schedule.name}")
    if SEQUENTIAL in methods:
        # It follows the leads one by one, and their outcomes where the detector says when those are known.
        if spec.performance is not None:
            command += ["--outcomes", f"--maturity={spec.performance.maturity}"]
    else:
        command += [
            f"--mode={spec.mode}",
            f"--methods={','.join(methods)}",
            f"--hysteresis={spec.hysteresis}",
        ]
    if "performance" in methods and spec.performance is not None:
        declared = spec.performance
        command += [f"--performance-window={declared.window}", f"--maturity={declared.maturity}"]
        command.append(f"--max-drop={declared.max_drop:g}")
    if spec.false_alarms is not None:
        command.append(f"--false-alarms={spec.false_alarms.expected:g}/{spec.false_alarms.per}")
    return [*command, f"--termination-message={MESSAGE_PATH}", *schedule.args]


def cron_job(
    detector: Manifest,
    spec: DetectorSpec,
    schedule: Schedule,
    workload: Workload,
    installation: Manifest | None = None,
) -> Manifest:
    """The CronJob of one schedule. Runs never overlap, and one that was missed by ten minutes is left out.

    It belongs to the installation, if there is one, because a detector outlives it (its
    definition is kept) and pods without their ServiceAccount would be asked for for ever. Of a
    detector that is gone the operator deletes it.
    """
    meta = detector["metadata"]
    labels = {
        MANAGED_LABEL: MANAGER,
        OWNER_LABEL: meta["uid"],
        SCHEDULE_LABEL: schedule.name,
        PART_LABEL: CHECK,
        NAME_LABEL: meta["name"],
    }
    name = cron_job_name(meta["name"], meta["uid"], schedule.name)
    command = check_command(meta["name"], spec, schedule)
    if any(method.startswith(ALIBI) for method in methods_of(spec, schedule)):
        workload = workload.for_alibi()
    about = object_metadata(name, detector, DETECTORS, part=CHECK, labels={SCHEDULE_LABEL: schedule.name})
    if installation is not None:
        about["ownerReferences"] = [owner_reference(installation, DEPLOYMENTS)]
    return {
        "metadata": {**about, "annotations": {GENERATION: str(meta["generation"])}},
        "spec": {
            "schedule": schedule.cron,
            "timeZone": spec.time_zone,
            "suspend": spec.suspend,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 600,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 2,
            "jobTemplate": {
                "metadata": {"labels": labels},
                "spec": {
                    "backoffLimit": spec.job.retries,
                    "activeDeadlineSeconds": spec.job.deadline_seconds,
                    "template": pod_template(workload, command, labels, resources=spec.job.resources),
                },
            },
        },
    }
