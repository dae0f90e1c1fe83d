"""Calls to the Kubernetes API as data.

What a request asks, and a name for it that is the same in every replay. Pure.

Path grammar: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request, understood.

    Attributes:
        verb: As RBAC names it: get, list, watch, create, update, patch, delete, deletecollection; `other` for
            discovery and health.
        group: API group, "" for core.
        resource: Plural, with the subresource after a slash; the path for `other`.
        namespace: "" where there is none.
        name: "" for collections.
    """

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    @property
    def signature(self) -> str:
        """Verb and resource. Names are left out: they hold a uid, which differs from replay to replay."""
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self.verb in WRITES


@dataclass(frozen=True, slots=True)
class Point:
    """The n-th call (from 1) of a signature in a scenario: where a fault is put."""

    signature: str
    occurrence: int

    def __str__(self) -> str:
        return f"{self.signature} #{self.occurrence}"


def understand(method: str, path: str, query: Mapping[str, str]) -> Call:
    """The call that a request is."""
    parts = [part for part in path.split("/") if part]
    if len(parts) >= 3 and parts[:1] == ["apis"]:
        group, rest = parts[1], parts[3:]
    elif len(parts) >= 2 and parts[:1] == ["api"]:
        group, rest = "", parts[2:]
    else:
        return Call("other", "", path)
    if not rest:
        return Call("other", group, path)
    namespace = ""
    if (
        rest[0] == "namespaces"
        and len(rest) > 2
        and not (len(rest) == 3 and rest[2] in {"status", "finalize"})
    ):
        namespace, rest = rest[1], rest[2:]
    resource, name, subresource = rest[0], *(*rest[1:3], "", "")[:2]
    full = f"{resource}/{subresource}" if subresource else resource
    return Call(_verb(method, name, query), group, full, namespace, name)


def _verb(method: str, name: str, query: Mapping[str, str]) -> str:
    if method in {"GET", "HEAD"}:
        if query.get("watch", "").lower() in {"1", "true"}:
            return "watch"
        return "get" if name else "list"
    if method == "DELETE" and not name:
        return "deletecollection"
    return _VERBS.get(method, "other")


class Numbering:
    """Counts calls by signature."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def next(self, signature: str) -> Point:
        """The point that the next call of a signature is."""
        self._seen[signature] = self._seen.get(signature, 0) + 1
        return Point(signature, self._seen[signature])
