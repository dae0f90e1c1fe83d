"""Where pods run and as whom.

Every workload takes the same words, `pods` holds for all, and platforms keep their own say.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.support.chart import CHART, VALUES, Chart, Manifest, containers

from leadscore_operator.specs.workload import Workload, pod_template

# Everything that makes pods, by component, and the values that speak of it.
WORKLOADS = {
    "scoring": "scoring",
    "shadow": "scoring",
    "operator": "operator",
    "jobs": "operator.jobs",
    "postgresql": "postgresql",
    "console": "console",
    "monitor": "monitor",
    "mlflow": "mlflow",
    "mlflow-migrate": "mlflow",
    "events-migrate": "events.migration",
    "events-retain": "events.migration",
    "batch": "batch",
    "batch-publish": "batch",
    "batch-maintain": "batch",
    "crm-publish": "batch",
    "load-test": "loadTest",
    "helm-test": "loadTest",
}
ALL = (
    *("operator.enabled=true", "mlflow.enabled=true", "mlflow.artifactRoot=file:///artefacts"),
    *("mlflow.artifactClaim=artefacts", "loadTest.enabled=true", "shadow.enabled=true", "shadow.version=2"),
    *("events.retention.keep=730d", "console.enabled=true", "monitor.enabled=true"),
    *("batch.enabled=true", "batch.leads=/lake/leads", "batch.claim=lake"),
    'crm.targets=[{"name":"warehouse","kind":"table"}]',
)
# What a pod spec must hold once a value is set.
WORDS = {
    'nodeSelector={"pool":"x"}': ("nodeSelector", {"pool": "x"}),
    'tolerations=[{"key":"x","operator":"Exists"}]': ("tolerations", [{"key": "x", "operator": "Exists"}]),
    'affinity={"nodeAffinity":{}}': ("affinity", {"nodeAffinity": {}}),
    "priorityClassName=x": ("priorityClassName", "x"),
    'topologySpreadConstraints=[{"topologyKey":"x","maxSkew":1,"whenUnsatisfiable":"DoNotSchedule"}]': (
        "topologySpreadConstraints",
        [{"topologyKey": "x", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}],
    ),
}


def templates(manifests: tuple[Manifest, ...], folder: Path) -> Iterator[tuple[str, Manifest]]:
    """Pod templates by component; those of the operator's Jobs as the operator makes them."""
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if manifest["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        template = manifest if manifest["kind"] == "Pod" else spec.get("template")
        if manifest["kind"] == "ConfigMap" and "workload.yaml" in manifest["data"]:
            (folder / "workload.yaml").write_text(manifest["data"]["workload.yaml"])
            template = pod_template(Workload.read(folder / "workload.yaml"), [], {}, resources={})
        if template:
            yield template["metadata"]["labels"]["app.kubernetes.io/component"], template


def by_component(chart: Chart, folder: Path, *settings: str, values: str = "") -> dict[str, Manifest]:
    return dict(templates(chart.render(*ALL, *settings, values=values), folder))


def test_every_component_that_makes_pods_is_known_here(chart: Chart, tmp_path: Path) -> None:
    assert set(by_component(chart, tmp_path)) == set(WORKLOADS)


@pytest.mark.parametrize("values", sorted(set(WORKLOADS.values())))
def test_a_workload_s_placement_holds_for_its_pods_and_no_others(
    chart: Chart, tmp_path: Path, values: str
) -> None:
    made = by_component(chart, tmp_path, *(f"{values}.{word}" for word in WORDS))
    for component, template in made.items():
        mine = WORKLOADS[component] == values
        for key, expected in WORDS.values():
            assert (template["spec"].get(key) == expected) is mine, (component, key)


def test_the_placement_of_pods_holds_for_every_pod(chart: Chart, tmp_path: Path) -> None:
    for component, template in by_component(chart, tmp_path, *(f"pods.{word}" for word in WORDS)).items():
        for key, expected in WORDS.values():
            assert template["spec"].get(key) == expected, (component, key)


def test_a_workload_s_own_word_wins_and_its_maps_are_added(chart: Chart, tmp_path: Path) -> None:
    settings = (
        *("pods.priorityClassName=low", "mlflow.priorityClassName=high"),
        *('pods.nodeSelector={"os":"linux","pool":"a"}', 'mlflow.nodeSelector={"pool":"b"}'),
        *('pods.annotations={"a":"1","b":"1"}', 'mlflow.podAnnotations={"b":"2"}'),
    )
    made = by_component(chart, tmp_path, *settings)
    assert made["mlflow"]["spec"]["priorityClassName"] == "high"
    assert made["postgresql"]["spec"]["priorityClassName"] == "low"
    assert made["mlflow"]["spec"]["nodeSelector"] == {"os": "linux", "pool": "b"}
    assert made["mlflow"]["metadata"]["annotations"] == {"a": "1", "b": "2"}
    assert made["jobs"]["metadata"]["annotations"] == {"a": "1", "b": "1"}


@pytest.mark.parametrize("values", sorted(set(WORKLOADS.values())))
def test_labels_annotations_and_volumes_reach_the_pods_they_are_meant_for(
    chart: Chart, tmp_path: Path, values: str
) -> None:
    made = by_component(
        chart, tmp_path,
        f"{values}.podLabels.cost=sales", f"{values}.podAnnotations.note=yes-please", "commonLabels.team=crm",
        f'{values}.extraVolumes=[{{"name":"more","emptyDir":{{}}}}]',
        f'{values}.extraVolumeMounts=[{{"name":"more","mountPath":"/more"}}]',
    )  # fmt: skip
    for component, template in made.items():
        mine = WORKLOADS[component] == values
        assert template["metadata"]["labels"]["team"] == "crm", component
        assert (template["metadata"]["labels"].get("cost") == "sales") is mine, component
        assert ("note" in template["metadata"].get("annotations", {})) is mine, component
        assert ("more" in [v["name"] for v in template["spec"]["volumes"]]) is mine, component
        for container in containers(template["spec"]):
            assert ("/more" in [m["mountPath"] for m in container["volumeMounts"]]) is mine, component


def test_the_platform_may_choose_every_user(chart: Chart, tmp_path: Path) -> None:
    """OpenShift's restricted-v2 refuses a pod that names a user outside the namespace's range."""
    for component, template in by_component(chart, tmp_path, "pods.platformUser=true").items():
        security = template["spec"]["securityContext"]
        assert set(security) == {"runAsNonRoot", "seccompProfile"}, component
        for container in containers(template["spec"]):
            assert not {"runAsUser", "runAsGroup"} & set(container["securityContext"]), component


ACCOUNTS = {
    **{each: each for each in ("scoring", "operator", "mlflow", "console", "monitor", "batch")},
    "jobs": "operator.jobs",
}


@pytest.mark.parametrize("component", ACCOUNTS)
def test_every_role_s_account_takes_annotations_or_is_one_that_is_there(
    chart: Chart, tmp_path: Path, component: str
) -> None:
    values = ACCOUNTS[component]
    found = chart.render(*ALL, f'{values}.serviceAccount.annotations={{"eks.amazonaws.com/role-arn":"arn"}}')
    name = dict(templates(found, tmp_path))[component]["spec"]["serviceAccountName"]
    annotated = [m for m in found if m["kind"] == "ServiceAccount" and "annotations" in m["metadata"]]
    assert [m["metadata"]["name"] for m in annotated] == [name]
    found = chart.render(*ALL, f"{values}.serviceAccount.name=theirs")
    made = dict(templates(found, tmp_path))
    assert made[component]["spec"]["serviceAccountName"] == "theirs"
    assert name not in [m["metadata"]["name"] for m in found if m["kind"] == "ServiceAccount"]
    if component == "operator":
        (binding,) = [m for m in found if m["kind"] == "RoleBinding"]
        assert binding["subjects"][0]["name"] == "theirs"


def test_the_migration_of_mlflow_is_who_the_server_is(chart: Chart, tmp_path: Path) -> None:
    made = by_component(chart, tmp_path)
    assert (
        made["mlflow"]["spec"]["serviceAccountName"] == made["mlflow-migrate"]["spec"]["serviceAccountName"]
    )


def test_every_object_and_definition_has_the_common_labels(chart: Chart) -> None:
    for manifest in chart.render(*ALL, "crds.enabled=true", "commonLabels.team=crm", values="all-options"):
        assert manifest["metadata"]["labels"]["team"] == "crm", manifest["metadata"]["name"]


@pytest.mark.parametrize(
    "setting",
    [
        'commonLabels={"app.kubernetes.io/name":"x"}',
        'mlflow.podLabels={"app.kubernetes.io/component":"x"}',
        'operator.jobs.podLabels={"leadscore.dev/model-version":"9"}',
    ],
)
def test_labels_that_selectors_or_versions_depend_on_are_refused(chart: Chart, setting: str) -> None:
    assert "which the chart sets itself" in chart.refusal(setting)


def test_a_version_with_build_metadata_makes_valid_labels_and_tags(chart: Chart, tmp_path: Path) -> None:
    folder = tmp_path / "chart"
    shutil.copytree(CHART, folder)
    described = yaml.safe_load((folder / "Chart.yaml").read_text())
    described |= {"version": "1.2.3+build.4", "appVersion": "1.2.3+build.4"}
    (folder / "Chart.yaml").write_text(json.dumps(described))
    done = chart.run("template", "leads", str(folder), "--set=operator.enabled=true")
    assert done.returncode == 0, done.stderr
    for manifest in filter(None, yaml.safe_load_all(done.stdout)):
        labels = manifest["metadata"]["labels"]
        assert labels["helm.sh/chart"] == "lead-scoring-1.2.3_build.4"
        assert labels["app.kubernetes.io/version"] == "1.2.3_build.4"
    assert "leadscore/lead-scoring:1.2.3_build.4" in done.stdout
    assert "leadscore/operator:1.2.3_build.4" in done.stdout


def test_with_every_secret_given_the_chart_makes_none_and_renders_the_same_twice(chart: Chart) -> None:
    values = str(next(p for p in VALUES if p.stem.startswith("all-options")))
    command = ("template", "leads", str(CHART), f"--values={values}", "--set=operator.enabled=true")
    first, second = chart.run(*command), chart.run(*command)
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    assert not [m for m in yaml.safe_load_all(first.stdout) if m and m["kind"] == "Secret"]


# --- authorities --------------------------------------------------------------------------------------------

BUNDLE = ("caBundle.configMap=authorities", "caBundle.key=bundle.pem")
OUTSIDE = (
    *("postgresql.enabled=false", "events.existingSecret=events", "mlflow.existingSecret=mlflow"),
    "networkPolicy.enabled=false",
)


def test_whoever_connects_trusts_the_bundle_and_verifies_your_database_by_name(
    chart: Chart, tmp_path: Path
) -> None:
    for component, template in by_component(chart, tmp_path, *BUNDLE, *OUTSIDE).items():
        (volume,) = [v for v in template["spec"]["volumes"] if v["name"] == "ca-bundle"]
        assert volume["configMap"] == {
            "name": "authorities",
            "items": [{"key": "bundle.pem", "path": "ca.crt"}],
        }
        for container in containers(template["spec"]):
            told = {e["name"]: e.get("value") for e in container.get("env", [])}
            mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
            if "cp -R" in str(container.get("command")):
                continue  # It copies a model out of its own image.
            for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
                assert told.get(name, "") or component == "helm-test", (component, name)
            if {"LEADSCORE_EVENTS_URL", "MLFLOW_BACKEND_STORE_URI"} & set(told):
                assert told["PGSSLMODE"] == "verify-full", component
                assert told["PGSSLROOTCERT"] == f"{mounts['ca-bundle']}/ca.crt", component


def test_the_bundled_database_speaks_no_tls_and_is_not_asked_to(chart: Chart, tmp_path: Path) -> None:
    for template in by_component(chart, tmp_path, *BUNDLE).values():
        for container in containers(template["spec"]):
            assert "PGSSLMODE" not in [e["name"] for e in container.get("env", [])]


def test_a_bundle_may_be_a_secret_and_is_one_of_the_two(chart: Chart, tmp_path: Path) -> None:
    made = by_component(chart, tmp_path, "caBundle.secret=authorities")
    (volume,) = [v for v in made["scoring"]["spec"]["volumes"] if v["name"] == "ca-bundle"]
    assert volume["secret"]["secretName"] == "authorities"
    assert "pods trust one" in chart.refusal("caBundle.secret=a", "caBundle.configMap=b")


# --- names --------------------------------------------------------------------------------------------------


def test_every_pod_may_ask_for_names_where_the_cluster_answers(chart: Chart) -> None:
    openshift = (
        '[{"to":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"openshift-dns"}}}],'
        '"ports":[{"port":5353,"protocol":"UDP"}]}]'
    )
    (policy,) = [
        m
        for m in chart.render(f"networkPolicy.dnsEgress={openshift}")
        if m["kind"] == "NetworkPolicy" and m["metadata"]["name"].endswith("-dns")
    ]
    assert policy["spec"]["egress"] == json.loads(openshift)
