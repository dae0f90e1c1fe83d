"""`leadscore drift watch` with a model that was trained, over streams in both event stores and in a table."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from leadscore.cli.main import app
from leadscore.contract import contract_version
from leadscore.data.matrix import encode_table
from leadscore.data.synthetic import generate, synthetic_contract
from leadscore.data.tables import write_table
from leadscore.errors import ArtefactError, ExitCode, LeadScoreError
from leadscore.events.records import Outcome, Prediction
from leadscore.events.store import EventStore
from leadscore.events.windows import to_microseconds
from leadscore.registry.store import ModelRegistry
from leadscore.scoring import artefact
from leadscore.scoring.model import ScoringModel
from leadscore.settings import Home

pytestmark = pytest.mark.xdist_group("drift-trained")
START, ROWS, TURN = datetime(2026, 6, 1, tzinfo=UTC), 1_500, 900
# A lead every half hour: two weeks are 672.
STEP = timedelta(minutes=30)
DAY = 86_400_000_000
MOVED = "email_opens"
# Few features: their levels are simulated in a second.
CHARTED = {MOVED, "source", "company_size", "score"}
LEFT = ",".join(f.name for f in synthetic_contract().inputs if f.name not in CHARTED)
BUDGET = ("--run-length", "5000", "--every", "50", "--without", LEFT)
# An evaluation of outcomes takes a day; so short a run length is simulated quickly.
OUTCOMES = ("--outcomes", "--leads-per-day", "48", "--run-length", "3000")


def logged(
    home: Path, *, turn: int | None = None, outcomes: bool = False
) -> tuple[list[Prediction], list[Outcome]]:
    """Leads of the model's own population in no order, one feature six times as large from lead `turn` on."""
    model = ScoringModel.load(
        ModelRegistry(Home.from_environment({"LEADSCORE_HOME": str(home)})).fetch("crm/1")
    )
    table = generate(rows=ROWS, seed=23, start=START, months=2, scenarios=())
    # In this order the chart that is tested says nothing of the leads before the turn (in 18 % of orders it
    # would).
    matrix = np.random.default_rng(16 if outcomes else 1003).permutation(encode_table(model.contract, table))
    if turn is not None:
        names = [feature.name for feature in model.contract.inputs]
        matrix[turn:, names.index(MOVED)] *= 6
    p = model.score_rows(matrix)
    begin, step = to_microseconds(START), STEP // timedelta(microseconds=1)
    version = contract_version(model.contract)
    predictions = [
        Prediction(
            prediction_id=f"p{n:05d}", lead_id=f"l{n}", model_name="crm", model_version="1",
            contract_version=version,
            # Bulk requests have one time for two leads.
            role="champion", scored_at=begin + n // 2 * 2 * step, probability=float(p[n]), score=0.0,
            grade="A", features=row.astype("<f4").tobytes(),
        )
        for n, row in enumerate(matrix)
    ]  # fmt: skip
    # From the turn on nobody buys: outcomes say so, features do not.
    won = np.random.default_rng(3).random(ROWS) < np.where(np.arange(ROWS) < TURN, p, 0.0)
    # As they took when the model was trained: two weeks, wins a little less.
    days = 14 * np.exp(np.random.default_rng(4).normal(size=ROWS)) * np.where(won, 0.85, 1.025)
    recorded = [made.scored_at + int(took * DAY) for made, took in zip(predictions, days, strict=True)]
    told = [
        Outcome(f"o{n}", f"l{n}", f"p{n:05d}", bool(won[n]), None, recorded[n] - 1, recorded[n])
        for n in range(ROWS)
        if outcomes
    ]
    return predictions, told


def invoke(home: Path, *words: str) -> Result:
    return CliRunner(env={"LEADSCORE_HOME": str(home), "COLUMNS": "200"}).invoke(
        app, ["drift", "watch", *words]
    )


def watch(
    home: Path, url: str, *words: str, until: int = ROWS, model: str = "crm@champion"
) -> dict[str, Any]:
    moment = (START + until * STEP).isoformat()
    done = invoke(home, "--model", model, "--events-url", url, "--until", moment, *BUDGET, "--json", *words)
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout)["stream"]


def test_an_unchanged_stream_does_not_alarm_and_one_that_turns_alarms_on_the_feature(
    trained: Path, url: str
) -> None:
    predictions, _ = logged(trained, turn=TURN)
    with EventStore(url) as store:
        store.append(predictions[:TURN], [])
        calm = watch(trained, url, until=TURN)
        assert (calm["alarmed"], calm["leads"]["followed"], calm["leads"]["waiting"]) == (False, 900, 0)
        assert 0 < calm["leads"]["now"]["statistic"] < calm["leads"]["now"]["level"]
        store.append(predictions[TURN:], [])
        turned = watch(trained, url)
        assert turned["alarmed"]
        first = turned["leads"]["alarms"]["first"]
        assert first["signs"][0]["feature"] == MOVED
        assert TURN < first["lead"] <= TURN + 200
        assert watch(trained, url) == turned
        # Nothing new has come: nothing new is kept.
        assert len(store.evidence(kind="drift", subject="crm/1:watch")) == 2


