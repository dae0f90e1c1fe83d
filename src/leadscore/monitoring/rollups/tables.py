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


def _hour() -> sa.Column[int]:
    return sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False)


# Predictions and outcomes that were inserted since the roll-ups were brought up to date; triggers write it.
# `scored_at`: of a prediction; null: it is an outcome, and `prediction_id` the one that it names, if any.
rollup_pending = sa.Table(
    "rollup_pending",
    _metadata,
    sa.Column("pending_id", sa.BigInteger, primary_key=True),
    sa.Column("lead_id", sa.Text, nullable=False),
    sa.Column("prediction_id", sa.Text),
    sa.Column("scored_at", sa.BigInteger),
)

# Hours that are to be counted again.
rollup_dirty = sa.Table("rollup_dirty", _metadata, _hour())

# When each hour was counted last (microseconds since the epoch), written together with its rows: what was
# stored then is in them.
rollup_counted = sa.Table(
    "rollup_counted", _metadata, _hour(), sa.Column("at", sa.BigInteger, nullable=False)
)

# Versions that have no rows in `rollup_features` for an hour, and why: their profile could not be had, or
# their predictions were encoded by another contract. Such hours are counted again until they have them.
rollup_unprofiled = sa.Table(
    "rollup_unprofiled",
    _metadata,
    _hour(),
    sa.Column("model_name", sa.Text, primary_key=True),
    sa.Column("model_version", sa.Text, primary_key=True),
    sa.Column("predictions", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)

# Predictions by grade and probability. `superseded`: scored again later; `superseded_unlabelled`: of these,
# without an outcome, which they can never get. `valued`: with an outcome whose value is known. Sums: of p,
# p(1 - p), value, value²; p and (p - converted)² over the labelled ones.
rollup_hours = sa.Table(
    "rollup_hours",
    _metadata,
    _hour(),
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

# Predictions by feature and cell of the version's reference profile (`scoring.profile.feature_cells`), and
# what became of them; the feature `score` has the profile's bins of probability. `selected`: called likely,
# as `training.fairness` means it: a probability of at least the version's decision threshold, or of grade A's
# where its artefact states none. `sum_probability` over all predictions, `sum_value` over those with a value.
rollup_features = sa.Table(
    "rollup_features",
    _metadata,
    _hour(),
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
    _hour(),
    sa.Column("model_name", sa.Text, primary_key=True),
    sa.Column("model_version", sa.Text, primary_key=True),
    sa.Column("role", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("latency_bin", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("predictions", sa.BigInteger, nullable=False),
)

# Named moments: `caught_up` (everything stored before it is counted), `seen` (the worker was at work),
# `kept_from` (hours before it keep their counts although retention removed what they counted); and how far
# the worker has come in finding what was stored before it first ran (`listed_hours`, `listed_leads`, with a
# `position` until they are complete).
rollup_progress = sa.Table(
    "rollup_progress",
    _metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("position", sa.Text),
)

# The newest answer that each lead was given (any role but shadow), the one before, and the lead's newest
# outcome (by `recorded_at`). `grade_changed_at`: when it was first given the grade that it has now, after
# another one; null: it never had another. `change`: a number that is greater than that of every row written
# before; null: a monitor of the release before wrote the row.
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
    sa.Column("change", sa.BigInteger),
)
