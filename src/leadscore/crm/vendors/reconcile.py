"""Where a CRM and the log disagree: what was written is read back, record by record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

import sqlalchemy as sa

from leadscore.crm.tables import crm_states
from leadscore.crm.targets import CrmTarget
from leadscore.crm.vendors.link import VendorLink
from leadscore.crm.vendors.protocol import RecordState
from leadscore.crm.vendors.reading import read_back
from leadscore.errors import BadInputError
from leadscore.events.schema import predictions
from leadscore.events.store import EventStore

Disagreement = Literal["missing", "empty", "other score", "changed", "unknown"]
MEANINGS: Final[dict[Disagreement, str]] = {
    "missing": "the CRM has no such record any more",
    "empty": "the record has no score",
    "other score": "the record has a score that is not the newest that was written",
    "changed": "the score's id is right, and its value or grade is not: somebody else wrote",
    "unknown": "the log has not that score any more, so its value cannot be compared",
}
_AT_ONCE: Final = 600
# A field of a CRM has a number of decimals: two are enough.
_TOLERANCE: Final = 0.0051


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One record that does not hold what was written.

    Attributes:
        lead_id: Of the record.
        kind: In what way; see `MEANINGS`.
        written: Id of the score that was written.
        found: Id of the score that the record names; empty: none, or ids are not mapped.
        score: What the record has.
        expected: What was written; None: not known any more.
    """

    lead_id: str
    kind: Disagreement
    written: str
    found: str
    score: float | None
    expected: float | None


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was found at one target.

    Attributes:
        target: Its name.
        looked_at: Records that have a score by us.
        counts: How many disagree, by kind.
        mismatches: The first of them.
    """

    target: str
    looked_at: int
    counts: dict[str, int]
    mismatches: tuple[Mismatch, ...]


@dataclass(frozen=True, slots=True)
class _Written:
    lead_id: str
    prediction_id: str
    score: float | None
    grade: str | None


def reconcile_target(
    store: EventStore, target: CrmTarget, link: VendorLink, *, most: int = 1_000
) -> Reconciliation:
    """Read back every record that a target was told of.

    A score that is written meanwhile may be listed: what matters is what a second look still lists.

    Args:
        store: Knows what was written.
        target: Whose records.
        link: To its CRM.
        most: How many disagreements to list; all are counted.

    Raises:
        BadInputError: Nothing is mapped that could be compared.
        UnavailableError: The CRM or the store.
    """
    if not target.fields.keys() & {"prediction_id", "score", "grade"}:
        raise BadInputError(
            f"The target {target.name} maps neither prediction_id nor score nor grade.",
            hint="Map one of them, so that what was written can be compared.",
        )
    looked, counts, found, after = 0, Counter[str](), list[Mismatch](), ""
    while written := _written(store, target.name, after):
        states = read_back(link, [each.lead_id for each in written])
        for each in written:
            mismatch = _compare(each, states[each.lead_id], target.fields.keys())
            if mismatch is not None:
                counts[mismatch.kind] += 1
                if len(found) < most:
                    found.append(mismatch)
        looked, after = looked + len(written), written[-1].lead_id
    return Reconciliation(target.name, looked, dict(sorted(counts.items())), tuple(found))


def _compare(written: _Written, state: RecordState | None, mapped: Collection[str]) -> Mismatch | None:
    """In what way a record is not what was written; None: it is."""

    def mismatch(kind: Disagreement) -> Mismatch:
        found = "" if state is None else state.prediction_id or ""
        score = None if state is None else state.score
        return Mismatch(written.lead_id, kind, written.prediction_id, found, score, written.score)

    if state is None:
        return mismatch("missing")
    if state.prediction_id is None and state.score is None and state.grade is None:
        return mismatch("empty")
    if "prediction_id" in mapped and state.prediction_id != written.prediction_id:
        return mismatch("other score")
    if written.score is None:
        return None if "prediction_id" in mapped else mismatch("unknown")
    same = ("score" not in mapped or _near(state.score, written.score)) and (
        "grade" not in mapped or state.grade == written.grade
    )
    if same:
        return None
    return mismatch("changed" if "prediction_id" in mapped else "other score")


def _near(one: float | None, other: float) -> bool:
    return one is not None and abs(one - other) <= _TOLERANCE


def _written(store: EventStore, target: str, after: str) -> list[_Written]:
    c, p = crm_states.c, predictions.c
    query = (
        sa.select(c.lead_id, c.written_id)
        .where(c.target == target, c.written_at.is_not(None), c.lead_id > after)
        .order_by(c.lead_id)
        .limit(_AT_ONCE)
    )
    with store.reading() as connection:
        rows = connection.execute(query).all()
        wanted = sa.select(p.prediction_id, p.score, p.grade).where(
            p.prediction_id.in_([row.written_id for row in rows])
        )
        known = {row.prediction_id: row for row in connection.execute(wanted)}
    found: list[_Written] = []
    for row in rows:
        said = known.get(row.written_id)
        score, grade = (None, None) if said is None else (said.score, said.grade)
        found.append(_Written(row.lead_id, row.written_id, score, grade))
    return found
