"""The streaming charts as a detector of the loop.

Job after Job, killed, twice at once, up to the retraining that they ask for.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.integration.drift.test_watch import (
    BUDGET,
    MOVED,
    OUTCOMES,
    ROWS,
    START,
    STEP,
    TURN,
    fetched,
    invoke,
    logged,
    older,
)
from tests.support.waiting import wait_until
from tests.unit.operator.objects import WORKLOAD, detector, job, policy

from leadscore.drift.verdict import MESSAGE_BYTES, DriftVerdict
from leadscore.events.records import Evidence, Prediction
from leadscore.events.store import EventStore
from leadscore.monitoring.records import DriftRecord, latest_record
from leadscore.monitoring.stream_memory import CHARTS_KIND, StreamState
from leadscore.policy.decide import decide_retraining
from leadscore.policy.spec import DriftTrigger, RetrainRules, Triggers
from leadscore.policy.state import Observation, PolicyState, Retrain
from leadscore.scoring.model import ScoringModel
from leadscore_operator.decide.detector import DetectorObservation, plan_detector
from leadscore_operator.decide.jobs import TerminationMessage
from leadscore_operator.decide.policy import PolicyObservation, plan_policy
from leadscore_operator.plan import Create

pytestmark = pytest.mark.xdist_group("drift-trained")
SOURCE = "source"
RULES = RetrainRules(model="crm", triggers=Triggers(drift=DriftTrigger(min_severity="moderate")))


def turned(home: Path) -> list[Prediction]:
    """Leads of the model's own population, with those of one source four times as likely from lead `TURN`."""
    predictions, _ = logged(home)
    model = ScoringModel.load(fetched(home))
    column = [feature.name for feature in model.contract.inputs].index(SOURCE)
    sources = np.array([np.frombuffer(made.features, dtype="<f4")[column] for made in predictions])
    weights = np.where(sources == 0.0, 4.0, 1.0)
    chosen = np.random.default_rng(7).choice(ROWS, ROWS, p=weights / weights.sum())
    return [
        made
        if number < TURN
        else msgspec.structs.replace(
            made,
            features=predictions[chosen[number]].features,
            probability=predictions[chosen[number]].probability,
        )
        for number, made in enumerate(predictions)
    ]


def moment(lead: int) -> datetime:
    return START + lead * STEP


def words(url: str, until: datetime, *more: str) -> list[str]:
    """The command line of a Job, of which the operator makes all but the budget."""
    command = [
        "--model=crm@champion",
        "--window=1d",
        "--detector=leads-hourly",
        f"--until={until.isoformat()}",
    ]
    return [*command, *BUDGET, f"--events-url={url}", *more]


def run_job(home: Path, url: str, folder: Path, until: datetime, *more: str) -> DriftVerdict:
    """What a Job says in the end; its exit code is 0."""
    message = folder / "termination-log"
    message.touch()
    done = invoke(home, *words(url, until, f"--termination-message={message}", *more))
    assert done.exit_code == 0, (done.output, done.exception)
    said = message.read_bytes()
    assert len(said) < MESSAGE_BYTES
    return DriftVerdict.from_json(said)


def kept(url: str, name: str = "leads-hourly") -> DriftRecord:
    with EventStore(url) as store:
        record = latest_record(store, "crm/1", name)
    assert record is not None
    return record


def state(url: str, name: str = "leads-hourly") -> StreamState:
    return msgspec.json.decode(kept(url, name).stream, type=StreamState)


def test_job_after_job_ends_in_the_verdict_that_starts_a_retraining(
    trained: Path, url: str, tmp_path: Path
) -> None:
    with EventStore(url) as store:
        store.append(turned(trained), [])
    calm = run_job(trained, url, tmp_path, moment(TURN))
    assert (calm.state, calm.severity, calm.drifted) == ("judged", "none", False)
    assert calm.rows == 48
    assert "No alarm" in calm.reasons[0]
    moved = run_job(trained, url, tmp_path, moment(TURN + 200))
    assert moved.drifted
    assert SOURCE in {finding.feature for finding in moved.worst}
    assert moved.severity in {"significant", "critical"}
    assert moved.triage == "market_moved"
    assert moved.since is not None
    assert moment(TURN) - timedelta(days=10) < moved.since <= moved.window_end <= moment(TURN + 200)
    # The record is the verdict, and what the next Job goes on from.
    record = kept(url)
    assert record.report.verdict == moved
    assert state(url).track.seen == TURN + 200

    now = moment(TURN + 200) + timedelta(minutes=5)
    known = PolicyState(created=START, observations=(Observation.of("leads", "hourly", moved),))
    decision = decide_retraining(RULES, known, now)
    assert isinstance(decision, Retrain)
    assert decision.trigger == "drift"
    item = detector(model="crm@champion", methods=["sequential"])
    said = TerminationMessage((tmp_path / "termination-log").read_text(), 0)
    seen = DetectorObservation(item, [], [job("c-1", ended="Complete")], {"c-1": said})
    watched = detector(plan_detector(seen, WORKLOAD, now).status, model="crm@champion")
    asked = policy(model="crm", triggers={"drift": {"minSeverity": "moderate"}})
    (change,) = plan_policy(PolicyObservation(asked, [watched], [], frozenset(), []), now).changes
    assert isinstance(change, Create)
    assert change.body["spec"]["trigger"] == "drift"


