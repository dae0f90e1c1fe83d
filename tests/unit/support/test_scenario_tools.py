"""The scenarios' own tools.

Values over values, figures and their table, weights, and what the faults do to a service.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from benchmarks.report import rows_table
from loadtests.leads import Lead
from tests.e2e import measurements
from tests.e2e.measurements import Figure, worst
from tests.e2e.scenario.examples import example
from tests.e2e.scenario.images import tampered
from tests.e2e.scenario.kube import mebibytes, seconds_to_ready
from tests.e2e.scenario.market import Market
from tests.e2e.scenario.release import merged
from tests.e2e.scenario.scene import canary_weight
from tests.support.artefacts import build_artefact

from leadscore.errors import ArtefactError
from leadscore.scoring.model import ScoringModel


def test_values_merge_objects_and_replace_lists():
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert merged(base, {"a": {"c": []}, "d": 2}) == {"a": {"b": 1, "c": []}, "d": 2}
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": 1}


def test_a_pods_memory_is_read_in_every_unit_that_the_metrics_api_writes():
    containers = [{"usage": {"memory": quantity}} for quantity in ("132096Ki", "129Mi", "1Gi", "1048576")]
    assert mebibytes({"containers": containers}) == 129 + 129 + 1024 + 1


def test_the_table_shows_the_worst_value_and_marks_a_missed_goal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LEADSCORE_E2E_MEASUREMENTS", str(tmp_path / "deep" / "figures.jsonl"))
    for value, scenario in ((12.0, "one"), (17.5, "two")):
        measurements.record(Figure("P95", value, "ms", 15, scenario))
    measurements.record(Figure("share", 10.0, "%", None, "one"))
    printed = rows_table(worst(measurements.read(measurements.figures_path())))
    assert "| P95 | ≤ 15 ms | 17.5 ms | NO | - | the worst of 2 scenarios |" in printed
    assert "| share | - | 10 % | - | - | the worst of 1 scenario |" in printed


def test_a_canary_has_no_weight_before_the_controller_wrote_one():
    services = [{"name": "x-stable"}, {"name": "x-canary"}]
    assert canary_weight({"spec": {"weighted": {"services": services}}}) == 0
    services[1]["weight"] = 50
    assert canary_weight({"spec": {"weighted": {"services": services}}}) == 50


def test_time_to_ready_counts_from_the_kubelets_start():
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"}
    assert seconds_to_ready({"status": {"startTime": "2026-01-01T00:00:00Z", "conditions": [ready]}}) == 5


def test_a_tampered_artefact_is_refused_by_the_name_of_its_file(tmp_path: Path):
    folder = tampered(build_artefact(tmp_path / "model", trees=3, rows=120))
    with pytest.raises(ArtefactError, match=r"model\.ubj"):
        ScoringModel.load(folder)


def test_a_sample_is_applied_with_shorter_times_and_without_what_is_taken_away() -> None:
    (policy,) = example("retrainpolicy", triggers={"schedule": None}, run={"trials": 2}, coolDown="1s")
    (sample,) = example("retrainpolicy")
    assert "schedule" in sample["spec"]["triggers"]
    assert "schedule" not in policy["spec"]["triggers"]
    assert policy["spec"]["triggers"]["drift"] == sample["spec"]["triggers"]["drift"]
    assert (policy["spec"]["run"]["trials"], policy["spec"]["coolDown"]) == (2, "1s")
    assert policy["spec"]["release"] == sample["spec"]["release"]


def test_a_market_sends_what_its_mood_says_and_never_an_id_twice() -> None:
    market = Market()
    calm = [next(market) for _ in range(300)]
    market.mood = "pipeline_bug"
    broken = [next(market) for _ in range(300)]
    ids = {lead["lead_id"] for lead in (*calm, *broken)}
    assert len(ids) == 600

    def budget(leads: list[Lead]) -> float:
        return statistics.fmean(float(str(lead["budget"])) for lead in leads if "budget" in lead)

    assert budget(broken) > 20 * budget(calm)
    assert not {"converted", "revenue", "outcome_known_at"} & set(calm[0])
