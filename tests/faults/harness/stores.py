"""What goes wrong at a call to the event store or the registry. Pure."""

from __future__ import annotations

from tests.faults.harness.calls import Call, Point
from tests.faults.harness.faults import Answer, Cut, Fault, Kill, LostReply, Stale
from tests.faults.harness.servers import REGISTRY, STORE

AWAY_SECONDS = 3.0
_WRITES = frozenset({"insert", "commit", "define"})
# A release asks the same questions in each of its phases: early calls, and later ones ever further apart.
_OF_WRITES, _OF_READS = frozenset({1, 2, 3, 8}), frozenset({1, 8})
# What is asked only to come to a question, or to leave it: broken once, it is broken like the question beside
# it.
_ONCE = frozenset({"begin", "end", "ping", "set", "prepare", "rollback", "define"})


def is_store(call: Call) -> bool:
    """Whether a call goes to one of them."""
    return call.group in {STORE, REGISTRY}


def server_of(signature: str) -> str:
    """Which of them a signature's calls go to; "" for the API server."""
    name = signature.rpartition(".")[2]
    return name if name in {STORE, REGISTRY} else ""


def changes(call: str) -> bool:
    """Whether a signature's calls change something in the event store (nothing else is changed directly)."""
    verb, _, resource = call.partition(" ")
    return resource.endswith(f".{STORE}") and verb in _WRITES


def is_point(point: Point, call: Call) -> bool:
    """Whether faults are put here."""
    if call.verb in _ONCE:
        return point.occurrence == 1
    return point.occurrence in (_OF_WRITES if call.verb in _WRITES else _OF_READS)


def faults_at(point: Point, call: Call) -> list[Fault]:
    """Everything that goes wrong at one call."""
    found: list[Fault] = [
        Kill(point, "before"),
        LostReply(point, "hang"),
        Cut(point),
        Cut(point, AWAY_SECONDS),
    ]
    if call.verb in _WRITES:  # of a read it makes no difference whether the server has seen it
        found += [Kill(point, "after"), LostReply(point, "reset")]
    if call.group == REGISTRY:
        found += [Answer(point, 429), Answer(point, 500, times=2), Answer(point, 401)]
        if point.occurrence > 1:  # the first answer cannot be an old one
            found += [Stale(point), Stale(point, times=5)]
    elif call.verb == "connect":
        # Starting up, no connection left, the password is not right (any more).
        found += [Answer(point, state, times=2) for state in ("57P03", "53300", "28P01")]
    else:
        found.append(Answer(point, "57P01"))  # told to end, by an administrator or a failover
        if call.verb in _WRITES:
            found += [Answer(point, "25006"), Answer(point, "40001")]  # only a standby; could not serialize
    return found
