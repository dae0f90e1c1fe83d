"""Keeping the lake small: small files are joined, old versions go, and what a record names stays."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from leadscore.batch.records import list_claims
from leadscore.events.store import EventStore
from leadscore.lake.schemas import LEAD_STATES, SCORES
from leadscore.lake.table import LakeTable, table_uri

_CLAIMS = 100_000


class TableUpkeep(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to a table.

    Attributes:
        table: Its name in the lake.
        kept_versions: Versions that records name, which stay readable.
        joined: Files that were replaced by larger ones.
        deleted: Files that no kept version needs any more.
    """

    table: str
    kept_versions: int
    joined: int
    deleted: int


def maintain(store: EventStore, lake: str, *, since: int, hours: int) -> tuple[TableUpkeep, ...]:
    """Join small files, and delete those that neither a newer version nor a record needs.

    Tables that somebody else writes, such as the leads', are left alone.

    Args:
        store: Whose records name versions.
        lake: Root of the lake.
        since: Records of runs before it (microseconds since the epoch) keep nothing.
        hours: Files that left a table later than this stay, for readers that are under way.

    Raises:
        UnavailableError: Store or lake cannot be used.
    """
    claims = [claim for claim in list_claims(store, _CLAIMS) if claim.at >= since]
    named: dict[str, set[int]] = {SCORES.name: set()}
    for claim in claims:
        versions = named.setdefault(f"{LEAD_STATES.name}/{claim.model}/{claim.version}", set())
        if claim.states_version is not None:
            versions.add(claim.states_version)
    found = (
        _maintain(LakeTable(table_uri(lake, name)), name, sorted(keep), hours) for name, keep in named.items()
    )
    return tuple(each for each in found if each is not None)


def _maintain(table: LakeTable, name: str, keep: Sequence[int], hours: int) -> TableUpkeep | None:
    newest = table.version()
    if newest is None:
        return None
    joined = table.compact()
    deleted = table.vacuum(keep_versions=[version for version in keep if version <= newest], hours=hours)
    return TableUpkeep(table=name, kept_versions=len(keep), joined=joined, deleted=deleted)
