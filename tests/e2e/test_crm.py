"""Scores on their way from the cluster into a CRM: signed, only the newest, whatever is killed or refused."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.e2e.scenario.begin import installed, scenario
from tests.e2e.scenario.crm import (
    CREDENTIALS,
    FIELDS,
    TARGET,
    Crm,
    CrmGiven,
    crm_at,
)
from tests.e2e.scenario.examples import example
from tests.e2e.scenario.images import MODEL, load_models, project_values
from tests.e2e.scenario.kube import Object
from tests.e2e.scenario.receivers import host_address
from tests.e2e.scenario.release import FULL, ROOT, Release, Values, merged, scenario_values
from tests.e2e.scenario.runbooks import failing, looks

pytestmark = pytest.mark.e2e

AUTHORITY = "company-authority"
ROLES = ("service", "jobs", "console", "operator", "postgresql")


def crm_values(crm: Crm, address: str) -> Values:
    """A monitor that tells both receivers, and an operator that says how that goes."""
    target = {
        "name": TARGET, "kind": "dynamics", "url": crm.dataverse.url, "existingSecret": CREDENTIALS,
        "object": "lead", "fields": FIELDS,
    }  # fmt: skip
    return {
        "caBundle": {"configMap": AUTHORITY},
        "model": {"name": MODEL},
        "monitor": {"enabled": True, "resources": {"requests": {"cpu": "25m"}}},
        "operator": {"enabled": True, "resyncSeconds": 10},
        "crm": {"targets": [target], "webhooks": {"networks": [f"{address}/32"]}},
        "networkPolicy": {"crmEgress": [{"to": [{"ipBlock": {"cidr": f"{address}/32"}}]}]},
    }


def authority(crm: Crm) -> Object:
    """What pods trust."""
    data = {"ca.crt": crm.authority.bundle.read_text()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": AUTHORITY}, "data": data}


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Crm, str]]:
    """A webhook's receiver and Dataverse."""
    address = host_address()
    with crm_at(address, tmp_path_factory.mktemp("crm")) as made:
        yield made, address


@pytest.fixture(scope="module")
def release(crm: tuple[Crm, str]) -> Iterator[Release]:
    """The chart with monitor and operator."""
    made_crm, address = crm
    images = merged(project_values(*ROLES), {"model": {"image": {"repository": load_models()}}})
    with installed(
        "crm", merged(scenario_values(steps_seconds=10), crm_values(made_crm, address)), images,
        objects=[authority(made_crm), made_crm.credentials()],
        definitions=sorted((ROOT / "charts" / "lead-scoring" / "files" / "crds").glob("*.yaml")),
    ) as made:  # fmt: skip
        never = [{"name": "never", "cron": "@yearly", "window": "1h"}]
        for each in example("driftdetector", model=f"{MODEL}@champion", schedules=never, performance=None):
            made.kube.run("create", "--filename=-", stdin=json.dumps(each))
        made.kube.run("rollout", "status", f"deployment/{FULL}-monitor", "--timeout=120s", timeout=130)
        yield made


@pytest.fixture
def given(request: pytest.FixtureRequest, release: Release) -> Iterator[CrmGiven]:
    """A scenario on this release."""
    for each in scenario(request, release, "", CrmGiven):
        assert isinstance(each, CrmGiven)
        yield each


def test_scores_reach_the_crm_whatever_is_killed_changed_or_deleted(
    given: CrmGiven, crm: tuple[Crm, str]
) -> None:
    (
        given.stable(1)
        .crm(crm[0])
        .few_leads_again_and_again()
        .when.an_endpoint_is_added()
        .both_have_been_told()
        .the_monitor_is_killed()
        .the_crm_takes_another_secret("of today")
        .its_kubernetes_secret_is_changed()
        .then.the_crm_is_asked_for_a_token_again()
        .when.its_secret_is_rotated()
        .the_crm_deletes_a_lead()
        .a_score_is_given_up()
        .somebody_looks_at_the_detector()
        .then.the_detector_says("False", f"for {TARGET} were given up")
        .when.its_lead_is_back()
        .requests_end()
        .then.both_have_what_the_log_says()
        .when.somebody_looks_at_the_detector()
        .then.the_detector_says("True", "nothing waits for long")
        .no_request_failed()
    )


def test_what_runbooks_have_people_look_at_of_the_monitor_is_there(release: Release) -> None:
    lines = looks(lambda line: "-monitor" in line)
    assert lines
    assert failing(release, lines, {}) == {}