def test_a_pipeline_that_broke_is_told_from_a_population_that_moved(
    trained: Path, url: str, tmp_path: Path
) -> None:
    with EventStore(url) as store:
        # Six times as many mails opened, by everybody: that is no change of people.
        store.append(logged(trained, turn=TURN)[0], [])
    verdict = run_job(trained, url, tmp_path, moment(TURN + 200))
    assert (verdict.drifted, verdict.triage, verdict.worst[0].feature) == (True, "pipeline_bug", MOVED)
    known = PolicyState(created=START, observations=(Observation.of("leads", "hourly", verdict),))
    assert not isinstance(decide_retraining(RULES, known, moment(TURN + 200)), Retrain)


def test_an_alarm_stands_for_the_window_and_is_the_same_verdict_all_the_time(
    trained: Path, url: str, tmp_path: Path
) -> None:
    predictions, _ = logged(trained, turn=TURN)
    with EventStore(url) as store:
        # The change lasts a day, and the leads are the old ones again.
        store.append([*predictions[: TURN + 50], *logged(trained)[0][TURN + 50 :]], [])
    first = run_job(trained, url, tmp_path, moment(TURN + 60))
    assert first.drifted
    again = run_job(trained, url, tmp_path, moment(TURN + 70))
    assert (again.window_end, again.drifted) == (first.window_end, True)
    # Nobody asked for three days: the next Job tells of all that came since.
    late = run_job(trained, url, tmp_path, moment(TURN + 400))
    assert late.window_end > first.window_end


