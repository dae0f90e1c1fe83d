from __future__ import annotations

import json
import signal
import sqlite3
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from tests.integration.training.conftest import Start

from leadscore.contract import dump_contract
from leadscore.contract.infer import infer_contract
from leadscore.data.tables import write_table
from leadscore.events.store import EventStore

SMALL = ("--min-records", "500", "--folds", "2", "--name", "crm")
DEADLINE_SECONDS = 120


def train(start: Start, files: tuple[Path, Path], *extra: str) -> tuple[int, str, str]:
    process = start("train", "--data", files[0], "--contract", files[1], *SMALL, *extra)
    out, err = process.communicate(timeout=DEADLINE_SECONDS)
    return process.returncode, out, err


def finished_trials(studies: Path) -> int:
    if not studies.exists():
        return 0
    with sqlite3.connect(f"file:{studies}?mode=ro", uri=True) as database:
        try:
            query = "SELECT count(*) FROM trials WHERE state IN ('COMPLETE', 'PRUNED')"
            return int(database.execute(query).fetchone()[0])
        except sqlite3.OperationalError:  # the tables are not there yet, or being written
            return 0


def test_first_model_becomes_champion_and_an_equal_second_one_does_not(
    start: Start, files: tuple[Path, Path], home: Path
) -> None:
    code, out, err = train(start, files, "--trials", "2", "--json")
    assert code == 0, err
    first = json.loads(out)
    assert (first["model"], first["champion"]) == ("crm/1", True)
    assert first["evidence"]["metrics"]["auc"]["value"] > 0.75

    code, out, err = train(start, files, "--trials", "2", "--promote", "--json")
    assert code == 0, err
    second = json.loads(out)
    assert (second["model"], second["champion"]) == ("crm/2", False)
    assert second["verdict"]["champion"] == first["digest"]

    with EventStore(f"sqlite:///{home / 'events.db'}") as store:
        records = store.evidence(kind="gate")
    assert [r.subject for r in records] == ["crm/2", "crm/1"]
    assert json.loads(records[0].document) == second["verdict"]

    process = start("evaluate", "--data", files[0], "--model", "crm@champion", "--by", "month", "--json")
    out, err = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, err
    periods = json.loads(out)["performance"]["periods"]
    assert [p["period"] for p in periods][:2] == ["2026-01", "2026-02"]


def test_a_killed_run_goes_on_where_it_was(start: Start, files: tuple[Path, Path], home: Path) -> None:
    studies = home / "studies.db"
    process = start("train", "--data", files[0], "--contract", files[1], *SMALL, "--trials", "400")
    deadline = time.monotonic() + DEADLINE_SECONDS
    while finished_trials(studies) < 3:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=DEADLINE_SECONDS)
    before = finished_trials(studies)

    wanted = before + 2
    code, out, err = train(start, files, "--trials", str(wanted), "--json")
    assert code == 0, err
    tuning = json.loads(out)["evidence"]["tuning"]
    assert tuning["resumed"] == before
    assert tuning["complete"] + tuning["pruned"] == wanted == finished_trials(studies)
    with sqlite3.connect(studies) as database:
        assert database.execute("SELECT count(*) FROM studies").fetchone()[0] == 1
        assert database.execute("SELECT count(*) FROM trials WHERE state = 'RUNNING'").fetchone()[0] == 0


def test_too_few_leads_exit_with_refused_and_say_what_is_missing(
    start: Start, files: tuple[Path, Path]
) -> None:
    process = start("train", "--data", files[0], "--contract", files[1], "--name", "crm")
    _, err = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 5
    assert "Training needs 10,000 labelled leads" in err
    assert "2026-03" in err


def test_a_home_that_cannot_be_written_is_a_clear_error(
    start: Start, files: tuple[Path, Path], home: Path
) -> None:
    home.write_text("a file where the folder should be")
    code, out, err = train(start, files, "--trials", "1")
    assert code == 6
    assert "Cannot write" in err
    assert out == ""


def test_a_market_that_turns_breaks_nothing(start: Start, tmp_path: Path) -> None:
    """Months as the only time, few conversions, then a collapse: what real call data did in 2008."""
    months = {"2008-05": (1500, 0.03), "2008-06": (900, 0.04), "2008-07": (1300, 0.06),
              "2008-08": (900, 0.05), "2008-10": (60, 0.60), "2008-11": (10, 0.10),
              "2008-12": (300, 0.45)}  # fmt: skip
    rng = np.random.default_rng(0)
    month = np.repeat(list(months), [n for n, _ in months.values()])
    rate = np.repeat([r for _, r in months.values()], [n for n, _ in months.values()])
    table = pa.table(
        {
            "call": [f"C{i}" for i in range(len(month))],
            "month": month,
            "age": rng.integers(20, 70, len(month)),
            "job": rng.choice(["admin", "student", "retired"], len(month)),
            "rate": np.round(5 - 6 * rate, 1),
            "converted": (rng.random(len(month)) < rate).astype(int),
        }
    )
    write_table(table, tmp_path / "calls.csv")
    inferred = infer_contract(table, target="converted", id="call", time="month", name="calls")
    (tmp_path / "calls.yaml").write_text(dump_contract(inferred.contract), encoding="utf-8")
    process = start(
        "train", "--data", tmp_path / "calls.csv", "--contract", tmp_path / "calls.yaml", "--name", "calls",
        "--as-of", "2008-10", "--trials", "3", "--min-records", "1000", "--promote", "--json",
    )  # fmt: skip
    out, err = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, err
    found = json.loads(out)
    window = found["evidence"]["window"]
    assert (window["start"][:7], window["end"][:7]) == ("2008-05", "2008-10")
    skipped = found["evidence"]["tuning"]["skipped_folds"]
    assert skipped
    assert all("share their time" in fold["reason"] for fold in skipped)
    assert found["champion"] is True

    process = start(
        "evaluate", "--data", tmp_path / "calls.csv", "--model", "calls/1", "--by", "month", "--json"
    )
    out, err = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, err
    by_month = {p["period"]: p for p in json.loads(out)["performance"]["periods"]}
    assert set(by_month) == set(months)
    assert by_month["2008-11"]["evaluation"] is None
    assert "at least 5 of each" in by_month["2008-11"]["note"]
