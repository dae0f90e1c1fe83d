"""ModelReleases of candidates that passed the gate, and the Jobs of a release's steps."""

from __future__ import annotations

from typing import Any

from leadscore.durations import format_time
from leadscore.release.states import (
    Action,
    Nominate,
    Promote,
    ReleaseSpec,
    ReportKpi,
    ReportShadow,
    ReturnAlias,
    StartReplay,
)
from leadscore_operator.kube.resources import MANAGED_LABEL, MANAGER, OWNER_LABEL, RELEASES, Manifest
from leadscore_operator.specs.names import digest, release_name
from leadscore_operator.specs.workload import NAME_LABEL, PART_LABEL, Workload, metadata, pod_template

RELEASE = "release"
STEP_LABEL = "leadscore.dev/step"


def model_release(model: str, candidate: Manifest, template: dict[str, Any], run: Manifest) -> Manifest:
    """The release of a candidate. It has no owner: deleting the run must not stop a canary."""
    version = int(candidate["version"])
    return {
        "metadata": {
            "name": release_name(model, version),
            "labels": {MANAGED_LABEL: MANAGER},
            "annotations": {"leadscore.dev/run": run["metadata"]["name"]},
        },
        "spec": {**template, "model": model, "version": version},
    }


def release_job(release: Manifest, step: str, command: list[str], workload: Workload) -> Manifest:
    """The Job of a step (`replay`, `shadow`, `nominate`, `promote`, `return`, `kpi-3`): each command may run twice."""
    meta = release["metadata"]
    name = f"{meta['name'][:40].rstrip('-.')}-{digest(meta['uid'], length=6)}-{step}"
    labels = {
        MANAGED_LABEL: MANAGER,
        OWNER_LABEL: meta["uid"],
        PART_LABEL: RELEASE,
        NAME_LABEL: meta["name"],
        STEP_LABEL: step,
    }
    return {
        "metadata": metadata(name, release, RELEASES, part=RELEASE, labels={STEP_LABEL: step}),
        "spec": {
            "backoffLimit": 2,
            "activeDeadlineSeconds": 3_600,
            # A change of the registry that has failed is tried again when its Job is gone.
            "ttlSecondsAfterFinished": 600,
            "template": pod_template(workload, command, labels, resources={}),
        },
    }


def release_command(  # noqa: PLR0911 (one per kind of Job)
    action: Action, spec: ReleaseSpec
) -> tuple[str, list[str]] | None:
    """Name and command line of the step that an action needs a Job for; None if it needs none."""
    match action:
        case StartReplay(days=days):
            command = ["release", "replay", f"--candidate={spec.ref}", f"--days={days}"]
            return "replay", ["leadscore", *command, f"--release={spec.release}"]
        case ReportShadow(number=number):
            return "shadow" if number == 1 else f"shadow-{number}", _shadow(action, spec)
        case Nominate(reason=reason):
            return "nominate", ["leadscore", "models", "nominate", spec.ref, f"--reason={reason}"]
        case Promote(version=to, expected=expected, reason=reason):
            return "promote", _promote(f"{spec.model}/{to}", expected, reason)
        case ReturnAlias(to=to, expected=expected, reason=reason):
            return "return", _promote(f"{spec.model}/{to}", expected, reason)
        case ReportKpi(previous=previous, since=since, number=number):
            command = ["release", "kpi", f"--candidate={spec.ref}", f"--against={spec.model}/{previous}"]
            command += [f"--since={format_time(since)}", f"--number={number}", f"--release={spec.release}"]
            command.append(f"--exposure-hours={spec.watch_exposure_seconds / 3600:g}")
            return f"kpi-{number}", ["leadscore", *command]
        case _:
            return None


def _shadow(action: ReportShadow, spec: ReleaseSpec) -> list[str]:
    command = [
        "leadscore",
        "release",
        "shadow",
        f"--candidate={spec.ref}",
        f"--since={format_time(action.since)}",
    ]
    command.append(f"--minimum-leads={spec.shadow_minimum_leads}")
    if action.number > 1:
        command.append(f"--number={action.number}")
    if action.percent is not None:
        command.append(f"--percent={action.percent:g}")
    return [*command, f"--release={spec.release}"]


def _promote(ref: str, expected: int | None, reason: str) -> list[str]:
    command = ["leadscore", "models", "promote", ref, f"--expect-champion={expected or 0}"]
    return [*command, f"--reason={reason}"]
