"""Random histories of a store, after which roll-ups must equal a full recount.

`python -m tests.support.histories 10000 [--url postgresql://…]` tries as many as are asked for.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.events import prediction
from tests.support.recount import (
    CELLS,
    CONTRACT,
    HOUR,
    Numbers,
    differences,
    recount,
    recount_leads,
    rolled_up,
    stored_leads,
    stored_records,
)

from leadscore.events.records import Outcome, Prediction
from leadscore.events.retention import retain
from leadscore.events.store import EventStore
from leadscore.monitoring.rollups.counting import Uncounted, VersionView
from leadscore.monitoring.rollups.worker import RollupWorker

# A turn of a month: retention removes what is before it.
TURN = int(datetime(2026, 2, 1, tzinfo=UTC).timestamp() * 1e6)
_BEFORE, _AFTER = 2, 3
_TABLES = (
    *("predictions", "outcomes", "rollup_pending", "rollup_dirty", "rollup_counted", "rollup_unprofiled"),
    *("rollup_hours", "rollup_features", "rollup_latencies", "rollup_progress", "lead_scores"),
)


@dataclass(frozen=True)
class Append:
    """Records that come together; some may be known already."""

    predictions: list[Prediction]
    outcomes: list[Outcome]


@dataclass(frozen=True)
class RollUp:
    """The worker runs; it is killed before a statement (0: it is not), and records come while it counts."""

    killed_before: int
    meanwhile: Append | None


@dataclass(frozen=True)
class Retain:
    """Everything is counted, and then the month before the turn is removed."""


Step = Append | RollUp | Retain

_moments = st.integers(-_BEFORE * 4, _AFTER * 4).map(lambda quarter: TURN + quarter * HOUR // 4)
_leads = st.sampled_from(["L-1", "L-2"])
_ids = st.integers(0, 5).map(lambda number: f"p{number}")


@st.composite
def _predictions(draw: st.DrawFn) -> Prediction:
    row = np.array(
        [
            draw(st.sampled_from([0.5, 1.0, 1.5, 9.0, np.nan])),
            draw(st.sampled_from([0.0, 1.0, np.nan])),
            draw(st.sampled_from([0.0, 1.0])),
        ],
        dtype="<f4",
    )
    found = prediction(
        draw(_ids),
        draw(_leads),
        scored_at=draw(_moments),
        role=draw(st.sampled_from(["champion", "champion", "champion", "shadow", "batch"])),
        model_version=draw(st.sampled_from(["7", "8"])),
        model_name=draw(st.sampled_from(["crm", "crm", "crm", "other"])),
        contract_version=draw(st.sampled_from([CONTRACT, CONTRACT, CONTRACT, "older"])),
        probability=draw(st.sampled_from([0.001, 0.1, 0.2, 0.5, 0.61, 1.0])),
        features=row.tobytes(),
        latency_us=draw(st.sampled_from([None, 84, 100, 5_000, 20_000_000])),
        source=draw(st.sampled_from(["", "api", "batch"])),
    )
    return _graded(found, draw(st.sampled_from("AB")))


def _graded(found: Prediction, grade: str) -> Prediction:
    return msgspec.structs.replace(found, grade=grade)


@st.composite
def _outcomes(draw: st.DrawFn) -> Outcome:
    return Outcome(
        draw(st.integers(0, 7).map(lambda number: f"o{number}")),
        draw(_leads),
        draw(st.none() | _ids | _ids),
        draw(st.booleans()),
        draw(st.sampled_from([None, 0.0, 12.5])),
        draw(_moments),
        draw(_moments),
        "test",
    )


_appends = st.builds(Append, st.lists(_predictions(), max_size=3), st.lists(_outcomes(), max_size=2))
_whole_round = st.just(RollUp(0, None))
_roll_ups = st.builds(RollUp, st.sampled_from([0, 0, *range(1, 40)]), st.none() | _appends)


@st.composite
def _named_across_leads(draw: st.DrawFn) -> list[Step]:
    """An outcome names the prediction of another lead, and comes before or after it.

    Until it comes, the outcome belongs to what its own lead was scored with.
    """
    change = msgspec.structs.replace
    number = draw(st.integers(10, 99))
    early, late = sorted((draw(_moments), draw(_moments)))
    own = change(draw(_predictions()), prediction_id=f"p{number}", lead_id="L-1", scored_at=early)
    named = change(
        draw(_predictions()),
        prediction_id=f"q{number}",
        lead_id="L-2",
        model_name=own.model_name,
        role=own.role,
    )
    told = change(
        draw(_outcomes()),
        outcome_id=f"o{number}",
        lead_id="L-1",
        prediction_id=named.prediction_id,
        occurred_at=late,
    )
    first, last = Append([own], [told]), Append([named], [])
    if draw(st.booleans()):
        first, last = Append([own, named], []), Append([], [told])
    return [first, RollUp(0, None), last]


_one = st.one_of(_appends, _appends, _appends, _whole_round, _whole_round, _roll_ups, st.just(Retain()))
_several = st.one_of(_one.map(lambda step: [step]), _one.map(lambda step: [step]), _named_across_leads())
HISTORIES = st.lists(_several, min_size=1, max_size=6).map(
    lambda parts: [step for part in parts for step in part]
)


class Killed(BaseException):
    """The process is gone."""


@dataclass
class World:
    """A store and what must be true of it.

    Attributes:
        store: Emptied before each history.
        frozen: Rows of hours that retention gave up, as they were then; None before that.
    """

    store: EventStore
    frozen: dict[str, Numbers] | None = None
    _left: int = field(default=0)

    def play(self, history: list[Step]) -> None:
        """Do a history, then compare."""
        self._clear()
        for step in history:
            self._do(step)
        self._roll_up(lambda: None)
        self._compare()

    def _do(self, step: Step) -> None:
        if isinstance(step, Append):
            self.store.append(step.predictions, step.outcomes)
        elif isinstance(step, RollUp):
            more = [step.meanwhile] if step.meanwhile is not None else []

            def meanwhile() -> None:
                if more:
                    self._do(more.pop())

            try:
                with self._killed_before(step.killed_before):
                    self._roll_up(meanwhile)
            except Killed:
                pass
        elif self.frozen is None:
            self._roll_up(lambda: None)
            found = rolled_up(self.store)
            self.frozen = _rows(found, lambda hour: hour < TURN)
            retain(self.store, TURN)

    def _roll_up(self, meanwhile: Callable[[], None]) -> None:
        def cells_of(name: str, version: str) -> VersionView:
            meanwhile()
            return _cells_of(name, version)

        assert RollupWorker(self.store, cells_of).run(seconds=600).caught_up

    def _compare(self) -> None:
        everything = stored_records(self.store)
        wanted, found = recount(everything, _cells_of), rolled_up(self.store)
        leads, wanted_leads = stored_leads(self.store), recount_leads(everything)
        if self.frozen is not None:
            assert differences(_rows(found, lambda hour: hour < TURN), self.frozen) == []
            found, wanted = (_rows(rows, lambda hour: hour >= TURN) for rows in (found, wanted))
            # Of what a lead was given in removed months, the newest answer still tells.
            leads, wanted_leads = ({k: v[:6] for k, v in of.items()} for of in (leads, wanted_leads))
        assert differences(found, wanted) == []
        assert leads == wanted_leads

    def _clear(self) -> None:
        self.frozen = None
        with self.store.writing() as connection:
            for table in _TABLES:
                connection.exec_driver_sql(f"DELETE FROM {table}")

    @contextmanager
    def _killed_before(self, statement: int) -> Iterator[None]:
        left = iter(range(statement - 1, -1, -1))

        def count(*_: object) -> None:
            if statement and next(left, None) == 0:
                raise Killed

        sa.event.listen(sa.Engine, "before_cursor_execute", count)
        try:
            yield
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", count)


def _cells_of(name: str, version: str) -> VersionView:
    return CELLS if version == "7" else Uncounted("no profile")


def _rows(of: dict[str, Numbers], wanted: Callable[[int], bool]) -> dict[str, Numbers]:
    return {
        name: {key: row for key, row in rows.items() if isinstance(key[0], int) and wanted(key[0])}
        for name, rows in of.items()
    }


def main(arguments: list[str]) -> int:
    """Try many histories; the first one after which something differs is printed as small as it gets."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.histories", description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--url", help="a PostgreSQL database that may be emptied; SQLite without it")
    given_arguments = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as folder,
        EventStore(given_arguments.url or f"sqlite:///{Path(folder) / 'events.db'}") as store,
    ):
        world, done = World(store), 0

        @settings(
            max_examples=given_arguments.count,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(HISTORIES)
        def every(history: list[Step]) -> None:
            nonlocal done
            world.play(history)
            done += 1

        every()
    sys.stdout.write(f"{done} histories, each equal to its recount\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
