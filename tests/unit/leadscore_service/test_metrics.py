"""Counters: right sums over workers, kept across restarts, and the document that shows them."""

from __future__ import annotations

import re
from bisect import bisect_right
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.artefacts import sample_matrix

from leadscore.scoring.probability_bins import PROBABILITY_EDGES
from leadscore.scoring.profile import FeatureProfile, feature_cells
from leadscore_service.metrics_bins import BinCounts
from leadscore_service.metrics_export import bin_names, exported_reference
from leadscore_service.metrics_layout import LATENCY_EDGES, CounterLayout, Counters
from leadscore_service.metrics_store import CounterFile

DOCS = Path(__file__).parents[3] / "docs" / "api.md"


def scrape(service) -> dict:
    answer = service.ask("GET", "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {family.name: family for family in text_string_to_metric_families(answer.body.decode())}


def value(family, **labels: str) -> float:
    found = [
        s.value
        for s in family.samples
        if labels.items() <= s.labels.items() and not s.name.endswith(("_bucket", "_sum"))
    ]
    return sum(found)


def test_requests_are_counted_by_endpoint_and_status(service, lead) -> None:
    for _ in range(3):
        service.post("/score-lead", lead)
    service.post("/score-lead", b"{")
    service.ask("GET", "/nope")
    requests = scrape(service)["leadscore_http_requests"]
    assert value(requests, endpoint="/score-lead", status="200") == 3
    assert value(requests, endpoint="/score-lead", status="400") == 1
    assert value(requests, endpoint="other", status="404") == 1


def test_latencies_have_edges_at_the_objectives_and_add_up(service, lead) -> None:
    assert {0.2, 0.5} <= set(LATENCY_EDGES)
    service.post("/score-lead", lead)
    family = scrape(service)["leadscore_http_request_duration_seconds"]
    buckets = [
        s for s in family.samples if s.name.endswith("_bucket") and s.labels["endpoint"] == "/score-lead"
    ]
    assert [s.labels["le"] for s in buckets] == [*(repr(edge) for edge in LATENCY_EDGES), "+Inf"]
    assert [s.value for s in buckets] == sorted(s.value for s in buckets)
    assert buckets[-1].value == 1


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.0010001, 0.2, 0.2000001, 0.5, 5.0, 6.0])
def test_a_latency_is_in_the_bucket_of_the_first_edge_not_below_it(model, tmp_path, seconds) -> None:
    layout = CounterLayout.of(model.profile, "x")
    cells = memoryview(bytearray(layout.size * 8)).cast("Q")
    Counters(cells, layout).request(0, 200, round(seconds * 1e9))
    bucket = next((i for i, edge in enumerate(LATENCY_EDGES) if seconds <= edge), len(LATENCY_EDGES))
    assert cells[layout.latencies + bucket] == 1
    assert cells[layout.latency_sums] == round(seconds * 1e9)


def test_leads_are_counted_in_the_reference_bins(service, model, lead) -> None:
    rows = [{**lead, "lead_id": str(i), "budget": 900.0 * i, "has_phone": i % 2 == 0} for i in range(40)]
    rows[5]["budget"] = None
    for row in rows[:10]:
        service.post("/score-lead", row)
    service.post("/score-leads", {"leads": rows[10:]})
    families = scrape(service)
    (budget,) = (f for f in model.profile.features if f.name == "budget")
    expected = np.zeros(len(budget.counts))
    for row in rows:
        if row["budget"] is not None:
            expected[bisect_right(budget.edges, np.float32(row["budget"]))] += 1
    bins = families["leadscore_feature_bin"]
    assert [value(bins, feature="budget", bin=str(i)) for i in range(len(expected))] == expected.tolist()
    assert value(bins, feature="budget", bin="missing") == 1
    assert value(bins, feature="has_phone", bin="true") == 20
    for feature in model.profile.features:
        assert value(bins, feature=feature.name) == 40
    assert value(families["leadscore_leads"]) == 40
    assert value(families["leadscore_score_bin"]) == 40
    assert value(families["leadscore_probability_bin"]) == 40


def test_probability_bins_are_the_same_for_every_model_and_hold_their_upper_edge(model) -> None:
    layout = CounterLayout.of(model.profile, "x")
    cells = np.zeros(layout.size, dtype=np.uint64)
    bins = BinCounts(model.profile, model.grades, layout, cells)
    probabilities = np.array([0.0, 0.001, 0.00101, 0.05, 0.0500001, 0.99, 0.991, 1.0])
    row = np.full(len(model.profile.features), np.nan, dtype=np.float32)
    for probability in probabilities:
        bins.note(row, probability)
    bins.flush()
    counted = cells[layout.probabilities : layout.probabilities + len(PROBABILITY_EDGES) + 1]
    expected = np.zeros(len(PROBABILITY_EDGES) + 1)
    for probability in probabilities:
        expected[
            next((i for i, e in enumerate(PROBABILITY_EDGES) if probability <= e), len(PROBABILITY_EDGES))
        ] += 1
    assert counted.tolist() == expected.tolist()
    assert counted.sum() == len(probabilities)


