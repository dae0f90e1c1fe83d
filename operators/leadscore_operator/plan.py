"""Plans: what a decision asks the reconciler to do, as data, in the order in which it must happen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from leadscore_operator.kube.resources import Manifest, Resource


@dataclass(frozen=True, slots=True)
class Create:
    """Create a child, or find that it exists and is ours (`owner`: uid that it must carry as its label)."""

    resource: Resource
    body: Manifest
    owner: str


@dataclass(frozen=True, slots=True)
class Apply:
    """Apply an object server-side.

    Make it, or set what `body` says (`Kube.apply`: what a uid in it means).
    """

    resource: Resource
    body: Manifest


@dataclass(frozen=True, slots=True)
class Patch:
    """Merge-patch an object; `patch` carries the resourceVersion that was looked at."""

    resource: Resource
    name: str
    patch: Manifest


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete exactly this object."""

    resource: Resource
    name: str
    uid: str


Change = Create | Apply | Patch | Delete


@dataclass(frozen=True, slots=True)
class Event:
    """An event on the object. `about` tells two of the same reason apart; the same one is written once."""

    reason: str
    message: str
    about: str
    type: Literal["Normal", "Warning"] = "Normal"


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A decision for the event store; the first record of an id stands."""

    id: str
    kind: str
    subject: str
    document: dict[str, object]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything to do now: records, then changes, then events, then the status.

    Then look again at `again`.
    """

    records: tuple[DecisionRecord, ...] = ()
    changes: tuple[Change, ...] = ()
    events: tuple[Event, ...] = ()
    status: Manifest | None = None
    again: datetime | None = None
