"""Complaints about the synthetic CRM: stores in which one thing went wrong, and what an investigation says.

`python -m benchmarks.complaints docs/investigations` writes one report per fault.
"""

from __future__ import annotations

import sys
import tempfile
import textwrap
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from leadscore.contract import Categorical, contract_version
from leadscore.data.matrix import encode_table
from leadscore.data.synthetic import Scenario, ScenarioName, generate, synthetic_contract
from leadscore.events.records import Outcome, Prediction
from leadscore.events.store import EventStore
from leadscore.investigation.document import Cause, InvestigationReport
from leadscore.investigation.models import ModelShelf
from leadscore.investigation.report import report_markdown
from leadscore.investigation.request import InvestigationRequest
from leadscore.investigation.run import investigate_model
from leadscore.monitoring.model_facts import find_model_facts
from leadscore.monitoring.queries.ranges import HourRange
from leadscore.monitoring.rollups.cells import VersionCells
from leadscore.monitoring.rollups.worker import RollupWorker
from leadscore.registry.store import ModelRegistry
from leadscore.scoring.grades import GRADES, scores_of
from leadscore.scoring.model import ScoringModel
from leadscore.settings import Home
from leadscore.training.options import TrainOptions
from leadscore.training.pipeline import train

if TYPE_CHECKING:
    import pyarrow as pa

Fault = ScenarioName | Literal["bad_version", "outcomes_stopped", "sent_twice"]

MODEL: Final = "leads"
ASKED_AT: Final = datetime(2026, 9, 1, tzinfo=UTC)
# The fault begins with the span that is complained about.
SINCE: Final = ASKED_AT - timedelta(days=77)
_START: Final = SINCE - timedelta(days=84)
_LEADS: Final = 12_000
_TRAINED_FROM: Final = datetime(2025, 6, 1, tzinfo=UTC)
_DAY_US: Final = 86_400_000_000
_MONTH: Final = timedelta(days=365.25 / 12)

