"""Where a request comes from: what trusted proxies say, and nothing that a client can make up."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.errors import BadInputError
from leadscore.identity.proxies import TrustedProxies

PROXIES = TrustedProxies.parse("10.0.0.0/8, fd00::/8 192.0.2.1")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        # Nobody before us, or nobody whom we trust: what is forwarded may be made up.
        ("203.0.113.5", None, "203.0.113.5"),
        ("203.0.113.5", b"198.51.100.1", "203.0.113.5"),
        # One proxy, and two.
        ("10.0.0.1", b"198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", b"198.51.100.1, 192.0.2.1", "198.51.100.1"),
        # A client that forges what stands before: the rightmost that no proxy of ours wrote counts.
        ("10.0.0.1", b"127.0.0.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", b"10.9.9.9, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", b"evil, , 198.51.100.1 , 10.0.0.2", "198.51.100.1"),
        # The header was taken away on its way (`Connection: X-Forwarded-For`): the proxy is all that is
        # known.
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", b"", "10.0.0.1"),
        # Everything is ours.
        ("10.0.0.1", b"10.0.0.3, 10.0.0.2", "10.0.0.3"),
        # What a proxy could not name ends the search.
        ("10.0.0.1", b"198.51.100.1, unknown", "10.0.0.1"),
        ("10.0.0.1", b"198.51.100.1, garbage, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", b"198.51.100.1,", "10.0.0.1"),
        ("10.0.0.1", b"\xff\x00", "10.0.0.1"),
        ("10.0.0.1", b"1.2.3", "10.0.0.1"),
        ("10.0.0.1", b"010.1.1.1", "10.0.0.1"),
        # Ports, brackets, zones, IPv4 in IPv6.
        ("10.0.0.1", b"198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", b"[2001:db8::1]:443", "2001:db8::1"),
        ("10.0.0.1", b"[2001:db8::1]", "2001:db8::1"),
        ("10.0.0.1", b"2001:DB8:0::1", "2001:db8::1"),
        ("10.0.0.1", b"fe80::1%eth0", "fe80::1"),
        ("fd00::7%eth1", b"2001:db8::1", "2001:db8::1"),
        ("::ffff:10.0.0.1", b"::ffff:198.51.100.1", "198.51.100.1"),
        ("fe80::1%\n\x1b[31m", None, "fe80::1"),
        # A Unix socket has no address.
        ("", b"198.51.100.1", ""),
    ],
)
def test_the_client_is_the_rightmost_that_no_trusted_proxy_wrote(
    peer: str, forwarded: bytes | None, client: str
) -> None:
    assert PROXIES.client(peer, forwarded) == client
    assert PROXIES.client(peer, forwarded) == client


def test_without_trusted_proxies_nothing_that_is_forwarded_counts() -> None:
    assert TrustedProxies().client("10.0.0.1", b"198.51.100.1") == "10.0.0.1"


def test_a_header_of_thousands_of_entries_costs_no_more_than_a_few() -> None:
    long = b"198.51.100.1" + b",10.0.0.1" * 7000
    began = time.process_time()
    assert PROXIES.client("10.0.0.1", long) == "10.0.0.1"
    assert time.process_time() - began < 0.05


@given(st.binary(max_size=300))
def test_no_header_breaks_it_and_the_answer_is_an_address(forwarded: bytes) -> None:
    found = PROXIES.client("10.0.0.1", forwarded)
    assert found
    assert found.isprintable()
    assert len(found) <= 39


@pytest.mark.parametrize("text", ["10.0.0.1/8", "proxy.example", "10.0.0.0/33", "::/129", "*"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="trusted proxies"):
        TrustedProxies.parse(text)
