"""What people see and are told of: the console behind the ingress, and alerts that arrive once.

Alerts go from a broken version over Prometheus and Alertmanager to mail, Slack and PagerDuty.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import pytest
import yaml
from tests.e2e.scenario import network
from tests.e2e.scenario.alerts import evaluated
from tests.e2e.scenario.approvers import approvers_secret, people
from tests.e2e.scenario.begin import installed, scenario
from tests.e2e.scenario.images import MODEL, load_faulty, load_models, project_values
from tests.e2e.scenario.kube import Kube, Object
from tests.e2e.scenario.receivers import Receivers, host_address
from tests.e2e.scenario.registry import FOLDER
from tests.e2e.scenario.release import FULL, Release, Values, merged, scenario_values
from tests.e2e.scenario.told import ToldGiven
from tools.cluster.images import image_map
from tools.images.__main__ import registry_answers

from leadscore.alerts.rules import default_rules

pytestmark = pytest.mark.e2e

ALERT = "LeadScoringErrorRate"
CONSOLE = "console.alerts.example.test"
CHANNELS, TOKEN = "channels", "leads-alertmanager"
ROLES = ("service", "console", "postgresql")
# The rule as it is, with times short enough to be watched.
WINDOW, WAIT, KEEP = "20s", "4s", "4s"


def shortened(rule: Object) -> Object:
    """The chart's rule of errors with shorter times; others as they are."""
    if rule["alert"] != ALERT:
        return rule
    return {**rule, "expr": rule["expr"].replace("[5m]", f"[{WINDOW}]"), "for": WAIT, "keep_firing_for": KEEP}


def own_rules() -> Values:
    """The same for the monitor's own evaluation: `monitor.rules`."""
    rule = default_rules().named(ALERT)
    assert rule is not None
    changes = {"query": rule.query.replace("[5m]", f"[{WINDOW}]"), "for": WAIT, "keep": KEEP}
    return {"rules": [{"alert": ALERT, **changes}]}


@pytest.fixture(scope="module")
def receivers() -> Iterator[Receivers]:
    """A mail server, Slack and PagerDuty, on this machine."""
    made = Receivers(host_address())
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def release(receivers: Receivers) -> Iterator[tuple[Release, str]]:
    """The chart with a monitor that delivers, and an Alertmanager that tells it.

    No canary goes back by itself: this story is of people who are told, and act.
    """
    images = project_values(*ROLES)
    service = f"{images['image']['repository']}:{images['image']['tag']}"
    images = merged(images, {"model": {"image": {"repository": load_models()}}})
    faulty, token = load_faulty(service), secrets.token_hex(24)
    values = merged(
        scenario_values(steps_seconds=10),
        {
            "analysis": {"enabled": False},
            "auth": {"approvers": {"existingSecret": approvers_secret()["metadata"]["name"]}},
            # As the artefacts of these models are called.
            "model": {"name": MODEL},
            "console": {
                "enabled": True,
                "host": CONSOLE,
                "podAnnotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9465"},
                "resources": {"requests": {"cpu": "25m"}},
            },
            "monitor": {
                "enabled": True,
                "channels": {"existingSecret": CHANNELS},
                "alertmanager": {"existingSecret": TOKEN},
                "rules": own_rules(),
                "podAnnotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9464"},
                "resources": {"requests": {"cpu": "25m"}},
            },
            "networkPolicy": {"channelsEgress": [{"to": [{"ipBlock": {"cidr": f"{receivers.address}/32"}}]}]},
        },
    )
    objects = [
        *(secret(CHANNELS, receivers.channels()), secret(TOKEN, {"token": token})),
        approvers_secret(),
    ]
    with installed("alerts", values, images, objects=objects) as made:
        for part in ("monitor", "console"):
            made.kube.run("rollout", "status", f"deployment/{FULL}-{part}", "--timeout=120s", timeout=130)
        monitoring = Kube(made.kube.cluster, "monitoring")
        applied = [secret(TOKEN, {"token": token}), *alertmanager(made.kube.namespace)]
        try:
            for each in applied:
                monitoring.run("apply", "--filename=-", stdin=json.dumps(each))
            monitoring.run("rollout", "status", "deployment/alertmanager", "--timeout=120s", timeout=130)
            with evaluated(made, shortened):
                yield made, faulty
        finally:
            monitoring.run("delete", "deployment,configmap", "alertmanager", "--ignore-not-found")
            monitoring.run("delete", "secret", TOKEN, "--ignore-not-found")


