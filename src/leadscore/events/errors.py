"""Errors that only the event log raises."""

from __future__ import annotations

from leadscore.errors import BadInputError, ConflictError, ExitCode, LeadScoreError, UnavailableError


class RecordRefusedError(BadInputError):
    """The event store refuses a record for what it contains; sending it again cannot help."""

    code = "record_refused"
    status = 422


class RecordTooLargeError(BadInputError):
    """A prediction or outcome is larger than one spool frame may be."""

    code = "record_too_large"
    status = 413


class StoreUnavailableError(UnavailableError):
    """The event store cannot be reached or used, or what became of a call to it is not known."""


class StoreEncodingError(BadInputError):
    """The event store's database cannot hold every text; waiting does not help."""

    code = "store_encoding"


class SchemaTooNewError(StoreUnavailableError):
    """A newer release has changed the event store; this one must not write to it."""

    code = "schema_too_new"


class SchemaTooOldError(StoreUnavailableError):
    """The event store lacks what this release writes; it works once the store is migrated."""

    code = "schema_too_old"


class ShipperRunningError(ConflictError):
    """Another shipper already serves this spool."""

    code = "shipper_running"


class DamagedRowError(LeadScoreError):
    """A stored feature row does not fit the contract it claims."""

    code = "features_damaged"
    exit_code = ExitCode.CORRUPT
