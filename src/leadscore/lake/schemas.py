"""What the tables of the lake hold. They grow at the end, with columns that may be null; nothing is renamed.

Times are microseconds in UTC: a timestamp without a zone would turn on a table feature that some readers
refuse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

_MOMENT: Final = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class TableSchema:
    """One table of the lake.

    Attributes:
        name: Its folder below the lake's root.
        schema: Columns as they are written.
        partition_by: Columns by which its files are divided into folders.
    """

    name: str
    schema: pa.Schema
    partition_by: tuple[str, ...] = ()


# A row for each lead that a nightly run scored. `row_digest`: of the encoded lead, by which the next night
# knows that nothing has changed. `reasons`: sentences, strongest first.
SCORES: Final = TableSchema(
    "scores",
    pa.schema(
        [
            pa.field("business_date", pa.date32(), nullable=False),
            pa.field("lead_id", pa.string(), nullable=False),
            pa.field("prediction_id", pa.string(), nullable=False),
            pa.field("probability", pa.float64(), nullable=False),
            pa.field("score", pa.float64(), nullable=False),
            pa.field("grade", pa.string(), nullable=False),
            pa.field("reasons", pa.list_(pa.string()), nullable=False),
            pa.field("model_name", pa.string(), nullable=False),
            pa.field("model_version", pa.string(), nullable=False),
            pa.field("contract_version", pa.string(), nullable=False),
            pa.field("row_digest", pa.int64(), nullable=False),
            pa.field("scored_at", _MOMENT, nullable=False),
        ]
    ),
    ("business_date",),
)

# What the newest run knew of each lead: digests of its id and of its encoded row.
LEAD_STATES: Final = TableSchema(
    "lead_states",
    pa.schema(
        [
            pa.field("id_digest", pa.int64(), nullable=False),
            pa.field("row_digest", pa.int64(), nullable=False),
        ]
    ),
)
