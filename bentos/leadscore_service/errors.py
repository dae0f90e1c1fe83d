"""Errors over HTTP, and their JSON body."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from leadscore.errors import (
    BadInputError,
    ExitCode,
    FieldProblem,
    ForbiddenError,
    InvalidLeadError,
    LeadScoreError,
    NotReadyError,
    UnauthorizedError,
    UnavailableError,
)
from leadscore_service.http import JSON, Header, Reply


class SettingsError(BadInputError):
    """An environment variable of the service holds what it cannot hold."""

    code = "settings_invalid"


class MethodNotAllowedError(BadInputError):
    """The path exists, the method does not; `allow` lists those that do (RFC 9110, 15.5.6)."""

    code = "method_not_allowed"
    status = 405

    def __init__(self, method: str, path: str, allow: str) -> None:
        super().__init__(f"{path} does not take {method}.", hint=f"Use {allow}.")
        self.allow = allow


class BodyTimeoutError(BadInputError):
    """The body did not arrive in time."""

    code = "body_timeout"
    status = 408


class RequestMalformedError(BadInputError):
    """The request is no HTTP/1.1, or could be understood in two ways (RFC 9112)."""

    code = "request_malformed"


class HeadersTooLargeError(BadInputError):
    """Request line and headers are over the limit (RFC 6585, 5)."""

    code = "headers_too_large"
    status = 431


class HeadersTimeoutError(BadInputError):
    """The headers did not arrive in time."""

    code = "headers_timeout"
    status = 408


class TransferCodingError(BadInputError):
    """The body has a transfer coding other than chunked (RFC 9112, 6.1)."""

    code = "transfer_coding_unsupported"
    status = 501


class HttpVersionError(BadInputError):
    """The request is of another major version of HTTP (RFC 9110, 15.6.6)."""

    code = "http_version_unsupported"
    status = 505


class TooManyConnectionsError(UnavailableError):
    """Every connection that the worker takes is in use."""

    code = "too_many_connections"


class IdempotencyKeyReusedError(BadInputError):
    """The `Idempotency-Key` was used before with another body.

    See draft-ietf-httpapi-idempotency-key-header-07, 2.7.
    """

    code = "idempotency_key_reused"
    status = 422


class MissingScopeError(ForbiddenError):
    """The API key or token is known but lacks the scope that the endpoint needs."""

    def __init__(self, name: str, scope: str, *, what: str = "API key") -> None:
        super().__init__(
            f"The {what} {name!r} lacks the scope {scope!r}.",
            hint=(
                f"Use one with it: leadscore keys create NAME --scope {scope}, or the "
                f"issuer's leadscore:{scope}."
            ),
        )
        self.scope = scope
        self.caller = name


class ClientGoneError(LeadScoreError):
    """The client closed the connection before its request was complete; nobody is left to answer."""

    code = "client_gone"
    status = 499


class InternalError(LeadScoreError):
    """A defect of ours; the log line with the same request id says more."""

    exit_code: ClassVar[ExitCode] = ExitCode.UNEXPECTED


class Problem(msgspec.Struct, frozen=True):
    """What is wrong: a stable code, a sentence, what to do, and the bad fields if there are any."""

    code: str
    message: str
    hint: str
    fields: tuple[FieldProblem, ...]


class ErrorBody(msgspec.Struct, frozen=True):
    """Body of every reply from 400 on."""

    error: Problem
    request_id: str


_encode = msgspec.json.Encoder().encode
_RETRY_LATER: Header = (b"retry-after", b"5")


def error_reply(error: LeadScoreError, request_id: str, *, close: bool = False) -> Reply:
    """The reply that says what is wrong with *this* request and what to do about it.

    Args:
        error: What was raised.
        request_id: Echoed, so that a caller can quote it.
        close: The body was left unread: ask the server to close the connection rather than to read it.
    """
    fields = error.problems if isinstance(error, InvalidLeadError) else ()
    body = _encode(ErrorBody(Problem(error.code, error.message, error.hint, fields), request_id))
    extra = list(_headers_of(error))
    if close:
        extra.append((b"connection", b"close"))
    return Reply(error.status, body, JSON, tuple(extra))


def _headers_of(error: LeadScoreError) -> tuple[Header, ...]:
    if isinstance(error, UnauthorizedError):
        return ((b"www-authenticate", b'Bearer realm="leadscore"'),)
    if isinstance(error, MissingScopeError):
        challenge = f'Bearer realm="leadscore", error="insufficient_scope", scope="{error.scope}"'
        return ((b"www-authenticate", challenge.encode()),)
    if isinstance(error, MethodNotAllowedError):
        return ((b"allow", error.allow.encode()),)
    if isinstance(error, NotReadyError):
        return ((b"retry-after", str(error.retry_after).encode()),)
    return (_RETRY_LATER,) if isinstance(error, UnavailableError) else ()
