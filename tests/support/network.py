"""What NetworkPolicies allow, by the rules of networking.k8s.io/v1.

See https://kubernetes.io/docs/concepts/services-networking/network-policies/.

Pure: rendered policies and the two ends in, yes or no out. Who no policy selects may do everything, policies
add up, and a connection needs its source's egress and its destination's ingress.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class End:
    """A pod, or with `namespace` empty an address outside.

    Attributes:
        name: For people.
        namespace: Its namespace; namespaces carry the label `kubernetes.io/metadata.name`.
        labels: Of the pod.
        ports: Names of the container ports.
        address: Its IP address.
    """

    name: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    ports: Mapping[str, int] = field(default_factory=dict[str, int])
    address: str = "10.244.0.9"


def is_allowed(
    policies: Sequence[Manifest], source: End, destination: End, port: int, protocol: str = "TCP"
) -> bool:
    """Whether a connection comes about."""
    return _lets(policies, source, destination, "Egress", destination, port, protocol) and _lets(
        policies, destination, source, "Ingress", destination, port, protocol
    )


def _lets(
    policies: Iterable[Manifest], of: End, peer: End, way: str, target: End, port: int, protocol: str
) -> bool:
    if not of.namespace:
        return True  # what is outside is not ours to hold
    about = [p for p in policies if _selects(p, of) and way in _types(p["spec"])]
    rules = [rule for p in about for rule in p["spec"].get(way.lower()) or []]
    key = "to" if way == "Egress" else "from"
    return not about or any(
        _has_peer(rule.get(key), peer, of.namespace) and _has_port(rule.get("ports"), target, port, protocol)
        for rule in rules
    )


def _types(spec: Manifest) -> list[str]:
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def _selects(policy: Manifest, pod: End) -> bool:
    return policy["metadata"].get("namespace", pod.namespace) == pod.namespace and matches(
        policy["spec"]["podSelector"], pod.labels
    )


def _has_peer(peers: Sequence[Manifest] | None, other: End, own_namespace: str) -> bool:
    return not peers or any(_is_peer(peer, other, own_namespace) for peer in peers)


def _is_peer(peer: Manifest, other: End, own_namespace: str) -> bool:
    if "ipBlock" in peer:
        address = ip_address(other.address)
        inside = address in ip_network(peer["ipBlock"]["cidr"])
        return inside and not any(address in ip_network(each) for each in peer["ipBlock"].get("except", []))
    if not other.namespace:
        return False
    if "namespaceSelector" in peer:
        here = matches(peer["namespaceSelector"], {"kubernetes.io/metadata.name": other.namespace})
    else:
        here = other.namespace == own_namespace
    return here and matches(peer.get("podSelector", {}), other.labels)


def _has_port(ports: Sequence[Manifest] | None, target: End, port: int, protocol: str) -> bool:
    return not ports or any(_is_port(each, target, port, protocol) for each in ports)


def _is_port(rule: Manifest, target: End, port: int, protocol: str) -> bool:
    if rule.get("protocol", "TCP") != protocol:
        return False
    wanted = rule.get("port")
    if isinstance(wanted, str):
        return target.ports.get(wanted) == port
    return wanted is None or wanted <= port <= rule.get("endPort", wanted)


def matches(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects these labels; an empty one selects all."""
    return all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items()) and all(
        _holds(each, labels) for each in selector.get("matchExpressions", [])
    )


def _holds(expression: Manifest, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values", [])
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case other:
            raise ValueError(f"{other} is no operator of a label selector")
