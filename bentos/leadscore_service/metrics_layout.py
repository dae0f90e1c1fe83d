"""Where each counter of a worker lies in its shared file: plain arithmetic, the same in every worker."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from dataclasses import dataclass
from typing import Final, Literal, get_args

import msgspec

from leadscore.contract.lead import LeadWarning
from leadscore.scoring.grades import GRADES
from leadscore.scoring.probability_bins import PROBABILITY_EDGES
from leadscore.scoring.profile import ReferenceProfile

ENDPOINTS: Final = (
    "/score-lead",
    "/score-leads",
    "/explain-prediction",
    "/outcomes",
    "/readyz",
    "/livez",
    "/metrics",
    "/openapi.json",
    "/",
    "other",
)
STATUSES: Final = (200, 202, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 431, 499, 500, 501, 503, 505)
# What alerts and analyses divide by. Exported from the start, at zero: `increase` sees nothing of a series
# that begins at one, so the first error after a quiet time would not count.
WATCHED_ENDPOINTS: Final = frozenset(("/score-lead", "/score-leads", "/explain-prediction", "/outcomes"))
WATCHED_STATUSES: Final = frozenset((200, 202, 401, 413, 422, 500, 503))
# Seconds; with edges at 0.2 and 0.5, where the objectives are, and fine ones where the latencies are.
LATENCY_EDGES: Final = (
    *(0.001, 0.002, 0.003, 0.005, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0),
)
Single = Literal[
    "auth_missing",
    "auth_unknown",
    "auth_expired",
    "auth_scope",
    "idempotency_stored",
    "idempotency_replayed",
    "idempotency_refused",
    "idempotency_evicted",
    "spool_dropped",
    "spool_refused",
    "worker_starts",
    "outcomes_accepted",
    "shipper_starts",
    "background_errors",
]
SINGLES: Final[tuple[Single, ...]] = get_args(Single)
WARNINGS: Final[tuple[str, ...]] = ("unseen_category", "out_of_range", "unknown_field", "no_features")


@dataclass(frozen=True, slots=True)
class CounterLayout:
    """Offsets of the sections of one worker's counters, each counter an unsigned 64-bit integer.

    Latency sums are integers too (nanoseconds), so that adding up workers never loses one to rounding.

    Attributes:
        requests: `len(ENDPOINTS) × len(STATUSES)` counters.
        latencies: `len(ENDPOINTS) × (len(LATENCY_EDGES) + 1)`.
        latency_sums: One per endpoint.
        singles: One per name in `SINGLES`.
        grades: One per grade.
        warnings: One per reason.
        scores: One per bin of the reference profile's score histogram.
        probabilities: `len(PROBABILITY_EDGES) + 1`.
        features: For each feature its bins, then one for missing values;
            `feature_starts` says where each begins.
        size: Counters in all.
        digest: Tells apart files of different models or releases.
    """

    requests: int
    latencies: int
    latency_sums: int
    singles: int
    grades: int
    warnings: int
    scores: int
    probabilities: int
    features: int
    feature_starts: tuple[int, ...]
    size: int
    digest: str

    @classmethod
    def of(cls, profile: ReferenceProfile, identity: str) -> CounterLayout:
        """The layout for one model; `identity` (name, version, digest) goes into the digest."""
        lengths = (
            len(ENDPOINTS) * len(STATUSES),
            len(ENDPOINTS) * (len(LATENCY_EDGES) + 1),
            len(ENDPOINTS),
            len(SINGLES),
            len(GRADES),
            len(WARNINGS),
            len(profile.score_counts),
            len(PROBABILITY_EDGES) + 1,
        )
        starts = [0]
        for length in lengths:
            starts.append(starts[-1] + length)
        feature_starts: list[int] = []
        end = starts[-1]
        for feature in profile.features:
            feature_starts.append(end)
            end += len(feature.counts) + 1
        names = (ENDPOINTS, STATUSES, LATENCY_EDGES, SINGLES, WARNINGS, PROBABILITY_EDGES, identity)
        digest = hashlib.sha256(msgspec.json.encode((*names, feature_starts, end))).hexdigest()[:16]
        requests, latencies, sums, singles, grades, warnings, scores, probabilities, features = starts
        return cls(
            requests=requests,
            latencies=latencies,
            latency_sums=sums,
            singles=singles,
            grades=grades,
            warnings=warnings,
            scores=scores,
            probabilities=probabilities,
            features=features,
            feature_starts=tuple(feature_starts),
            size=end,
            digest=digest,
        )


_STATUS_INDEX: Final = {status: index for index, status in enumerate(STATUSES)}
_UNFORESEEN: Final = _STATUS_INDEX[500]
ENDPOINT_INDEX: Final = {endpoint: index for index, endpoint in enumerate(ENDPOINTS)}
SINGLE_INDEX: Final = {name: index for index, name in enumerate(SINGLES)}
WARNING_INDEX: Final = {reason: index for index, reason in enumerate(WARNINGS)}
_EDGES_NS: Final = tuple(round(edge * 1e9) for edge in LATENCY_EDGES)


class Counters:
    """One worker's counters over a shared buffer. Only the event loop's thread writes them."""

    __slots__ = ("_cells", "_latencies", "_layout", "_requests", "_sums")

    def __init__(self, cells: memoryview, layout: CounterLayout) -> None:
        self._cells = cells
        self._layout = layout
        self._requests = layout.requests
        self._latencies = layout.latencies
        self._sums = layout.latency_sums

    def request(self, endpoint: int, status: int, nanoseconds: int) -> None:
        """Count one answered request."""
        cells = self._cells
        cells[self._requests + endpoint * len(STATUSES) + _STATUS_INDEX.get(status, _UNFORESEEN)] += 1
        bucket = bisect_left(_EDGES_NS, nanoseconds)
        cells[self._latencies + endpoint * (len(LATENCY_EDGES) + 1) + bucket] += 1
        cells[self._sums + endpoint] += nanoseconds

    def add(self, name: Single, count: int = 1) -> None:
        """Count one of the single events."""
        self._cells[self._layout.singles + SINGLE_INDEX[name]] += count

    def warn(self, warnings: tuple[LeadWarning, ...]) -> None:
        """Count what was odd about a lead that was scored all the same."""
        for warning in warnings:
            self._cells[self._layout.warnings + WARNING_INDEX[warning.reason]] += 1
