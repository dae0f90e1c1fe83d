import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.__main__ import SUITES, main, run_suite
from benchmarks.bench import QUICK, Bench, Suite
from benchmarks.environments import cache_folder
from benchmarks.errors import BenchError
from benchmarks.machine import Machine
from benchmarks.processes import Plan, process_tree, running
from benchmarks.row import Row
from benchmarks.rows import bank
from benchmarks.rows.footprint import folder_bytes


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path, QUICK, lambda _: None, tmp_path / "absent.csv")


def test_every_row_has_a_name_of_its_own():
    names = [name for suite in SUITES for name in suite.rows]

    assert len(names) == len(set(names))


def test_a_suite_that_cannot_measure_gives_rows_that_say_why(bench):
    def measure(_bench, _wanted):
        raise BenchError("wrk is not installed.")

    rows = run_suite(Suite(("a", "b"), measure), bench, frozenset({"a"}))

    assert [(row.name, row.value) for row in rows] == [("a", None)]
    assert "wrk is not installed" in rows[0].how


def test_a_suite_that_nobody_wants_is_not_run(bench):
    assert run_suite(Suite(("a",), lambda *_: pytest.fail("ran")), bench, frozenset({"b"})) == []


def test_only_wanted_rows_are_asked_for(bench):
    asked = []

    def measure(_bench, wanted):
        asked.append(wanted)
        return [Row("b", "b", 1.0, "s", None)]

    run_suite(Suite(("a", "b"), measure), bench, frozenset({"b", "z"}))

    assert asked == [{"b"}]


def test_without_the_banks_data_the_row_says_so(bench):
    (row,) = bank.SUITES[0].measure(bench, frozenset({"bank-auc"}))

    assert row.value is None
    assert "--bank-data" in row.how


def test_an_unknown_row_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--only", "nonsense"])

    assert exit_.value.code == 2
    assert "score-one" in capsys.readouterr().err


def test_the_cache_follows_the_users_setting(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert cache_folder() == tmp_path / "leadscore" / "bench"


def test_the_machine_knows_itself():
    machine = Machine.here()

    assert machine.cores >= 1
    assert machine.memory_gib > 0
    assert "numpy" in dict(machine.versions)


def test_a_server_is_waited_for_and_stopped_with_what_it_started(tmp_path):
    script = (
        "import http.server, subprocess, sys; subprocess.Popen(['sleep', '300']);"
        "http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind='127.0.0.1')"
    )
    plan = Plan("tiny", (sys.executable, "-c", script, "{port}"), "/", tmp_path)

    with running(plan) as server:
        started = process_tree(server.pid)
        assert server.pid in started
        assert len(started) == 2
        assert server.seconds > 0

    assert process_tree(server.pid) == []


def test_a_server_that_ends_is_an_error_with_its_log(tmp_path):
    plan = Plan("broken", (sys.executable, "-c", "raise SystemExit('no model here')"), "/", tmp_path)

    with pytest.raises(BenchError, match="no model here"), running(plan):
        pytest.fail("it did not start")


def test_a_folders_size_is_what_du_says(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_bytes(os.urandom(100_000))
    (tmp_path / "link").symlink_to(Path(sys.executable))
    du = subprocess.run(
        ["du", "--summarize", "--block-size=1", tmp_path], capture_output=True, text=True, check=True
    )

    assert folder_bytes(tmp_path) + tmp_path.lstat().st_blocks * 512 == int(du.stdout.split()[0])
