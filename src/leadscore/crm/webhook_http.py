"""The request of a webhook: to the address that was checked, without redirects, over within a bounded time.

A name is looked up once, every address of it is checked, and one of these is connected to: a name server
that says something else a moment later (DNS rebinding) changes nothing. The whole exchange has one deadline,
so that a receiver which sends a byte now and then ends, too.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from leadscore.errors import BadInputError
from leadscore.outbox.attempts import SendResult
from leadscore.outbox.http import (
    REQUEST_SECONDS,
    HttpConnections,
    Lookup,
    RefusedAddressError,
    look_up_addresses,
)

NETWORKS_VARIABLE: Final = "LEADSCORE_WEBHOOK_NETWORKS"
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")

IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


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


def webhook_connections(
    allowed: Sequence[IpNetwork], *, look_up: Lookup = look_up_addresses, kept: int = 0
) -> HttpConnections:
    """Connections that webhooks may go over.

    Args:
        allowed: Networks that are not public and may be sent to.
        look_up: Addresses of a name.
        kept: How many are kept for the next request.
    """

    def check(address: str) -> None:
        if not is_reachable(ipaddress.ip_address(address.partition("%")[0]), allowed):
            raise RefusedAddressError(
                f"the address is of a private network ({address}), which {NETWORKS_VARIABLE} does not list"
            )

    return HttpConnections(check=check, look_up=look_up, kept=kept)


def post_webhook(
    connections: HttpConnections,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    seconds: float = REQUEST_SECONDS,
) -> SendResult:
    """Post a JSON document and say what came of it.

    Any 2xx is acceptance, whatever the body says. Everything else can be put right at the receiver, so that
    it is tried again, a redirect too: it is not followed.

    Args:
        connections: Of `webhook_connections`.
        url: http or https.
        body: The document.
        headers: Besides the content type.
        seconds: For the whole exchange.
    """
    found = connections.post_json(url, body, headers=headers, seconds=seconds)
    if found.outcome != "refused":
        return found
    return SendResult("failed", found.detail, found.status)
