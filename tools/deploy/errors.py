"""What can go wrong in a deployment, with an exit code each."""

from __future__ import annotations

from leadscore.errors import ExitCode, LeadScoreError


class NotHealthyError(LeadScoreError):
    """A deployment that ended otherwise than well; `reasons` say why, one line each."""

    def __init__(self, message: str, *, reasons: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reasons = reasons


class DeploymentFailedError(NotHealthyError):
    """The version was sent back, or never came up; stable keeps serving."""

    code = "deployment_failed"
    exit_code = ExitCode.UNEXPECTED


class NeedsPersonError(NotHealthyError):
    """The evidence does not suffice for a judgement: somebody has to promote or abort."""

    code = "needs_person"
    exit_code = ExitCode.REFUSED


class StillRunningError(LeadScoreError):
    """The deployment is neither done nor failed when the wait ends."""

    code = "still_running"
    exit_code = ExitCode.UNAVAILABLE
