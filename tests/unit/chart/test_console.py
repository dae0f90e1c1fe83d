"""Console and monitor.

One image, no rights, a way in for people and one for Alertmanager, and what they are told.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from tests.support.chart import Chart, Manifest, environment

from leadscore.monitoring.endpoint import MonitorEndpoint, MonitorHealth

One = Callable[..., Manifest]
ON = ("console.enabled=true", "monitor.enabled=true")
CHANNELS = (
    "monitor.channels.existingSecret=channels",
    'networkPolicy.channelsEgress=[{"ports":[{"port":443}]}]',
)
OIDC = ("auth.oidc.issuer=https://login.example.com", "auth.oidc.audience=leadscore")
HOST = "console.host=console.example.com"
SECURE = 'trafficRouting.traefik.entryPoints=["websecure"]'


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
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert f"--port={ports['http']}" in container["args"]
        assert "metrics" not in ports or f"--metrics-port={ports['metrics']}" in container["args"]


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
        ((HOST, SECURE, "console.tlsSecret=tls"), "https://console.example.com"),
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
    assert secrets_of(template(one, "console"))["LEADSCORE_CONSOLE_SECRET"] == secret["metadata"]["name"]
    assert "LEADSCORE_CONSOLE_SECRET" not in secrets_of(template(one, "monitor"))


def test_every_secret_can_be_yours(chart: Chart, one: One) -> None:
    assert not [m for m in chart.render(values="all-options") if m["kind"] == "Secret"]
    found = secrets_of(template(one, "console", values="all-options"))
    assert found["LEADSCORE_CONSOLE_SECRET"] == "console-session"
    assert found["LEADSCORE_OIDC_CLIENT_SECRET"] == found["LEADSCORE_OIDC_AUDIENCE"] == "console-client"
    monitor = template(one, "monitor", values="all-options")
    assert secrets_of(monitor)["LEADSCORE_ALERTMANAGER_TOKEN"] == "alertmanager-token"


def test_people_s_tokens_are_for_the_console_s_client_and_without_one_it_takes_none(one: One) -> None:
    pod = template(one, "console", values="all-options")
    names = [e["name"] for e in pod["spec"]["containers"][0]["env"]]
    assert names.count("LEADSCORE_OIDC_AUDIENCE") == 1
    assert environment(pod)["LEADSCORE_OIDC_ISSUER"] == "https://login.example.com"
    assert "LEADSCORE_OIDC_ISSUER" not in environment(template(one, "console", *OIDC))


def test_a_store_that_is_away_starts_no_monitor_again(one: One) -> None:
    (container,) = template(one, "monitor")["spec"]["containers"]
    endpoint = MonitorEndpoint(lambda: MonitorHealth(status="unknown", leading=True), (), {})
    said: list[str] = []
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = {"REQUEST_METHOD": "GET", "PATH_INFO": container[probe]["httpGet"]["path"]}
        endpoint(asked, lambda status, *_: said.append(status))  # type: ignore[arg-type]
    assert said == ["200 OK"] * 3


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


@pytest.mark.parametrize("name", ["console", "monitor"])
def test_prometheus_finds_both(one: One, name: str) -> None:
    found = one("PodMonitor", values="all-options", ending=f"-{name}")["spec"]
    pod = template(one, name, values="all-options")
    assert found["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    (endpoint,) = found["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in pod["spec"]["containers"][0]["ports"]}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("console.enabled=true",), "Set monitor.enabled=true"),
        ((*ON, HOST, "trafficRouting.provider=none", "workload.replicas=10"), "routed by nobody"),
        ((*ON, HOST, "trafficRouting.host=console.example.com"), "a host of its own"),
        ((*ON, HOST, "console.tlsSecret=tls"), "https would find no route"),
        ((*ON, SECURE, "console.tlsSecret=tls"), "Unset it, or set console.host"),
        ((*ON, "console.oidc.existingSecret=client"), "auth.oidc.issuer no issuer"),
        ((*ON, *OIDC, "console.oidc.existingSecret=client"), "Set console.host or console.url"),
        (("monitor.channels.existingSecret=c",), "nobody would deliver an alert"),
        ((*ON, "monitor.channels.existingSecret=c"), "Set networkPolicy.channelsEgress"),
    ],
)
def test_what_cannot_work_is_refused(chart: Chart, settings: tuple[str, ...], sentence: str) -> None:
    assert sentence in chart.refusal(*settings)
