"""How long outcomes take.

The share of wins and of losses that is known at an age, learnt from open leads, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from leadscore.intervals import Flags, Floats

# Under this many dated outcomes of a class its delays say nothing.
MIN_DATED = 20
# With a larger share of undated outcomes in either class, the dated ones may not represent the rest.
_MAX_UNDATED = 0.05
# Outcomes after this share of the greatest age tell what is still to come; with fewer than that many, none is
# expected.
_TAIL = 0.8
_MIN_LATE = 5
_NAMES = ("losses", "wins")


class DelayRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the delays, for `metrics.json` and the card; days.

    Attributes:
        learnt: Whether the table's dates were enough to learn the delays.
        note: Why not, or what limits them; empty if nothing.
        median_win: Half of the conversions that ever become known are known at this age; None if not learnt.
        median_loss: The same of the other leads.
        mature: Age from which cohorts are admitted; None if never reached, or if not learnt.
        open_share: Share of leads whose outcome is still unknown at the greatest age that was followed.
        rate: Conversion rate of all leads of the table in the end, open and young ones included.
    """

    learnt: bool
    note: str = ""
    median_win: float | None = None
    median_loss: float | None = None
    mature: float | None = None
    open_share: float | None = None
    rate: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class DelayModel:
    """Cumulative incidence of losses and wins over age, open leads being censored at their age.

    See Aalen & Johansen (1978).

    Delays are taken to depend on the outcome, not on the lead beyond it, and to be the same for all cohorts.

    Attributes:
        ages: Days at which some outcome became known, ascending (k,).
        incidence: Share of all leads that is known to be lost (0) or won (1) by that age, (2, k).
        final: Shares of all leads that will be lost and won in the end (2,). Leads still open
            at the greatest age are counted to the classes in which outcomes still arrive there,
            and to none if none arrive any more.
    """

    ages: Floats
    incidence: Floats
    final: Floats

    @property
    def open_share(self) -> float:
        """Share of leads without an outcome at the greatest age."""
        return max(0.0, 1.0 - float(self.incidence[:, -1].sum()))

    @property
    def never_share(self) -> float:
        """Share of leads that get no outcome at all, as far as can be told."""
        return max(0.0, 1.0 - float(self.final.sum()))

    @property
    def rate(self) -> float:
        """Share of wins among all outcomes in the end: the conversion rate without selection by delay."""
        return float(self.final[1] / self.final.sum())

    def known_share(self, converted: Flags, age: Floats) -> Floats:
        """Share of a lead's class that is known at its age, among what is known in the end; (n,)."""
        place = np.searchsorted(self.ages, age, side="right")
        padded = np.concatenate([np.zeros((2, 1)), self.incidence / self.final[:, None]], axis=1)
        return padded[converted.astype(np.intp), place]

    def age_of(self, share: float, value: int) -> float | None:
        """Least age (days) at which `share` of a class is known, among what is known in the end.

        None if never reached.
        """
        return self._first(self.incidence[value] / self.final[value], share)

    def mature_age(self, share: float) -> float | None:
        """Least age (days) at which `share` of all leads, of the wins and of the losses is known.

        None if never reached.
        """
        ages = [
            self._first(self.incidence.sum(axis=0), share), self.age_of(share, 0), self.age_of(share, 1)
        ]  # fmt: skip
        return None if None in ages else max(a for a in ages if a is not None)

    def usable_age(self, share: float) -> float | None:
        """Least age (days) at which `share` of the wins and of the losses that become known are known.

        None if never.
        """
        ages = [self.age_of(share, 0), self.age_of(share, 1)]
        return None if None in ages else max(a for a in ages if a is not None)

    def _first(self, shares: Floats, share: float) -> float | None:
        # Sums of hazards reach a share up to rounding.
        place = int(np.searchsorted(shares, share - 1e-9))
        return None if place == len(shares) else float(self.ages[place])

    def weights(self, converted: Flags, age: Floats) -> Floats:
        """Inverse probability of being known at that age, given the outcome.

        A known lead stands for those still open.
        """
        return 1.0 / np.maximum(self.known_share(converted, age), 1e-6)


def learn_delays(outcome: Floats, delay: Floats, age: Floats) -> tuple[DelayModel | None, str]:
    """Learn from leads with and without an outcome.

    Args:
        outcome: 1, 0 or NaN (not known yet) (n,).
        delay: Days from the lead to its known outcome, NaN where the table does not date it (n,).
        age: Days from the lead to the moment until which the table was followed (n,).

    Returns:
        The model, or None and the reason why the dates do not allow one.
    """
    known = ~np.isnan(outcome)
    dated = known & ~np.isnan(delay)
    for value, name in enumerate(_NAMES):
        of_class = known & (outcome == value)
        if np.count_nonzero(of_class & dated) < MIN_DATED:
            return None, f"fewer than {MIN_DATED} {name} have a date"
        undated = float(np.count_nonzero(of_class & ~dated) / np.count_nonzero(of_class))
        if undated > _MAX_UNDATED:
            return None, f"{undated:.0%} of the {name} have no date"
    used = dated | ~known
    last = np.maximum(np.where(dated, delay, age)[used], 0.0)
    ages, place = np.unique(np.where(dated[used], last, -1.0), return_inverse=True)
    classes = [dated[used] & (outcome[used] == value) for value in (0.0, 1.0)]
    events = np.stack(
        [np.bincount(place, weights=c, minlength=len(ages)).astype(np.float64) for c in classes]
    )
    # Censored leads were put at -1, before every event.
    first = int(ages[0] < 0)
    ages, events = ages[first:], events[:, first:]
    at_risk = (len(last) - np.searchsorted(np.sort(last), ages, side="left")).astype(np.float64)
    hazard = events / at_risk
    survival = np.cumprod(1.0 - hazard.sum(axis=0))
    before = np.concatenate([[1.0], survival[:-1]])
    incidence = np.cumsum(hazard * before, axis=1)
    return DelayModel(ages, incidence, _final(ages, events, incidence, float(age.max()))), ""


def _final(ages: Floats, events: Floats, incidence: Floats, followed: float) -> Floats:
    """Where the curves end.

    The open leads go to the classes of the outcomes in the last fifth of the ages followed.
    """
    late = events[:, ages >= _TAIL * followed].sum(axis=1)
    end = incidence[:, -1]
    if late.sum() < _MIN_LATE:
        return end
    return end + max(0.0, 1.0 - float(end.sum())) * late / late.sum()
