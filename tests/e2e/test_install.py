"""The chart, installed: what a caller gets, and what stays inside."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.e2e.scenario.given import Given
from tests.e2e.scenario.load import Body, Endpoint, Load
from tests.e2e.scenario.patience import wait_until
from tests.e2e.scenario.release import FULL, Release
from tests.e2e.scenario.tally import Sent

pytestmark = pytest.mark.e2e


def ask(endpoint: Endpoint, path: str, body: object) -> Sent:
    """One request, as the load client sends it."""
    load = Load(endpoint, iter(()), 1)
    return asyncio.run(load.once(Body(path, json.dumps(body).encode())))


def test_a_lead_is_scored_with_the_key_of_the_secret(release: Release) -> None:
    reply = ask(release.endpoint(), "/score-lead", next(release.leads()))
    assert (reply.status, reply.model_version) == (200, "1")
    assert reply.prediction_ids


def test_nobody_is_let_in_without_a_key(release: Release) -> None:
    assert ask(release.endpoint(key=""), "/score-lead", next(release.leads())).status == 401
    assert ask(release.endpoint(key="lsk_wrong"), "/score-lead", next(release.leads())).status == 401


def test_a_bad_lead_is_refused_field_by_field(release: Release) -> None:
    reply = ask(release.endpoint(), "/score-lead", {"lead_id": "x", "pricing_visits": "many"})
    assert reply.status == 422
    assert "pricing_visits" in reply.problem


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/readyz", "/livez", "/openapi.json", "/docs.json", "/score-lead/x"]
)
def test_other_paths_are_not_routed(release: Release, path: str) -> None:
    reply = ask(release.endpoint(), path, {})
    assert reply.status == 404
    assert "404 page not found" in reply.problem


def test_another_host_is_not_answered(release: Release) -> None:
    key = release.secret(f"{FULL}-first-key", "key")
    other = Endpoint("127.0.0.1", release.endpoint().port, key, "other.example.test")
    assert ask(other, "/score-lead", next(release.leads())).status == 404


def test_scoring_pods_have_no_token_and_are_restricted(release: Release) -> None:
    pod = release.pods()[0]
    assert pod["spec"]["automountServiceAccountToken"] is False
    mounts = [m["mountPath"] for c in pod["spec"]["containers"] for m in c["volumeMounts"]]
    assert "/var/run/secrets/kubernetes.io/serviceaccount" not in mounts
    # What the namespace would enforce is asked of the API server itself.
    release.kube.cluster.run(
        "label", "namespace", release.kube.namespace, "--overwrite", "--dry-run=server",
        "pod-security.kubernetes.io/enforce=restricted",
    )  # fmt: skip


def test_a_steady_load_is_answered_and_stored(given: Given, release: Release) -> None:
    (
        given.stable(1)
        .load(25, bulk_share=0)
        .when.time_passes(requests=400)
        .then.no_request_failed()
        .p95_is_noted("through the ingress at 25 req/s, steady", at_most=15, since_load=True)
        .started_within_is_noted(version=1, at_most=6)
        .memory_is_noted(at_most=300)
        .metrics_tell_apart(1)
        .stored_is_acknowledged()
    )


def test_predictions_are_stored_as_the_champions(release: Release) -> None:
    wait_until(lambda: "champion" in release.psql("SELECT DISTINCT role FROM predictions"), seconds=30)
