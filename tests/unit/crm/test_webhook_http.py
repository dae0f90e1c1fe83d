"""Where a webhook may go."""

from __future__ import annotations

import ipaddress

import pytest

from leadscore.crm.webhook_http import allowed_networks, is_reachable
from leadscore.errors import BadInputError

PRIVATE = (
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fd00::1", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1",
)  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert not is_reachable(ipaddress.ip_address(address), ())


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"])
def test_what_is_public_is_let_through(address: str) -> None:
    assert is_reachable(ipaddress.ip_address(address), ())


def test_what_is_listed_is_let_through() -> None:
    listed = allowed_networks({"LEADSCORE_WEBHOOK_NETWORKS": "10.20.0.0/16, 127.0.0.1/32 fd00::/8"})
    assert [is_reachable(ipaddress.ip_address(a), listed) for a in ("10.20.3.4", "127.0.0.1", "fd00::1")] == [
        True
    ] * 3
    assert not is_reachable(ipaddress.ip_address("10.21.0.1"), listed)
    assert allowed_networks({}) == ()


def test_a_network_that_is_none_is_named() -> None:
    with pytest.raises(BadInputError, match=r"10\.20\.0\.1/16"):
        allowed_networks({"LEADSCORE_WEBHOOK_NETWORKS": "10.20.0.1/16"})
