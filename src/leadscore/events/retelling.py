"""Outcomes that come back: won, lost and won again, told each time without saying when it was recorded.

The id of such an outcome is made from what it says, so that a request that is sent again is stored once. The
third statement therefore has the id of the first, and only what is stored tells whether it is the same
request again or news: it is news if something else was said in between. Pure: what is stored is given.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from leadscore.events.records import API_SOURCE, Outcome, outcome_id_of


def is_undated(outcome: Outcome) -> bool:
    """Whether an outcome of the API was told without the time at which it was recorded."""
    if outcome.source != API_SOURCE:
        return False
    occurred = outcome.occurred_at if _says_when(outcome) else None
    said = (outcome.lead_id, outcome.prediction_id, outcome.converted, outcome.value, occurred)
    return outcome.outcome_id == outcome_id_of(*said, None)


def retold_outcomes(outcomes: Sequence[Outcome], stored: Iterable[Outcome]) -> list[Outcome]:
    """Undated outcomes that say again what was said before something else, each with an id of its own.

    The id is made from the outcome's and from that of the statement it follows: however often it is told or
    shipped, and by however many pods, it is one outcome.

    Args:
        outcomes: What is told, in that order; dated ones are passed over.
        stored: All that is stored of their leads, what these outcomes have just added included.
    """
    known: defaultdict[str, list[Outcome]] = defaultdict(list)
    for each in stored:
        known[each.lead_id].append(each)
    found: list[Outcome] = []
    for outcome in outcomes:
        ours = known[outcome.lead_id]
        if not is_undated(outcome) or any(_is_stored_as(outcome, each) for each in ours):
            continue
        related = [each for each in ours if _concern_one_thing(outcome, each)]
        earlier = [each for each in related if each.recorded_at <= outcome.recorded_at]
        later = [each for each in related if each.recorded_at > outcome.recorded_at]
        before = max(earlier, key=_order, default=None)
        after = min(later, key=_order, default=None)
        if before is None or _adds_nothing(outcome, before):
            continue
        # Shipped after its own repetition, which stands for it.
        if after is not None and _adds_nothing(outcome, after):
            continue
        new = msgspec.structs.replace(outcome, outcome_id=_id_after(outcome, before))
        if all(each.outcome_id != new.outcome_id for each in ours):
            ours.append(new)
            found.append(new)
    return found


def _is_stored_as(outcome: Outcome, row: Outcome) -> bool:
    return (outcome.outcome_id, outcome.recorded_at) == (row.outcome_id, row.recorded_at)


def _concern_one_thing(one: Outcome, other: Outcome) -> bool:
    """Whether they may contradict each other; outcomes of two predictions do not."""
    return None in (one.prediction_id, other.prediction_id) or one.prediction_id == other.prediction_id


def _adds_nothing(outcome: Outcome, known: Outcome) -> bool:
    """Whether an outcome says the same as a known one, or what was the case before that happened."""
    if _says_when(outcome) and known.occurred_at > outcome.occurred_at:
        return True
    same = (outcome.converted, outcome.value) == (known.converted, known.value)
    return same and (not _says_when(outcome) or outcome.occurred_at == known.occurred_at)


def _says_when(outcome: Outcome) -> bool:
    """Whether it was told when it happened; if not, that is when the request came, as `recorded_at` is."""
    return outcome.occurred_at != outcome.recorded_at


def _order(outcome: Outcome) -> tuple[int, str]:
    return outcome.recorded_at, outcome.outcome_id


def _id_after(outcome: Outcome, before: Outcome) -> str:
    said = msgspec.json.encode(("after", outcome.outcome_id, before.outcome_id))
    return hashlib.sha256(said).hexdigest()[:32]
