"""The chart itself: it lints, and what is made from values.yaml is fresh."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from tests.support.chart import CHART, ROOT, VALUES, Chart
from tools.chart.__main__ import stale
from tools.chart.errors import ValuesError
from tools.chart.readme import readme_with
from tools.chart.schema import schema_of
from tools.chart.values import read_values

from leadscore_service.metrics_layout import LATENCY_EDGES


@pytest.mark.parametrize("values", VALUES, ids=lambda p: p.stem)
def test_every_values_file_passes_the_strict_lint(chart: Chart, values: Path) -> None:
    done = chart.run("lint", "--strict", str(CHART), "--values", str(values))
    assert done.returncode == 0, done.stdout + done.stderr


def test_schema_and_readme_are_what_values_yaml_makes_of_them() -> None:
    assert stale(CHART) == []


def test_all_options_leave_no_template_unrendered(chart: Chart) -> None:
    kinds = {m["kind"] for name in VALUES for m in chart.render(values=name.stem.removesuffix("-values"))}
    assert kinds >= {
        *("Rollout", "Deployment", "StatefulSet", "Job", "Service", "Secret", "ConfigMap", "ServiceAccount"),
        *(
            "TraefikService",
            "IngressRoute",
            "Middleware",
            "ServersTransport",
            "HTTPRoute",
            "AnalysisTemplate",
        ),
        *("PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy"),
        *("PodMonitor", "ServiceMonitor", "PrometheusRule"),
    }


def test_a_value_without_a_sentence_is_an_error() -> None:
    with pytest.raises(ValuesError, match=r"line 2: a\.b is not documented|line 1: a is not documented"):
        read_values("a:\n  b: 1\n")


def test_an_undocumented_key_beside_documented_ones_is_an_error() -> None:
    with pytest.raises(ValuesError, match=r"line 5: a\.c is not documented"):
        read_values("# -- A.\na:\n  # -- B.\n  b: 1\n  c: 2\n")


def test_schema_keywords_are_added_to_what_the_default_shows() -> None:
    schema = json.loads(schema_of(read_values("# -- How many.\n# @schema minimum: 2\nreplicas: 3\n")))
    assert schema["properties"]["replicas"] == {"description": "How many.", "type": "integer", "minimum": 2}


def test_a_number_takes_text_within_the_same_bounds() -> None:
    text = "# -- Share.\n# @schema {type: number, minimum: 0, maximum: 1}\nshare: 0\n"
    share = json.loads(schema_of(read_values(text)))["properties"]["share"]
    assert (share["type"], share["minimum"], share["maximum"]) == (["number", "string"], 0, 1)
    good, bad = ("0", "1", "0.02", "1.0"), ("1.5", "-1", "", "x", "2")
    assert all(re.search(share["pattern"], each) for each in good)
    assert not any(re.search(share["pattern"], each) for each in bad)
    with pytest.raises(ValuesError, match="bounds that have no pattern yet"):
        schema_of(read_values("# -- A.\n# @schema {type: number, minimum: 3}\na: 4\n"))


def test_a_mapping_of_documented_keys_takes_no_others() -> None:
    schema = json.loads(schema_of(read_values("# -- A.\na:\n  # -- B.\n  b: x\n# -- Free.\nc: {}\n")))
    assert schema["properties"]["a"]["additionalProperties"] is False
    assert "additionalProperties" not in schema["properties"]["c"]


def test_a_readme_without_markers_is_an_error() -> None:
    with pytest.raises(ValuesError, match="no markers"):
        readme_with(read_values("# -- A.\na: 1\n"), "# Title\n")


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    alerts = {path.stem for path in (CHART / "files" / "alerts").rglob("*.yaml")}
    runbooks = {path.stem for path in (CHART.parents[1] / "docs" / "runbooks").glob("*.md")} - {"README"}
    assert alerts == runbooks


def test_alert_files_are_plain_yaml_with_what_an_alert_needs() -> None:
    for path in (CHART / "files" / "alerts").rglob("*.yaml"):
        alert = yaml.safe_load(path.read_text())
        keys = [key for key in alert if key != "keep_firing_for"]
        assert keys == ["expr", "for", "labels", "annotations"], path.name
        assert alert["labels"]["severity"] in {"warning", "critical"}
        assert alert["annotations"]["summary"]


def test_the_local_clusters_values_lint_and_fit_the_cluster(chart: Chart) -> None:
    values = ROOT / "manifests" / "local-cluster" / "values.yaml"
    done = chart.run("template", "leads", str(CHART), "--namespace", "scoring", "--values", str(values))
    assert done.returncode == 0, done.stderr
    rollout = next(m for m in yaml.safe_load_all(done.stdout) if m and m["kind"] == "Rollout")
    template = rollout["spec"]["template"]
    port = template["spec"]["containers"][0]["ports"][0]["containerPort"]
    annotations = template["metadata"]["annotations"]
    assert annotations == {"prometheus.io/scrape": "true", "prometheus.io/port": str(port)}
    addon = (ROOT / "tools" / "cluster" / "addons" / "prometheus.yaml").read_text()
    # Labels of the pod become labels of its series, which the matcher relies on.
    assert "labelmap, regex: __meta_kubernetes_pod_label_(.+)" in addon
    limit = yaml.safe_load(values.read_text())["analysis"]["maxP95Seconds"]
    assert limit in LATENCY_EDGES


def test_the_loops_values_give_an_operator_whose_samples_fit_the_release(chart: Chart) -> None:
    files = [ROOT / "manifests" / "local-cluster" / name for name in ("values.yaml", "loop.yaml")]
    named = [f"--values={file}" for file in files]
    done = chart.run("template", "leads", str(CHART), "--namespace", "scoring", *named)
    assert done.returncode == 0, done.stderr
    made = {(m["kind"], m["metadata"]["name"]) for m in yaml.safe_load_all(done.stdout) if m}
    claims = yaml.safe_load_all((ROOT / "manifests" / "local-cluster" / "claims.yaml").read_text())
    wanted = yaml.safe_load(files[1].read_text())
    assert {c["metadata"]["name"] for c in claims} == {
        wanted["mlflow"]["artifactClaim"],
        wanted["model"]["registry"]["cacheClaim"],
    }
    examples = ROOT / "manifests" / "examples"
    toolbox, policy, release = (
        yaml.safe_load((examples / f"{name}.yaml").read_text())
        for name in ("toolbox", "retrainpolicy", "modelrelease")
    )
    assert ("ServiceAccount", toolbox["spec"]["serviceAccountName"]) in made
    assert ("Rollout", policy["spec"]["release"]["rollout"]) in made
    assert ("Rollout", release["spec"]["rollout"]) in made
    (container,) = toolbox["spec"]["containers"]
    environment = {entry["name"]: entry for entry in container["env"]}
    registry = environment["LEADSCORE_TRACKING_URI"]["value"].removeprefix("http://").partition(":")[0]
    assert ("Service", registry) in made
    password = environment["POSTGRESQL_PASSWORD"]["valueFrom"]["secretKeyRef"]["name"]
    assert ("Secret", password) in made


def test_the_production_toolbox_fits_the_production_values(chart: Chart) -> None:
    values = ROOT / "manifests" / "environments" / "production" / "values.yaml"
    done = chart.run("template", "leads", str(CHART), "--namespace", "scoring", f"--values={values}")
    assert done.returncode == 0, done.stderr
    found = [m for m in yaml.safe_load_all(done.stdout) if m]
    made = {(m["kind"], m["metadata"]["name"]) for m in found}
    pod = yaml.safe_load((ROOT / "manifests" / "examples" / "toolbox-production.yaml").read_text())
    (container,) = pod["spec"]["containers"]
    assert ("ServiceAccount", pod["spec"]["serviceAccountName"]) in made
    (workload,) = (
        yaml.safe_load(m["data"]["workload.yaml"]) for m in found if "workload.yaml" in m.get("data", {})
    )
    ours = {entry["name"]: entry for entry in container["env"]}
    # Registry, event store and object store are those of the Jobs that the operator starts.
    for entry in workload["env"]:
        if entry["name"] in {"LEADSCORE_TRACKING_URI", "LEADSCORE_EVENTS_URL"}:
            assert ours[entry["name"]] == entry
    assert container["envFrom"] == workload["envFrom"]
    (console,) = (
        m for m in found if m["kind"] == "Deployment" and m["metadata"]["name"].endswith("-console")
    )
    approvers = [
        {v["name"]: v for v in spec["volumes"]}["approvers"]["secret"]["secretName"]
        for spec in (pod["spec"], console["spec"]["template"]["spec"])
    ]
    assert len(set(approvers)) == 1
