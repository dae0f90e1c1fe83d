"""What a measurement gives.

A row (what, goal, value, what was measured beside it), a table, and the run that it is of.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from benchmarks.machine import Machine


@dataclass(frozen=True, slots=True)
class Goal:
    """`at least` or `at most` a bound, in the row's unit."""

    kind: Literal["≥", "≤"]
    bound: float

    def met(self, value: float) -> bool:
        """True if the value keeps the bound (a NaN never does)."""
        return value >= self.bound if self.kind == "≥" else value <= self.bound


@dataclass(frozen=True, slots=True)
class Row:
    """A measured figure.

    Attributes:
        name: Stable name, as given to `--only`.
        what: The figure in words.
        value: None if it could not be measured; then `how` says why.
        unit: Of value and goal.
        goal: None for a figure that is only reported.
        beside: What was measured for comparison in the same run, in words.
        how: How it was measured, in one sentence.
    """

    name: str
    what: str
    value: float | None
    unit: str
    goal: Goal | None
    beside: str = ""
    how: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None if there is no goal."""
        if self.goal is None:
            return None
        return self.value is not None and self.goal.met(self.value)


@dataclass(frozen=True, slots=True)
class Section:
    """A table of its own beside the rows (the bank data, month by month)."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """When, where and how figures were measured.

    Attributes:
        machine: The machine, its load and the versions at the beginning.
        command: What was typed.
        compared: `name==version` of what was measured beside, each in an environment of its own.
        note: What a reader has to know of this run.
    """

    machine: Machine
    command: str
    compared: tuple[str, ...] = ()
    note: str = ""

    @property
    def name(self) -> str:
        """Its key in the file."""
        words = f"{self.machine.date} {self.command}".encode()
        return f"{self.machine.date[:10]}-{hashlib.sha256(words).hexdigest()[:6]}"


def at_least(bound: float) -> Goal:
    """A goal that more is better for."""
    return Goal("≥", bound)


def at_most(bound: float) -> Goal:
    """A goal that less is better for."""
    return Goal("≤", bound)


def figure(value: float | None, unit: str) -> str:
    """Three significant digits, thousands separated, with the unit."""
    if value is None:
        return "not measured"
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{digits}{'' if unit in {'x', ''} else ' '}{unit}"
