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
        distinct: Columns whose values hardly ever come twice: a writer that looks for repeated ones takes
            twice as long for the whole table.
    """

    name: str
    schema: pa.Schema
    partition_by: tuple[str, ...] = ()
    distinct: tuple[str, ...] = ()


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
    distinct=("lead_id", "prediction_id", "probability", "row_digest"),
)

# What was said of leads, as it came: a row for each statement. Of several of a lead, the one with the latest
# `recorded_at` counts.
OUTCOMES: Final = TableSchema(
    "outcomes",
    pa.schema(
        [
            pa.field("recorded_date", pa.date32(), nullable=False),
            pa.field("outcome_id", pa.string(), nullable=False),
            pa.field("lead_id", pa.string(), nullable=False),
            pa.field("prediction_id", pa.string()),
            pa.field("converted", pa.bool_(), nullable=False),
            pa.field("value", pa.float64()),
            pa.field("occurred_at", _MOMENT, nullable=False),
            pa.field("recorded_at", _MOMENT, nullable=False),
            pa.field("source", pa.string(), nullable=False),
        ]
    ),
    ("recorded_date",),
)

# A row for each score that was asked for (nights have `scores`): the lead's inputs as the model read them, by
# their names in the contract, and the answer. A missing or unlisted value is null; `warnings` says which.
LEADS: Final = TableSchema(
    "leads",
    pa.schema(
        [
            pa.field("scored_date", pa.date32(), nullable=False),
            pa.field("prediction_id", pa.string(), nullable=False),
            pa.field("lead_id", pa.string(), nullable=False),
            pa.field("model_name", pa.string(), nullable=False),
            pa.field("model_version", pa.string(), nullable=False),
            pa.field("contract_version", pa.string(), nullable=False),
            pa.field("role", pa.string(), nullable=False),
            pa.field("source", pa.string(), nullable=False),
            pa.field("scored_at", _MOMENT, nullable=False),
            pa.field("probability", pa.float64(), nullable=False),
            pa.field("score", pa.float64(), nullable=False),
            pa.field("grade", pa.string(), nullable=False),
            pa.field("warnings", pa.list_(pa.string()), nullable=False),
            pa.field("numbers", pa.map_(pa.string(), pa.float64()), nullable=False),
            pa.field("texts", pa.map_(pa.string(), pa.string()), nullable=False),
            pa.field("flags", pa.map_(pa.string(), pa.bool_()), nullable=False),
        ]
    ),
    ("scored_date",),
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
    distinct=("id_digest", "row_digest"),
)

DRIFT_FIGURES: Final = (
    "psi", "kl", "jensen_shannon", "chi_square", "chi_square_p", "ks", "ks_p", "wasserstein", "mean",
    "reference_mean", "missing_rate", "reference_missing_rate", "unseen_rate", "range_rate",
)  # fmt: skip
# A row for each feature of a judged window, and for each figure of another method (`feature` is null).
DRIFT_METRICS: Final = TableSchema(
    "drift_metrics",
    pa.schema(
        [
            *((name, pa.string()) for name in ("detector", "model_name", "model_version")),
            ("window_start", _MOMENT),
            ("window_end", _MOMENT),
            ("rows", pa.int64()),
            ("drifted", pa.bool_()),
            *((name, pa.string()) for name in ("feature", "severity")),
            *(
                (name, pa.float64())
                for name in ("effect", "smallest_p", "impact", "leads_at_risk", *DRIFT_FIGURES)
            ),
            *((name, pa.string()) for name in ("method", "figure")),
            *((name, pa.float64()) for name in ("value", "low", "high")),
        ]
    ),
)

# A row for each measure of each version and role. `value` is null where it is not known; `unknown` says why.
MODEL_METRICS: Final = TableSchema(
    "model_metrics",
    pa.schema(
        [
            pa.field("measured_at", _MOMENT, nullable=False),
            pa.field("window_start", _MOMENT, nullable=False),
            pa.field("model_name", pa.string(), nullable=False),
            pa.field("model_version", pa.string(), nullable=False),
            pa.field("role", pa.string(), nullable=False),
            pa.field("measure", pa.string(), nullable=False),
            pa.field("value", pa.float64()),
            pa.field("low", pa.float64()),
            pa.field("high", pa.float64()),
            pa.field("leads", pa.int64(), nullable=False),
            pa.field("completeness", pa.float64()),
            pa.field("unknown", pa.string(), nullable=False),
        ]
    ),
)

# Those that anybody writes, and that are kept small together.
TABLES: Final = (SCORES, OUTCOMES, LEADS, DRIFT_METRICS, MODEL_METRICS)
