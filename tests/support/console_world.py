"""What there is to see on a console: two versions, ten days of leads, roll-ups, and a release that asks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import numpy as np
import sqlalchemy as sa
from flask import Flask
from tests.support.artefacts import build_artefact, sample_contract, sample_labels, sample_matrix
from tests.support.scored_leads import no_models
from werkzeug.serving import make_server

from leadscore.contract import contract_version
from leadscore.crm.choose import choose_scores
from leadscore.crm.endpoints import add_endpoint, find_endpoint, read_key
from leadscore.events.records import Evidence, Outcome, Prediction
from leadscore.events.store import EventStore
from leadscore.identity.approvers import Approvers
from leadscore.identity.caller import Caller
from leadscore.intervals import Estimate
from leadscore.monitoring.model_facts import find_model_facts
from leadscore.monitoring.rollups.cells import VersionCells
from leadscore.monitoring.rollups.worker import RollupWorker
from leadscore.outbox.tables import outbox
from leadscore.registry.store import ModelRegistry
from leadscore.release import approval
from leadscore.release.evidence import binding_for, record_report
from leadscore.release.replay import replay as replay_requests
from leadscore.scoring.model import ScoringModel
from leadscore.settings import Home
from leadscore.training.verdict import Check, GateThresholds, GateVerdict

# Shown as text wherever it stands, or the tests that look for its effect fail.
HOSTILE = '<img src=x onerror="window.hacked=1">\'L-1&amp;'
_DAYS, _ROWS = 10, 900


def make_world(root: Path) -> Home:
    """Everything, in one folder."""
    home = Home.from_environment({"LEADSCORE_HOME": str(root / "home")})
    registry = ModelRegistry(home)
    for version, trees, rows, alias in ((1, 8, 800, "champion"), (2, 60, 3000, "challenger")):
        folder = build_artefact(root / f"artefact-{version}", seed=0, trees=trees, rows=rows)
        registry.publish(folder, "leads", alias=alias)
    champion = ScoringModel.load(registry.fetch("leads/1"))
    registry.fetch("leads/2")
    now = datetime.now(UTC)
    with EventStore(home.events_url) as store:
        _log(store, champion, now)
        _release(store, registry, Approvers(home.api_keys), now)
        roll_up(home, store)
        _give_up(home, store, now)
    return home


def _give_up(home: Home, store: EventStore, now: datetime) -> None:
    """A webhook endpoint that is told of scores, and one score that it never took."""
    at = int(now.timestamp() * 1e6)
    ada = Caller("key", "ada.lovelace", "")
    add_endpoint(store, read_key(home, {}, make=True), "crm-hook", "https://crm.example.com/hooks", ada, at)
    with store.reading() as connection:
        target = find_endpoint(connection, "crm-hook").subscriber
    choose_scores(store, target, no_models, lambda: at, steps=1)
    with store.writing() as connection:
        first = sa.select(sa.func.min(outbox.c.number)).scalar_subquery()
        lost = sa.update(outbox).where(outbox.c.number == first)
        connection.execute(lost.values(state="dead", settled_at=at, last_error=f"HTTP 500 {HOSTILE}"))


def roll_up(home: Home, store: EventStore) -> None:
    """Count what is stored."""
    registry = ModelRegistry(home)
    cells = VersionCells(lambda name, version: find_model_facts(registry, name, version))
    assert RollupWorker(store, cells).run().caught_up


def _log(store: EventStore, model: ScoringModel, now: datetime) -> None:
    contract = sample_contract()
    matrix = sample_matrix(contract, _ROWS, seed=99)
    labels = sample_labels(matrix, seed=0)
    start, length = now - timedelta(days=_DAYS), timedelta(days=_DAYS)
    predictions: list[Prediction] = []
    outcomes: list[Outcome] = []
    for n, row in enumerate(matrix):
        scored = model.score_row(row)
        at = int((start + length * n / _ROWS).timestamp() * 1e6)
        lead = HOSTILE if n == _ROWS - 1 else f"L-{n}"
        predictions.append(
            Prediction(
                f"p{n}", lead, "leads", "1", contract_version(contract), "champion", at,
                scored.probability, scored.score, scored.grade, np.asarray(row, dtype="<f4").tobytes(),
                f"r{n}", source="api", latency_us=800 + 13 * (n % 50),
            )
        )  # fmt: skip
        if n % 3 and n < _ROWS * 0.8:
            value = 100.0 + n if labels[n] else None
            outcomes.append(
                Outcome(f"o{n}", lead, None, bool(labels[n]), value, at + 1000, at + 2000, "test")
            )
    store.append(predictions, outcomes)


def _release(store: EventStore, registry: ModelRegistry, approvers: Approvers, now: datetime) -> None:
    champion, candidate = registry.get("leads", 1), registry.get("leads", 2)
    check = Check(
        name="AUC", kind="improvement", passed=True, champion=0.71, challenger=0.78,
        difference=Estimate(value=0.1, low=0.06, high=0.14), threshold=0.02, why="AUC rose by 10 %",
    )  # fmt: skip
    gate = GateVerdict(
        passed=True, summary="Passed: AUC rose by 10 %", checks=(check,), challenger=candidate.digest,
        champion=champion.digest, data="0" * 64, start=None, end=None, rows=800, positives=240,
        thresholds=GateThresholds(), notes=("made for tests",),
    )  # fmt: skip
    at = time.time_ns() // 1000 - 3_600_000_000
    store.record(Evidence("gate-leads/2", "gate", "leads/2", at, msgspec.json.encode(gate).decode()))
    found = replay_requests(
        store, registry, candidate, now=now, clock=time.monotonic, days=14.0, maturity=timedelta(days=5)
    )
    record_report(store, found.kind, found, at + 1_000_000)
    binding = binding_for(store, candidate, approvers, time.time())
    approval.request(store, msgspec.structs.replace(binding, release="uid-1"), at=at + 2_000_000)


@contextmanager
def serving(flask: Flask, *, port: int = 0) -> Iterator[str]:
    """The address of an app that is served until the block ends."""
    server = make_server("127.0.0.1", port, flask, threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()


def settings_of(home: Home, **changes: Any) -> Any:
    from tests.support import console

    return replace(console.settings(home.root), home=home, **changes)
