"""One HTTP request of a delivery: bounded in time, without redirects, every end a `SendResult`."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import httpx

from leadscore.outbox.attempts import SendResult, result_of_status

# At INFO it writes down each request's whole address, and those of channels are secrets.
logging.getLogger("httpx").setLevel(logging.WARNING)
# A connection that is not there soon is not there; an answer may take longer.
_TIMEOUTS: Final = httpx.Timeout(10.0, connect=5.0)
# Nothing left this machine yet when these are raised.
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A reply with what it says.

    Attributes:
        status: Of HTTP.
        headers: By their names in lower case.
        body: Whole.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


def exchange(
    method: str, url: str, *, body: bytes, headers: Mapping[str, str], seconds: float, most_bytes: int
) -> HttpReply | SendResult:
    """Send a request and read its reply whole, or say why there is none.

    Redirects are not followed.

    Args:
        method: Of HTTP.
        url: http or https; never repeated in the result.
        body: To send; empty: none.
        headers: To send.
        seconds: For all of it, and for each step.
        most_bytes: Of the reply's body.
    """
    ends = time.monotonic() + seconds
    timeout = httpx.Timeout(seconds, connect=min(5.0, seconds))
    read = bytearray()
    try:
        with (
            httpx.Client(timeout=timeout, follow_redirects=False, verify=trusted_authorities()) as client,
            client.stream(method, url, content=body, headers=dict(headers)) as reply,
        ):
            for piece in reply.iter_bytes():
                read += piece
                if len(read) > most_bytes:
                    return SendResult("uncertain", f"the reply is longer than {most_bytes} bytes")
                if time.monotonic() > ends:
                    return SendResult("uncertain", f"the reply was not whole after {seconds:g} s")
            names = {name.lower(): value for name, value in reply.headers.items()}
            return HttpReply(reply.status_code, names, bytes(read))
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return _not_answered(error)


def post_json(
    url: str,
    body: bytes,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: httpx.Timeout = _TIMEOUTS,
) -> SendResult:
    """Post a JSON document and say what came of it.

    A redirect is refused (the address that was configured, and nowhere else). The body of the reply is not
    read: the status says it all, and the body may repeat what was sent.

    Args:
        url: http or https; never repeated in the result, because it may be a secret.
        body: The document.
        headers: Besides the content type.
        timeout: For connecting and for each read or write.
    """
    sent = {"Content-Type": "application/json", **(headers or {})}
    try:
        with (
            httpx.Client(timeout=timeout, follow_redirects=False, verify=trusted_authorities()) as client,
            client.stream("POST", url, content=body, headers=sent) as reply,
        ):
            return result_of_status(reply.status_code, reply.headers.get("Retry-After"), time.time())
    except (httpx.TransportError, httpx.InvalidURL, ValueError) as error:
        return _not_answered(error)


def _not_answered(error: Exception) -> SendResult:
    if isinstance(error, _NOT_SENT):
        return SendResult("failed", f"no connection ({type(error).__name__})")
    if isinstance(error, httpx.HTTPError):
        return SendResult("uncertain", f"no answer ({type(error).__name__})")
    return SendResult("failed", "the address is no URL")


@cache
def trusted_authorities() -> ssl.SSLContext:
    """Whose certificates are believed, read once for all requests."""
    # Reading them takes longer than a request. A connection is not kept: an old one that the receiver has
    # closed meanwhile would leave it unknown whether it took the message.
    return httpx.create_ssl_context()
