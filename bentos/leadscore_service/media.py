"""Which bodies an endpoint takes, and why the others are refused."""

from __future__ import annotations

import asyncio
from typing import Final

from leadscore.errors import BodyTooLargeError, UnsupportedMediaTypeError
from leadscore_service.bulk_executor import BodyRoom
from leadscore_service.errors import BodyTimeoutError, ClientGoneError
from leadscore_service.http import ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, Request

JSON_TYPE: Final = b"application/json"
ARROW_TYPE: Final = b"application/vnd.apache.arrow.stream"

# Named, so that the refusal says why. Unpickling runs the sender's code (CVE-2025-27520, CVE-2025-32375).
_REFUSED: Final[tuple[tuple[bytes, str], ...]] = (
    (b"pickle", "Pickle runs the sender's code when it is read; it is never accepted here."),
    (b"multipart/", "Multipart bodies are not taken."),
    (
        b"application/x-www-form-urlencoded",
        "Form bodies are not taken (curl sends one unless told otherwise).",
    ),
)


def media_type(request: Request, allowed: tuple[bytes, ...]) -> bytes:
    """The request's media type, one of `allowed`.

    UnsupportedMediaTypeError otherwise, and for coded bodies.
    """
    raw = request.headers[CONTENT_TYPE]
    coding = request.headers[CONTENT_ENCODING]
    if coding is not None and coding.strip().lower() not in (b"", b"identity"):
        raise UnsupportedMediaTypeError(
            "The body has a content coding; coded bodies are not taken.",
            hint="Send it without Content-Encoding.",
        )
    if raw == JSON_TYPE:
        return JSON_TYPE
    names = " or ".join(name.decode() for name in allowed)
    if raw is None:
        raise UnsupportedMediaTypeError(
            "The request has no Content-Type.", hint=f"Send Content-Type: {names}."
        )
    essence, _, parameters = raw.partition(b";")
    essence = essence.strip().lower()
    if essence in allowed:
        if essence == JSON_TYPE:
            _check_charset(parameters)
        return essence
    shown = essence.decode("latin-1")[:80]
    for part, why in _REFUSED:
        if part in essence:
            raise UnsupportedMediaTypeError(f"{shown!r}: {why}", hint=f"Send Content-Type: {names}.")
    raise UnsupportedMediaTypeError(
        f"{shown!r} is not taken by {request.path}.", hint=f"Send Content-Type: {names}."
    )


def _check_charset(parameters: bytes) -> None:
    for parameter in parameters.split(b";"):
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"charset" and value.strip().strip(b'"').lower() not in (
            b"utf-8",
            b"utf8",
        ):
            raise UnsupportedMediaTypeError(
                "JSON is read as UTF-8 only (RFC 8259, 8.1).", hint="Send charset=utf-8, or none."
            )


async def body_of(request: Request, cap: int, timeout_s: float, room: BodyRoom) -> bytes:
    """The body, refused early by Content-Length and late by what really arrives.

    BusyError if there is no `room`.
    """
    declared = request.headers[CONTENT_LENGTH]
    if declared is not None and len(declared) <= 20 and declared.isdigit() and int(declared) > cap:
        raise _too_large(cap)
    message = await request.receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) <= cap:
            return body
    held = size = 0
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(timeout_s):
            while message["type"] == "http.request":
                part: bytes = message.get("body", b"")
                size += len(part)
                if size > cap:
                    raise _too_large(cap)
                held += room.take(size, len(part))
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
                message = await request.receive()
    except TimeoutError as error:
        raise BodyTimeoutError(
            f"The body was not complete after {timeout_s:g} s.",
            hint="Send it faster, or in smaller requests.",
        ) from error
    finally:
        room.give(held)
    raise ClientGoneError("The client closed the connection before the body was complete.")


def _too_large(cap: int) -> BodyTooLargeError:
    return BodyTooLargeError(
        f"The body is larger than {cap} bytes.",
        hint="Send fewer leads per request, or raise the service's cap.",
    )


def wants_arrow(request: Request) -> bool:
    """Whether `Accept` names Arrow and does not rank JSON above it (RFC 9110, 12.5.1)."""
    raw = request.headers[ACCEPT]
    if raw is None or ARROW_TYPE not in raw.lower():
        return False
    ranks = dict(map(_accepted, raw.lower().split(b",")))
    arrow = ranks.get(ARROW_TYPE, 0.0)
    return arrow > 0.0 and arrow >= ranks.get(JSON_TYPE, 0.0)


def _accepted(item: bytes) -> tuple[bytes, float]:
    essence, *parameters = (part.strip() for part in item.split(b";"))
    for parameter in parameters:
        if parameter.startswith(b"q="):
            try:
                return essence, float(parameter[2:])
            except ValueError:
                return essence, 0.0
    return essence, 1.0