def alertmanager(namespace: str) -> list[Object]:
    """The sample, for this namespace and with the image that this cluster has."""
    text = (FOLDER / "alertmanager.yaml").read_text(encoding="utf-8").replace("NAMESPACE", namespace)
    found: list[Object] = list(yaml.safe_load_all(text))
    for each in found:
        if each["kind"] == "Deployment":
            (container,) = each["spec"]["template"]["spec"]["containers"]
            repository = container["image"].rpartition(":")[0]
            # A node that was made here has it under its own name.
            container["image"] = image_map(local=not registry_answers())[repository]
            container["imagePullPolicy"] = "IfNotPresent"
    return found


def secret(name: str, entries: dict[str, str]) -> Object:
    """A Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": entries}


@pytest.fixture
def given(request: pytest.FixtureRequest, release: tuple[Release, str]) -> Iterator[ToldGiven]:
    """A scenario on this release."""
    made, faulty = release
    for each in scenario(request, made, faulty, ToldGiven):
        assert isinstance(each, ToldGiven)
        yield each


def test_a_pod_reaches_what_its_policy_names_and_nothing_else(
    release: tuple[Release, str], receivers: Receivers
) -> None:
    made, _ = release
    database, channel = f"{FULL}-postgresql.{made.kube.namespace}.svc:5432", receivers.web
    prometheus = "prometheus.monitoring.svc:9090"
    places = [database, channel, prometheus, "kubernetes.default.svc:443"]
    assert network.reached_from(made, "scoring", places) == [database]
    assert network.reached_from(made, "console", places) == [database]
    assert network.reached_from(made, "monitor", places) == [database, channel, prometheus]


def test_a_stranger_beside_the_release_reaches_none_of_its_pods(release: tuple[Release, str]) -> None:
    made, _ = release
    ports = {"postgresql": 5432, "scoring": 3000, "console": 8600, "monitor": 9464}
    places = [f"{made.pods(part)[0]['status']['podIP']}:{port}" for part, port in ports.items()]
    assert network.reached_by_a_stranger(made, [*places, "prometheus.monitoring.svc:9090"]) == [
        "prometheus.monitoring.svc:9090"
    ]


def test_people_sign_in_to_the_console_behind_the_ingress(given: ToldGiven, receivers: Receivers) -> None:
    (
        given.channels(receivers)
        .stable(1)
        .load()
        .when.time_passes(requests=100)
        .then.the_console_sends_strangers_to_the_door(CONSOLE)
        .the_console_lets_in(CONSOLE, people().credential("ada.lovelace"))
        .what_it_shows_is_counted()
        .no_request_failed()
    )


def test_a_broken_version_is_told_to_everybody_once_though_the_delivery_is_killed(
    given: ToldGiven, receivers: Receivers
) -> None:
    (
        given.channels(receivers)
        .stable(1)
        .load()
        .when.slack_is_busy()
        .broken(2)
        .then.prometheus_fires(ALERT)
        .pagerduty_and_mail_have(ALERT)
        .when.slack_has_refused()
        .the_monitor_is_killed()
        .then.slack_has_nothing()
        .when.slack_is_busy(busy=False)
        .then.slack_has(ALERT)
        .when.taken_back()
        .then.pagerduty_and_mail_have(ALERT, "resolve")
        .slack_has(ALERT, "resolve")
        .each_was_told_once(ALERT)
        .the_alert_carries_its_runbook(ALERT)
        .no_address_is_in_the_log()
    )
