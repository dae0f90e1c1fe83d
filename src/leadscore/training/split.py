"""Time-based windows and cross-validation folds.

No training data from the future, and no tie or lead on two sides.

Leads are admitted before a cut by their age at it, whole cohorts with every outcome that
the table knows, and never because an outcome happened to be known at the cut: where losses
take longer than wins, those would be wins only.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.errors import RefusedError
from leadscore.training.window import RowNumbers

Ticks = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int64]

# With fewer leads of a class a ranking cannot be judged.
MIN_CLASS = 5
_WEEK = 7 * 86_400_000_000
# The first and last lead of whole weeks are some time after and before midnight.
_NIGHT = 16 * 3_600_000_000
# The share of the leads before a cut that must stay if training waits for the age of its outcomes.
_AFFORDABLE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Positions (into leads in time order) of the three windows, and where the later two begin.

    Attributes:
        train: Oldest; without leads that were too young, or are too near, at `calibration_start`, and without
            leads whose id comes again later.
        calibration: Between.
        holdout: Newest.
        calibration_start: First position of the calibration window.
        holdout_start: First position of the hold-out window.
        embargoed: Leads before the calibration window that were left out of training for their age.
        repeated: Leads left out of training or calibration because their id comes again in a later window.
        embargo: Least distance between a training lead and the window after it, as applied.
    """

    train: RowNumbers
    calibration: RowNumbers
    holdout: RowNumbers
    calibration_start: int
    holdout_start: int
    embargoed: int
    repeated: int
    embargo: int


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One cross-validation fold: positions to train on and later positions to validate on."""

    train: RowNumbers
    validation: RowNumbers


class SkippedFold(msgspec.Struct, frozen=True):
    """A fold that could not be used, and why."""

    fold: int
    reason: str


def split_windows(
    ticks: Ticks,
    *,
    calibration: float,
    holdout: float,
    gap: int,
    mature: int = 0,
    ids: Ids | None = None,
) -> Split:
    """Cut leads in time order into train, calibration and hold-out windows.

    Args:
        ticks: Time of each lead, never decreasing (n,): microseconds, or row numbers.
        calibration: Share of the rows wanted for calibration.
        holdout: Share of the rows wanted for the hold-out window. Both shares are met as nearly as leads
            with equal times, which stay together, allow.
        gap: Least distance between a training lead and the calibration window.
        mature: Age at which outcomes count as known. A training lead must have it at the start
            of the calibration window, as it would in service, if that leaves at least half of
            the leads to train on; where outcomes take longer than that only `gap` holds, and
            training knows outcomes that came later.
        ids: Number of each lead's id, equal for equal ids (n,); None if there are none.

    Raises:
        RefusedError: Fewer than three different times, or nothing left to train on.
    """
    n = len(ticks)
    starts = np.flatnonzero(np.diff(ticks)) + 1
    if len(starts) < 2:
        raise RefusedError(
            f"The {n:,} leads have {len(starts) + 1} different time(s); three windows need at least three.",
            hint="Take more months, or use a finer time column.",
        )
    second = _nearest(starts[1:], n * (1 - holdout))
    first = _nearest(starts[starts < second], n * (1 - holdout - calibration))
    embargo = max(gap, mature)
    old = _old_enough(ticks, first, embargo)
    if len(old) < _AFFORDABLE * first:
        embargo = gap
        old = _old_enough(ticks, first, embargo)
    later = np.arange(first, second), np.arange(second, n)
    train = _without_ids(old, ids, np.concatenate(later))
    calibrating = _without_ids(later[0], ids, later[1])
    if len(train) == 0:
        raise RefusedError(
            f"None of the {first:,} leads before the calibration window can be trained on: all are within "
            "the gap before it, or come again after it.",
            hint="Take more months, or a smaller --gap.",
        )
    return Split(
        train=train,
        calibration=calibrating,
        holdout=later[1],
        calibration_start=first,
        holdout_start=second,
        embargoed=first - len(old),
        repeated=len(old) - len(train) + len(later[0]) - len(calibrating),
        embargo=embargo,
    )


def expanding_folds(
    ticks: Ticks,
    converted: npt.NDArray[np.bool_],
    *,
    end: int,
    folds: int,
    embargo: int,
    ids: Ids | None = None,
) -> tuple[tuple[Fold, ...], tuple[SkippedFold, ...]]:
    """Time-ordered folds over the leads before position `end`.

    Each trains on everything before its validation.

    Args:
        ticks: As in `split_windows`.
        converted: The labels (n,).
        end: The folds use positions 0 … end-1 only.
        folds: How many; leads with equal times stay together, which may leave fewer.
        embargo: Least distance between a training and a validation lead.
        ids: As in `split_windows`.

    Returns:
        The usable folds, oldest first, and those skipped with the reason.
    """
    starts = np.flatnonzero(np.diff(ticks[:end])) + 1
    cuts = [_nearest(starts, end * i / (folds + 1)) if len(starts) else 0 for i in range(1, folds + 1)]
    usable: list[Fold] = []
    skipped: list[SkippedFold] = []
    for number, (begin, stop) in enumerate(zip(cuts, [*cuts[1:], end], strict=True), start=1):
        validation = np.arange(begin, stop)
        fold = Fold(_without_ids(_old_enough(ticks, begin, embargo), ids, validation), validation)
        reason = _unusable(fold, converted, begin)
        if reason is None:
            usable.append(fold)
        else:
            skipped.append(SkippedFold(number, reason))
    return tuple(usable), tuple(skipped)


def whole_weeks(ticks: Ticks) -> RowNumbers:
    """Return the positions of the newest leads that span whole weeks; all of them if they span less than one.

    A reference of a month has five of some weekdays and four of others, and compared with it whole weeks look
    like a drift of whatever follows the week.

    Args:
        ticks: Time of each lead in microseconds, never decreasing (n,).
    """
    weeks = (int(ticks[-1]) - int(ticks[0]) + _NIGHT) // _WEEK
    return np.flatnonzero(ticks > int(ticks[-1]) - weeks * _WEEK) if weeks else np.arange(len(ticks))


def count_classes(converted: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Converted and not converted."""
    positives = int(np.count_nonzero(converted))
    return positives, len(converted) - positives


def _nearest(starts: RowNumbers, ideal: float) -> int:
    return int(starts[np.argmin(np.abs(starts - ideal))])


def _old_enough(ticks: Ticks, stop: int, embargo: int) -> RowNumbers:
    """Positions before `stop` whose lead is at least `embargo` older than position `stop`."""
    return np.flatnonzero(ticks[:stop] <= int(ticks[stop]) - embargo)


def _without_ids(rows: RowNumbers, ids: Ids | None, later: RowNumbers) -> RowNumbers:
    """Those rows whose id is on none of the later rows."""
    return rows if ids is None else rows[~np.isin(ids[rows], ids[later])]


def _unusable(fold: Fold, converted: npt.NDArray[np.bool_], begin: int) -> str | None:
    if begin == 0 or len(fold.validation) == 0:
        return "its leads share their time with a neighbouring fold"
    for side, rows in (("training", fold.train), ("validation", fold.validation)):
        positives, negatives = count_classes(converted[rows])
        if min(positives, negatives) < MIN_CLASS:
            return (
                f"its {side} side has {positives} converted and {negatives} other leads that are old enough"
                f" (at least {MIN_CLASS} of each are needed)"
            )
    return None
