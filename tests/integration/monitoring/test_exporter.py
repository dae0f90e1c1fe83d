"""Prometheus is told what the pages show, and what is not known."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from tests.support.events import outcome, prediction
from tests.support.recount import CELLS, CONTRACT, PROFILE

from leadscore.contract import Boolean, Categorical, FeatureContract, Numeric, Target
from leadscore.errors import UnavailableError
from leadscore.events.records import now_us
from leadscore.events.store import EventStore
from leadscore.lake.table import LakeTable, table_uri
from leadscore.monitoring.exporter import OUTCOME_WINDOW, ModelMetricsExporter
from leadscore.monitoring.model_facts import ModelFacts
from leadscore.monitoring.model_metrics import publish_model_metrics
from leadscore.monitoring.queries.freshness import read_freshness
from leadscore.monitoring.queries.quality import read_quality
from leadscore.monitoring.queries.ranges import HourRange, Selection
from leadscore.monitoring.rollups.worker import RollupWorker
from leadscore.scoring.grades import Grades

DAY = 86_400_000_000
FACTS = ModelFacts(
    name="crm",
    version="7",
    contract=FeatureContract(
        name="leads",
        id="id",
        target=Target(column="won"),
        features=(
            Numeric(name="budget"),
            Categorical(name="source", categories=("web", "fair")),
            Boolean(name="vip"),
        ),
    ),
    profile=msgspec.structs.replace(
        PROFILE,
        rows=10_000,
        features=tuple(
            msgspec.structs.replace(f, counts=tuple(1_000 * n for n in f.counts), missing=1_000 * f.missing)
            for f in PROFILE.features
        ),
        score_counts=(4_000, 3_000, 3_000),
    ),
    grades=Grades(a=0.5, b=0.3, c=0.1),
    threshold=0.5,
    metrics={},
    holdout=None,
)
Samples = dict[tuple[str, ...], float]
"""By the values of labels, in the order of their names."""


def scrape(exporter: ModelMetricsExporter) -> dict[str, Samples]:
    class Collected(Collector):
        def collect(self):
            return exporter.metrics()

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collected())
    text = generate_latest(registry).decode()
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(text)
    }


@pytest.fixture
def filled(store: EventStore) -> EventStore:
    rng, now = np.random.default_rng(1), now_us()
    scored, told = [], []
    for number in range(1200):
        at = now - 70 * DAY + number * DAY // 800 if number < 700 else now - DAY // 2
        p = float(rng.beta(1, 3))
        row = np.array([rng.uniform(0, 3), rng.integers(2), rng.integers(2)], dtype="<f4").tobytes()
        scored.append(
            prediction(f"p{number}", f"L-{number}", scored_at=at, probability=p, features=row,
                       contract_version=CONTRACT)
        )  # fmt: skip
        if number < 650:
            won = bool(rng.random() < p)
            told.append(
                outcome(f"o{number}", f"L-{number}", converted=won, value=10.0 if won else 0.0,
                        occurred_at=at + DAY, recorded_at=at + 2 * DAY)
            )  # fmt: skip
    store.append(scored, told)
    assert RollupWorker(store, lambda _name, _version: CELLS).run(seconds=60).caught_up
    return store


def test_the_numbers_are_those_of_the_queries(filled: EventStore) -> None:
    exporter = ModelMetricsExporter(filled, lambda _name, _version: FACTS)
    exporter.refresh()
    found = scrape(exporter)
    key = ("crm", "7", "champion")
    with filled.reading() as connection:
        selection = Selection(model="crm", time=HourRange.last(OUTCOME_WINDOW, datetime.now(UTC)))
        (quality,) = read_quality(connection, selection, read_freshness(connection), {"7": FACTS})
    for name in ("auc", "precision", "recall", "f1", "brier", "expected_auc"):
        measure = getattr(quality, name)
        assert found[f"leadscore_model_{name}"] == {key: pytest.approx(measure.value)}
        assert found[f"leadscore_model_{name}_low"] == (
            {} if measure.low is None else {key: pytest.approx(measure.low)}
        )
    assert found["leadscore_model_label_completeness"][key] == pytest.approx(650 / 700)
    assert 0 < found["leadscore_model_conversion_rate"][key] < 1
    assert found["leadscore_model_revenue_per_lead"][key] > 0
    assert {feature for feature, *_ in found["leadscore_feature_psi"]} == {"budget", "source", "vip", "score"}


def test_what_is_not_known_is_absent_and_says_why(store: EventStore) -> None:
    exporter = ModelMetricsExporter(store, lambda _name, _version: None)
    unknown = "leadscore_model_measure_unknown"
    assert scrape(exporter)[unknown] == {("all", "", "", "The event store could not be read.", ""): 1}
    exporter.refresh()
    ((what, _, _, why, _),) = scrape(exporter)[unknown]
    assert (what, why) == ("all", "Nothing has been counted yet. Start `leadscore monitor`.")
    store.append([prediction("p1", scored_at=now_us() - DAY)], [])
    RollupWorker(store, lambda _name, _version: CELLS).run()
    exporter.refresh()
    found = scrape(exporter)
    assert found.get("leadscore_model_auc", {}) == {}
    reasons = {labels[0]: labels[3] for labels in found[unknown]}
    assert {"auc", "conversion_rate", "drift"} <= reasons.keys()
    assert reasons["drift"] == "The version's profile cannot be had."
    assert not any(any(map(str.isdigit, why)) for why in reasons.values()), "a series each time they change"


def test_numbers_that_cannot_be_read_again_go(filled: EventStore) -> None:
    now = [0.0]
    clock: Callable[[], float] = lambda: now[0]  # noqa: E731
    exporter = ModelMetricsExporter(filled, lambda _name, _version: FACTS, monotonic=clock)
    exporter.refresh()
    now[0] = timedelta(minutes=3).total_seconds()
    found = scrape(exporter)
    assert "leadscore_model_auc" not in found
    assert list(found["leadscore_model_measure_unknown"]) == [
        ("all", "", "", "The event store could not be read.", "")
    ]


def test_the_lake_gets_a_days_figures_once(filled: EventStore, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    done = [
        publish_model_metrics(filled, str(tmp_path), lambda _name, _version: FACTS, now) for _ in range(2)
    ]
    assert [each.repeated for each in done] == [False, True]
    table = LakeTable(table_uri(str(tmp_path), "model_metrics"))
    rows = [row for batch in table.read() for row in batch.to_pylist()]
    by_measure = {row["measure"]: row for row in rows}
    exporter = ModelMetricsExporter(filled, lambda _name, _version: FACTS)
    exporter.refresh()
    found = scrape(exporter)
    for name in ("auc", "conversion_rate", "brier"):
        ((_, value),) = found[f"leadscore_model_{name}"].items()
        assert by_measure[name]["value"] == pytest.approx(value)
        assert by_measure[name]["unknown"] == ""
    assert by_measure["conversion_rate"]["completeness"] == pytest.approx(650 / 700)


def test_nothing_is_written_while_nobody_counts(store: EventStore, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="Start `leadscore monitor`"):
        publish_model_metrics(store, str(tmp_path), lambda _name, _version: None, datetime.now(UTC))
    assert LakeTable(table_uri(str(tmp_path), "model_metrics")).version() is None
