"""Leaks planted into lead tables: how many `contract infer` finds, and how many honest columns it accuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from benchmarks.bench import Bench, Suite
from benchmarks.row import Row, Section, at_least, at_most
from leadscore.contract.arrow import ArrowTable
from leadscore.contract.infer import infer_contract

if TYPE_CHECKING:
    import pyarrow as pa

Floats = npt.NDArray[np.float64]
Plant = Callable[[Floats, np.random.Generator], object]

_ROWS = (600, 1_500, 5_000)
_SEEDS = 10
_SUSPECTED = {"leak", "suspicious"}
_CREATED = "planted_created_at"


@dataclass(frozen=True, slots=True)
class LeadTable:
    """A table to plant into.

    Attributes:
        name: For the report.
        table: Honest columns and `y` (1, 0), nothing else.
        known: Columns of the real table that do tell the outcome, as its makers say.
    """

    name: str
    table: pa.Table
    known: frozenset[str] = frozenset()


def _flipped(share: float) -> Plant:
    return lambda y, rng: np.where(rng.random(len(y)) < share, 1 - y, y)


def _words(y: Floats, rng: np.random.Generator) -> list[str]:
    return [("Signed" if hit else str(rng.choice(["Out", "Budget"]))) for hit in y]


def _notes(y: Floats, rng: np.random.Generator) -> list[str | None]:
    filled = rng.random(len(y)) < np.where(y == 1, 0.5, 0.002)
    texts = [f"note {i % 30}" for i in range(len(y))]
    return [text if there else None for text, there in zip(texts, filled, strict=True)]


def _stage(y: Floats, rng: np.random.Generator) -> list[str]:
    closed = (y == 1) & (rng.random(len(y)) < 0.4)
    return ["Closed" if done else f"Stage {rng.integers(1, 6)}" for done in closed]


def _lost_reason(y: Floats, rng: np.random.Generator) -> list[str | None]:
    filled = (y == 0) & (rng.random(len(y)) < 0.6)
    return [f"reason {rng.integers(1, 7)}" if there else None for there in filled]


def _group_rate(y: Floats, rng: np.random.Generator) -> Floats:
    """The conversion rate of the lead's own small account, the lead itself counted."""
    groups = rng.integers(0, max(1, len(y) // 2), len(y))
    return (np.bincount(groups, weights=y) / np.maximum(np.bincount(groups), 1))[groups]


LEAKS: dict[str, Plant] = {
    "the outcome in other words": _words,
    "the outcome rescaled": lambda y, _: 100.0 - 40.0 * y,
    "a copy with 5 % of the rows of each kind flipped": _flipped(0.05),
    "a copy with noise": lambda y, rng: y + rng.normal(0.0, 0.55, len(y)),
    "both ends of a number": lambda y, rng: (
        np.where(y == 1, rng.choice([-4.0, 4.0], len(y)), 0.0) + rng.normal(0.0, 0.7, len(y))
    ),
    "filled in for converted leads only": lambda y, rng: [
        float(v) if hit else None for hit, v in zip(y, rng.normal(size=len(y)), strict=True)
    ],
    "notes after half of the sales": _notes,
    "one stage that means won": _stage,
    "a reason that lost leads have": _lost_reason,
    "an amount that only sales have": lambda y, rng: np.where(
        (y == 1) & (rng.random(len(y)) < 0.7), rng.lognormal(8.0, 1.0, len(y)), 0.0
    ),
    "the account's own rate, this lead counted": _group_rate,
    "a date after the lead's": lambda y, rng: (
        np.datetime64("2026-01-01", "us") + (rng.integers(0, 90, len(y)) * (y == 1)).astype("timedelta64[D]")
    ),
}


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    del wanted
    seeds = 2 if bench.effort.rounds <= 2 else _SEEDS
    found: dict[tuple[str, str], list[bool]] = {}
    accused: dict[str, list[bool]] = {}
    for lead_table in _tables(bench.bank_data.parent):
        bench.say(f"leaks: {lead_table.name}")
        for rows in _ROWS:
            for seed in range(seeds):
                judge_sample(lead_table, rows, seed, found, accused)
    hits = [hit for seen in found.values() for hit in seen]
    wrong = [hit for seen in accused.values() for hit in seen]
    names = list(accused)
    bench.sections.append(
        Section(
            "Leaks planted and found",
            ("leak", *names),
            (
                *((kind, *(_share(found[kind, name]) for name in names)) for kind in LEAKS),
                ("honest columns accused", *(_share(accused[name]) for name in names)),
            ),
            f"{len(_ROWS)} sizes ({', '.join(f'{n:,}' for n in _ROWS)} leads) × {seeds} samples per table.",
        )
    )
    how = f"{len(LEAKS)} kinds planted at once into samples of {len(names)} tables ({', '.join(names)})"
    return [
        Row(
            "leaks-found",
            "planted leaks that `contract infer` finds",
            100 * _mean(hits),
            "%",
            at_least(95),
            how=how,
        ),
        Row(
            "leaks-false",
            "honest columns that it suspects",
            100 * _mean(wrong),
            "%",
            at_most(2),
            beside=f"of {len(wrong):,} columns",
            how="the same samples' own columns",
        ),
    ]


def judge_sample(
    lead_table: LeadTable,
    rows: int,
    seed: int,
    found: dict[tuple[str, str], list[bool]],
    accused: dict[str, list[bool]],
) -> None:
    """Plant every kind into one sample of a table, and add to `found` and `accused` what infer says of it."""
    import pyarrow as pa  # noqa: PLC0415

    rng = np.random.default_rng([rows, seed])
    table = lead_table.table.take(np.sort(rng.permutation(lead_table.table.num_rows)[:rows]))
    y = table.column("y").to_numpy().astype(np.float64)
    planted = {f"planted {kind}": pa.array(plant(y, rng)) for kind, plant in LEAKS.items()}
    honest = [name for name in table.column_names if name != "y" and name not in lead_table.known]
    table = table.append_column("planted_id", pa.array([f"L{i:06}" for i in range(len(y))]))
    table = table.append_column(_CREATED, pa.array(np.full(len(y), np.datetime64("2026-01-01", "us"))))
    for name, column in planted.items():
        table = table.append_column(name, column)
    inference = infer_contract(
        cast("ArrowTable", table), target="y", id="planted_id", time=_CREATED, name="leaks"
    )
    suspected = {f.column for f in inference.findings if f.kind in _SUSPECTED}
    for kind in LEAKS:
        found.setdefault((kind, lead_table.name), []).append(f"planted {kind}" in suspected)
    accused.setdefault(lead_table.name, []).extend(name in suspected for name in honest)


def _tables(folder: Path) -> Iterator[LeadTable]:
    yield LeadTable("random", random_table(20_000))
    yield LeadTable("synthetic CRM", _synthetic())
    for name, target, won, left_out, known in (
        ("bank_marketing_2008_2010", "converted", ("1",), ("lead_id", "contact_month"), ()),
        ("online_shoppers_intention", "Revenue", ("1", "true", "TRUE", "True"), (), ("PageValues",)),
        ("crm_sales_pipeline", "deal_stage", ("Won",),
            ("opportunity_id", "engage_date", "close_date", "close_value"), ()),
    ):  # fmt: skip
        path = folder / f"{name}.csv"
        if path.exists():
            yield LeadTable(name.split("_")[0], _read(path, target, won, left_out), frozenset(known))


def _read(path: Path, target: str, won: tuple[str, ...], left_out: tuple[str, ...]) -> pa.Table:
    """A file's labelled leads, by Arrow's own reader.

    What is measured is the judging of columns, not of files.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.csv as pacsv  # noqa: PLC0415

    table = pacsv.read_csv(path)
    outcome = [str(value) for value in table.column(target).to_pylist()]
    table = table.drop_columns([target, *(c for c in left_out if c in table.column_names)])
    table = table.append_column("y", pa.array([int(value in won) for value in outcome]))
    return table.filter(pa.array([value not in ("Engaging", "Prospecting") for value in outcome]))


def _synthetic() -> pa.Table:
    from leadscore.data.synthetic.contract import synthetic_contract  # noqa: PLC0415
    from leadscore.data.synthetic.generator import generate  # noqa: PLC0415

    contract = synthetic_contract()
    table = generate(rows=30_000, seed=5, start=datetime(2026, 1, 1, tzinfo=UTC), months=6)
    known = table.filter(table.column(contract.target.column).is_valid())
    outcome = known.column(contract.target.column).cast("int64")
    return known.select([f.name for f in contract.features]).append_column("y", outcome)


def random_table(rows: int) -> pa.Table:
    """Columns of every kind, some of which tell something: the outcome follows a latent signal."""
    import pyarrow as pa  # noqa: PLC0415

    rng = np.random.default_rng(11)
    signal = rng.normal(size=rows)
    y = (rng.random(rows) < 1 / (1 + np.exp(2.2 - 1.4 * signal))).astype(int)
    weak = [signal + rng.normal(0.0, spread, rows) for spread in (0.5, 1.0, 2.0)]
    noise = {f"noise {i}": rng.normal(size=rows) for i in range(8)}
    groups = {f"group {i}": [f"g{v}" for v in rng.integers(0, 5 * (i + 1), rows)] for i in range(8)}
    gaps = {
        f"gaps {i}": [None if rng.random() < 0.1 * i else float(v) for v in rng.normal(size=rows)]
        for i in range(1, 8)
    }
    counts = {f"count {i}": rng.poisson(np.exp(0.3 * weak[i % 3])) for i in range(6)}
    told = {f"signal {i}": values for i, values in enumerate(weak)}
    return pa.table(told | noise | groups | gaps | counts | {"y": y})


def _mean(seen: list[bool]) -> float:
    return sum(seen) / len(seen)


def _share(seen: list[bool]) -> str:
    return f"{_mean(seen):.1%}"


SUITES = (Suite(("leaks-found", "leaks-false"), _measure),)
