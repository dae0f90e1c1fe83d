"""ModelReleases of candidates that passed the gate, and the Jobs of a release's steps."""

from __future__ import annotations

from typing import Any, NamedTuple

from leadscore.durations import format_time
from leadscore.release.states import (
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
from leadscore_operator.specs.workload import NAME_LABEL, PART_LABEL, Workload, object_metadata, pod_template

RELEASE_PART = "release"
STEP_LABEL = "leadscore.dev/step"


def model_release(model: str, version: int, template: dict[str, Any], run: Manifest) -> Manifest:
    """The release of a candidate. It has no owner: deleting the run must not stop a canary."""
    return {
        "metadata": {
            "name": release_name(model, version),
            "labels": {MANAGED_LABEL: MANAGER},
            "annotations": {"leadscore.dev/run": run["metadata"]["name"]},
        },
        "spec": {**template, "model": model, "version": version},
    }


class JobCommand(NamedTuple):
    """The Job of a step: its name and its command line.

    Names are `replay`, `shadow`, `nominate`, `promote`, `return`, `kpi-3`.
    """

    step: str
    command: list[str]


def release_job(release: Manifest, wanted: JobCommand, workload: Workload) -> Manifest:
    """Return the Job of a step: each command may run twice."""
    step, command = wanted
    meta = release["metadata"]
    name = f"{meta['name'][:40].rstrip('-.')}-{digest(meta['uid'], length=6)}-{step}"
    labels = {
        MANAGED_LABEL: MANAGER,
        OWNER_LABEL: meta["uid"],
        PART_LABEL: RELEASE_PART,
        NAME_LABEL: meta["name"],
        STEP_LABEL: step,
    }
    return {
        "metadata": object_metadata(name, release, RELEASES, part=RELEASE_PART, labels={STEP_LABEL: step}),
        "spec": {
            "backoffLimit": 2,
            "activeDeadlineSeconds": 3_600,
            # A change of the registry that has failed is tried again when its Job is gone.
            "ttlSecondsAfterFinished": 600,
            "template": pod_template(workload, command, labels, resources={}),
        },
    }


def nomination_command(action: Nominate, spec: ReleaseSpec) -> JobCommand:
    """Make the candidate the challenger."""
    return JobCommand("nominate", ["leadscore", "models", "nominate", spec.ref, f"--reason={action.reason}"])


def replay_command(action: StartReplay, spec: ReleaseSpec) -> JobCommand:
    """Score the logged requests of the last days with the candidate."""
    return JobCommand("replay", _report("replay", spec, f"--window={action.days}d"))


def shadow_report(action: ReportShadow, spec: ReleaseSpec) -> JobCommand:
    """Compare the shadow's answers with the champion's."""
    options = [f"--since={format_time(action.since)}", f"--minimum-leads={spec.shadow_minimum_leads}"]
    if action.number > 1:
        options.append(f"--number={action.number}")
    if action.percent is not None:
        options.append(f"--percent={action.percent:g}")
    return JobCommand(
        "shadow" if action.number == 1 else f"shadow-{action.number}", _report("shadow", spec, *options)
    )


def kpi_report(action: ReportKpi, spec: ReleaseSpec) -> JobCommand:
    """Compare the candidate's business figures with those of the version before."""
    options = [f"--against={spec.model}/{action.previous}", f"--since={format_time(action.since)}"]
    options += [f"--number={action.number}", f"--exposure={spec.soak_exposure_seconds:.0f}s"]
    return JobCommand(f"kpi-{action.number}", _report("kpi", spec, *options))


def promote(action: Promote, spec: ReleaseSpec) -> JobCommand:
    """Make the candidate the champion."""
    return JobCommand("promote", _promotion(spec, action.version, action.expected, action.reason))


def return_alias(action: ReturnAlias, spec: ReleaseSpec) -> JobCommand:
    """Make the version before the champion again."""
    return JobCommand("return", _promotion(spec, action.to, action.expected, action.reason))


def _report(kind: str, spec: ReleaseSpec, *options: str) -> list[str]:
    return ["leadscore", "release", kind, f"--candidate={spec.ref}", *options, f"--release={spec.release}"]


def _promotion(spec: ReleaseSpec, version: int, expected: int | None, reason: str) -> list[str]:
    command = ["leadscore", "models", "promote", f"{spec.model}/{version}"]
    return [*command, f"--expect-champion={expected or 0}", f"--reason={reason}"]
