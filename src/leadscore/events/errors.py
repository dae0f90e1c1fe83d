"""Errors that only the event log raises."""

from __future__ import annotations

from leadscore.errors import BadInputError


class RecordRefusedError(BadInputError):
    """The event store refuses a record for what it contains; sending it again cannot help."""

    code = "record_refused"
    status = 422


class RecordTooLargeError(BadInputError):
    """A prediction or outcome is larger than one spool frame may be."""

    code = "record_too_large"
    status = 413
