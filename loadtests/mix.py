"""What a CRM asks for, in which proportion.

A seeded choice per arrival, so two runs send the same sequence.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["score", "explain", "outcome", "bulk"]

# A CRM scores a lead when it is saved, asks why when a salesperson opens it, reports what
# became of it, and now and then rescores a list. Bulk requests carry hundreds of leads:
# at 1 % of requests they are most of the rows.
WEIGHTS: Mapping[Kind, float] = {"score": 0.86, "explain": 0.07, "outcome": 0.06, "bulk": 0.01}


@dataclass(frozen=True, slots=True)
class Scored:
    """A lead that was scored: what an outcome refers to."""

    lead_id: str
    prediction_id: str


@dataclass(slots=True)
class Mix:
    """Chooses what the next arrival asks for, and remembers scores so that outcomes refer to real ones."""

    seed: int
    weights: Mapping[Kind, float] = field(default_factory=lambda: WEIGHTS)
    recent: deque[Scored] = field(default_factory=lambda: deque(maxlen=10_000))
    random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def next(self) -> Kind:
        """The next kind; an outcome before anything was scored is a score."""
        kind = self.random.choices(list(self.weights), weights=list(self.weights.values()))[0]
        return "score" if kind == "outcome" and not self.recent else kind

    def bulk_size(self) -> int:
        """Leads in a bulk request: 50 to 500."""
        return self.random.randint(50, 500)

    def outcome(self) -> tuple[Scored, bool]:
        """A recently scored lead (each at most once) and whether it converted."""
        return self.recent.popleft(), self.random.random() < 0.1
