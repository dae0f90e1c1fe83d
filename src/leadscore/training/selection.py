"""Which rows of a table a run learns from and is judged on.

By time, by age, and with the weight of those still open.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leadscore.contract import FeatureContract
from leadscore.contract.arrow import ArrowColumn
from leadscore.contract.outcomes import unlisted_in
from leadscore.data.columns import Place
from leadscore.data.keys import read_key_times
from leadscore.data.matrix import check_notation
from leadscore.errors import RefusedError
from leadscore.intervals import Flags, Floats
from leadscore.training.delay import DelayModel, DelayRecord, learn_delays
from leadscore.training.leads import (
    DAY,
    LabelledLeads,
    arrange,
    id_numbers,
    label_state,
    lead_times,
    newest_moment,
    take,
)
from leadscore.training.options import TrainOptions
from leadscore.training.window import (
    Dates,
    RowNumbers,
    TrainingWindow,
    refuse_immature,
    select_rows,
    select_window,
    utc_moment,
)

# With at most this share of open leads, selection by delay is negligible.
_OPEN = 0.02
# At a younger age the known outcomes of a class would be weighted by more than four.
_USABLE = 0.25


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of the table that could not be used, and ids that come several times.

    Attributes:
        future: Leads later than now (or than `--as-of`).
        untimed: Open leads without a time.
        repeated: Leads of the run whose id is on an earlier one, too.
        contradictory: Ids of the run with both outcomes.
    """

    future: int = 0
    untimed: int = 0
    repeated: int = 0
    contradictory: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSelection:
    """The leads of a run.

    Attributes:
        leads: Old enough for their outcomes to be known, in order of time.
        window: Where they lie.
        newest: The newest moment that the table tells of, in microseconds; None without times.
        mature: Age in microseconds at which outcomes count as known; 0 where the table does not say when they
            came.
        delay: What is known of the delays.
        recent: Younger leads with a known outcome and weights, to train on besides; None unless asked for.
        left_out: What is not among them.
        unlisted: A sentence each about outcomes that count as not converted though the contract does not say
            so, in all of the table's leads up to now.
    """

    leads: LabelledLeads
    window: TrainingWindow
    newest: int | None
    mature: int
    delay: DelayRecord
    recent: LabelledLeads | None
    left_out: LeftOut
    unlisted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """A table's leads up to now, with what is known of them; arrays are (n,)."""

    table: pa.Table
    time: Dates | None
    outcome: npt.NDArray[np.float32]
    known_at: Dates | None
    newest: int | None
    ids: npt.NDArray[np.int64] | None

    @property
    def known(self) -> Flags:
        return ~np.isnan(self.outcome)

    def age(self) -> Floats:
        """Days that each lead was followed; NaN where the table has no times."""
        if self.time is None or self.newest is None:
            return np.full(len(self.outcome), np.nan)
        return (self.newest - self.time.astype(np.int64)) / DAY


def select_leads(
    table: pa.Table,
    contract: FeatureContract,
    options: TrainOptions,
    *,
    threads: int,
    now: datetime | None = None,
) -> TrainingSelection:
    """Choose the leads to train, calibrate and judge on.

    Args:
        table: Leads.
        contract: What its columns mean.
        options: Of the run.
        threads: For encoding.
        now: Later leads and outcomes are left out; None asks the clock. `options.as_of` takes its place.

    Raises:
        RefusedError: Too few leads, or in no part of the table are enough outcomes known.
        BadInputError: The table does not fit the contract.
    """
    named = [*contract.columns, *([options.known_at] if options.known_at else [])]
    table = table.select([name for name in dict.fromkeys(named) if name in table.column_names])
    check_notation(contract, table)
    table, untimed = _without_open_untimed(table, contract)
    state, future = _until(table, contract, options, now or datetime.now(UTC))
    model, record = _delays(state, options)
    if state.time is None:
        window = select_rows(state.known, min_records=options.min_records)
    else:
        window = _window(state, state.time, model, record, options)
    weights = _weights(state, model, window)
    leads = _arrange(contract, state, window.rows, weights, threads)
    recent = _recent(state, model, window) if options.delay_aware else None
    return TrainingSelection(
        leads=leads,
        window=window,
        newest=state.newest,
        mature=0 if record.mature is None else int(record.mature * DAY),
        delay=record,
        recent=None if recent is None else _arrange(contract, state, recent, _ipw(state, model), threads),
        left_out=_count(leads, future, untimed),
        unlisted=_unlisted(contract, state),
    )


def _without_open_untimed(table: pa.Table, contract: FeatureContract) -> tuple[pa.Table, int]:
    """Leave out leads that have neither a time nor an outcome.

    CRMs list leads that are not worked on yet.
    """
    if contract.time is None or contract.time not in table.column_names:
        return table, 0
    column = table.column(contract.time).combine_chunks()
    untimed = np.isnat(read_key_times(column, Place(contract.time), contract.format_of(contract.time)))
    if not untimed.any():
        return table, 0
    outcome, _ = label_state(contract, table, None)
    dropped = untimed & np.isnan(outcome)
    return table.filter(pa.array(~dropped)), int(dropped.sum())


