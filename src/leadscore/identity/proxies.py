"""Where a request comes from: the rightmost `X-Forwarded-For` entry that no trusted proxy wrote.

Each proxy appends the address that it was called from, so entries are true from the right as
far as the proxies that wrote them are ours; everything further left is what a client may have
made up (RFC 7239, 8.1; MDN, X-Forwarded-For).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from leadscore.errors import BadInputError

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network
# `192.0.2.1:4711`, `[2001:db8::1]`, `[2001:db8::1]:4711`: as load balancers and proxies write them.
_WITH_PORT: Final = re.compile(r"(?:\[(?P<six>[^\[\]]*)\]|(?P<four>[0-9.]+))(?::[0-9]{1,5})?")
# A header of the usual length is looked up, not parsed again; longer ones would fill the memory.
_CACHED_BYTES: Final = 200
_CACHED: Final = 4096
# More proxies than anybody chains; a client may send thousands of entries.
_MOST_HOPS: Final = 32


class TrustedProxies:
    """Finds the client's address behind the proxies that are ours.

    Args:
        networks: Addresses of the proxies whose entries are believed; none: every request comes from its
            peer.
    """

    def __init__(self, networks: Iterable[_Network] = ()) -> None:
        self._networks = tuple(networks)
        self._find = lru_cache(maxsize=_CACHED)(self._walk)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TrustedProxies) and self._networks == other._networks

    def __hash__(self) -> int:
        return hash(self._networks)

    @classmethod
    def parse(cls, text: str) -> TrustedProxies:
        """Read networks in CIDR notation or single addresses, separated by commas or spaces.

        Raises:
            BadInputError: One of them is neither, or has host bits set.
        """
        networks: list[_Network] = []
        for word in text.replace(",", " ").split():
            try:
                networks.append(ip_network(word))
            except ValueError as error:
                raise BadInputError(
                    f"{word!r} is no network of trusted proxies: {error}.",
                    hint=(
                        "LEADSCORE_TRUSTED_PROXIES takes CIDRs such as 10.0.0.0/8 or "
                        "2001:db8::/32, separated by commas."
                    ),
                ) from error
        return cls(networks)

    def client(self, peer: str, forwarded: bytes | None) -> str:
        """Return the client's address.

        Args:
            peer: Address of the connection's other end; "" if it has none (a Unix socket).
            forwarded: All `X-Forwarded-For` headers, joined by commas in their order; None: there is none.

        Returns:
            An address without port or zone. What a trusted proxy could not name (`unknown`, garbage) ends the
            search: the address of that proxy is the last thing that is known.
        """
        if forwarded is not None and len(forwarded) > _CACHED_BYTES:
            return self._walk(peer, forwarded)
        return self._find(peer, forwarded)

    def _walk(self, peer: str, forwarded: bytes | None) -> str:
        known = _address(peer)
        if known is None:
            return ""
        rest = b"" if forwarded is None else forwarded
        for _ in range(_MOST_HOPS):
            if not rest or not self._trusts(known):
                break
            rest, _, entry = rest.rpartition(b",")
            before = _address(entry.strip().decode("latin-1"))
            if before is None:
                break
            known = before
        return str(known)

    def _trusts(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)


def _address(text: str) -> _Address | None:
    """The address in one form.

    Without port, without zone (it means something on one host only), IPv4 as IPv4.
    """
    port = _WITH_PORT.fullmatch(text)
    plain = text if port is None else port["six"] or port["four"] or ""
    if len(plain) > 100:
        return None
    try:
        address = ip_address(plain.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
