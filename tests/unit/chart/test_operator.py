from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer
import yaml
from tests.support.chart import CHART, Chart, Manifest

from leadscore_operator.__main__ import main
from leadscore_operator.specs.workload import Workload

ON = ("operator.enabled=true",)
One = Callable[..., Manifest]


def test_without_being_asked_for_neither_operator_nor_definitions_are_there(chart: Chart) -> None:
    kinds = {m["kind"] for m in chart.render()}
    assert kinds.isdisjoint({"CustomResourceDefinition", "Role", "RoleBinding"})


def test_definitions_are_kept_when_the_release_goes_unless_told_otherwise(chart: Chart) -> None:
    def crds(*settings: str) -> list[Manifest]:
        return [
            m for m in chart.render("crds.enabled=true", *settings) if m["kind"] == "CustomResourceDefinition"
        ]

    assert len(crds()) == 4
    assert all(c["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for c in crds())
    assert not any("annotations" in c["metadata"] for c in crds("crds.keep=false"))


def test_the_operator_is_one_pod_that_is_never_two(one: One) -> None:
    spec = one("Deployment", *ON, ending="-operator")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_the_operator_knows_every_option_that_the_chart_gives_it(one: One) -> None:
    app = typer.Typer()
    app.command()(main)
    known = {option for parameter in typer.main.get_command(app).params for option in parameter.opts}
    (container,) = one("Deployment", *ON, ending="-operator")["spec"]["template"]["spec"]["containers"]
    assert {argument.partition("=")[0] for argument in container["args"]} <= known
    given = {entry["name"] for entry in container["env"]}
    assert {"POD_NAMESPACE", "LEADSCORE_EVENTS_URL"} <= given


def test_its_rights_are_a_role_in_its_namespace_without_secrets_and_without_wildcards(
    chart: Chart, one: One
) -> None:
    assert not [m for m in chart.render(*ON) if m["kind"].startswith("ClusterRole")]
    rules = one("Role", *ON)["rules"]
    for rule in rules:
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        assert "secrets" not in rule["resources"]
        if "pods" in rule["resources"]:
            assert rule["verbs"] == ["list"]
    assert rules == yaml.safe_load((CHART / "files" / "operator" / "rules.yaml").read_text())


def test_pods_that_it_starts_run_as_an_account_without_rights(chart: Chart, one: One) -> None:
    bound = one("RoleBinding", *ON)["subjects"]
    text = one("ConfigMap", *ON, ending="-operator")["data"]["workload.yaml"]
    account = yaml.safe_load(text)["serviceAccountName"]
    assert account not in [subject["name"] for subject in bound]
    assert account in [m["metadata"]["name"] for m in chart.render(*ON) if m["kind"] == "ServiceAccount"]


def test_the_operator_reads_the_workload_file_that_the_chart_writes(one: One, tmp_path: Path) -> None:
    settings = (
        *ON,
        "mlflow.enabled=true",
        "mlflow.artifactRoot=file:///artefacts",
        "mlflow.artifactClaim=models",
    )
    text = one("ConfigMap", *settings, ending="-operator")["data"]["workload.yaml"]
    file = tmp_path / "workload.yaml"
    file.write_text(text)
    workload = Workload.read(file)
    assert {"LEADSCORE_EVENTS_URL", "LEADSCORE_TRACKING_URI"} <= {entry["name"] for entry in workload.env}
    assert workload.volume_mounts == [{"name": "artefacts", "mountPath": "/artefacts"}]


def test_another_workload_file_restarts_the_operator(one: One) -> None:
    def annotations(*settings: str) -> Manifest:
        return one("Deployment", *ON, *settings, ending="-operator")["spec"]["template"]["metadata"][
            "annotations"
        ]

    assert annotations() == annotations()
    assert annotations() != annotations("jobsImage.tag=9")


@pytest.mark.parametrize("scrape", ["PodMonitor", "ServiceMonitor"])
def test_whoever_scrapes_the_service_scrapes_the_operator(chart: Chart, one: One, scrape: str) -> None:
    settings = (*ON, f"monitoring.scrape={scrape}")
    monitor = one("PodMonitor", *settings, ending="-operator")["spec"]
    template = one("Deployment", *settings, ending="-operator")["spec"]["template"]
    assert monitor["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    (port,) = template["spec"]["containers"][0]["ports"]
    assert monitor["podMetricsEndpoints"][0]["port"] == port["name"]
    assert not [m for m in chart.render(*ON) if m["kind"] == "PodMonitor"]


def test_monitoring_may_reach_the_operator_and_annotations_find_it(one: One) -> None:
    settings = (*ON, "networkPolicy.enabled=true", 'operator.podAnnotations={"prometheus.io/scrape": "true"}')
    policy = one("NetworkPolicy", *settings, ending="-operator")["spec"]
    (rule,) = policy["ingress"]
    (source,) = rule["from"]
    assert source["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "monitoring"}
    template = one("Deployment", *settings, ending="-operator")["spec"]["template"]
    assert template["metadata"]["annotations"]["prometheus.io/scrape"] == "true"
