"""Outcomes of somebody else's Delta table: what is new in it since the import before."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import msgspec
import pyarrow as pa

from leadscore.documents import DECODE_ERRORS
from leadscore.errors import BadInputError, NotFoundError
from leadscore.events.records import Evidence
from leadscore.events.store import EventStore
from leadscore.lake.table import LakeTable, locate

_IMPORT_KIND: Final = "outcome-import"


class OutcomeImport(msgspec.Struct, frozen=True, kw_only=True):
    """What was imported of somebody else's Delta table: from where the next import goes on.

    Attributes:
        table: Folder or URL.
        source: Name of who says so, as its outcomes have it.
        version: Version of the table that is imported.
        rows: Rows that were read for it.
        new: Outcomes that were not known before.
    """

    table: str
    source: str
    version: int
    rows: int
    new: int


@dataclass(frozen=True, slots=True)
class NewRows:
    """Rows of a table since the import before.

    Attributes:
        table: Folder or URL.
        version: Which version they lead to.
        since: Version of the import before; None: there was none, or the table was replaced since.
        rows: Them; rows that were imported before may be among them.
    """

    table: str
    version: int
    since: int | None
    rows: pa.Table


def read_new_outcomes(store: EventStore, folder: str, source: str) -> NewRows:
    """Read what a Delta table of outcomes has since the import of this source before.

    Args:
        store: Whose records say how far the imports are.
        folder: The table: folder or URL.
        source: Name of who says so.

    Raises:
        NotFoundError: There is no such Delta table, or its files are gone.
        TableError: It uses features that are not followed.
        UnavailableError: Store or table cannot be read.
    """
    uri = locate(folder)
    table = LakeTable(uri)
    version = table.version()
    if version is None:
        raise NotFoundError(f"There is no Delta table {uri}.", hint="Only a Delta table knows what is new.")
    before = _last_import(store, uri, source)
    since = None if before is None or before.version > version else before.version
    if since == version:
        batches = []
    else:
        batches = list(table.read(version) if since is None else table.read_added(version, since))
    return NewRows(uri, version, since, pa.Table.from_batches(batches) if batches else pa.table({}))


def note_import(store: EventStore, found: OutcomeImport, at: int) -> None:
    """Keep how far the import of a table is, once all of it is stored.

    Raises:
        UnavailableError: The store cannot be used: the next import reads the same rows again.
    """
    subject = _import_subject(found.table, found.source)
    store.record(
        Evidence(
            evidence_id=f"{_IMPORT_KIND}-{hashlib.sha256(subject.encode()).hexdigest()[:20]}-{found.version}-{at}",
            kind=_IMPORT_KIND,
            subject=subject,
            at=at,
            document=msgspec.json.encode(found).decode(),
        )
    )


def _last_import(store: EventStore, uri: str, source: str) -> OutcomeImport | None:
    found = store.evidence(kind=_IMPORT_KIND, subject=_import_subject(uri, source), limit=1)
    if not found:
        return None
    try:
        return msgspec.json.decode(found[0].document, type=OutcomeImport)
    except DECODE_ERRORS as error:
        raise BadInputError(f"The record of an import cannot be read: {error}.") from error


def _import_subject(uri: str, source: str) -> str:
    return f"{source}:{uri}"