def test_a_job_that_is_killed_leaves_nothing_that_the_next_one_could_stumble_over(
    trained: Path, url: str, tmp_path: Path
) -> None:
    predictions, _ = logged(trained, turn=TURN)
    with EventStore(url) as store:
        store.append(predictions, [])
        program = [sys.executable, "-m", "leadscore.cli.main", "drift", "watch", *words(url, moment(TURN))]
        started = subprocess.Popen(
            program,
            env=os.environ | {"LEADSCORE_HOME": str(trained)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # Its charts are stored: it follows the leads now, and has not said anything.
        wait_until(
            lambda: bool(store.evidence(kind=CHARTS_KIND)) or started.poll() is not None,
            what="stored charts",
            every=0.01,
            seconds=120,
        )
        started.send_signal(signal.SIGKILL)
        started.wait()
    after = run_job(trained, url, tmp_path, moment(TURN + 200))
    anew = run_job(trained, url, tmp_path, moment(TURN + 200), "--detector=another")
    assert (after.drifted, after.worst) == (anew.drifted, anew.worst)
    assert state(url).track == state(url, "another").track


def test_two_jobs_at_once_do_no_harm(trained: Path, url: str, tmp_path: Path) -> None:
    predictions, _ = logged(trained, turn=TURN)
    with EventStore(url) as store:
        store.append(predictions, [])
    run_job(trained, url, tmp_path, moment(400))
    barrier, failures = threading.Barrier(2), list[BaseException]()

    def one(until: int) -> None:
        try:
            from leadscore.monitoring.stream_monitor import WatchRequest
            from leadscore.monitoring.watches import run_watch
            from leadscore.settings import Home

            request = WatchRequest(
                detector="leads-hourly",
                since=None,
                until=moment(until),
                run_length=5_000,
                every=50,
                without=tuple(BUDGET[-1].split(",")),
            )
            barrier.wait(30)
            run_watch(
                "crm@champion",
                request,
                Home.from_environment({"LEADSCORE_HOME": str(trained)}),
                events_url=url,
            )
        except BaseException as error:  # noqa: BLE001 (a thread's error is the test's)
            failures.append(error)

    threads = [threading.Thread(target=one, args=(until,)) for until in (TURN, TURN + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    after = run_job(trained, url, tmp_path, moment(ROWS))
    anew = run_job(trained, url, tmp_path, moment(ROWS), "--detector=another")
    assert (after.drifted, after.worst) == (anew.drifted, anew.worst)
    assert state(url).track == state(url, "another").track


def test_outcomes_alone_end_in_a_verdict_about_the_concept(trained: Path, url: str, tmp_path: Path) -> None:
    predictions, outcomes = logged(trained, outcomes=True)
    with EventStore(url) as store:
        store.append(predictions, outcomes)
    verdict = run_job(trained, url, tmp_path, moment(ROWS), *OUTCOMES, "--window=30d")
    assert (verdict.drifted, verdict.kind) == (True, "concept")
    assert verdict.severity in {"significant", "critical"}
    assert (verdict.worst[0].feature, verdict.worst[0].statistic) == ("score", "outcomes")
    assert verdict.outcomes_end is not None
    assert verdict.since is not None
    assert verdict.since < verdict.outcomes_end <= moment(ROWS)
    known = PolicyState(created=START, observations=(Observation.of("leads", "hourly", verdict),))
    assert isinstance(decide_retraining(RULES, known, moment(ROWS)), Retrain)


def test_another_version_begins_another_chart(trained: Path, url: str, tmp_path: Path) -> None:
    predictions, _ = logged(trained)
    with EventStore(url) as store:
        store.append(predictions, [])
    run_job(trained, url, tmp_path, moment(TURN))
    folder = older(trained, tmp_path / "2")
    verdict = run_job(trained, url, tmp_path, moment(TURN + 48), f"--model={folder}")
    assert (verdict.model_version, verdict.state) == ("2", "silent")
    assert "the feed is silent since its beginning" in verdict.reasons[0]
    assert state(url).track.seen == TURN
    assert fetched(trained).name == "1"


def test_a_feed_that_falls_silent_is_told_since_when_and_is_no_calm(
    trained: Path, url: str, tmp_path: Path
) -> None:
    predictions, _ = logged(trained)
    with EventStore(url) as store:
        store.append(predictions[:TURN], [])
    assert run_job(trained, url, tmp_path, moment(TURN)).state == "judged"
    later = moment(TURN) + timedelta(days=3)
    verdict = run_job(trained, url, tmp_path, later)
    assert (verdict.state, verdict.unknown, verdict.rows) == ("silent", True, 0)
    newest = predictions[TURN - 1].scored_at
    assert f"{datetime.fromtimestamp(newest / 1e6, tz=START.tzinfo):%Y-%m-%d %H:%M} UTC" in verdict.reasons[0]
    # A person gets an exit code; nothing was kept, so that leads which come late are followed.
    told = invoke(trained, *words(url, later))
    assert told.exit_code == 8
    assert "the feed is silent since" in " ".join(told.stdout.split())
    assert kept(url).report.verdict.state == "judged"


def test_a_stream_that_is_too_young_is_not_judged(trained: Path, url: str, tmp_path: Path) -> None:
    predictions, _ = logged(trained)
    with EventStore(url) as store:
        store.append(predictions[:100], [])
    message = tmp_path / "termination-log"
    message.touch()
    asked = ["--model=crm/1", f"--events-url={url}", f"--until={moment(100).isoformat()}"]
    done = invoke(trained, *asked, f"--termination-message={message}")
    assert done.exit_code == 0, (done.output, done.exception)
    verdict = DriftVerdict.from_json(message.read_bytes())
    assert (verdict.state, verdict.unknown) == ("not_judged", True)
    assert "shorter than 14 days" in verdict.reasons[0]
    assert invoke(trained, *asked).exit_code == 8


def test_what_is_kept_can_be_shown_again(trained: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from leadscore.cli.main import app

    url = f"sqlite:///{tmp_path / 'events.db'}"
    predictions, _ = logged(trained, turn=TURN)
    with EventStore(url) as store:
        store.append(predictions, [])
    run_job(trained, url, tmp_path, moment(ROWS))
    page, text = tmp_path / "drift.html", tmp_path / "drift.md"
    asked = ["drift", "report", "--model", "crm/1", "--detector", "leads-hourly", "--events-url", url]
    runner = CliRunner(env={"LEADSCORE_HOME": str(trained), "COLUMNS": "200"})
    done = runner.invoke(app, [*asked, "--html", str(page), "--markdown", str(text), "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
    assert json.loads(done.stdout)["stream"]["alarmed"]
    assert "Lead by lead" in page.read_text()
    assert "ALARM" in text.read_text()


def test_a_damaged_record_is_no_new_beginning(trained: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    predictions, _ = logged(trained)
    with EventStore(url) as store:
        store.append(predictions, [])
        store.record(Evidence("drift-x", "drift", "crm/1:leads-hourly", 1, json.dumps({"detector": 7})))
    done = invoke(trained, *words(url, moment(TURN)))
    assert done.exception is not None
    assert "cannot be read" in str(done.exception)