def test_a_watch_that_went_on_says_what_one_from_the_beginning_says(
    trained: Path, url: str, tmp_path: Path
) -> None:
    predictions, _ = logged(trained, turn=TURN)
    state = str(tmp_path / "state.json")
    with EventStore(url) as store:
        store.append(predictions, [])
    for until in (333, 334, 1_049):
        watch(trained, url, until=until)
        watch(trained, url, "--state", state, until=until)
    anew = watch(trained, url, "--detector", "another")
    assert watch(trained, url) == watch(trained, url, "--state", state) == anew
    # A look at the past neither uses nor spoils what is known of later leads.
    past = watch(trained, url, until=TURN)
    assert (past["alarmed"], past["leads"]["followed"]) == (False, TURN)
    assert watch(trained, url) == anew


def test_leads_that_come_late_are_followed_in_their_place(trained: Path, url: str) -> None:
    predictions, _ = logged(trained, turn=TURN)
    with EventStore(url) as store:
        store.append(predictions[:100] + predictions[250:], [])
        before = watch(trained, url)
        assert before["leads"]["followed"] == 1_350
        store.append(predictions[100:250], [])
        after = watch(trained, url)
        assert after == watch(trained, url, "--detector", "another")
        assert after["leads"]["followed"] == ROWS


def test_outcomes_alarm_where_features_show_no_drift_and_tell_since_when(trained: Path, url: str) -> None:
    predictions, outcomes = logged(trained, outcomes=True)
    with EventStore(url) as store:
        store.append(predictions, outcomes)
    before = watch(trained, url, *OUTCOMES, until=TURN)
    assert not before["alarmed"]
    found = watch(trained, url, *OUTCOMES)
    assert found["leads"]["alarms"]["count"] == 0
    said = found["outcomes"]["said"]
    first = said["alarms"]["first"]
    assert any(word in first["signs"][0]["how"] for word in ("fewer", "lower"))
    assert first["lead"] > TURN
    # Told to within some looks, although the outcomes came weeks later.
    assert TURN - 200 < first["since_lead"] <= first["lead"]
    assert first["since"] < first["at"]
    assert said["known"] + said["waiting"] + said["unknown"] == said["followed"] == ROWS - said["pending"]
    assert said["waiting"] > said["unknown"]
    assert found["outcomes"]["timed"]
    # What was known then says what it said then, and a watch that went on is one from the beginning.
    assert watch(trained, url, *OUTCOMES, until=TURN) == before
    assert watch(trained, url, *OUTCOMES, "--detector", "another") == found


def test_an_outcome_that_is_corrected_counts(trained: Path, url: str) -> None:
    predictions, outcomes = logged(trained, outcomes=True)
    with EventStore(url) as store:
        store.append(predictions, outcomes)
        wrong = watch(trained, url, *OUTCOMES)["outcomes"]["said"]
        # The losses that were not so are taken back, a microsecond later each.
        p, rng = [made.probability for made in predictions], np.random.default_rng(5)
        fixed = [
            Outcome(f"m{told.outcome_id}", told.lead_id, told.prediction_id, bool(rng.random() < p[n]), None,
                    told.occurred_at, told.recorded_at + 1)
            for n, told in enumerate(outcomes)
            if n >= TURN
        ]  # fmt: skip
        store.append([], fixed)
        right = watch(trained, url, *OUTCOMES)["outcomes"]["said"]
    assert wrong["alarms"]["count"] > 0
    assert right["alarms"]["count"] == 0
    assert right["known"] == wrong["known"]


