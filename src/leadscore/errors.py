"""The one error hierarchy: a stable code, an HTTP status, an exit code, and a sentence that says what to do.

Every error a user can meet derives from `LeadScoreError`. A caller may rely on `code` (it never changes
meaning); `message` says what is wrong with *this* input, `hint` what to do about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Exit codes of the `leadscore` command (documented in docs/cli.md)."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    BAD_INPUT = 3
    NOT_FOUND = 4
    REFUSED = 5
    UNAVAILABLE = 6
    CORRUPT = 7
    NOT_JUDGED = 8


MAX_MESSAGE = 4_000
"""Characters of a message; what is longer is cut off."""


class LeadScoreError(Exception):
    """Base of every error that this project raises on purpose.

    Args:
        message: What is wrong, with the offending name or value (never a secret or a feature value).
        hint: What the person can do next; empty only where the message already says it.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    exit_code: ClassVar[ExitCode] = ExitCode.UNEXPECTED

    def __init__(self, message: str, *, hint: str = "") -> None:
        # A sentence that ends with what another one said may have two full stops.
        if message.endswith("..") and not message.endswith("..."):
            message = message[:-1]
        # What quotes a name that somebody else chose may be of any length; a log line and a reply may not.
        self.message = message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]} …"
        super().__init__(self.message)
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


# --- What the user gave us ------------------------------------------------------------------------------


class BadInputError(LeadScoreError):
    """The input cannot be used as it is; nothing was changed."""

    code = "bad_input"
    status = 400
    exit_code = ExitCode.BAD_INPUT


class ContractError(BadInputError):
    """A feature contract is malformed or contradicts itself."""

    code = "contract_invalid"


class TableError(BadInputError):
    """A table cannot be read, or a value in it does not fit the contract (message names row and column)."""

    code = "table_invalid"


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One bad field of a request: the unit of a 422 reply.

    Attributes:
        field: Name as sent, with a path in bulk requests (`leads[3].budget`).
        reason: Stable word: `missing`, `wrong_type`, `not_finite`, `unknown_field`, `duplicate`, `too_long`,
            ….
        received: JSON type or shortened text of what came; never the value of a feature.
        allowed: What would have been accepted, in words.
    """

    field: str
    reason: str
    received: str
    allowed: str


class InvalidLeadError(BadInputError):
    """A lead does not fit the contract: one `FieldProblem` per bad field."""

    code = "lead_invalid"
    status = 422

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        names = ", ".join(p.field for p in problems[:5]) + (", …" if len(problems) > 5 else "")
        super().__init__(f"The lead has {len(problems)} bad field(s): {names}.", hint="See `fields`.")
        self.problems = tuple(problems)


class MalformedBodyError(BadInputError):
    """The body is not the JSON or Arrow that the endpoint takes."""

    code = "body_malformed"


class BodyTooLargeError(BadInputError):
    """The body or the number of rows is over the limit."""

    code = "body_too_large"
    status = 413


class UnsupportedMediaTypeError(BadInputError):
    """The content type is not one that the endpoint takes (pickle and multipart never are)."""

    code = "media_type_unsupported"
    status = 415


# --- Who may do what ------------------------------------------------------------------------------------


class UnauthorizedError(LeadScoreError):
    """No API key, or one that is not known."""

    code = "unauthorized"
    status = 401
    exit_code = ExitCode.REFUSED


class ForbiddenError(LeadScoreError):
    """The API key is known but lacks the scope."""

    code = "forbidden"
    status = 403
    exit_code = ExitCode.REFUSED


# --- What is not there, or not yet ----------------------------------------------------------------------


class NotFoundError(LeadScoreError):
    """A named thing (model, version, alias, prediction, path) does not exist."""

    code = "not_found"
    status = 404
    exit_code = ExitCode.NOT_FOUND


class ConflictError(LeadScoreError):
    """The request contradicts an earlier one, or somebody else changed the thing meanwhile."""

    code = "conflict"
    status = 409
    exit_code = ExitCode.REFUSED


class RefusedError(LeadScoreError):
    """A rule of ours says no (too little data, gate not passed, wrong stage).

    The message lists what is missing.
    """

    code = "refused"
    status = 409
    exit_code = ExitCode.REFUSED


class NotReadyError(LeadScoreError):
    """The service is starting or stopping: try again after `retry_after` seconds."""

    code = "not_ready"
    status = 503
    exit_code = ExitCode.UNAVAILABLE
    retry_after: ClassVar[int] = 2


class UnavailableError(LeadScoreError):
    """A store, registry or disk cannot be reached or written; nothing acknowledged was lost."""

    code = "unavailable"
    status = 503
    exit_code = ExitCode.UNAVAILABLE


class SpoolFullError(UnavailableError):
    """The prediction spool is at its bound, and the service is set to refuse rather than score unlogged."""

    code = "spool_full"


class ArtefactError(LeadScoreError):
    """A model artefact is corrupt, tampered with, or of a format this version cannot read.

    The message names the file.
    """

    code = "artefact_corrupt"
    exit_code = ExitCode.CORRUPT
