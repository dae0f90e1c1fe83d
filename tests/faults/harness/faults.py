"""What can go wrong between an operator and the servers it asks, one class each. Plain data."""

from __future__ import annotations

from dataclasses import dataclass

from tests.faults.harness.calls import Point


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL of the operator at a call.

    `before` the server sees it, or `after` it is done and before the reply.
    """

    at: Point
    when: str

    def __str__(self) -> str:
        return f"kill {self.when} {self.at}"


@dataclass(frozen=True, slots=True)
class LostReply:
    """The server does it and the reply is lost: `reset` closes the connection, `hang` never answers."""

    at: Point
    how: str

    def __str__(self) -> str:
        return f"reply lost ({self.how}) at {self.at}"


@dataclass(frozen=True, slots=True)
class Answer:
    """The server is not asked.

    It answers with an error, for `times` calls of the signature from the point on.

    Attributes:
        at: The first call.
        status: Of HTTP; of a database, its SQLSTATE.
        times: How many calls.
    """

    at: Point
    status: int | str
    times: int = 1

    def __str__(self) -> str:
        return f"{self.status} at {self.at}"


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection is closed before the server sees the call.

    For so many seconds it takes no other call either.
    """

    at: Point
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"away for {self.seconds:g} s at {self.at}" if self.seconds else f"cut before {self.at}"


@dataclass(frozen=True, slots=True)
class Stale:
    """A get or list answers what it answered first, for `times` calls from then on (a late watch cache)."""

    at: Point
    times: int = 1

    def __str__(self) -> str:
        return f"stale answer at {self.at}"


@dataclass(frozen=True, slots=True)
class Event:
    """Something happens to the n-th event (from 1) of a resource's watches.

    Attributes:
        resource: As in a signature: `jobs.batch`.
        number: Which event; bookmarks are not counted.
        what: drop, duplicate, reorder (comes after the next one), delay, freeze (nothing comes any more and
            the connection stays), close, gone (410: the watch is too old).
    """

    resource: str
    number: int
    what: str

    def __str__(self) -> str:
        return f"{self.what} event {self.number} of {self.resource}"


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The operator's clock jumps by so many seconds just before a call."""

    at: Point
    seconds: int

    def __str__(self) -> str:
        return f"clock {self.seconds:+d} s at {self.at}"


Fault = Kill | LostReply | Answer | Cut | Stale | Event | ClockStep
EVENT_KINDS = ("drop", "duplicate", "reorder", "delay", "freeze", "close", "gone")
REASONS = {
    401: "Unauthorized",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


def status_body(status: int, verb: str = "") -> dict[str, object]:
    """The Status object that an API server sends with an error."""
    # On a create a 409 means that the name is taken; elsewhere that the version is not the newest.
    reason = "AlreadyExists" if (status, verb) == (409, "create") else REASONS.get(status, "Unknown")
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"injected: {reason}",
        "reason": reason,
        "code": status,
    }
