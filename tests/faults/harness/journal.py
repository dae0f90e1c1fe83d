"""What a sweep found, one line per replay as it ends.

A sweep that is cut still says which points were replayed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table
from tests.faults.harness.scenario import WAYS, Outcome
from tests.faults.harness.sweep import describe, kind


@dataclass(frozen=True, slots=True)
class Record:
    """One replay.

    Attributes:
        scenario: Its name.
        trouble: What went wrong, in words; "undisturbed" if nothing.
        kind: The row of the table.
        reached: Whether the trouble happened.
        ways: How promises were broken.
        problems: In sentences, with the ends of the operators' logs.
        seconds: How long it took.
        planned: Of the undisturbed replay: how many faults there are to replay.
    """

    scenario: str
    trouble: str
    kind: str
    reached: bool
    ways: tuple[str, ...]
    problems: tuple[str, ...]
    seconds: float
    planned: int = 0


def record(scenario: str, outcome: Outcome, planned: int = 0) -> Record:
    """An outcome as a line."""
    name = kind(outcome.faults) if outcome.faults else "undisturbed"
    ways = tuple(way for way in WAYS if way in outcome.ways)
    return Record(
        scenario, describe(outcome.faults), name, outcome.reached, ways, outcome.problems,
        round(outcome.seconds, 2), planned
    )  # fmt: skip


class Journal:
    """The file of records; lines are only ever added."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        file.parent.mkdir(parents=True, exist_ok=True)

    def add(self, found: Record) -> None:
        """Write one line."""
        with self._lock, self._file.open("a") as lines:
            lines.write(json.dumps(asdict(found)) + "\n")

    def read(self) -> list[Record]:
        """Every line so far; none if there is no file."""
        if not self._file.exists():
            return []
        found: list[Record] = []
        for line in self._file.read_text().splitlines():
            fields = json.loads(line)
            found.append(
                Record(**{**fields, "ways": tuple(fields["ways"]), "problems": tuple(fields["problems"])})
            )
        return found


def newest(records: Iterable[Record]) -> list[Record]:
    """The last replay of every point."""
    return list({(r.scenario, r.trouble): r for r in records}.values())


def table(records: Sequence[Record], *, kinds: bool = True) -> Table:
    """Scenario × kind of fault: replays, how many reached their fault, how many broke which promise.

    Args:
        records: As read.
        kinds: False: only one row per scenario.
    """
    shown = Table("scenario", "fault", "points", "replayed", "reached", *WAYS, title="Fault sweep")
    faulty = [r for r in newest(records) if r.trouble != "undisturbed"]
    for scenario in dict.fromkeys(r.scenario for r in records):
        own = [r for r in faulty if r.scenario == scenario]
        for name in dict.fromkeys(r.kind for r in own) if kinds else ():
            shown.add_row(scenario, name, "", *_counts([r for r in own if r.kind == name]))
        planned = max((r.planned for r in records if r.scenario == scenario), default=0)
        shown.add_row(scenario, "all", str(max(planned, len(own))), *_counts(own), style="bold")
    return shown


def _counts(records: Sequence[Record]) -> list[str]:
    broken = [sum(way in r.ways for r in records) for way in WAYS]
    return [str(n) for n in (len(records), sum(r.reached for r in records), *broken)]
