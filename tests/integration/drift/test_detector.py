"""A detector over a real event store and a real Delta table: resumed, repeated, read back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tests.support.events import outcome, prediction
from tests.unit.drift.streams import CONTRACT, DAY, START, leads, probabilities, reference

from leadscore.contract import contract_version
from leadscore.drift.options import DriftOptions
from leadscore.drift.report.html import to_html
from leadscore.drift.report.markdown import to_markdown
from leadscore.drift.report.words import COLUMNS
from leadscore.drift.runlength import FalseAlarms
from leadscore.drift.verdict import DriftVerdict
from leadscore.errors import BadInputError, UnavailableError
from leadscore.events.records import Prediction
from leadscore.events.store import EventStore
from leadscore.events.windows import to_microseconds
from leadscore.monitoring.detector import DetectorRun
from leadscore.monitoring.files import write_file, write_termination
from leadscore.monitoring.metrics import append_metrics, metrics_table, prometheus_text
from leadscore.monitoring.options import read_options
from leadscore.monitoring.records import latest_record, read_history
from leadscore.monitoring.windows import StoredWindows, aligned

BASE = reference()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OPTIONS = DriftOptions(false_alarms=FalseAlarms(expected=1, per_hours=2_000 * 24), season="none")


def grade(matrix):
    return np.digitize(probabilities(matrix), [0.1, 0.2, 0.4])


def predictions(day, matrix, version="1"):
    start = to_microseconds(START + day * DAY)
    step = 86_400_000_000 // len(matrix)
    for i, (row, p) in enumerate(zip(matrix, probabilities(matrix), strict=True)):
        flagged = ("source:unseen_category",) if np.isnan(row[2]) else ()
        yield Prediction(
            prediction_id=f"{version}-{day}-{i}", lead_id=f"l{i}", model_name="leads", model_version=version,
            contract_version=contract_version(CONTRACT), role="champion", scored_at=start + i * step,
            probability=float(p), score=0.0, grade="A", features=row.astype("<f4").tobytes(),
            warnings=flagged,
        )  # fmt: skip


@pytest.fixture
def store(tmp_path):
    with EventStore(f"sqlite:///{tmp_path / 'events.db'}") as opened:
        for day in range(4):
            matrix = leads(300, 10 + day)
            if day == 3:
                matrix[:, 0] *= 100.0
                matrix[:40, 2] = np.nan
            opened.append(list(predictions(day, matrix)), [])
        # Another version of the same model, whose leads are not this detector's.
        opened.append(list(predictions(2, leads(50, 99) * np.float32(1_000.0), "2")), [])
        yield opened


def run(store):
    return DetectorRun(BASE, StoredWindows(store, BASE), OPTIONS, DAY, "daily", grade=grade)


def test_a_lead_that_was_scored_again_before_its_outcome_is_not_waited_for(tmp_path):
    def scored(name, lead, at):
        return prediction(name, lead, scored_at=at, model_name="leads", model_version="1")

    with EventStore(f"sqlite:///{tmp_path / 'few.db'}") as few:
        few.append(
            [scored("labelled", "L-1", 10), scored("superseded", "L-2", 10), scored("waiting", "L-2", 20)],
            [outcome("o1", "L-1", occurred_at=30)],
        )
        found = StoredWindows(few, BASE).outcomes(EPOCH, EPOCH + DAY).labels
    assert (found.predictions, found.labelled, found.mature, found.mature_labelled) == (3, 1, 2, 1)
    assert found.share == 0.5


def test_a_detector_goes_on_where_it_stopped_and_judges_no_window_twice(store):
    first = run(store).judge_stored(store, START + 2 * DAY, 2, None)
    assert [r.report.verdict.rows for r in first] == [300, 300]
    again = run(store).judge_stored(store, START + 2 * DAY, 1, None)
    assert again[0] == first[-1]
    rest = run(store).judge_stored(store, START + 4 * DAY, 9, None)
    assert [r.report.verdict.window_start for r in rest] == [START + 2 * DAY, START + 3 * DAY]
    assert [r.report.verdict.drifted for r in rest] == [False, True]
    assert rest[-1].report.verdict.since == START + 3 * DAY
    assert rest[-1].report.features[2].statistics.unseen_rate == pytest.approx(40 / 300)
    assert latest_record(store, "leads/1", "daily") == rest[-1]
    assert latest_record(store, "leads/1", "hourly") is None
    assert len(store.evidence(kind="drift")) == 4


def test_a_new_detector_learns_what_is_known_to_be_without_drift(store):
    judged = run(store).judge_stored(store, START + 3 * DAY, 1, 2 * DAY)
    assert judged[0].report.calibration.pooled_rows == 6_000 + 600


def test_a_window_without_leads_is_a_silent_feed_that_is_kept_nowhere_and_judged_when_its_leads_have_come(
    store, tmp_path
):
    (record,) = run(store).judge_stored(store, START + 5 * DAY, 1, None)
    assert record.report.verdict.state == "silent"
    assert not append_metrics(tmp_path / "drift_metrics", record)
    text = prometheus_text(record)
    assert "leadscore_drift_judged{" in text
    assert "leadscore_drift_severity{" not in text, "no severity is known, and 0 would be one"
    store.append(list(predictions(4, leads(300, 44))), [])
    (late,) = run(store).judge_stored(store, START + 5 * DAY, 1, None)
    assert late.report.verdict.state == "judged"
    assert append_metrics(tmp_path / "drift_metrics", late)


def test_a_store_that_cannot_be_read_is_not_a_window_without_drift(tmp_path):
    (tmp_path / "events.db").write_bytes(b"no database" * 1_000)
    with EventStore(f"sqlite:///{tmp_path / 'events.db'}") as broken, pytest.raises(UnavailableError):
        run(broken).judge_stored(broken, START + DAY, 1, None)


def test_the_delta_table_takes_each_window_once(store, tmp_path):
    from deltalake import DeltaTable

    judged = run(store).judge_stored(store, START + 4 * DAY, 4, None)
    path = tmp_path / "drift_metrics"
    assert [append_metrics(path, record) for record in judged] == [True] * 4
    assert [append_metrics(path, record) for record in judged] == [False] * 4
    rows = DeltaTable(str(path)).to_pyarrow_table()
    assert rows.num_rows == 4 * 5
    assert rows.schema.equals(metrics_table(judged[0]).schema)


def test_a_delta_table_of_an_older_version_gets_the_columns_that_it_lacks(store, tmp_path):
    from deltalake import DeltaTable, write_deltalake

    path = str(tmp_path / "drift_metrics")
    first, second = run(store).judge_stored(store, START + 2 * DAY, 2, None)
    older = metrics_table(first).drop_columns(["method", "figure", "value", "low", "high"])
    write_deltalake(path, older)
    assert append_metrics(tmp_path / "drift_metrics", second)
    rows = DeltaTable(path).to_pyarrow_table().to_pylist()
    assert {row["method"] for row in rows} == {None, "univariate"}


def test_results_are_readable_where_they_are_written(store, tmp_path):
    record = run(store).judge_stored(store, START + 4 * DAY, 1, None)[0]
    text = prometheus_text(record)
    assert 'leadscore_drift_drifted{detector="daily",model_name="leads",model_version="1"} 1.0' in text
    assert 'feature="budget"' in text
    log = tmp_path / "termination-log"
    log.touch()
    inode = log.stat().st_ino
    write_termination(log, record.report.verdict)
    assert log.stat().st_ino == inode
    assert DriftVerdict.from_json(log.read_bytes()).drifted
    write_file(tmp_path / "history.json", record.history.to_json())
    assert read_history(tmp_path / "history.json", "leads/1") == record.history


def test_pages_escape_names_and_load_nothing(store):
    import msgspec

    report = run(store).judge_stored(store, START + 4 * DAY, 1, None)[0].report
    evil = msgspec.structs.replace(report.features[0], name="<script>alert(1)</script>|x")
    report = msgspec.structs.replace(report, features=(evil, *report.features[1:]))
    page, text = to_html(report), to_markdown(report)
    assert "<script" not in page
    assert not [load for load in ("http://", "https://", "url(", " src=") if load in page]
    assert "default-src 'none'" in page
    assert "<script" not in text.replace("\\<", "")
    assert all(
        line.count("|") - line.count("\\|") == len(COLUMNS) + 1
        for line in text.splitlines()
        if line.startswith("|")
    )


def test_windows_end_on_whole_days_and_mondays():
    moment = START + timedelta(days=3, hours=5)
    assert aligned(moment, DAY) == START + 3 * DAY
    assert aligned(moment, 7 * DAY) == START
    assert aligned(moment, timedelta(hours=2)) == START + timedelta(days=3, hours=4)


def test_options_of_the_command_line_override_the_file(tmp_path):
    path = tmp_path / "options.json"
    path.write_text('{"min_rows": 50, "hysteresis": {"breaches": 1, "windows": 2}}')
    options = read_options(path, mode="thresholds", false_alarms="2/7d", hysteresis="2/3")
    assert (options.min_rows, options.mode, options.hysteresis.windows) == (50, "thresholds", 3)
    assert options.false_alarms == FalseAlarms(expected=2, per_hours=168)
    path.write_text('{"min_row": 50}')
    with pytest.raises(BadInputError, match="min_row"):
        read_options(path)
