"""Which answer to a caller belongs to which copy of a request that the shadow scored. Pure.

A copy has the original's headers and body, and comes when the original is answered. A request id that the
caller sent is the same in both; one that a pod made up is not. So a copy belongs to an answer about the same
lead, with the same features where both models read the same contract, within `WITHIN` of it: of several, to
one with the same request id, then to the nearest in time; and no answer belongs to two copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

# A mirror copies when the original is answered: milliseconds, and what the clocks of two nodes differ by.
WITHIN: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Copy:
    """What the shadow scored.

    Attributes:
        prediction_id: Its record.
        request_id: The caller's, or the pod's own.
        scored_at: Microseconds since the epoch.
        contract: Version of the contract that `features` is encoded by.
        features: The encoded row.
    """

    prediction_id: str
    request_id: str
    scored_at: int
    contract: str
    features: bytes


@dataclass(frozen=True, slots=True)
class ChampionAnswer:
    """What a caller was answered about a lead; the first fields as those of a copy."""

    prediction_id: str
    request_id: str
    scored_at: int
    contract: str
    features: bytes
    version: str
    probability: float
    grade: str


def pair(
    copies: Iterable[Copy], answers: Mapping[str, Iterable[ChampionAnswer]]
) -> dict[str, ChampionAnswer]:
    """The answer of each copy that has one, by the copy's prediction id.

    Args:
        copies: What the shadow scored.
        answers: For each copy's prediction id, what was answered about the same lead within `WITHIN`.
    """
    possible = [
        (copy.request_id != answer.request_id, abs(copy.scored_at - answer.scored_at), number, copy, answer)
        for number, copy in enumerate(copies)
        for answer in answers.get(copy.prediction_id, ())
        if copy.contract != answer.contract or copy.features == answer.features
    ]
    possible.sort(key=lambda one: (*one[:3], one[4].prediction_id))
    found: dict[str, ChampionAnswer] = {}
    taken = set[str]()
    for *_, copy, answer in possible:
        if copy.prediction_id not in found and answer.prediction_id not in taken:
            found[copy.prediction_id] = answer
            taken.add(answer.prediction_id)
    return found
