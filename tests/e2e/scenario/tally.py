"""What a load run saw: one record per request, and the questions that scenarios ask of them. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from scipy import stats


@dataclass(frozen=True, slots=True)
class Sent:
    """One request and what became of it.

    Attributes:
        path: Of the request.
        due: When it was to be sent, `time.monotonic()` seconds: latency counts from here, whoever was late.
        ended: When its reply was complete, or its failure was seen.
        status: HTTP status; 0 if there was no reply.
        problem: Why it failed, in words; empty for 2xx.
        model_version: From the reply; empty without one.
        prediction_ids: Acknowledged with it.
        about: Request id, time of day, and the past of the connection that it took.
    """

    path: str
    due: float
    ended: float
    status: int
    problem: str = ""
    model_version: str = ""
    prediction_ids: tuple[str, ...] = ()
    about: str = ""

    @property
    def latency_ms(self) -> float:
        """From due time to the end of the reply."""
        return (self.ended - self.due) * 1000

    @property
    def failed(self) -> bool:
        """Anything but a 2xx reply."""
        return not 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Tally:
    """The requests of one run, or of a part of it, in due order."""

    requests: Sequence[Sent] = field(default=())

    @classmethod
    def of(cls, requests: Iterable[Sent]) -> Tally:
        """In due order."""
        return cls(sorted(requests, key=lambda request: request.due))

    def between(self, start: float, end: float) -> Tally:
        """Those due in [start, end)."""
        return Tally([request for request in self.requests if start <= request.due < end])

    @property
    def failures(self) -> list[Sent]:
        """Requests without a 2xx reply."""
        return [request for request in self.requests if request.failed]

    @property
    def versions(self) -> Counter[str]:
        """Answered requests per model version."""
        return Counter(r.model_version for r in self.requests if not r.failed)

    @property
    def acknowledged(self) -> set[str]:
        """Every prediction id that a caller was told."""
        return {known for request in self.requests for known in request.prediction_ids}

    def of_version(self, version: int) -> list[Sent]:
        """Requests that a model version answered."""
        return [request for request in self.requests if request.model_version == str(version)]

    def quantile_ms(self, share: float, path: str = "/score-lead") -> float:
        """Nearest-rank quantile of the latencies of a path, failed requests included; NaN without any."""
        latencies = sorted(r.latency_ms for r in self.requests if r.path == path)
        return latencies[max(math.ceil(share * len(latencies)), 1) - 1] if latencies else math.nan

    def describe_failures(self, limit: int = 8) -> str:
        """The kinds of failures, most frequent first."""
        kinds = Counter(f"{r.status} {r.problem}" for r in self.failures).most_common(limit)
        said = "; ".join(f"{count} × {kind}" for kind, count in kinds) or "none"
        return "\n".join([said, *(f"  {request.about}" for request in self.failures[:limit])])


def split_p_value(observed: Counter[str], expected: dict[int, float]) -> float:
    """p of Pearson's χ² test that requests were split by these shares.

    1 if all share is one version's and it got all.

    Args:
        observed: Requests per model version.
        expected: Share per model version, summing to 1. A request to a version without a share gives p = 0.
    """
    total = sum(observed.values())
    shares = {str(version): share for version, share in expected.items()}
    if any(count and not shares.get(version) for version, count in observed.items()):
        return 0.0
    wanted = [version for version, share in shares.items() if share > 0]
    if len(wanted) < 2:
        return 1.0
    counts = [observed.get(version, 0) for version in wanted]
    return float(stats.chisquare(counts, [total * shares[version] for version in wanted]).pvalue)
