"""Keeping the lake small: small files are joined, old versions go, and what a record names stays."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from leadscore.batch.records import list_claims
from leadscore.events.store import EventStore
from leadscore.lake.schemas import LEAD_STATES, TABLES
from leadscore.lake.table import LakeTable, locate, table_uri
from leadscore.training.data_versions import list_training_data


class TableUpkeep(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to a table.

    Attributes:
        table: Its name in the lake, or its folder or URL.
        kept_versions: Versions that records name, which stay readable.
        joined: Files that were replaced by larger ones.
        deleted: Files that no kept version needs any more.
    """

    table: str
    kept_versions: int
    joined: int
    deleted: int


def maintain(
    store: EventStore, lake: str, *, since: int, hours: int, others: Sequence[str] = ()
) -> tuple[TableUpkeep, ...]:
    """Join small files, and delete those that neither a newer version nor a record needs.

    What a training or a night was made from stays. Tables that somebody else writes, such as the leads', are
    left alone unless they are named.

    Args:
        store: Whose records name versions.
        lake: Root of the lake.
        since: Records of nights from before it (microseconds since the epoch) keep nothing.
        hours: Files that left a table later than this stay, for readers that are under way.
        others: Folders or URLs of tables outside the lake.

    Raises:
        UnavailableError: Store or lake cannot be used.
    """
    kept: dict[str, set[int]] = {}
    states: dict[str, None] = {}
    for claim in list_claims(store, since=since):
        kept.setdefault(claim.leads, set()).add(claim.leads_version)
        name = f"{LEAD_STATES.name}/{claim.model}/{claim.version}"
        states[name] = None
        if claim.states_version is not None:
            kept.setdefault(table_uri(lake, name), set()).add(claim.states_version)
    for data in list_training_data(store):
        kept.setdefault(data.table, set()).add(data.version)
    tables = {name: table_uri(lake, name) for name in (*(table.name for table in TABLES), *states)}
    tables |= {other: locate(other) for other in others}
    found = (
        _maintain(LakeTable(uri), name, sorted(kept.get(uri, ())), hours) for name, uri in tables.items()
    )
    return tuple(each for each in found if each is not None)


def _maintain(table: LakeTable, name: str, keep: Sequence[int], hours: int) -> TableUpkeep | None:
    newest = table.version()
    if newest is None:
        return None
    joined = table.compact()
    deleted = table.vacuum(keep_versions=[version for version in keep if version <= newest], hours=hours)
    return TableUpkeep(table=name, kept_versions=len(keep), joined=joined, deleted=deleted)
