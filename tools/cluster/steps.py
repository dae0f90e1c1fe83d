"""Steps as a person watches them: what is being done, and how long it takes."""

from __future__ import annotations

import threading
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
    """The run so far.

    Attributes:
        console: Where people watch. On a terminal one line is kept up to date; elsewhere
            (a CI job's log) lines are added.
        done: Finished steps.
        every: Seconds between such lines.
    """

    console: Console
    done: list[Step] = field(default_factory=list)
    every: float = 20.0

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        """Show a step while it runs; yields a function that says what part of it is being done."""
        started = time.monotonic()
        part, ended = "", threading.Event()

        def on_part(text: str) -> None:
            nonlocal part
            part = text

        def shown() -> str:
            return f"{name}{part and ': '}{part} ({elapsed(time.monotonic() - started)})"

        def watch() -> None:
            with self.console.status(shown()) as spinner:
                while not ended.wait(1.0 if self.console.is_terminal else self.every):
                    if self.console.is_terminal:
                        spinner.update(shown())
                    else:
                        self.console.print(f"  …  {shown()}", highlight=False, markup=False)

        watcher = threading.Thread(target=watch, name="progress", daemon=True)
        watcher.start()
        try:
            yield on_part
        finally:
            ended.set()
            watcher.join()
        taken = time.monotonic() - started
        self.done.append(Step(name, round(taken, 1)))
        self.console.print(f"  {taken:6.1f} s  {name}", highlight=False)

    @property
    def total(self) -> float:
        """Seconds of all steps."""
        return round(sum(step.seconds for step in self.done), 1)


def elapsed(seconds: float) -> str:
    """A length of time as people say it: `45 s`, `3 min 20 s`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