def test_an_older_artefact_has_its_outcomes_asked_at_one_age_and_the_terminal_says_so(
    trained: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    folder = older(trained, tmp_path / "1")
    predictions, outcomes = logged(trained, outcomes=True)
    with EventStore(url) as store:
        store.append(predictions, outcomes)
    found = watch(trained, url, *OUTCOMES, "--maturity", "4d", model=str(folder))["outcomes"]
    assert (found["timed"], found["wait"]) == (False, 4.0)
    # Outcomes that take more than four days are left out: most.
    assert found["said"]["unknown"] > found["said"]["known"] > 0
    moment = (START + ROWS * STEP).isoformat()
    words = ("--model", str(folder), "--events-url", url, "--until", moment, *BUDGET, *OUTCOMES)
    shown = " ".join(invoke(trained, *words, "--maturity", "4d").stdout.split())
    assert "does not tell when outcomes became known, so all are asked at the age of 4 days" in shown
    assert "More outcomes are missing than known" in shown


def test_an_artefact_whose_table_of_outcomes_was_tampered_with_is_refused(
    trained: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "1"
    shutil.copytree(fetched(trained), folder)
    path = folder / artefact.REFERENCE_OUTCOMES
    path.write_bytes(path.read_bytes()[:-8] + b"\0" * 8)
    error = invoke(trained, "--model", str(folder), *BUDGET, *OUTCOMES).exception
    assert isinstance(error, ArtefactError), error
    assert artefact.REFERENCE_OUTCOMES in error.message


def test_a_table_with_dates_of_outcomes_is_followed_as_they_came(trained: Path, tmp_path: Path) -> None:
    leads = generate(rows=ROWS, seed=31, start=START, months=1, scenarios=())
    write_table(leads, tmp_path / "leads.parquet")
    done = invoke(
        trained, "--model", "crm/1", "--data", str(tmp_path / "leads.parquet"), "--until", "2026-07-02",
        *BUDGET, *OUTCOMES, "--json",
    )  # fmt: skip
    assert done.exit_code == 0, (done.output, done.exception)
    said = json.loads(done.stdout)["stream"]["outcomes"]["said"]
    known_by_then = ROWS - leads.column("converted").null_count
    assert 0 < said["known"] <= known_by_then
    assert said["known"] == pytest.approx(known_by_then, rel=0.1)


def fetched(home: Path) -> Path:
    return ModelRegistry(Home.from_environment({"LEADSCORE_HOME": str(home)})).fetch("crm/1")


def older(home: Path, folder: Path) -> Path:
    """The model as it was before artefacts told when outcomes came."""
    manifest = artefact.verify_artefact(fetched(home))
    shutil.copytree(fetched(home), folder)
    (folder / artefact.REFERENCE_OUTCOMES).unlink()
    (folder / artefact.MANIFEST).unlink()
    artefact.write_manifest(
        folder,
        name=manifest.name,
        algorithm=manifest.algorithm,
        data=manifest.data,
        code_revision=manifest.code_revision,
        seed=manifest.seed,
        libraries=manifest.libraries,
    )
    return folder


def test_what_follows_the_week_is_left_out_of_a_table_and_a_budget_in_time_is_counted(
    trained: Path, tmp_path: Path
) -> None:
    leads = generate(rows=ROWS, seed=29, start=START, months=1, scenarios=())
    write_table(leads, tmp_path / "leads.parquet")
    done = invoke(
        trained, "--model", "crm/1", "--data", str(tmp_path / "leads.parquet"), "--until", "2026-07-02",
        "--false-alarms", "1/60d", "--every", "150", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, (done.output, done.exception)
    found = json.loads(done.stdout)["stream"]
    assert {"created_hour", "created_weekday"} <= set(found["plan"]["without"])
    assert found["leads_per_day"] == pytest.approx(ROWS / 30, rel=0.15)
    assert found["plan"]["run_length"] == pytest.approx(60 * found["leads_per_day"], rel=0.05)
    assert found["leads"]["followed"] + found["leads"]["waiting"] == ROWS


def test_the_terminal_says_which_feature_and_how_far(trained: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    predictions, _ = logged(trained, turn=TURN)
    with EventStore(url) as store:
        store.append(predictions, [])
    moment = (START + ROWS * STEP).isoformat()
    said = invoke(trained, "--model", "crm@champion", "--events-url", url, "--until", moment, *BUDGET).stdout
    assert f"ALARM: {MOVED}" in said
    assert "one false alarm in 5,000 leads" in said


def test_what_cannot_be_watched_is_said(trained: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"

    def refused(*words: str) -> int:
        done = invoke(trained, *words)
        error = done.exception
        if isinstance(error, SystemExit):
            assert "ot judged" in done.stdout
            return done.exit_code
        assert isinstance(error, LeadScoreError), error
        return error.exit_code

    assert refused("--model", "nobody@champion", "--events-url", url, *BUDGET) is ExitCode.NOT_FOUND
    # No lead at all: the feed is silent, and whether anything has changed is not known.
    assert refused("--model", "crm/1", "--events-url", url, *BUDGET) == ExitCode.NOT_JUDGED
    assert refused("--model", "crm/1", "--run-length", "500", "--false-alarms", "1/30d") is ExitCode.BAD_INPUT
    assert refused("--model", "crm/1", "--run-length", "500", "--maturity", "30d") is ExitCode.BAD_INPUT
    predictions, _ = logged(trained)
    with EventStore(url) as store:
        store.append(predictions[:100], [])
    words = ("--model", "crm/1", "--events-url", url, "--until")
    assert refused(*words, (START + timedelta(days=3)).isoformat()) == ExitCode.NOT_JUDGED
    (tmp_path / "state.json").write_text("{}")
    damaged = ("--state", str(tmp_path / "state.json"))
    assert refused(*words, (START + ROWS * STEP).isoformat(), *BUDGET, *damaged) is ExitCode.BAD_INPUT
    gone = "postgresql://x@127.0.0.1:1/none"
    assert refused("--model", "crm/1", "--events-url", gone, *BUDGET) is ExitCode.UNAVAILABLE
