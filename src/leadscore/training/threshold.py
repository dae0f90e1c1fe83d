"""Thresholds of the grades and of the decision."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from leadscore.intervals import Floats
from leadscore.scoring.grades import Grades
from leadscore.training.options import Costs


class DecisionThreshold(msgspec.Struct, frozen=True):
    """From which probability a lead is called likely, and by which rule."""

    method: Literal["capacity", "cost"]
    threshold: float


def capacity_threshold(probabilities: Floats, share: float) -> float:
    """The probability from which on about `share` of the leads lie.

    Leads with equal probabilities stay together: of the two cuts around the wanted share, the nearer one,
    but never one that takes no lead.
    """
    falling = np.sort(probabilities)[::-1]
    values, counts = np.unique(-falling, return_counts=True)
    taken = np.cumsum(counts) / len(falling)
    return float(-values[np.argmin(np.abs(taken - share))])


def grades_by_capacity(probabilities: Floats, capacity: float = 0.10) -> Grades:
    """A for the top `capacity` of the leads, then B, C and D for the rest in proportion 2 : 3 : 4.

    With the default of 10 % that is A 10 %, B 20 %, C 30 %, D 40 %.
    """
    rest = 1 - capacity
    cuts = (capacity, capacity + rest * 2 / 9, capacity + rest * 5 / 9)
    a, b, c = (capacity_threshold(probabilities, cut) for cut in cuts)
    return Grades(a=a, b=min(a, b), c=min(a, b, c))


def choose_threshold(probabilities: Floats, capacity: float, costs: Costs | None) -> DecisionThreshold:
    """By cost where costs are given: a lead is worth working above FP / (FP + FN) (Elkan 2001).

    Else by capacity.
    """
    if costs is not None:
        return DecisionThreshold("cost", costs.false_positive / (costs.false_positive + costs.false_negative))
    return DecisionThreshold("capacity", capacity_threshold(probabilities, capacity))