# The cause that each fault is to be named as.
EXPECTED: Final[dict[Fault, frozenset[Cause]]] = {
    "covariate_shift": frozenset({"data_drift"}),
    "concept_drift": frozenset({"concept_drift"}),
    "bad_version": frozenset({"model"}),
    "pipeline_bug": frozenset({"integration"}),
    "outcomes_stopped": frozenset({"integration"}),
    "no_drift": frozenset({"no_fault"}),
    "new_categories": frozenset({"data_drift"}),
    "missingness": frozenset({"integration"}),
    "prior_shift": frozenset({"concept_drift"}),
    "sent_twice": frozenset({"integration"}),
}
# Of these the benchmark reports how many are named right.
CAUSES_BENCHED: Final[tuple[Fault, ...]] = (
    "covariate_shift", "concept_drift", "bad_version", "pipeline_bug", "outcomes_stopped", "no_drift",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ComplaintWorld:
    """Two versions in the cache of a home: a sound one, and one that was trained on broken leads."""

    home: Home
    registry: ModelRegistry

    @classmethod
    def build(cls, folder: Path) -> ComplaintWorld:
        """Train both versions."""
        # Nobody answers there: what is cached needs no registry.
        home = Home(folder, "http://127.0.0.1:9", f"sqlite:///{folder / 'events.db'}")
        for version, scenarios in (
            (1, ()), (2, (Scenario("pipeline_bug", _TRAINED_FROM), Scenario("concept_drift", _TRAINED_FROM))),
        ):  # fmt: skip
            table = generate(
                rows=16_000, seed=900 + version, start=_TRAINED_FROM, months=8, scenarios=scenarios
            )
            options = TrainOptions(name=MODEL, trials=3, folds=2, seed=1, threads=1, algorithms=("xgboost",))
            train(table, synthetic_contract(), options, out=home.models / MODEL / str(version))
        return cls(home, ModelRegistry(home))

    def model(self, version: int) -> ScoringModel:
        """A version, as a service would have it."""
        return ScoringModel.load(self.home.models / MODEL / str(version))


def investigate_fault(
    world: ComplaintWorld, fault: Fault, seed: int, url: str, *, leads: int = _LEADS
) -> InvestigationReport:
    """Fill a store with leads among which the fault happens, count them, and investigate."""
    with EventStore(url) as store:
        fill(store, world, fault, seed, leads)
        cells = VersionCells(partial(find_model_facts, world.registry))
        RollupWorker(store, cells).run(seconds=600.0)
        request = InvestigationRequest(model=MODEL, time=HourRange(SINCE, ASKED_AT), asked_at=ASKED_AT)
        return investigate_model(store, world.registry, ModelShelf(world.registry), request)


def fill(store: EventStore, world: ComplaintWorld, fault: Fault, seed: int, leads: int = _LEADS) -> None:
    """Store what the service would have stored."""
    scenarios = [] if fault in {"no_drift", "bad_version", "outcomes_stopped", "sent_twice"} else [
        Scenario(fault, SINCE)  # pyright: ignore[reportArgumentType]
    ]  # fmt: skip
    table = generate(
        rows=leads, seed=seed, start=_START, months=(ASKED_AT - _START) / _MONTH, scenarios=scenarios,
        as_of=ASKED_AT,
    )  # fmt: skip
    at = _sent_at(table)
    since = int(SINCE.timestamp() * 1e6)
    before = table.slice(0, int(np.searchsorted(at, since)))
    after = table.slice(len(before))
    rng = np.random.default_rng(seed)
    _store(store, world.model(1), "1", before, rng)
    version = 2 if fault == "bad_version" else 1
    _store(
        store, world.model(version), str(version), after, rng, twice=0.3 if fault == "sent_twice" else 0.0,
        until=since + 10 * 86_400_000_000 if fault == "outcomes_stopped" else None,
    )  # fmt: skip
    if fault == "outcomes_stopped":
        return


def _store(
    store: EventStore, model: ScoringModel, version: str, table: pa.Table, rng: np.random.Generator, *,
    twice: float = 0.0, until: int | None = None,
) -> None:  # fmt: skip
    matrix = encode_table(model.contract, table)
    probabilities = model.score_rows(matrix)
    grades, scores = model.grades.codes(probabilities).tolist(), scores_of(probabilities).tolist()
    at = _sent_at(table).tolist()
    ids = table.column("lead_id").to_pylist()
    warned = _warnings(model, table, matrix)
    hashed = contract_version(model.contract)
    predictions = [
        Prediction(
            f"{version}-{ids[i]}", ids[i], MODEL, version, hashed, "champion", at[i], p, scores[i],
            GRADES[grades[i]], matrix[i].tobytes(), source="api", warnings=warned[i],
        )
        for i, p in enumerate(probabilities.tolist())
    ]  # fmt: skip
    again = [
        Prediction(
            f"{one.prediction_id}-again", one.lead_id, MODEL, version, hashed, "champion",
            one.scored_at + 30_000_000, one.probability, one.score, one.grade, one.features, source="api",
            warnings=one.warnings,
        )
        for one in predictions
        if rng.random() < twice
    ]  # fmt: skip
    outcomes = [o for o in _outcomes(table) if until is None or o.recorded_at < until]
    for first in range(0, max(len(predictions), len(outcomes)), 5_000):
        store.append(predictions[first : first + 5_000], outcomes[first : first + 5_000])
    if again:
        store.append(again, [])


def _sent_at(table: pa.Table) -> np.ndarray:
    """The CRM sends the leads of a day in the first hour of the next: there is less to count."""
    created = table.column("created_at").to_numpy().astype("datetime64[us]").astype(np.int64)
    return (created // _DAY_US + 1) * _DAY_US + created % _DAY_US // 24


def _warnings(model: ScoringModel, table: pa.Table, matrix: np.ndarray) -> list[tuple[str, ...]]:
    """Categories that are not listed and numbers out of range, as the service flags them."""
    found: list[list[str]] = [[] for _ in range(len(matrix))]
    for column, feature in enumerate(model.contract.inputs):
        if isinstance(feature, Categorical):
            there = np.array([value is not None for value in table.column(feature.name).to_pylist()])
            for row in np.flatnonzero(there & np.isnan(matrix[:, column])).tolist():
                found[row].append(f"{feature.name}:unseen_category")
        elif (limits := getattr(feature, "range", None)) is not None:
            low, high = (
                np.inf * side if end is None else end for end, side in zip(limits, (-1, 1), strict=True)
            )
            outside = (matrix[:, column] < low) | (matrix[:, column] > high)
            for row in np.flatnonzero(outside).tolist():
                found[row].append(f"{feature.name}:out_of_range")
    return [tuple(warnings) for warnings in found]


def _outcomes(table: pa.Table) -> Iterator[Outcome]:
    told = table.column("outcome_known_at").to_numpy().astype("datetime64[us]").astype(np.int64)
    ids, converted = table.column("lead_id").to_pylist(), table.column("converted").to_pylist()
    revenue = table.column("revenue").to_pylist()
    for lead, won, at, value in zip(ids, converted, told.tolist(), revenue, strict=True):
        if won is not None:
            yield Outcome(f"o-{lead}", lead, None, bool(won), value, at, at, "crm")


@contextmanager
def scratch_store() -> Generator[str]:
    """URL of an embedded store that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="leadscore-complaint-") as folder:
        yield f"sqlite:///{Path(folder) / 'events.db'}"


def write_report(world: ComplaintWorld, fault: Fault, folder: Path) -> InvestigationReport:
    """Investigate one fault, and write what was found as a document."""
    with scratch_store() as url:
        report = investigate_fault(world, fault, 100, url)
    path = folder / f"{fault.replace('_', '-')}.md"
    path.write_text(_wrapped(report_markdown(report)), encoding="utf-8")
    return report


def _wrapped(text: str) -> str:
    """Paragraphs and items in lines of at most 118 characters, as in all documents."""
    lines: list[str] = []
    for line in text.splitlines():
        if len(line) <= 118 or line.startswith(("|", "#")):
            lines.append(line)
        else:
            indent = "  " if line.startswith("- ") else ""
            lines += textwrap.wrap(line, 118, subsequent_indent=indent, break_long_words=False)
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write one report per kind of fault, and one of calm leads, into a folder."""
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="leadscore-complaints-") as scratch:
        world = ComplaintWorld.build(Path(scratch))
        for fault in CAUSES_BENCHED:
            report = write_report(world, fault, folder)
            print(f"{fault}: {report.cause} ({report.certainty})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
