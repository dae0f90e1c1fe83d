"""The request of a webhook: to the address that was checked, without redirects, over within a bounded time.

A name is looked up once, every address of it is checked, and one of these is connected to: a name server
that says something else a moment later (DNS rebinding) changes nothing. The whole exchange has one deadline,
so that a receiver which sends a byte now and then ends, too.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import httpcore

from leadscore.errors import BadInputError
from leadscore.outbox.attempts import SendResult, result_of_status
from leadscore.outbox.http import trusted_authorities

NETWORKS_VARIABLE: Final = "LEADSCORE_WEBHOOK_NETWORKS"
# Shorter than the lease of a message by far: whoever sends holds it until the end.
_SECONDS: Final = 20.0
_CONNECT_SECONDS: Final = 5.0
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_NOT_SENT: Final = (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.UnsupportedProtocol)
_LOST: Final = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)

IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup: TypeAlias = Callable[[str, int], Sequence[str]]
_Options: TypeAlias = Iterable[httpcore.SOCKET_OPTION]


def allowed_networks(environ: Mapping[str, str] = os.environ) -> tuple[IpNetwork, ...]:
    """Networks that are not public and may be sent to all the same: those in `LEADSCORE_WEBHOOK_NETWORKS`.

    Raises:
        BadInputError: One of them is no network.
    """
    found: list[IpNetwork] = []
    for text in environ.get(NETWORKS_VARIABLE, "").replace(",", " ").split():
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise BadInputError(
                f"{NETWORKS_VARIABLE} lists {text[:60]!r}, which is no network.",
                hint="Such as 10.20.0.0/16 or 127.0.0.1/32.",
            ) from error
    return tuple(found)


def is_reachable(address: IpAddress, allowed: Sequence[IpNetwork]) -> bool:
    """Whether a webhook may be sent to an address: a public one, or one that is listed."""
    inner = None if isinstance(address, ipaddress.IPv4Address) else _translated(address)
    if inner is not None:
        return is_reachable(inner, allowed)
    listed = any(address in network for network in allowed if network.version == address.version)
    return listed or (address.is_global and not address.is_multicast)


def _translated(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a packet to it may reach in the end."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def look_up_addresses(host: str, port: int) -> Sequence[str]:
    """All addresses of a name, in the order in which they are to be tried."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def post_webhook(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    allowed: Sequence[IpNetwork],
    *,
    look_up: Lookup = look_up_addresses,
    seconds: float = _SECONDS,
) -> SendResult:
    """Post a JSON document and say what came of it.

    Any 2xx is acceptance, whatever the body says; it is not read. Everything else can be put right at the
    receiver, so that it is tried again, a redirect too: it is not followed.

    Args:
        url: http or https.
        body: The document.
        headers: Besides the content type.
        allowed: Networks that are not public and may be sent to.
        look_up: Addresses of a name.
        seconds: For the whole exchange.
    """
    deadline = time.monotonic() + seconds
    backend = _CheckedBackend(allowed, look_up, deadline)
    sent = [("Content-Type", "application/json"), ("User-Agent", "LeadScore"), *headers.items()]
    try:
        with (
            httpcore.ConnectionPool(
                ssl_context=trusted_authorities(), network_backend=backend, max_keepalive_connections=0
            ) as pool,
            pool.stream("POST", url, headers=[_host(url), *sent], content=body) as reply,
        ):
            given = dict(reply.headers).get(b"retry-after", b"").decode("latin-1") or None
            return _result(reply.status, given)
    except _RefusedAddressError as refused:
        return SendResult("failed", str(refused))
    except _NOT_SENT as error:
        return SendResult("failed", f"no connection ({type(error).__name__})")
    except _LOST as error:
        return SendResult("uncertain", f"no answer ({type(error).__name__})")
    except (ValueError, UnicodeError):
        return SendResult("failed", "the address is no URL")


def _host(url: str) -> tuple[str, str]:
    found = httpcore.URL(url)
    host, usual = found.host.decode(), {b"http": 80, b"https": 443}.get(found.scheme)
    shown = f"[{host}]" if ":" in host else host
    return "Host", shown if found.port in {None, usual} else f"{shown}:{found.port}"


def _result(status: int, retry_after: str | None) -> SendResult:
    found = result_of_status(status, retry_after, time.time())
    if 300 <= status < 400:
        return SendResult(
            "failed", f"HTTP {status}: redirects are not followed, give the new address", status
        )
    return SendResult("failed", found.detail, status) if found.outcome == "refused" else found


class _RefusedAddressError(Exception):
    """The name leads where no webhook is sent; says so to people."""


class _CheckedBackend(httpcore.NetworkBackend):
    """Connects to addresses that were checked, and ends what takes too long."""

    def __init__(self, allowed: Sequence[IpNetwork], look_up: Lookup, deadline: float) -> None:
        self._allowed = allowed
        self._look_up = look_up
        self._deadline = deadline
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _Options | None = None,
    ) -> httpcore.NetworkStream:
        """Look the name up, check, connect."""
        del timeout
        try:
            addresses = self._look_up(host, port)
        except OSError as error:
            raise httpcore.ConnectError("the name is not known") from error
        for text in addresses:
            if not is_reachable(ipaddress.ip_address(text.partition("%")[0]), self._allowed):
                raise _RefusedAddressError(
                    f"the address is of a private network ({text}), which {NETWORKS_VARIABLE} does not list"
                )
        failed: Exception = httpcore.ConnectError("the name has no address")
        for text in addresses:
            left = min(_CONNECT_SECONDS, self._deadline - time.monotonic())
            if left <= 0:
                break
            try:
                stream = self._inner.connect_tcp(text, port, left, local_address, socket_options)
                return _BoundedStream(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed


class _BoundedStream(httpcore.NetworkStream):
    """A connection whose every wait ends at one moment."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self._inner = inner
        self._deadline = deadline

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the receiver takes too long")
        return left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """As the connection reads."""
        del timeout
        return self._inner.read(max_bytes, self._left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """As the connection writes."""
        del timeout
        self._inner.write(buffer, self._left())

    def close(self) -> None:
        """Close it."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same over TLS; the certificate must be of the name, not of the address."""
        del timeout
        stream = self._inner.start_tls(ssl_context, server_hostname, self._left())
        return _BoundedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> object:
        """What the connection knows."""
        return self._inner.get_extra_info(info)
