"""Tables of roll-ups, in the event store's database; `leadscore.events.migrations` makes them.

An hour is its first moment, microseconds since the epoch (UTC). Rows of an hour are replaced together, from
the predictions and outcomes that are stored then: nothing is ever added to a count.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from leadscore.scoring.probability_bins import PROBABILITY_EDGES

HOUR_US: Final = 3_600_000_000
# Bins that all models share: bin i holds edges[i-1] < p <= edges[i].
PROBABILITY_BINS: Final = len(PROBABILITY_EDGES) + 1
# Upper edges of latency bins, microseconds: steps of a quarter or less, from 0.1 ms to 10 s; one more bin
# holds what is slower.
LATENCY_EDGES_US: Final = tuple(round(100 * 10 ** (step / 10)) for step in range(51))

_metadata = sa.MetaData()

# Predictions and outcomes that were inserted since the roll-ups were brought up to date; triggers write it.
rollup_pending = sa.Table(
    "rollup_pending",
    _metadata,
    sa.Column("pending_id", sa.BigInteger, primary_key=True),
    sa.Column("lead_id", sa.Text, nullable=False),
    sa.Column("prediction_id", sa.Text),
)

# Hours that are to be counted again.
rollup_dirty = sa.Table(
    "rollup_dirty", _metadata, sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False)
)

# Predictions by grade and probability. `superseded`: scored again later; `superseded_unlabelled`: of these,
# without an outcome, which they can never get. `valued`: with an outcome whose value is known. Sums: of p,
# p(1 - p), value, value²; p and (p - converted)² over the labelled ones.
rollup_hours = sa.Table(
    "rollup_hours",
    _metadata,
    sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("model_name", sa.Text, primary_key=True),
    sa.Column("model_version", sa.Text, primary_key=True),
    sa.Column("role", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("grade", sa.Text, primary_key=True),
    sa.Column("probability_bin", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("predictions", sa.BigInteger, nullable=False),
    sa.Column("superseded", sa.BigInteger, nullable=False),
    sa.Column("superseded_unlabelled", sa.BigInteger, nullable=False),
    sa.Column("labelled", sa.BigInteger, nullable=False),
    sa.Column("converted", sa.BigInteger, nullable=False),
    sa.Column("valued", sa.BigInteger, nullable=False),
    sa.Column("sum_probability", sa.Double, nullable=False),
    sa.Column("sum_variance", sa.Double, nullable=False),
    sa.Column("sum_value", sa.Double, nullable=False),
    sa.Column("sum_squared_value", sa.Double, nullable=False),
    sa.Column("labelled_sum_probability", sa.Double, nullable=False),
    sa.Column("sum_squared_error", sa.Double, nullable=False),
)

# Predictions by feature and cell of the version's reference profile (`scoring.profile.comparable_cells`), and
# for sensitive attributes and segments also what became of them. `selected`: called likely, as
# `training.fairness` means it; `sum_probability` over all predictions, `sum_value` over those with a value.
rollup_features = sa.Table(
    "rollup_features",
    _metadata,
    sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("model_name", sa.Text, primary_key=True),
    sa.Column("model_version", sa.Text, primary_key=True),
    sa.Column("role", sa.Text, primary_key=True),
    sa.Column("feature", sa.Text, primary_key=True),
    sa.Column("cell", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("predictions", sa.BigInteger, nullable=False),
    sa.Column("selected", sa.BigInteger, nullable=False),
    sa.Column("labelled", sa.BigInteger, nullable=False),
    sa.Column("converted", sa.BigInteger, nullable=False),
    sa.Column("selected_labelled", sa.BigInteger, nullable=False),
    sa.Column("selected_converted", sa.BigInteger, nullable=False),
    sa.Column("sum_probability", sa.Double, nullable=False),
    sa.Column("sum_value", sa.Double, nullable=False),
)

# Predictions by the service's latency; those that no request waited for are not in it.
rollup_latencies = sa.Table(
    "rollup_latencies",
    _metadata,
    sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("model_name", sa.Text, primary_key=True),
    sa.Column("model_version", sa.Text, primary_key=True),
    sa.Column("role", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("latency_bin", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("predictions", sa.BigInteger, nullable=False),
)

# Named moments: `caught_up` (nothing was pending then), `seen` (the worker was at work), `kept_from` (hours
# before it keep their counts although retention removed what they counted).
rollup_progress = sa.Table(
    "rollup_progress",
    _metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
)

# The newest answer that each lead was given (role champion), the one before, and the lead's newest outcome.
lead_scores = sa.Table(
    "lead_scores",
    _metadata,
    sa.Column("model_name", sa.Text, primary_key=True),
    sa.Column("lead_id", sa.Text, primary_key=True),
    sa.Column("prediction_id", sa.Text, nullable=False),
    sa.Column("model_version", sa.Text, nullable=False),
    sa.Column("scored_at", sa.BigInteger, nullable=False),
    sa.Column("probability", sa.Double, nullable=False),
    sa.Column("score", sa.Double, nullable=False),
    sa.Column("grade", sa.Text, nullable=False),
    sa.Column("first_scored_at", sa.BigInteger, nullable=False),
    sa.Column("previous_prediction_id", sa.Text),
    sa.Column("previous_probability", sa.Double),
    sa.Column("previous_grade", sa.Text),
    sa.Column("grade_changed_at", sa.BigInteger),
    sa.Column("converted", sa.Boolean),
    sa.Column("outcome_at", sa.BigInteger),
)
