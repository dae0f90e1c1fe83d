"""Errors between the operator and the cluster."""

from __future__ import annotations

from leadscore.errors import ConflictError, LeadScoreError, UnavailableError


class KubeError(UnavailableError):
    """The API server did not do what it was asked, or its answer is not known.

    The step is tried again later.
    """

    code = "kubernetes_unavailable"

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_seconds = retry_after


class RegistryUnavailableError(UnavailableError):
    """The registry gave no answer that can be believed. The step is tried again later."""


class KubeConflictError(ConflictError):
    """The object was changed by somebody else meanwhile (409 on a guarded write).

    Read again, decide again.
    """

    code = "kubernetes_conflict"


class AlreadyExistsError(ConflictError):
    """There is an object of this name already; its owner must be checked."""

    code = "kubernetes_exists"


class KubeRefusedError(LeadScoreError):
    """The API server refuses the request for good (403, 422): nothing changes by trying again soon."""

    code = "kubernetes_refused"


class NameTakenError(ConflictError):
    """A child's name belongs to an object that is not ours; it is left alone."""

    code = "name_taken"


class NotLeaderError(UnavailableError):
    """The Lease is not ours any more: nothing may be written."""

    code = "not_leader"
