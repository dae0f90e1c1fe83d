"""Read how a Job ended, and its pod's termination message."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from leadscore_operator.kube.resources import Manifest


@dataclass(frozen=True, slots=True)
class JobEnd:
    """A finished Job: whether it succeeded, when it ended, and Kubernetes' reason if it failed."""

    succeeded: bool
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class TerminationMessage:
    """What the deciding container of a Job's pods left: its message and exit code."""

    message: str
    exit_code: int


def job_end(job: Manifest) -> JobEnd | None:
    """How the Job ended; None while it runs."""
    for item in job.get("status", {}).get("conditions", []):
        if item.get("status") == "True" and item.get("type") in {"Complete", "Failed"}:
            at = datetime.fromisoformat(item["lastTransitionTime"])
            return JobEnd(item["type"] == "Complete", at, item.get("message") or item.get("reason") or "")
    return None


def termination_message(pods: list[Manifest], *, succeeded: bool) -> TerminationMessage | None:
    """Of the pod that succeeded, or of the last one that failed; None if no pod of that kind is left."""
    found: list[tuple[str, TerminationMessage]] = []
    for pod in pods:
        for status in pod.get("status", {}).get("containerStatuses", []):
            ended = status.get("state", {}).get("terminated")
            if ended and (ended.get("exitCode") == 0) == succeeded:
                words = TerminationMessage(ended.get("message") or "", int(ended.get("exitCode", -1)))
                found.append((ended.get("finishedAt") or "", words))
    return max(found, key=lambda item: item[0])[1] if found else None
