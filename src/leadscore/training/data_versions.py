"""Which version of which Delta table a model was trained on: to train it again, and to keep that version."""

from __future__ import annotations

from typing import Final

import msgspec

from leadscore.documents import DECODE_ERRORS
from leadscore.errors import BadInputError, NotFoundError
from leadscore.events.records import Evidence
from leadscore.events.store import EventStore

_KIND: Final = "training-data"


class TrainingData(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a Delta table.

    Attributes:
        table: Folder or URL.
        version: Its version.
        digest: SHA-256 of the rows that were used, as the artefact's manifest has it.
    """

    table: str
    version: int
    digest: str


def record_training_data(store: EventStore, ref: str, data: TrainingData, at: int) -> None:
    """Keep what a model version (`leads/7`) was trained on.

    Raises:
        UnavailableError: The store cannot be used.
    """
    document = msgspec.json.encode(data).decode()
    store.record(Evidence(f"{_KIND}-{ref}", _KIND, ref, at, document))


def training_data_of(store: EventStore, ref: str) -> TrainingData:
    """What a model version was trained on.

    Raises:
        NotFoundError: It was trained on something else than a Delta table, or before that was recorded.
    """
    found = store.evidence(kind=_KIND, subject=ref, limit=1)
    if not found:
        raise NotFoundError(
            f"No Delta table is on record that {ref} was trained on.",
            hint="Name the table: --data. Only versions of Delta tables are kept.",
        )
    return _decode(found[0].document)


def list_training_data(store: EventStore) -> tuple[TrainingData, ...]:
    """All of them."""
    return tuple(_decode(each.document) for each in store.evidence(kind=_KIND, limit=None))


def _decode(document: str) -> TrainingData:
    try:
        return msgspec.json.decode(document, type=TrainingData)
    except DECODE_ERRORS as error:
        raise BadInputError(f"A record of training data cannot be read: {error}.") from error
