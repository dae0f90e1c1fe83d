"""What an approval must be bound to before the machine acts on it. Pure."""

from __future__ import annotations

from leadscore.release.expected import ExpectedPsi
from leadscore.release.states import ApprovalObservation, Observations, ReleaseSpec, ReleaseStatus


def bound_evidence(status: ReleaseStatus) -> tuple[str, ...]:
    """Evidence ids that an approval must be bound to."""
    return tuple(e for e in (status.gate, status.evaluation) if e)


def is_bound(answer: ApprovalObservation, spec: ReleaseSpec, status: ReleaseStatus) -> bool:
    """Whether the answer is about exactly this candidate, these bytes and this evidence."""
    about = (answer.model, answer.version, answer.digest) == (spec.model, spec.version, status.digest)
    return about and bool(status.digest) and set(bound_evidence(status)) <= set(answer.bound_to)


def expected_of(status: ReleaseStatus, seen: Observations) -> ExpectedPsi | None:
    """What the canary's scores may differ, by the very report that is being approved.

    None: nothing beyond the usual.
    """
    report = seen.evaluation
    ours = report.state == "done" and report.evidence == status.evaluation and report.digest == status.digest
    return report.expected if ours and status.evaluation else None
