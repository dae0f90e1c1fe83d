"""From a seed to a table: arrivals, leads, truth, outcomes, and what the CRM records of them."""

# Arrow makes its compute functions when it is imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leadscore.data.synthetic import vocabulary as words
from leadscore.data.synthetic.arrivals import Times, arrival_times, season_of
from leadscore.data.synthetic.contract import synthetic_contract
from leadscore.data.synthetic.outcomes import SyntheticOutcomes, draw_outcomes
from leadscore.data.synthetic.population import MISSING, Bools, CategoryCodes, SyntheticLeads, draw_leads
from leadscore.data.synthetic.prior import shift_prior
from leadscore.data.synthetic.recording import record
from leadscore.data.synthetic.scenarios import Scenario, ScenarioName, after_months, strength_of, utc
from leadscore.data.synthetic.streams import Floats, Streams
from leadscore.data.synthetic.truth import probability, true_logit
from leadscore.errors import BadInputError

_BLOCK_ROWS = 65_536

_VOCABULARIES: dict[str, tuple[str, ...]] = {
    "source": (*words.SOURCES, words.NEW_SOURCE),
    "industry": (*words.INDUSTRIES, words.NEW_INDUSTRY),
    "country": words.COUNTRIES,
    "company_size": words.COMPANY_SIZES,
    "legal_form": (*words.LEGAL_FORMS, words.NEW_LEGAL_FORM),
    "language": words.LANGUAGES,
    "urgency": words.URGENCIES,
    "founder_age": words.FOUNDER_AGES,
    "contact_gender": words.GENDERS,
    "created_weekday": words.WEEKDAYS,
}
_COUNTS = frozenset(
    (
        "created_hour",
        "founders",
        "page_views",
        "pricing_visits",
        "downloads",
        "email_opens",
        "calls",
        "emails",
        "meetings",
    )
)


@dataclass(frozen=True, slots=True)
class Simulation:
    """A table with the true probabilities, which no real table has.

    Attributes:
        table: As `generate` gives it.
        true_probability: Chance of conversion of each lead; float64, shape (rows,).
    """

    table: pa.Table
    true_probability: npt.NDArray[np.float64]


def generate(
    *,
    rows: int,
    seed: int,
    start: datetime,
    months: float,
    scenarios: Sequence[Scenario] = (),
    as_of: datetime | None = None,
    loss_delay: float | None = None,
) -> pa.Table:
    """Make a synthetic CRM table (columns: `synthetic_contract()`), sorted by creation time.

    Args:
        rows: Number of leads.
        seed: Same seed and arguments, same table.
        start: First moment of the period; without a zone: UTC.
        months: Length of the period.
        scenarios: What changes, and when; any number together.
        as_of: Outcomes settled later are not yet known (null); the end of the period if None.
        loss_delay: Median days until a loss is admitted; about two weeks, as for wins, if None.

    Raises:
        BadInputError: Fewer than one row, no time span, a negative seed, or a delay that is not positive.
    """
    return simulate(
        rows=rows,
        seed=seed,
        start=start,
        months=months,
        scenarios=scenarios,
        as_of=as_of,
        loss_delay=loss_delay,
    ).table


def simulate(
    *,
    rows: int,
    seed: int,
    start: datetime,
    months: float,
    scenarios: Sequence[Scenario] = (),
    as_of: datetime | None = None,
    loss_delay: float | None = None,
) -> Simulation:
    """Like `generate`, with the true probability of each lead."""
    if rows < 1 or not 0.0 < months <= 1_200.0 or seed < 0:
        raise BadInputError(
            f"Cannot make {rows} rows over {months:g} months with seed {seed}.",
            hint="Rows and months must be positive (at most 1,200 months), the seed not negative.",
        )
    if loss_delay is not None and not 0.0 < loss_delay <= 3_650.0:
        raise BadInputError(
            f"Losses cannot take {loss_delay:g} days.", hint="Give days, more than 0 and at most 3,650."
        )
    start = utc(start)
    end = after_months(start, months)
    times = arrival_times(rows, seed, start, end)
    now = np.datetime64(utc(as_of or end).replace(tzinfo=None), "us")
    tables: list[pa.Table] = []
    truth = np.empty(rows)
    for block, first in enumerate(range(0, rows, _BLOCK_ROWS)):
        piece = slice(first, min(first + _BLOCK_ROWS, rows))
        table, truth[piece] = _block(
            Streams(seed, block, piece.stop - first), first, times[piece], scenarios, now, loss_delay
        )
        tables.append(table)
    return Simulation(pa.concat_tables(tables), truth)


def _block(
    streams: Streams,
    first: int,
    times: Times,
    scenarios: Sequence[Scenario],
    now: np.datetime64,
    loss_delay: float | None,
) -> tuple[pa.Table, Floats]:
    def strength(name: ScenarioName) -> Floats:
        return strength_of(name, scenarios, times)

    covariate, categories, concept = (
        strength("covariate_shift"), strength("new_categories"), strength("concept_drift"),
    )  # fmt: skip
    season = strength("seasonal_cycle") * season_of(times)

    def draw(source: Streams) -> tuple[SyntheticLeads, Floats]:
        leads = draw_leads(source, times, covariate, categories, season)
        return leads, true_logit(leads, concept, season)

    leads, logit = shift_prior(draw, streams, strength("prior_shift"))
    chance = probability(logit)
    outcomes = draw_outcomes(leads, chance, times, streams, loss_delay)
    recorded = record(leads, streams, strength("missingness"), strength("pipeline_bug"))
    return _table(first, times, recorded, outcomes, now), chance


def _table(
    first: int, times: Times, leads: SyntheticLeads, outcomes: SyntheticOutcomes, now: np.datetime64
) -> pa.Table:
    known = outcomes.known_at <= now
    arrays = {
        "lead_id": _lead_ids(first, len(times)),
        "created_at": _timestamps(times, np.ones(len(times), np.bool_)),
        **{
            feature.name: _feature(feature.name, getattr(leads, feature.name))
            for feature in synthetic_contract().features
        },
        "converted": pa.array(outcomes.converted.astype(np.int8), mask=~known),
        "outcome_known_at": _timestamps(outcomes.known_at, known),
        "revenue": pa.array(outcomes.revenue, mask=~known | np.isnan(outcomes.revenue)),
    }
    return pa.table(arrays)


def _lead_ids(first: int, rows: int) -> pa.Array:
    numbers = pa.array(np.arange(first + 1, first + rows + 1)).cast(pa.string())
    return pc.binary_join_element_wise("L", pc.utf8_lpad(numbers, 8, "0"), "")


def _timestamps(times: Times, known: Bools) -> pa.Array:
    # Parquet keeps milliseconds; finer digits would be lost on the way.
    return pa.array(times.astype("datetime64[ms]"), mask=~known).cast(pa.timestamp("ms", "UTC"))


def _feature(name: str, values: CategoryCodes | Floats | Bools) -> pa.Array:
    vocabulary = _VOCABULARIES.get(name)
    if vocabulary is not None:
        codes = pa.array(values.astype(np.int32), mask=values == MISSING)
        return pa.DictionaryArray.from_arrays(codes, pa.array(vocabulary)).dictionary_decode()
    if name in _COUNTS:
        missing = np.isnan(values)
        return pa.array(np.where(missing, 0.0, values).astype(np.int32), mask=missing)
    if values.dtype == np.bool_:
        return pa.array(values)
    return pa.array(values, mask=np.isnan(values))
