"""The evaluator of NetworkPolicies, on the rules that people trip over."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.network import End, is_allowed, matches

WEB = End("web", "shop", {"app": "web"}, {"http": 8080})
DB = End("db", "shop", {"app": "db"}, {"sql": 5432})
AWAY = End("away", "other", {"app": "web"})
OUTSIDE = End("outside", address="203.0.113.7")


def policy(selector: dict[str, str], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"podSelector": {"matchLabels": selector}, **spec}}


def test_who_no_policy_selects_may_do_everything() -> None:
    assert is_allowed([], WEB, DB, 5432)
    assert is_allowed([policy({"app": "none"}, policyTypes=["Ingress", "Egress"])], WEB, OUTSIDE, 443)


def test_a_connection_needs_both_ends() -> None:
    deny = policy({}, policyTypes=["Ingress", "Egress"])
    out = policy({"app": "web"}, policyTypes=["Egress"], egress=[{"to": [{"podSelector": {}}]}])
    into = policy({"app": "db"}, policyTypes=["Ingress"], ingress=[{"from": [{"podSelector": {}}]}])
    assert not is_allowed([deny], WEB, DB, 5432)
    assert not is_allowed([deny, out], WEB, DB, 5432)
    assert not is_allowed([deny, into], WEB, DB, 5432)
    assert is_allowed([deny, out, into], WEB, DB, 5432)


def test_a_pod_selector_without_a_namespace_means_the_policy_s_own() -> None:
    into = policy({"app": "db"}, policyTypes=["Ingress"], ingress=[{"from": [{"podSelector": {}}]}])
    assert is_allowed([into], WEB, DB, 5432)
    assert not is_allowed([into], AWAY, DB, 5432)


def test_namespace_and_pod_selector_in_one_peer_hold_both() -> None:
    peer = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}},
        "podSelector": {"matchLabels": {"app": "web"}},
    }
    into = policy({"app": "db"}, policyTypes=["Ingress"], ingress=[{"from": [peer]}])
    assert is_allowed([into], AWAY, DB, 5432)
    assert not is_allowed([into], End("x", "other", {"app": "x"}), DB, 5432)
    assert not is_allowed([into], WEB, DB, 5432)


def test_a_port_s_name_is_the_destination_s() -> None:
    into = policy({"app": "db"}, policyTypes=["Ingress"], ingress=[{"ports": [{"port": "sql"}]}])
    assert is_allowed([into], WEB, DB, 5432)
    assert not is_allowed([into], WEB, DB, 8080)
    assert not is_allowed([into], WEB, DB, 5432, "UDP")


def test_a_rule_without_peers_is_everybody_and_an_empty_list_of_rules_is_nobody() -> None:
    assert is_allowed([policy({}, policyTypes=["Egress"], egress=[{}])], WEB, OUTSIDE, 443)
    assert not is_allowed([policy({}, policyTypes=["Egress"], egress=None)], WEB, OUTSIDE, 443)


def test_a_block_of_addresses_with_exceptions_and_a_range_of_ports() -> None:
    block = {"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.8/32"]}}
    rule = {"to": [block], "ports": [{"port": 400, "endPort": 500}]}
    rules = [policy({}, policyTypes=["Egress"], egress=[rule])]
    assert is_allowed(rules, WEB, OUTSIDE, 443)
    assert not is_allowed(rules, WEB, OUTSIDE, 501)
    assert not is_allowed(rules, WEB, End("x", address="203.0.113.8"), 443)


def test_operators_of_selectors() -> None:
    labels = {"a": "1"}
    assert matches({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}, labels)
    assert matches({"matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["1"]}]}, labels)
    assert matches({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, labels)
    assert matches({"matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]}, labels)
    with pytest.raises(ValueError, match="no operator"):
        matches({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}, labels)
