"""Which leads a run trains on: the latest months whose outcomes are known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.errors import RefusedError

Dates = npt.NDArray[np.datetime64]
RowNumbers = npt.NDArray[np.intp]

_WEEK = np.timedelta64(7, "D")
_MIN_COHORT = 5


class MonthCount(msgspec.Struct, frozen=True):
    """One calendar month: leads, known outcomes, and how many of these converted (None: not counted)."""

    month: str
    leads: int
    labelled: int
    positives: int | None = None

    @property
    def rate(self) -> float | None:
        """Conversion rate among the known outcomes; None without any."""
        return None if self.positives is None or not self.labelled else self.positives / self.labelled


@dataclass(frozen=True, slots=True, eq=False)
class TrainingWindow:
    """The leads of a run.

    Attributes:
        rows: Row numbers in the table, in order of time, ties in table order.
        start: Time of the first lead; None when row order stands for time.
        end: Time of the last lead.
        months: Leads and labels per month of the window, young leads included.
        unknown: Leads of the window's time range whose outcome is not known.
        young: Labelled leads left out because they are too young: leads of their age have not enough outcomes
            yet.
    """

    rows: RowNumbers
    start: np.datetime64 | None
    end: np.datetime64 | None
    months: tuple[MonthCount, ...]
    unknown: int
    young: int


def select_window(
    time: Dates,
    outcome: npt.NDArray[np.floating],
    *,
    months: int,
    min_records: int,
    min_completeness: float,
    mature: np.datetime64 | None = None,
) -> TrainingWindow:
    """The latest `months` calendar months of leads that are old enough for their outcomes to be known.

    Leads are admitted by age, a week at a time, never one by one because their outcome happens to be known:
    where losses become known later than wins, the labels of young leads are those of the wins.

    Args:
        time: Creation time of each lead, datetime64[us] (n,).
        outcome: Its label: 1, 0 or NaN (not known).
        months: Calendar months, counted back from the newest usable labelled lead (that moment excluded).
        min_records: Labelled leads needed.
        min_completeness: Share of known labels that makes a week usable.
        mature: Leads after that moment are too young, whatever their week's share is; None sets no such
            bound.

    Raises:
        RefusedError: No week is complete enough, or too few labelled leads; the message says how many, in
            which months, at which rate, and how many labels are still unknown.
    """
    known = ~np.isnan(outcome)
    if not known.any():
        raise RefusedError(
            f"None of the {len(time):,} leads has a known outcome.",
            hint="Check `target` in the contract (and --as-of, which hides what was known later).",
        )
    cut = mature_until(time, known, min_completeness)
    if cut is not None and mature is not None:
        cut = min(cut, mature)
    usable = known & (time <= cut) if cut is not None else np.zeros_like(known)
    if not usable.any():
        raise refuse_immature(time, outcome, min_completeness)
    newest = time[usable].max()
    start = _months_before(newest, months)
    inside = time > start
    taken = np.flatnonzero(inside & known & (time <= newest))
    taken = taken[np.argsort(time[taken], kind="stable")]
    window = TrainingWindow(
        rows=taken,
        start=time[taken].min(),
        end=newest,
        months=month_counts(time[inside], outcome[inside]),
        unknown=int((inside & ~known).sum()),
        young=int((inside & known & (time > newest)).sum()),
    )
    if len(taken) < min_records:
        raise _too_few(window, months, min_records, int(known.sum()))
    return window


def select_rows(known: npt.NDArray[np.bool_], *, min_records: int) -> TrainingWindow:
    """All labelled leads in table order: the window of a table without time.

    Raises:
        RefusedError: Too few labelled leads.
    """
    rows = np.flatnonzero(known)
    if len(rows) < min_records:
        raise RefusedError(
            f"Training needs {min_records:,} labelled leads; the table has {len(rows):,}"
            f" and {len(known) - len(rows):,} without a known outcome.",
            hint="Bring more leads, or lower --min-records knowing that the figures will be vague.",
        )
    return TrainingWindow(rows, None, None, (), len(known) - len(rows), 0)


def utc_moment(moment: datetime) -> np.datetime64:
    """Microseconds in UTC; a time without a zone is taken as UTC."""
    naive = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    return np.datetime64(naive, "us")


def iso(moment: np.datetime64) -> str:
    """ISO 8601 in UTC to the second."""
    value: datetime = moment.astype("datetime64[us]").item()
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def mature_until(time: Dates, known: npt.NDArray[np.bool_], share: float) -> np.datetime64 | None:
    """End of the newest week in which at least `share` of the leads have a known label.

    None if there is no such week.

    A week counts only if it is complete together with the week before it as well, and weeks
    of fewer than five leads are taken together with the one before: one quick outcome must not make a short
    last week count as mature.
    """
    first = time.min()
    week = ((time - first) // _WEEK).astype(np.intp)
    leads, labelled = np.bincount(week), np.bincount(week, weights=known)
    newest: int | None = None
    before = (0.0, 0.0)
    open_leads = open_labelled = 0.0
    for number in np.flatnonzero(leads):
        open_leads, open_labelled = open_leads + leads[number], open_labelled + labelled[number]
        if open_leads < _MIN_COHORT and number != len(leads) - 1:
            continue
        both = (before[0] + open_leads, before[1] + open_labelled)
        # A short rest is judged together with the cohort before it.
        alone = both if open_leads < _MIN_COHORT else (open_leads, open_labelled)
        if alone[1] >= share * alone[0] and both[1] >= share * both[0]:
            newest = int(number)
        before, open_leads, open_labelled = (open_leads, open_labelled), 0.0, 0.0
    return None if newest is None else first + (newest + 1) * _WEEK - np.timedelta64(1, "us")


def refuse_immature(
    time: Dates, outcome: npt.NDArray[np.floating], share: float, reason: str = ""
) -> RefusedError:
    """The error for a table in which no cohort has enough known outcomes, with the months and their rates."""
    known = ~np.isnan(outcome)
    return RefusedError(
        f"In no part of the table do {share:.0%} of the leads have a known outcome{reason}"
        f" ({known.sum():,} of {len(known):,} have one): what is known by now may be the quick outcomes "
        "only, and the conversion rate of training would not be the true one. By month: "
        f"{listed_months(month_counts(time, outcome))}.",
        hint="Bring older leads, or wait for outcomes. If outcomes are missing for another reason than "
        "youth (open leads that will never be closed), lower --min-completeness.",
    )


def listed_months(months: tuple[MonthCount, ...]) -> str:
    """Months with labels, leads and rates in a sentence."""

    def one(m: MonthCount) -> str:
        rate = "" if m.rate is None else f", {m.rate:.1%} of these converted"
        return f"{m.month}: {m.labelled:,} of {m.leads:,}{rate}"

    return "; ".join(one(m) for m in months)


def _months_before(moment: np.datetime64, months: int) -> np.datetime64:
    month = moment.astype("datetime64[M]")
    offset = moment - month.astype("datetime64[us]")
    target = (month - months).astype("datetime64[us]")
    end = (month - months + 1).astype("datetime64[us]") - np.timedelta64(1, "us")
    return min(target + offset, end)


def month_counts(time: Dates, outcome: npt.NDArray[np.floating]) -> tuple[MonthCount, ...]:
    """Leads, known outcomes and conversions per calendar month."""
    months, index = np.unique(time.astype("datetime64[M]"), return_inverse=True)
    leads = np.bincount(index, minlength=len(months))
    labelled = np.bincount(index, weights=~np.isnan(outcome), minlength=len(months))
    won = np.bincount(index, weights=np.nan_to_num(outcome) > 0.5, minlength=len(months))
    return tuple(
        MonthCount(str(m), int(n), int(k), int(p))
        for m, n, k, p in zip(months, leads, labelled, won, strict=True)
    )


def _too_few(window: TrainingWindow, months: int, min_records: int, labelled: int) -> RefusedError:
    return RefusedError(
        f"Training needs {min_records:,} labelled leads; the latest {months} month(s) up to"
        f" {str(window.end)[:10]} have {len(window.rows):,} (labelled of all, by month: "
        f"{listed_months(window.months)}). {window.unknown:,} lead(s) of these months have no known "
        f"outcome yet, {window.young:,} are too young to be taken. The whole table has "
        f"{labelled:,} labelled leads.",
        hint="Take more months with --months, wait for outcomes, or lower --min-records knowing that the"
        " figures will be vague.",
    )
