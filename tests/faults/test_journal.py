"""A sweep's lines say what was replayed, also when it was cut; the newest replay of a point counts."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from tests.faults.harness.calls import Point
from tests.faults.harness.faults import Answer, ClockStep, Event, Kill, LostReply, Stale
from tests.faults.harness.journal import Journal, Record, newest, table
from tests.faults.harness.sweep import rank

LATE = Record("toy", "kill before a #1", "kill before", True, ("late",), ("did not end",), 90.0)
FINE = replace(LATE, ways=(), problems=(), seconds=2.0)
UNDISTURBED = Record("toy", "undisturbed", "undisturbed", True, (), (), 2.0, planned=40)
WRITE, READ = Point("create jobs.batch", 1), Point("list jobs.batch", 1)


def shown(records: list[Record]) -> list[str]:
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(table(records, kinds=False))
    return next(line for line in console.export_text().splitlines() if "toy" in line).split()


def test_lines_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "build" / "faults.jsonl")
    assert journal.read() == []
    for line in (UNDISTURBED, LATE):
        journal.add(line)
    assert journal.read() == [UNDISTURBED, LATE]


def test_the_newest_replay_of_a_point_counts() -> None:
    assert newest([LATE, UNDISTURBED, FINE]) == [FINE, UNDISTURBED]


def test_a_cut_sweep_says_how_many_points_there_are_and_how_many_were_replayed() -> None:
    other = replace(FINE, trouble="kill after a #1", kind="kill after", reached=False)
    row = [word for word in shown([UNDISTURBED, LATE, other]) if word.isdigit()]
    assert row == ["40", "2", "1", "1", "0", "0", "0"], (
        "points, replayed, reached, late, another end, doubled, forbidden"
    )


def test_what_loses_and_doubles_most_easily_is_replayed_first() -> None:
    stale = Stale(Point("list jobs.batch", 2), times=3)
    order = [
        (Kill(WRITE, "after"),), (LostReply(WRITE, "reset"), stale), (Kill(READ, "before"),),
        (Event("jobs.batch", 1, "drop"),),
        (Answer(WRITE, 409),), (Answer(READ, 500),), (Kill(READ, "after"),), (ClockStep(READ, 3600),),
    ]  # fmt: skip
    assert sorted(order, key=rank) == order
    assert rank((Kill(WRITE, "before"),)) < rank((Kill(READ, "before"),)) < rank((ClockStep(READ, -3600),))
