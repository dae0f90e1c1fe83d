"""HTTP requests of deliveries: each over by one deadline, without redirects, every end a `SendResult`.

The deadline holds for all of a request: the look-up of the name, connecting, and every byte that is sent or
read. A receiver that sends a byte now and then keeps no timeout of single steps from starting anew, but not
this one.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from socket import SOCK_STREAM, gaierror, getaddrinfo
from types import TracebackType
from typing import Final, Self, TypeAlias
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from leadscore.outbox.attempts import SendResult, result_of_status
from leadscore.outbox.bounded import begin_apart

# Shorter than the lease of a message by far: whoever sends holds it until the end.
REQUEST_SECONDS: Final = 20.0
# A connection that is not there soon is not there; an answer may take longer.
_CONNECT_SECONDS: Final = 5.0
# A receiver that has closed an old connection would leave it unknown whether it took the next message.
_KEPT_SECONDS: Final = 2.0
_DRAINED_SECONDS: Final = 1.0
_DRAINED_BYTES: Final = 64 * 1024
_PIECE_BYTES: Final = 16 * 1024
# Nothing left this machine yet when these are raised.
_NOT_SENT: Final = (
    httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout, httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)  # fmt: skip
_LOST: Final = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)
_NO_URL: Final = (httpx.InvalidURL, ValueError)

Lookup: TypeAlias = Callable[[str, int], Sequence[str]]
_Options: TypeAlias = Iterable[httpcore.SOCKET_OPTION]


class _NoLookupError(httpcore.ConnectTimeout):
    """The name servers did not answer in time."""


class RefusedAddressError(Exception):
    """A name leads where nothing is sent; says so to people."""


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


def look_up_addresses(host: str, port: int) -> Sequence[str]:
    """All addresses of a name, in the order in which they are to be tried."""
    return [str(found[4][0]) for found in getaddrinfo(host, port, type=SOCK_STREAM)]


class HttpConnections:
    """Connections of one delivery, for several threads; each request over them has its own deadline.

    Args:
        check: Raises RefusedAddressError for an address that nothing is sent to, and then no proxy is used;
            None: every address may be sent to, through the proxy that the environment names.
        look_up: Addresses of a name.
        kept: How many connections are kept, for two seconds, for the next request.
    """

    def __init__(
        self,
        *,
        check: Callable[[str], None] | None = None,
        look_up: Lookup = look_up_addresses,
        kept: int = 0,
    ) -> None:
        self._direct = check is not None
        self._kept = kept
        self._deadline = _Deadline()
        self._backend = _BoundedBackend(check or (lambda _: None), look_up, self._deadline)
        self._lock = threading.Lock()
        self._pools: dict[str, httpcore.ConnectionPool] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in self._pools.values():
            pool.close()

    def exchange(
        self,
        method: str,
        url: str,
        *,
        body: bytes,
        headers: Mapping[str, str],
        seconds: float,
        most_bytes: int,
    ) -> HttpReply | SendResult:
        """Send a request and read its reply whole, or say why there is none.

        Args:
            method: Of HTTP.
            url: http or https; never repeated in the result.
            body: To send; empty: none.
            headers: To send.
            seconds: For all of it.
            most_bytes: Of the reply's body.
        """
        read = bytearray()
        try:
            with self._answered(method, url, body, headers, seconds) as reply:
                for piece in reply.iter_stream():
                    read += piece
                    if len(read) > most_bytes:
                        return SendResult("uncertain", f"the reply is longer than {most_bytes} bytes")
                return HttpReply(reply.status, _headers(reply), bytes(read))
        except (RefusedAddressError, *_NOT_SENT, *_LOST, *_NO_URL) as error:
            return _not_answered(error)

    def post_json(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str],
        seconds: float = REQUEST_SECONDS,
        complaint: Callable[[str, bytes], str] | None = None,
    ) -> SendResult:
        """Post a JSON document and say what came of it.

        A redirect is not followed (the address that was configured, and nowhere else).

        Args:
            url: http or https; never repeated in the result, because it may be a secret.
            body: The document.
            headers: Besides the content type.
            seconds: For all of it.
            complaint: What a reply that accepts says is wrong all the same, from its content type and the
                first 64 KiB of its body, without repeating them; empty: nothing. None: the status says it.
        """
        sent = {"Content-Type": "application/json", **headers}
        try:
            with self._answered("POST", url, body, sent, seconds) as reply:
                said = _headers(reply)
                found = result_of_status(reply.status, said.get("retry-after"), time.time())
                read = self._drain(reply) if self._kept or complaint is not None else b""
                if complaint is not None and found.outcome == "accepted":
                    wrong = complaint(said.get("content-type", ""), read)
                    return SendResult("failed", f"{found.detail}: {wrong}", reply.status) if wrong else found
                return found
        except (RefusedAddressError, *_NOT_SENT, *_LOST, *_NO_URL) as error:
            return _not_answered(error)

    @contextlib.contextmanager
    def _answered(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> Generator[httpcore.Response]:
        self._deadline.at = time.monotonic() + seconds
        usual = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "LeadScore"}
        request = httpx.Request(method, url, content=body, headers={**usual, **headers})
        if request.url.userinfo and "authorization" not in request.headers:
            request = next(httpx.BasicAuth(request.url.username, request.url.password).auth_flow(request))
        scheme, host, port, target = (
            request.url.raw_scheme, request.url.raw_host, request.url.port, request.url.raw_path,
        )  # fmt: skip
        address = httpcore.URL(scheme=scheme, host=host, port=port, target=target)
        pool = self._pool("" if self._direct else _proxy_of(request.url))
        with pool.stream(method, address, headers=request.headers.raw, content=body) as reply:
            yield reply

    def _drain(self, reply: httpcore.Response) -> bytes:
        """Read the rest of a reply, so that its connection can be used again; a long one is cut off."""
        self._deadline.at = min(self._deadline.at, time.monotonic() + _DRAINED_SECONDS)
        read = bytearray()
        with contextlib.suppress(*_LOST):
            for piece in reply.iter_stream():
                read += piece
                if len(read) > _DRAINED_BYTES:
                    break
        return bytes(read[:_DRAINED_BYTES])

    def _pool(self, proxy: str) -> httpcore.ConnectionPool:
        with self._lock:
            if proxy not in self._pools:
                self._pools[proxy] = self._made(proxy)
            return self._pools[proxy]

    def _made(self, proxy: str) -> httpcore.ConnectionPool:
        if not proxy:
            return httpcore.ConnectionPool(
                ssl_context=trusted_authorities(),
                max_keepalive_connections=self._kept,
                keepalive_expiry=_KEPT_SECONDS,
                network_backend=self._backend,
            )
        parts = urlsplit(proxy)
        return httpcore.HTTPProxy(
            proxy_url=proxy.replace(parts.netloc, parts.netloc.rpartition("@")[2], 1),
            proxy_auth=(unquote(parts.username), unquote(parts.password or "")) if parts.username else None,
            ssl_context=trusted_authorities(),
            max_keepalive_connections=self._kept,
            keepalive_expiry=_KEPT_SECONDS,
            network_backend=self._backend,
        )


def _proxy_of(url: httpx.URL) -> str:
    """The proxy that the environment names for a URL; empty: none."""
    known = getproxies()
    proxy = known.get(url.scheme) or known.get("all") or ""
    if not proxy or proxy_bypass(url.host):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _headers(reply: httpcore.Response) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in reply.headers}


def _not_answered(error: Exception) -> SendResult:
    if isinstance(error, RefusedAddressError):
        return SendResult("failed", str(error))
    if isinstance(error, _NOT_SENT):
        return SendResult("failed", f"no connection: {_why_none(error)}")
    if isinstance(error, _LOST):
        return SendResult("uncertain", f"no answer ({type(error).__name__})")
    return SendResult("failed", "the address is no URL")


def _why_none(error: BaseException) -> str:
    """What kept a connection from being made, so that a person knows whom to ask."""
    said = type(error).__name__
    if isinstance(error, _NoLookupError):
        return "the name servers do not answer"
    if isinstance(error, httpcore.ConnectTimeout):
        said = f"nobody answers at the address within {_CONNECT_SECONDS:.0f} s"
    # The pool raises anew without the cause, but not without what it was raised in.
    below = error.__context__
    while below is not None:
        if isinstance(below, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({below.verify_message})"
        if isinstance(below, ssl.SSLError):
            return f"no TLS is spoken there ({below.reason})"
        if isinstance(below, gaierror):
            return "the name is not known"
        if isinstance(below, ConnectionRefusedError):
            return "nothing listens at the port"
        below = below.__context__
    return said


@cache
def trusted_authorities() -> ssl.SSLContext:
    """Whose certificates are believed, read once: that takes longer than a request."""
    return httpx.create_ssl_context()


class _Deadline(threading.local):
    """When the request of the present thread is over."""

    at = 0.0

    def left(self, error: type[httpcore.TimeoutException]) -> float:
        left = self.at - time.monotonic()
        if left <= 0:
            raise error("the receiver takes too long")
        return left


class _BoundedBackend(httpcore.NetworkBackend):
    """Connects to addresses that were checked, and ends what takes too long."""

    def __init__(self, check: Callable[[str], None], look_up: Lookup, deadline: _Deadline) -> None:
        self._check = check
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
        # In a thread: the resolver goes by time limits of its own.
        looked_up = begin_apart(partial(self._look_up, host, port))
        try:
            addresses = looked_up.result(self._deadline.left(httpcore.ConnectTimeout))
        except TimeoutError as error:
            raise _NoLookupError("the name is not looked up in time") from error
        except OSError as error:
            raise httpcore.ConnectError("the name is not known") from error
        for address in addresses:
            self._check(address)
        failed: Exception = httpcore.ConnectError("the name has no address")
        for address in addresses:
            left = min(_CONNECT_SECONDS, self._deadline.left(httpcore.ConnectTimeout))
            try:
                stream = self._inner.connect_tcp(address, port, left, local_address, socket_options)
                return _BoundedStream(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed


class _BoundedStream(httpcore.NetworkStream):
    """A connection whose every wait ends at the deadline of the request."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """As the connection reads."""
        del timeout
        return self._inner.read(max_bytes, self._deadline.left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """As the connection writes."""
        del timeout
        # In pieces: of a large one, each part that the receiver takes would begin the time anew.
        for start in range(0, len(buffer), _PIECE_BYTES):
            left = self._deadline.left(httpcore.WriteTimeout)
            self._inner.write(buffer[start : start + _PIECE_BYTES], left)

    def close(self) -> None:
        """Close it."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same over TLS; the certificate must be of the name, not of the address."""
        del timeout
        left = self._deadline.left(httpcore.ConnectTimeout)
        return _BoundedStream(self._inner.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> object:
        """What the connection knows."""
        return self._inner.get_extra_info(info)
