"""Console and monitor.

One image, no rights, a way in for people and one for Alertmanager, and what they are told.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from tests.support.chart import Chart, Manifest, environment

One = Callable[..., Manifest]
ON = ("console.enabled=true", "monitor.enabled=true")
CHANNELS = (
    "monitor.channels.existingSecret=channels",
    'networkPolicy.channelsEgress=[{"ports":[{"port":443}]}]',
)
OIDC = ("auth.oidc.issuer=https://login.example.com", "auth.oidc.audience=leadscore")
HOST = "console.host=console.example.com"


def template(one: One, name: str, *settings: str, values: str = "") -> Manifest:
    return one("Deployment", *ON, *settings, values=values, ending=f"-{name}")["spec"]["template"]


def secrets_of(pod: Manifest) -> dict[str, str]:
    """Variables that come from Secrets, by the Secret's name."""
    entries = pod["spec"]["containers"][0]["env"]
    return {
        e["name"]: e["valueFrom"]["secretKeyRef"]["name"]
        for e in entries
        if "secretKeyRef" in e.get("valueFrom", {})
    }


def test_neither_is_there_unless_asked_for(chart: Chart) -> None:
    names = {m["metadata"]["name"] for m in chart.render()}
    assert not [name for name in names if name.endswith(("-console", "-monitor", "-session"))]


def test_both_run_the_same_image_with_their_own_command(one: One) -> None:
    console, monitor = (template(one, name)["spec"]["containers"][0] for name in ("console", "monitor"))
    assert console["image"] == monitor["image"] == "leadscore/console:0.1.0"
    assert (console["args"][0], monitor["args"][0]) == ("console", "monitor")
    for container in (console, monitor):
        (port,) = container["ports"]
        assert f"--port={port['containerPort']}" in container["args"]


def test_a_console_without_a_host_has_no_route(chart: Chart) -> None:
    routes = [m["metadata"]["name"] for m in chart.render(*ON) if m["kind"] == "IngressRoute"]
    assert routes == ["leads-lead-scoring"]


def test_its_route_is_its_host_s_alone_with_tls_as_the_api_s(one: One) -> None:
    route = one("IngressRoute", values="all-options", ending="-console")["spec"]
    assert route["routes"][0]["match"] == "Host(`console.leads.example.com`)"
    assert route["tls"] == {"secretName": "console-tls"}
    gateway = one("HTTPRoute", values="gateway", ending="-console")["spec"]
    assert gateway["hostnames"] == ["console.leads.example.com"]
    assert gateway["parentRefs"] == [{"name": "public", "namespace": "gateways"}]


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ((), None),
        ((HOST,), "http://console.example.com"),
        ((HOST, "console.tlsSecret=tls"), "https://console.example.com"),
        ((HOST, "console.url=https://leads.example.com/"), "https://leads.example.com"),
    ],
)
def test_links_carry_the_address_that_people_open(
    one: One, settings: tuple[str, ...], address: str | None
) -> None:
    for name in ("console", "monitor"):
        assert environment(template(one, name, *settings)).get("LEADSCORE_CONSOLE_URL") == address


def test_the_session_key_is_made_once_and_only_the_console_has_it(one: One) -> None:
    secret = one("Secret", *ON, ending="-console-session")
    assert len(base64.b64decode(secret["data"]["session-key"])) >= 32
    assert secrets_of(template(one, "console"))["LEADSCORE_SESSION_KEY"] == secret["metadata"]["name"]
    assert "LEADSCORE_SESSION_KEY" not in secrets_of(template(one, "monitor"))


def test_every_secret_can_be_yours(chart: Chart, one: One) -> None:
    assert not [m for m in chart.render(values="all-options") if m["kind"] == "Secret"]
    found = secrets_of(template(one, "console", values="all-options"))
    assert found["LEADSCORE_SESSION_KEY"] == "console-session"
    assert found["LEADSCORE_OIDC_CLIENT_SECRET"] == found["LEADSCORE_OIDC_CLIENT_ID"] == "console-client"
    monitor = template(one, "monitor", values="all-options")
    assert secrets_of(monitor)["LEADSCORE_ALERTMANAGER_TOKEN"] == "alertmanager-token"


def test_channels_are_a_folder_so_that_a_changed_secret_needs_no_restart(one: One) -> None:
    pod = template(one, "monitor", *CHANNELS)
    folder = environment(pod)["LEADSCORE_ALERT_SECRETS"]
    (mount,) = (m for m in pod["spec"]["containers"][0]["volumeMounts"] if m["mountPath"] == folder)
    assert "subPath" not in mount
    (volume,) = (v for v in pod["spec"]["volumes"] if v["name"] == mount["name"])
    assert volume["secret"]["secretName"] == "channels"


def test_rules_of_your_own_reach_the_monitor_as_a_file(one: One) -> None:
    file = environment(template(one, "monitor", values="all-options"))["LEADSCORE_ALERT_RULES"]
    data = one("ConfigMap", values="all-options", ending="-monitor")["data"]
    assert file.rpartition("/")[2] in data
    assert "LEADSCORE_ALERT_RULES" not in environment(template(one, "monitor"))


def test_who_may_sign_in_is_who_may_approve(one: One) -> None:
    pod = template(one, "console", "auth.approvers.existingSecret=people")
    (volume,) = (v for v in pod["spec"]["volumes"] if v["name"] == "approvers")
    assert volume["secret"]["secretName"] == "people"
    assert environment(pod)["LEADSCORE_API_KEYS"].startswith("/etc/leadscore-approvers/")


def test_a_model_in_an_image_is_there_to_be_compared_with(one: One) -> None:
    pod = template(one, "monitor", "model.version=4")
    (init,) = pod["spec"]["initContainers"]
    assert init["image"] == "leadscore/demo-model:4"
    assert init["command"][-1] == f"{environment(pod)['LEADSCORE_HOME']}/models/leads/4"
    fetched = template(one, "monitor", values="all-options")["spec"]
    assert "initContainers" not in fetched
    assert {"models", "artefacts"} <= {v["name"] for v in fetched["volumes"]}


def test_prometheus_finds_the_monitor(one: One) -> None:
    monitor = one("PodMonitor", values="all-options", ending="-monitor")["spec"]
    labels = template(one, "monitor", values="all-options")["metadata"]["labels"]
    assert monitor["selector"]["matchLabels"].items() <= labels.items()
    assert monitor["podMetricsEndpoints"][0]["path"] == "/metrics"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("console.enabled=true",), "Set monitor.enabled=true"),
        ((*ON, HOST, "trafficRouting.provider=none", "workload.replicas=10"), "routed by nobody"),
        ((*ON, HOST, "trafficRouting.host=console.example.com"), "a host of its own"),
        ((*ON, "console.tlsSecret=tls"), "Unset it, or set console.host"),
        ((*ON, "console.oidc.existingSecret=client"), "auth.oidc.issuer no issuer"),
        ((*ON, *OIDC, "console.oidc.existingSecret=client"), "Set console.host or console.url"),
        (("monitor.channels.existingSecret=c",), "nobody would deliver an alert"),
        ((*ON, "monitor.channels.existingSecret=c"), "Set networkPolicy.channelsEgress"),
    ],
)
def test_what_cannot_work_is_refused(chart: Chart, settings: tuple[str, ...], sentence: str) -> None:
    assert sentence in chart.refusal(*settings)