def _until(
    table: pa.Table, contract: FeatureContract, options: TrainOptions, now: datetime
) -> tuple[_State, int]:
    """The leads up to the moment of training, with the labels known by then, and how many are later."""
    moment = options.as_of or now
    time = lead_times(contract, table, no_time=options.no_time)
    future = 0
    if time is not None:
        inside = time <= utc_moment(moment)
        future = int(np.count_nonzero(~inside))
        if future:
            table, time = take(table, np.flatnonzero(inside)), time[inside]
    if not table.num_rows:
        raise RefusedError(
            f"The table has no lead up to {moment:%Y-%m-%d}{f' ({future:,} are later)' if future else ''}.",
            hint="Bring leads, or check the time column and --as-of.",
        )
    outcome, known_at = label_state(contract, table, moment, options.known_at)
    newest = newest_moment(time, known_at, ~np.isnan(outcome))
    return _State(table, time, outcome, known_at, newest, id_numbers(contract, table)), future


def _delays(state: _State, options: TrainOptions) -> tuple[DelayModel | None, DelayRecord]:
    if state.time is None:
        return None, DelayRecord(learnt=False, note="without times nothing is known of delays")
    if state.known_at is None:
        return None, DelayRecord(
            learnt=False,
            note="the table does not say when outcomes became known (`target.known_at` in the contract)",
        )
    delay = (state.known_at - state.time) / np.timedelta64(1, "D")
    model, why = learn_delays(state.outcome.astype(np.float64), delay, state.age())
    if model is None:
        return None, DelayRecord(learnt=False, note=why)
    note = (
        f"{model.never_share:.0%} of the leads are still open at ages at which outcomes do not come any more"
        if model.never_share > _OPEN
        else ""
    )
    return model, DelayRecord(
        learnt=True,
        note=note,
        median_win=model.age_of(0.5, 1),
        median_loss=model.age_of(0.5, 0),
        mature=model.mature_age(options.min_completeness),
        open_share=model.open_share,
        rate=model.rate,
    )


def _window(
    state: _State, time: Dates, model: DelayModel | None, record: DelayRecord, options: TrainOptions
) -> TrainingWindow:
    """The window of leads that are old enough; where hardly any lead is open, age does not matter."""
    mature: np.datetime64 | None = None
    if model is not None and state.newest is not None and float(np.mean(~state.known)) > _OPEN:
        if record.mature is None:
            raise refuse_immature(
                time,
                state.outcome,
                options.min_completeness,
                f": {model.open_share:.0%} are still open after {model.ages[-1]:.0f} days",
            )
        mature = np.datetime64(state.newest - int(record.mature * DAY), "us")
    return select_window(
        time,
        state.outcome,
        months=options.months,
        min_records=options.min_records,
        min_completeness=options.min_completeness,
        mature=mature,
    )


def _weights(state: _State, model: DelayModel | None, window: TrainingWindow) -> Floats | None:
    """Weights of all rows of the table; None where next to none of the window's leads is open."""
    if model is None or state.time is None or window.start is None or window.end is None:
        return None
    inside = (state.time >= window.start) & (state.time <= window.end)
    if float(np.mean(~state.known[inside])) <= _OPEN:
        return None
    return _ipw(state, model)


def _ipw(state: _State, model: DelayModel | None) -> Floats | None:
    return None if model is None else model.weights(state.outcome > 0.5, state.age())


def _recent(state: _State, model: DelayModel | None, window: TrainingWindow) -> RowNumbers | None:
    """Known leads after the window, old enough for their class to be known in part, in order of time."""
    if model is None or state.time is None or window.end is None:
        return None
    youngest = model.usable_age(_USABLE)
    if youngest is None:
        return None
    rows = np.flatnonzero(state.known & (state.time > window.end) & (state.age() >= youngest))
    return rows[np.argsort(state.time[rows], kind="stable")] if len(rows) else None


def _arrange(
    contract: FeatureContract, state: _State, rows: RowNumbers, weights: Floats | None, threads: int
) -> LabelledLeads:
    return arrange(
        contract,
        take(state.table, rows),
        state.outcome[rows],
        None if state.time is None else state.time[rows],
        None if state.known_at is None else state.known_at[rows],
        threads=threads,
        weights=None if weights is None else weights[rows],
        ids=None if state.ids is None else state.ids[rows],
    )


def _unlisted(contract: FeatureContract, state: _State) -> tuple[str, ...]:
    column = state.table.column(contract.target.column).filter(pa.array(state.known))
    # pyarrow ships no types; ArrowColumn is the part of its ChunkedArray that is used.
    return tuple(unlisted.sentence for unlisted in unlisted_in(contract, cast("ArrowColumn", column)))


def _count(leads: LabelledLeads, future: int, untimed: int) -> LeftOut:
    if leads.ids is None:
        return LeftOut(future=future, untimed=untimed)
    distinct, place = np.unique(leads.ids, return_inverse=True)
    won = np.bincount(place, weights=leads.converted)
    lost = np.bincount(place, weights=~leads.converted)
    return LeftOut(
        future=future,
        untimed=untimed,
        repeated=len(leads.ids) - len(distinct),
        contradictory=int(np.count_nonzero((won > 0) & (lost > 0))),
    )
