"""Why a version was sent back is told from analyses, pods and events."""

from __future__ import annotations

from typing import Any

from tools.deploy.reasons import analysis_reasons, event_reasons, log_reasons, pod_reasons, ready_pods


def run(*metrics: dict[str, Any], **status: Any) -> dict[str, Any]:
    metadata = {"name": "leads-new-4", "annotations": {"rollout.argoproj.io/revision": "4"}}
    return {"metadata": metadata, "status": {"metricResults": list(metrics), **status}}


def test_a_failed_metric_is_told_with_what_it_measured() -> None:
    metric = {
        "name": "error-rate", "phase": "Failed",
        "measurements": [{"phase": "Successful", "value": "[0]"}, {"phase": "Failed", "value": "[0.5]"}],
    }  # fmt: skip
    assert analysis_reasons([run(metric)], "4") == ["leads-new-4: error-rate Failed, measured [0.5]"]


def test_metrics_that_passed_are_not_told() -> None:
    assert analysis_reasons([run({"name": "p95", "phase": "Successful"}, phase="Successful")], "4") == []


def test_a_metric_that_could_not_be_asked_is_told_with_the_error() -> None:
    metric = {
        "name": "p95",
        "phase": "Error",
        "measurements": [{"phase": "Error", "message": "no such host"}],
    }
    assert analysis_reasons([run(metric)], "4") == ["leads-new-4: p95 Error (no such host)"]


def test_a_run_that_failed_without_a_metric_is_told() -> None:
    assert analysis_reasons([run(phase="Error", message="bad template")], "4") == [
        "leads-new-4: Error (bad template)"
    ]


def test_what_an_earlier_attempt_failed_at_is_not_told_again() -> None:
    assert analysis_reasons([run({"name": "p95", "phase": "Failed"})], "5") == []


def pod(state: dict[str, Any], *, init: bool = False) -> dict[str, Any]:
    key = "initContainerStatuses" if init else "containerStatuses"
    return {"metadata": {"name": "leads-new-x"}, "status": {key: [{"name": "c", **state}]}}


def test_an_image_that_cannot_be_pulled_is_told() -> None:
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    assert pod_reasons([pod(waiting)]) == ["pod leads-new-x, container c: ImagePullBackOff: no such image"]


def test_starting_is_no_reason() -> None:
    assert pod_reasons([pod({"state": {"waiting": {"reason": "PodInitializing"}}})]) == []


def test_a_fetch_that_refused_the_artefact_is_told_with_its_last_words() -> None:
    ended = {
        "state": {
            "terminated": {"exitCode": 7, "reason": "Error", "message": "a\nmodel.ubj does not match\n"}
        }
    }
    assert pod_reasons([pod(ended, init=True)]) == [
        "pod leads-new-x, container c: ended with code 7 (Error): model.ubj does not match"
    ]


def test_the_end_before_a_restart_counts() -> None:
    ended = {"state": {"running": {}}, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
    assert "137 (OOMKilled)" in pod_reasons([pod(ended)])[0]


def test_warnings_of_the_versions_objects_are_told_once() -> None:
    def event(name: str, kind: str = "Warning") -> dict[str, Any]:
        return {"involvedObject": {"name": name}, "type": kind, "reason": "Unhealthy", "message": "503"}

    found = event_reasons(
        [event("leads-new-x"), event("leads-new-x"), event("leads-old-x"), event("leads-new-y", "Normal")],
        "leads-new",
    )
    assert found == ["leads-new-x: Unhealthy: 503"]


def test_what_a_pod_logged_as_an_error_is_told_and_its_chatter_is_not() -> None:
    log = """plain text
{"level": "info", "event": "listening"}
{"level": "error", "event": "model not loaded", "error": "calibration.json has 120 bytes"}
{"level": "error", "event": "model not loaded", "error": "calibration.json has 120 bytes"}
{"level": "warning", "event": "request failed"}
["no", "object"]
"""
    assert log_reasons("p", log) == ["pod p says: model not loaded: calibration.json has 120 bytes"]


def test_what_a_ready_pods_start_met_with_is_no_reason() -> None:
    started = {
        "metadata": {"name": "leads-new-x"},
        "status": {"containerStatuses": [{"name": "c", "ready": True}]},
    }
    assert ready_pods([started, pod({})]) == {"leads-new-x"}
    event = {
        "involvedObject": {"name": "leads-new-x"},
        "type": "Warning",
        "reason": "Unhealthy",
        "message": "503",
    }
    assert event_reasons([event], "leads-new", without={"leads-new-x"}) == []
