"""Steps as a person watches them: what is being done, and how long each has taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console


@dataclass(frozen=True, slots=True)
class Step:
    """A finished step."""

    name: str
    seconds: float


@dataclass(slots=True)
class Steps:
    """The run so far."""

    console: Console
    done: list[Step] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        """Show a step while it runs; yields a function that says what part of it is being done."""
        started = time.monotonic()
        with self.console.status(name) as spinner:
            yield lambda part: spinner.update(f"{name}: {part}")
        taken = time.monotonic() - started
        self.done.append(Step(name, round(taken, 1)))
        self.console.print(f"  {taken:6.1f} s  {name}", highlight=False)

    @property
    def total(self) -> float:
        """Seconds of all steps."""
        return round(sum(step.seconds for step in self.done), 1)
