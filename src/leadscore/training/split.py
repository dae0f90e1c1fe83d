"""Time-based windows and cross-validation folds: never the future in the past, never a tie on two sides."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.errors import RefusedError
from leadscore.training.window import Rows

Ticks = npt.NDArray[np.int64]

# Fewer leads of a class than this say nothing about a ranking.
MIN_CLASS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Positions (into leads in time order) of the three windows, and where the later two begin.

    Attributes:
        train: Oldest; without leads whose label was not known, or which are too near, at `calibration_start`.
        calibration: Between.
        holdout: Newest.
        calibration_start: First position of the calibration window.
        holdout_start: First position of the hold-out window.
        embargoed: Leads before the calibration window that were left out of training.
    """

    train: Rows
    calibration: Rows
    holdout: Rows
    calibration_start: int
    holdout_start: int
    embargoed: int


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One cross-validation fold: positions to train on and later positions to validate on."""

    train: Rows
    validation: Rows


class SkippedFold(msgspec.Struct, frozen=True):
    """A fold that could not be used, and why."""

    fold: int
    reason: str


def split_windows(
    ticks: Ticks, known: Ticks | None, *, calibration: float, holdout: float, gap: int
) -> Split:
    """Cut leads in time order into train, calibration and hold-out windows.

    Args:
        ticks: Time of each lead, never decreasing (n,): microseconds, or row numbers.
        known: When its label became known, in the same unit; None if the table does not say.
        calibration: Share of the rows wanted for calibration.
        holdout: Share of the rows wanted for the hold-out window. Both shares are met as nearly as leads
            with equal times, which stay together, allow.
        gap: Least distance between a training lead and the calibration window.

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
    train = _visible(ticks, known, 0, first, gap)
    if len(train) == 0:
        raise RefusedError(
            f"None of the {first:,} leads before the calibration window had a known outcome by its start"
            f" (or all are within the gap).",
            hint="Take more months, or a smaller --gap-days.",
        )
    return Split(
        train=train,
        calibration=np.arange(first, second),
        holdout=np.arange(second, n),
        calibration_start=first,
        holdout_start=second,
        embargoed=first - len(train),
    )


def expanding_folds(
    ticks: Ticks,
    known: Ticks | None,
    converted: npt.NDArray[np.bool_],
    *,
    end: int,
    folds: int,
    gap: int,
) -> tuple[tuple[Fold, ...], tuple[SkippedFold, ...]]:
    """Time-ordered folds over the leads before position `end`: each trains on everything before its validation.

    Args:
        ticks: As in `split_windows`.
        known: As in `split_windows`.
        converted: The labels (n,).
        end: The folds use positions 0 … end-1 only.
        folds: How many; leads with equal times stay together, which may leave fewer.
        gap: Least distance between a training and a validation lead.

    Returns:
        The usable folds, oldest first, and those skipped with the reason.
    """
    starts = np.flatnonzero(np.diff(ticks[:end])) + 1
    cuts = [_nearest(starts, end * i / (folds + 1)) if len(starts) else 0 for i in range(1, folds + 1)]
    usable: list[Fold] = []
    skipped: list[SkippedFold] = []
    for number, (begin, stop) in enumerate(zip(cuts, [*cuts[1:], end], strict=True), start=1):
        fold = Fold(_visible(ticks, known, 0, begin, gap), np.arange(begin, stop))
        reason = _unusable(fold, converted, begin)
        if reason is None:
            usable.append(fold)
        else:
            skipped.append(SkippedFold(number, reason))
    return tuple(usable), tuple(skipped)


def count_classes(converted: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Converted and not converted."""
    positives = int(np.count_nonzero(converted))
    return positives, len(converted) - positives


def _nearest(starts: Rows, ideal: float) -> int:
    return int(starts[np.argmin(np.abs(starts - ideal))])


def _visible(ticks: Ticks, known: Ticks | None, begin: int, stop: int, gap: int) -> Rows:
    """Positions whose lead is at least `gap` older than position `stop` and whose label was known by then."""
    horizon = int(ticks[stop])
    keep = ticks[begin:stop] <= horizon - gap
    if known is not None:
        keep &= known[begin:stop] <= horizon
    return begin + np.flatnonzero(keep)


def _unusable(fold: Fold, converted: npt.NDArray[np.bool_], begin: int) -> str | None:
    if begin == 0 or len(fold.validation) == 0:
        return "its leads share their time with a neighbouring fold"
    for side, rows in (("training", fold.train), ("validation", fold.validation)):
        positives, negatives = count_classes(converted[rows])
        if min(positives, negatives) < MIN_CLASS:
            return (
                f"its {side} side has {positives} converted and {negatives} other leads with labels known in time"
                f" (at least {MIN_CLASS} of each are needed)"
            )
    return None
