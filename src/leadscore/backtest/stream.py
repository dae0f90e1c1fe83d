"""A labelled table as a stream: calendar months, and at each moment only what was known by then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leadscore.contract import FeatureContract
from leadscore.data.matrix import encode_table
from leadscore.errors import BadInputError, RefusedError
from leadscore.intervals import Flags
from leadscore.training.leads import label_state, lead_times
from leadscore.training.split import MIN_CLASS
from leadscore.training.window import Dates, RowNumbers, utc_moment

# Labels count as complete at the age at which this share of those that ever came had come.
_MATURE_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month of the stream, [start, end), and its rows."""

    name: str
    start: np.datetime64
    end: np.datetime64
    rows: RowNumbers


@dataclass(frozen=True, slots=True, eq=False)
class BacktestStream:
    """Leads in order of time.

    Attributes:
        contract: Whose inputs the matrix holds.
        matrix: Encoded leads float32 (n, inputs).
        labelled: Whether the outcome ever became known (n,).
        converted: Outcomes (n,); False where never known.
        time: When each lead came (n,), datetime64[us].
        known: When its outcome became known (n,); the lead's own time where the table does not say.
        maturity: Age at which an outcome should be known.
        months: The months with leads, in order.
    """

    contract: FeatureContract
    matrix: npt.NDArray[np.float32]
    labelled: Flags
    converted: Flags
    time: Dates
    known: Dates
    maturity: np.timedelta64
    months: tuple[Month, ...]

    def known_by(self, now: np.datetime64, since: np.datetime64) -> RowNumbers:
        """Leads since a moment whose outcome is known before `now`."""
        return np.flatnonzero(self.labelled & (self.known < now) & (self.time < now) & (self.time >= since))

    def judged(self, month: Month) -> bool:
        """Whether the month has enough of both outcomes for an AUC."""
        rows = month.rows[self.labelled[month.rows]]
        won = int(self.converted[rows].sum())
        return min(won, len(rows) - won) >= MIN_CLASS


def prepare_stream(contract: FeatureContract, table: pa.Table) -> BacktestStream:
    """Read a labelled table as a stream.

    Raises:
        BadInputError: The contract has no time column.
        RefusedError: Fewer than two months with leads.
    """
    time = lead_times(contract, table, no_time=False)
    if time is None:
        raise BadInputError("A backtest needs the time of each lead.", hint="Set `time` in the contract.")
    outcome, known_at = label_state(contract, table, None)
    order = np.argsort(time, kind="stable")
    time, outcome = time[order], outcome[order]
    labelled = ~np.isnan(outcome)
    known = time.copy() if known_at is None else np.where(np.isnat(known_at[order]), time, known_at[order])
    names = time.astype("datetime64[M]")
    months = tuple(
        Month(
            str(m), m.astype("datetime64[us]"), (m + 1).astype("datetime64[us]"), np.flatnonzero(names == m)
        )
        for m in np.unique(names)
    )
    if len(months) < 2:
        raise RefusedError(
            f"The stream has leads in {len(months)} month(s).", hint="A backtest needs a warm-up and more."
        )
    delays = (known - time)[labelled].astype("timedelta64[us]").astype(np.int64)
    maturity = np.timedelta64(int(np.quantile(delays, _MATURE_SHARE)) if len(delays) else 0, "us")
    return BacktestStream(
        contract, encode_table(contract, table)[order], labelled, outcome > 0.5, time, known, maturity, months
    )


def moment(time: np.datetime64) -> datetime:
    """The moment as a datetime in UTC."""
    return datetime.fromisoformat(str(time.astype("datetime64[us]")) + "+00:00")


def before(time: np.datetime64, span: timedelta) -> np.datetime64:
    """The moment a span earlier (not before year 1)."""
    now = moment(time)
    earliest = now.min.replace(tzinfo=now.tzinfo)
    return utc_moment(earliest if now - earliest <= span else now - span)