def test_probability_edges_grow_evenly_in_log_odds() -> None:
    steps = np.diff([np.log(edge / (1 - edge)) for edge in PROBABILITY_EDGES])
    assert steps.min() > 0.3
    assert steps[:-1].max() < 1.0


def test_what_alerts_divide_by_is_zero_before_the_first_request(make_service) -> None:
    families = scrape(make_service().start())
    requests = families["leadscore_http_requests"]
    counted = {(s.labels["endpoint"], s.labels["status"]): s.value for s in requests.samples}
    for endpoint in ("/score-lead", "/score-leads", "/explain-prediction", "/outcomes"):
        for status in ("200", "422", "500", "503"):
            assert counted[endpoint, status] == 0
    durations = families["leadscore_http_request_duration_seconds"]
    counts = {s.labels["endpoint"]: s.value for s in durations.samples if s.name.endswith("_count")}
    assert counts["/score-lead"] == 0
    assert set(counts) >= {"/score-leads", "/explain-prediction", "/outcomes"}


def test_live_bins_of_the_training_rows_are_the_references_own(model) -> None:
    matrix = sample_matrix(model.contract, 500, 0)
    for column, feature in enumerate(model.profile.features):
        bins = feature_cells(feature, np.array(feature.edges), matrix[:, column])
        counts = np.bincount(bins, minlength=len(feature.counts) + 1)
        assert tuple(counts) == exported_reference(feature)
        assert len(bin_names(feature)) == len(counts)


def test_unseen_categories_of_the_reference_count_as_missing() -> None:
    feature = FeatureProfile(name="c", kind="categorical", counts=(5, 3, 2), missing=1)
    assert exported_reference(feature) == (5, 3, 0, 3)


def test_workers_add_up_and_a_restarted_one_counts_on(tmp_path, model) -> None:
    layout = CounterLayout.of(model.profile, "m/1")
    one, two = CounterFile(tmp_path, layout), CounterFile(tmp_path, layout)
    one.counters.add("worker_starts", 2)
    two.counters.add("worker_starts", 3)
    assert one.total().sum() == two.total().sum() == 5
    one.close()
    assert two.total().sum() == 5
    again = CounterFile(tmp_path, layout)
    again.counters.add("worker_starts")
    assert again.total().sum() == 6
    assert len(list(tmp_path.iterdir())) == 2


def test_files_of_another_model_go_unless_a_worker_still_counts(tmp_path, model) -> None:
    old = CounterFile(tmp_path, CounterLayout.of(model.profile, "m/1"))
    CounterFile(tmp_path, CounterLayout.of(model.profile, "m/2")).close()
    assert len(list(tmp_path.iterdir())) == 2
    old.close()
    new = CounterFile(tmp_path, CounterLayout.of(model.profile, "m/3"))
    assert len(list(tmp_path.iterdir())) == 1
    assert new.total().sum() == 0


def test_every_series_tells_model_version_and_pod_apart(make_service, lead) -> None:
    service = make_service(LEADSCORE_MODEL_VERSION="7", LEADSCORE_POD_TEMPLATE_HASH="abc123").start()
    service.post("/score-lead", lead)
    for family in scrape(service).values():
        for sample in family.samples:
            assert sample.labels["model_name"] == "sample"
            assert sample.labels["model_version"] == "7"
            assert sample.labels["pod_template_hash"] == "abc123"


def test_gauges_tell_of_spool_and_keys(make_service, tmp_path, lead) -> None:
    from leadscore.identity.apikeys import create_key

    path = tmp_path / "keys.yaml"
    secret, _ = create_key(path, "a", ["score"])
    service = make_service(LEADSCORE_AUTH="keys", LEADSCORE_API_KEYS=str(path)).start()
    service.post("/score-lead", lead, {"x-api-key": secret})
    families = scrape(service)
    assert value(families["leadscore_ready"]) == 1
    assert value(families["leadscore_api_keys"]) == 1
    assert value(families["leadscore_spool_bytes"]) > 100
    assert value(families["leadscore_shipper_up"]) == 0
    assert value(families["leadscore_worker_starts"]) == 1
    service.worker.lifecycle.drain()
    assert value(scrape(service)["leadscore_ready"]) == 0


def test_the_documentation_lists_exactly_the_metrics_there_are(service) -> None:
    documented = set(re.findall(r"^\| `(leadscore_\w+)` \|", DOCS.read_text(), re.MULTILINE))
    served = set(
        re.findall(r"^# HELP (leadscore_\w+) ", service.ask("GET", "/metrics").body.decode(), re.MULTILINE)
    )
    assert documented == served
