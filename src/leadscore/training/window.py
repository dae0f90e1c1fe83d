"""Which leads a run trains on: the latest months whose outcomes are known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.errors import RefusedError

Moments = npt.NDArray[np.datetime64]
Rows = npt.NDArray[np.intp]

_WEEK = np.timedelta64(7, "D")


class MonthCount(msgspec.Struct, frozen=True):
    """Label completeness of one calendar month: leads, and those whose outcome is known."""

    month: str
    leads: int
    labelled: int


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The leads of a run.

    Attributes:
        rows: Row numbers in the table, in order of time, ties in table order.
        start: Time of the first lead; None when row order stands for time.
        end: Time of the last lead.
        months: Leads and labels per month of the window, young leads included.
        unknown: Leads of the window's time range whose outcome is not known.
        young: Labelled leads left out because most leads of their week have no outcome yet.
    """

    rows: Rows
    start: np.datetime64 | None
    end: np.datetime64 | None
    months: tuple[MonthCount, ...]
    unknown: int
    young: int


def select_window(
    time: Moments,
    known: npt.NDArray[np.bool_],
    *,
    months: int,
    min_records: int,
    min_completeness: float,
) -> Window:
    """The latest `months` calendar months of leads with known labels.

    Args:
        time: Creation time of each lead, datetime64[us] (n,).
        known: Whether its label is known.
        months: Calendar months, counted back from the newest usable labelled lead (that moment excluded).
        min_records: Labelled leads needed.
        min_completeness: Share of known labels that makes a week at the newest end usable.

    Raises:
        RefusedError: Too few labelled leads; the message says how many, in which months, and how many
            labels are still unknown.
    """
    if not known.any():
        raise RefusedError(
            f"None of the {len(time):,} leads has a known outcome.",
            hint="Check `target` in the contract (and --as-of, which hides what was known later).",
        )
    cut = _mature_until(time, known, min_completeness)
    newest = time[known & (time <= cut)].max()
    start = _months_before(newest, months)
    inside = time > start
    taken = np.flatnonzero(inside & known & (time <= newest))
    taken = taken[np.argsort(time[taken], kind="stable")]
    window = Window(
        rows=taken,
        start=time[taken].min(),
        end=newest,
        months=_month_counts(time[inside], known[inside]),
        unknown=int((inside & ~known).sum()),
        young=int((inside & known & (time > newest)).sum()),
    )
    if len(taken) < min_records:
        raise _too_few(window, months, min_records, int(known.sum()))
    return window


def select_rows(known: npt.NDArray[np.bool_], *, min_records: int) -> Window:
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
    return Window(rows, None, None, (), len(known) - len(rows), 0)


def utc_moment(moment: datetime) -> np.datetime64:
    """Microseconds in UTC; a time without a zone is taken as UTC."""
    naive = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    return np.datetime64(naive, "us")


def iso(moment: np.datetime64) -> str:
    """ISO 8601 in UTC to the second."""
    value: datetime = moment.astype("datetime64[us]").item()
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def _mature_until(time: Moments, known: npt.NDArray[np.bool_], share: float) -> np.datetime64:
    """End of the newest week in which at least `share` of the leads have a known label."""
    first = time.min()
    week = ((time - first) // _WEEK).astype(np.intp)
    leads = np.bincount(week)
    complete = np.bincount(week, weights=known) >= share * np.maximum(leads, 1)
    weeks = np.flatnonzero(complete & (leads > 0))
    # A table in which no week is complete lacks labels for another reason than youth: take what there is.
    return time.max() if len(weeks) == 0 else first + (weeks[-1] + 1) * _WEEK - np.timedelta64(1, "us")


def _months_before(moment: np.datetime64, months: int) -> np.datetime64:
    month = moment.astype("datetime64[M]")
    offset = moment - month.astype("datetime64[us]")
    target = (month - months).astype("datetime64[us]")
    end = (month - months + 1).astype("datetime64[us]") - np.timedelta64(1, "us")
    return min(target + offset, end)


def _month_counts(time: Moments, known: npt.NDArray[np.bool_]) -> tuple[MonthCount, ...]:
    months, index = np.unique(time.astype("datetime64[M]"), return_inverse=True)
    leads = np.bincount(index, minlength=len(months))
    labelled = np.bincount(index, weights=known, minlength=len(months))
    return tuple(MonthCount(str(m), int(n), int(k)) for m, n, k in zip(months, leads, labelled, strict=True))


def _too_few(window: Window, months: int, min_records: int, labelled: int) -> RefusedError:
    listed = ", ".join(f"{m.month}: {m.labelled:,} of {m.leads:,}" for m in window.months)
    return RefusedError(
        f"Training needs {min_records:,} labelled leads; the latest {months} month(s) up to"
        f" {str(window.end)[:10]} have {len(window.rows):,} (labelled of all, by month: {listed})."
        f" {window.unknown:,} lead(s) of these months have no known outcome yet, {window.young:,} are too"
        " young to be taken."
        f" The whole table has {labelled:,} labelled leads.",
        hint="Take more months with --months, wait for outcomes, or lower --min-records knowing that the"
        " figures will be vague.",
    )
