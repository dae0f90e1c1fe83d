"""From logged scores and their outcomes to a retraining.

The whole way, on both databases, with a model that was trained.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deltalake import DeltaTable
from tests.unit.operator.objects import WORKLOAD, detector, job, policy
from typer.testing import CliRunner

from leadscore.cli.main import app
from leadscore.contract import contract_version
from leadscore.data.matrix import encode_table
from leadscore.data.synthetic import generate
from leadscore.drift.verdict import MESSAGE_BYTES, DriftVerdict
from leadscore.events.records import Outcome, Prediction
from leadscore.events.store import EventStore
from leadscore.events.windows import to_microseconds
from leadscore.policy.decide import decide_retraining
from leadscore.policy.spec import PerformanceTrigger, RetrainRules, Triggers
from leadscore.policy.state import Observation, PolicyState, Postpone, Retrain
from leadscore.registry.store import ModelRegistry
from leadscore.scoring.model import ScoringModel
from leadscore.settings import Home
from leadscore_operator.decide.detector import DetectorObservation, plan_detector
from leadscore_operator.decide.jobs import TerminationMessage
from leadscore_operator.decide.policy import PolicyObservation, plan_policy
from leadscore_operator.plan import Create

DAY = timedelta(days=1)
# Leads are scored from the first of June on; the day that is checked ends at the first of August.
START, END = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 8, 1, tzinfo=UTC)
pytestmark = pytest.mark.xdist_group("drift-trained")
RULES = RetrainRules(model="crm", triggers=Triggers(performance=PerformanceTrigger()))


def scored(home: Path, rows: int, seed: int) -> tuple[ScoringModel, np.ndarray]:
    """The model, and fresh leads of its own population."""
    model = ScoringModel.load(
        ModelRegistry(Home.from_environment({"LEADSCORE_HOME": str(home)})).fetch("crm/1")
    )
    leads = generate(rows=rows, seed=seed, start=START, months=2, scenarios=())
    matrix = encode_table(model.contract, leads)
    # In the order of their creation a day would hold the leads of one weekday, which is a feature of theirs.
    return model, np.random.default_rng(seed).permutation(matrix)


def log(home: Path, url: str, *, relation: float, known: float = 1.0, rows: int = 6000) -> None:
    """Two months of leads, evenly spread, each with the outcome that its probability promises.

    Args:
        home: With the model.
        url: Of the event store.
        relation: Share of the leads whose outcome follows their probability; the others' follow another
            lead's.
        known: Share of the leads that have an outcome.
        rows: Leads.
    """
    model, matrix = scored(home, rows, seed=17)
    p = model.score_rows(matrix)
    rng = np.random.default_rng(5)
    other = rng.random(rows) >= relation
    truth = p.copy()
    truth[other] = rng.permutation(p[other])
    converted, reported = rng.random(rows) < truth, rng.random(rows) < known
    begin, step = to_microseconds(START), (END - START) // timedelta(microseconds=1) // rows
    version = contract_version(model.contract)
    predictions = [
        Prediction(
            prediction_id=f"p{n}", lead_id=f"l{n}", model_name="crm", model_version="1",
            contract_version=version, role="champion", scored_at=begin + n * step, probability=float(p[n]),
            score=0.0, grade="A", features=row.astype("<f4").tobytes(),
        )
        for n, row in enumerate(matrix)
    ]  # fmt: skip
    outcomes = [
        Outcome(
            f"o{n}", f"l{n}", f"p{n}", bool(converted[n]), None, begin + n * step + 1, begin + n * step + 2
        )
        for n in np.flatnonzero(reported).tolist()
    ]
    with EventStore(url) as store:
        store.append(predictions, outcomes)


def check(home: Path, url: str, folder: Path, *more: str) -> dict[str, Any]:
    """`leadscore drift check` of July's last day, with the outcomes of June.

    The report, and the termination message.
    """
    (folder / "termination-log").touch()
    arguments = ["drift", "check", "--model", "crm@champion", "--until", END.isoformat(), "--json"]
    arguments += ["--events-url", url, "--termination-message", str(folder / "termination-log")]
    found = CliRunner(env={"LEADSCORE_HOME": str(home)}).invoke(app, [*arguments, *more])
    assert found.exit_code == 0, (found.output, found.exception)
    return json.loads(found.stdout)


def words(folder: Path) -> DriftVerdict:
    message = (folder / "termination-log").read_bytes()
    assert len(message) < MESSAGE_BYTES
    return DriftVerdict.from_json(message)


def test_a_relation_that_breaks_ends_in_a_retraining_run(trained: Path, url: str, tmp_path: Path) -> None:
    log(trained, url, relation=0.5)
    methods = ("--methods", "univariate,performance,cbpe", "--html", str(tmp_path / "drift.html"))
    places = ("--metrics-file", str(tmp_path / "drift.prom"), "--delta", str(tmp_path / "drift_metrics"))
    report = check(trained, url, tmp_path, *methods, *places)
    verdict = words(tmp_path)

    assert verdict.drop is not None
    assert verdict.drop > 0.1
    assert (verdict.severity, verdict.drifted, verdict.kind) == ("critical", True, "concept")
    assert verdict.outcomes_end == END - 30 * DAY
    outcomes = report["performance"]
    assert outcomes["labels"]["mature_labelled"] == outcomes["labels"]["mature"] > 2_500
    assert outcomes["figures"]["auc"]["high"] < outcomes["baseline"]["value"]
    # The probabilities alone cannot know: the leads are those of training.
    assert abs(report["expected"]["auc"]["value"] - outcomes["baseline"]["value"]) < 0.05
    assert "loss of AUC" in (tmp_path / "drift.html").read_text()

    gauges = (tmp_path / "drift.prom").read_text()
    gauge = re.search(r"^leadscore_drift_performance_auc_drop\{.*\} (\S+)$", gauges, re.MULTILINE)
    assert gauge is not None
    assert float(gauge[1]) == pytest.approx(verdict.drop)
    rows = DeltaTable(str(tmp_path / "drift_metrics")).to_pyarrow_table().to_pylist()
    measured = {(row["method"], row["figure"]): row for row in rows if row["feature"] is None}
    assert measured["performance", "auc_drop"]["value"] == pytest.approx(verdict.drop)
    assert measured["cbpe", "auc"]["low"] < measured["cbpe", "auc"]["value"]

    now = END + timedelta(hours=3)
    state = PolicyState(created=START, observations=(Observation.of("crm", "daily", verdict),))
    decision = decide_retraining(RULES, state, now)
    assert isinstance(decision, Retrain)
    assert decision.trigger == "performance"

    # The same through the operator: last words of the Job, status of the detector, plan of the policy.
    item = detector(model="crm@champion")
    said = TerminationMessage((tmp_path / "termination-log").read_text(), 0)
    seen = DetectorObservation(item, [], [job("c-1", ended="Complete")], {"c-1": said})
    watched = detector(plan_detector(seen, WORKLOAD, now).status, model="crm@champion")
    asked = policy(model="crm", triggers={"performance": {"maxDrop": 0.05}})
    (run,) = plan_policy(PolicyObservation(asked, [watched], [], frozenset(), []), now).changes
    assert isinstance(run, Create)
    assert run.body["spec"]["trigger"] == "performance"


def test_a_model_that_keeps_its_promise_is_judged_and_left_alone(
    trained: Path, url: str, tmp_path: Path
) -> None:
    log(trained, url, relation=1.0)
    # A budget so small that what this test calls calm is not breached by chance.
    budget = ("--methods", "univariate,performance", "--false-alarms", "1/2000d")
    report = check(trained, url, tmp_path, *budget)
    verdict = words(tmp_path)
    assert report["performance"]["verdict"]["judged"]
    assert (verdict.severity, verdict.drop) == ("none", None)
    state = PolicyState(created=START, observations=(Observation.of("crm", "daily", verdict),))
    assert isinstance(decide_retraining(RULES, state, END), Postpone)
    with EventStore(url) as store:
        assert len(store.evidence(kind="drift")) == 1


def test_outcomes_that_are_not_complete_are_said_to_be_unjudged_and_estimated_instead(
    trained: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    log(trained, url, relation=0.3, known=0.4, rows=3000)
    report = check(trained, url, tmp_path, "--methods", "performance,cbpe,univariate", "--window", "1w")
    verdict = words(tmp_path)
    assert not report["performance"]["verdict"]["judged"]
    assert (verdict.drop, verdict.kind, verdict.outcomes_end) == (None, "data", None)
    said = " ".join(verdict.reasons)
    assert re.search(r"Not judged: only (3|4)\d% of the 1,\d{3} mature leads have an outcome", said)
    assert "Expected AUC" in said
    assert report["expected"]["auc"]["low"] < report["expected"]["auc"]["value"]


def test_a_table_with_labels_is_judged_like_the_event_store(trained: Path, tmp_path: Path) -> None:
    from leadscore.data.tables import write_table

    leads = generate(rows=5000, seed=23, start=START, months=4, scenarios=())
    write_table(leads, tmp_path / "leads.parquet")
    command = f"drift check --model crm@champion --data {tmp_path / 'leads.parquet'} --json --window 1w"
    arguments = f"{command} --methods performance,mmd --maturity 60d --performance-window 6w".split()
    found = CliRunner(env={"LEADSCORE_HOME": str(trained)}).invoke(app, arguments)
    assert found.exit_code == 0, (found.output, found.exception)
    report = json.loads(found.stdout)
    assert report["performance"]["verdict"]["judged"]
    assert [m["method"] for m in report["methods"]] == ["mmd"]
    assert report["features"] == []


@pytest.mark.parametrize("methods", ["", "psi", "cbpe", "mmd,mmd"])
def test_methods_that_make_no_check_are_refused(methods: str, tmp_path: Path) -> None:
    from leadscore.errors import BadInputError
    from leadscore.monitoring.options import read_options

    with pytest.raises(BadInputError, match="method"):
        read_options(None, methods=methods)


def test_a_silent_feed_is_its_own_state_exit_code_and_word_of_the_operator(
    trained: Path, url: str, tmp_path: Path
) -> None:
    """No lead was ever logged: a person gets exit code 8, a Job its verdict and exit code 0."""
    runner = CliRunner(env={"LEADSCORE_HOME": str(trained)})
    arguments = ["drift", "check", "--model", "crm@champion", "--until", END.isoformat(), "--events-url", url]
    told = runner.invoke(app, arguments)
    assert told.exit_code == 8
    assert "the feed is silent" in told.stdout
    assert "calm" not in told.stdout
    report = check(trained, url, tmp_path, "--methods", "univariate,performance")
    assert report["verdict"]["state"] == "silent"

    said = TerminationMessage((tmp_path / "termination-log").read_text(), 0)
    item = detector(model="crm@champion")
    seen = DetectorObservation(item, (), [job("c-1", ended="Complete")], {"c-1": said})
    status = plan_detector(seen, WORKLOAD, END + timedelta(hours=1)).status
    assert status is not None
    assert status["severity"] == "unknown"


def test_leads_whose_outcomes_never_come_are_a_silent_feed_of_outcomes(
    trained: Path, url: str, tmp_path: Path
) -> None:
    log(trained, url, relation=1.0, known=0.0)
    report = check(trained, url, tmp_path, "--methods", "univariate,performance")
    assert report["verdict"]["state"] == "silent"
    assert any("feed of outcomes is silent" in reason for reason in report["verdict"]["reasons"])
