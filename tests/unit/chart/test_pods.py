"""Pods: restricted, without rights, ready only with a model, gone only when their work is done."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support import chart as looks
from tests.support.chart import VALUES, Chart, Manifest, containers, expanded, pod_specs

FILES = [path.stem.removesuffix("-values") for path in VALUES]
# https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
VOLUME_TYPES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
One = Callable[..., Manifest]


def environment(spec: Manifest) -> dict[str, str]:
    return {e["name"]: e.get("value", "") for e in spec["containers"][0]["env"]}


@pytest.mark.parametrize("values", FILES)
def test_every_pod_meets_the_restricted_standard(chart: Chart, values: str) -> None:
    for owner, spec in pod_specs(chart.render(values=values)):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), owner
        assert spec["securityContext"]["runAsNonRoot"] is True, owner
        # One of the files leaves the user to the platform; the images' own is not root.
        assert spec["securityContext"].get("runAsUser", 1 if values == "all-options" else 0) > 0, owner
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, owner
        for volume in spec["volumes"]:
            assert set(volume) - {"name"} <= VOLUME_TYPES, (owner, volume)
        for container in containers(spec):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, owner
            assert security["capabilities"] == {"drop": ["ALL"]}, owner
            assert security["readOnlyRootFilesystem"] is True, owner
            assert not any("hostPort" in port for port in container.get("ports", [])), owner


@pytest.mark.parametrize("values", FILES)
def test_no_pod_gets_a_service_account_token(chart: Chart, values: str) -> None:
    for owner, spec in pod_specs(chart.render(values=values)):
        assert spec["automountServiceAccountToken"] is False, owner


@pytest.mark.parametrize("values", FILES)
def test_no_object_gives_a_workload_rights(chart: Chart, values: str) -> None:
    kinds = {m["kind"] for m in chart.render(values=values)}
    assert not kinds & {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}


@pytest.mark.parametrize("values", FILES)
def test_every_container_states_its_memory(chart: Chart, values: str) -> None:
    for owner, spec in pod_specs(chart.render(values=values)):
        for container in containers(spec):
            assert "memory" in container["resources"]["limits"], owner


def test_digest_wins_over_tag(one: One) -> None:
    digest = "sha256:" + "c" * 64
    spec = one("Rollout", "image.tag=9", f"image.digest={digest}")["spec"]["template"]["spec"]
    assert spec["containers"][0]["image"] == f"leadscore/lead-scoring@{digest}"


def test_tag_defaults_to_the_release_of_the_service(one: One) -> None:
    spec = one("Rollout")["spec"]["template"]["spec"]
    assert spec["containers"][0]["image"] == "leadscore/lead-scoring:0.1.0"


def test_a_malformed_digest_is_refused(chart: Chart) -> None:
    assert "digest" in chart.refusal("image.digest=sha256:12")


def test_ready_means_the_model_is_loaded_and_alive_means_only_that_it_answers(one: One) -> None:
    container = one("Rollout")["spec"]["template"]["spec"]["containers"][0]
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "http"}
    # A model that cannot be loaded leaves the pod up, not ready, to say why: no restart loop.
    assert container["startupProbe"]["httpGet"] == {"path": "/livez", "port": "http"}


def test_grace_period_covers_the_whole_shutdown(one: One) -> None:
    spec = one("Rollout")["spec"]["template"]["spec"]
    variables = environment(spec)
    pre_stop = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    service = float(variables["LEADSCORE_DRAIN_S"]) + float(variables["LEADSCORE_SHUTDOWN_S"])
    assert pre_stop > 0
    assert (
        spec["terminationGracePeriodSeconds"] >= pre_stop + service + 10
    )  # the shipper drains for up to 10 s


REGISTRY = (
    "model.source=registry",
    "model.registry.trackingUri=http://mlflow:5000",
    "networkPolicy.enabled=false",
)
CLAIM = ("model.source=claim", "model.claim.name=models")


@pytest.mark.parametrize("source", [(), REGISTRY, CLAIM], ids=["image", "registry", "claim"])
def test_every_place_of_the_version_reads_the_pod_template_s_label(one: One, source: tuple[str, ...]) -> None:
    template = one("Rollout", "model.version=7", *source)["spec"]["template"]
    assert template["metadata"]["labels"]["leadscore.dev/model-version"] == "7"
    template["metadata"]["labels"]["leadscore.dev/model-version"] = "8"
    for container in containers(template["spec"]):
        told = looks.environment(template, container)
        assert told.get("LEADSCORE_MODEL_VERSION", "8") == "8"
        assert told.get("LEADSCORE_MODEL", "leads/8") == "leads/8"
        for mount in container["volumeMounts"]:
            assert expanded(mount.get("subPathExpr", "leads/8"), told) in ("leads/8", told.get("POD_NAME"))
    told = looks.environment(template)
    assert told["LEADSCORE_VERSION_LABEL"] == told["LEADSCORE_MODEL_VERSION"] == "8"


def test_what_an_image_brings_is_written_down_for_the_service_to_compare(one: One) -> None:
    template = one("Rollout", "model.version=7")["spec"]["template"]
    (init,) = template["spec"]["initContainers"]
    assert init["image"].endswith(":7")
    assert looks.environment(template, init)["LEADSCORE_ARTEFACT_VERSION"] == "7"
    file = looks.environment(template)["LEADSCORE_ARTEFACT_VERSION_FILE"]
    assert f'"$LEADSCORE_ARTEFACT_VERSION" > {file}' in init["command"][2]
    for container in containers(template["spec"]):
        mounted = [m["mountPath"] for m in container["volumeMounts"] if m["name"] == "home"]
        assert file.startswith(f"{mounted[0]}/")
    assert "LEADSCORE_ARTEFACT_VERSION_FILE" not in looks.environment(
        one("Rollout", *CLAIM)["spec"]["template"]
    )


def test_version_zero_leaves_the_label_to_whoever_releases_a_version(one: One, chart: Chart) -> None:
    template = one("Rollout", "model.version=0", *REGISTRY)["spec"]["template"]
    assert "leadscore.dev/model-version" not in template["metadata"]["labels"]
    assert "an image's tag cannot read it" in chart.refusal("model.version=0")


def test_an_alias_is_no_version(chart: Chart) -> None:
    assert "model/version" in chart.refusal("model.version=champion").replace(".", "/")


@pytest.mark.parametrize(
    ("kind", "values", "label"),
    [
        ("Rollout", "default", "rollouts-pod-template-hash"),
        ("Deployment", "deployment-mode", "pod-template-hash"),
    ],
)
def test_pods_know_their_template_hash(one: One, kind: str, values: str, label: str) -> None:
    spec = one(kind, values=values)["spec"]["template"]["spec"]
    variables = {e["name"]: e for e in spec["containers"][0]["env"]}
    reference = variables["LEADSCORE_POD_TEMPLATE_HASH"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert reference == f"metadata.labels['{label}']"


def test_every_mounted_volume_exists_and_every_volume_is_mounted(chart: Chart) -> None:
    for values in FILES:
        for owner, spec in pod_specs(chart.render(values=values)):
            mounted = {mount["name"] for c in containers(spec) for mount in c["volumeMounts"]}
            assert mounted == {volume["name"] for volume in spec["volumes"]}, owner


def test_a_fetched_model_is_read_only_to_the_service(one: One) -> None:
    spec = one("Rollout", values="all-options")["spec"]["template"]["spec"]
    init, service = spec["initContainers"][0], spec["containers"][0]
    assert {m["name"]: m.get("readOnly", False) for m in init["volumeMounts"]}["model"] is False
    assert {m["name"]: m.get("readOnly", False) for m in service["volumeMounts"]}["model"] is True
    ours = {e["name"]: e.get("value") for e in service["env"]}
    theirs = {e["name"]: e.get("value") for e in init["env"]}
    for name in ("LEADSCORE_MODEL", "LEADSCORE_HOME", "LEADSCORE_TRACKING_URI"):
        assert ours[name] == theirs[name]


def test_a_model_from_a_claim_needs_no_init_container(one: One) -> None:
    spec = one("Rollout", *CLAIM, "model.version=4")["spec"]["template"]["spec"]
    assert "initContainers" not in spec
    mounts = {m["mountPath"]: m for m in spec["containers"][0]["volumeMounts"]}
    assert mounts["/var/lib/leadscore/model"]["subPathExpr"] == "leads/$(LEADSCORE_MODEL_VERSION)"


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ((), "emptyDir"),
        (("spool.type=ephemeral",), "ephemeral"),
        (("spool.type=existingClaim", "spool.existingClaim=spool"), "persistentVolumeClaim"),
    ],
)
def test_spool_is_on_the_volume_that_was_chosen(one: One, settings: tuple[str, ...], key: str) -> None:
    spec = one("Rollout", *settings)["spec"]["template"]["spec"]
    assert key in next(v for v in spec["volumes"] if v["name"] == "spool")


def test_pods_share_a_claim_without_sharing_a_folder(one: One) -> None:
    spec = one("Rollout", "spool.type=existingClaim", "spool.existingClaim=spool")["spec"]["template"]["spec"]
    mount = next(m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "spool")
    assert mount["subPathExpr"] == "$(POD_NAME)"


def test_api_keys_come_from_the_named_secret_and_are_mounted_as_a_folder(one: One, chart: Chart) -> None:
    spec = one("Rollout", values="all-options")["spec"]["template"]["spec"]
    volume = next(v for v in spec["volumes"] if v["name"] == "api-keys")
    assert volume["secret"]["secretName"] == "crm-api-keys"
    # A file mounted by subPath would never see a changed Secret.
    mount = next(m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "api-keys")
    assert "subPath" not in mount
    assert not [
        m
        for m in chart.render(values="all-options")
        if m["kind"] == "Secret" and "key" in m["metadata"]["name"]
    ]


def test_passwords_are_in_no_pod_template(chart: Chart) -> None:
    for values in FILES:
        for _, spec in pod_specs(chart.render(values=values)):
            for container in containers(spec):
                for variable in container.get("env", []):
                    if "PASSWORD" in variable["name"]:
                        assert "secretKeyRef" in variable["valueFrom"]


def test_large_numbers_are_written_out(one: One) -> None:
    variables = environment(one("Rollout")["spec"]["template"]["spec"])
    assert variables["LEADSCORE_SPOOL_MAX_BYTES"] == "1073741824"
    assert variables["LEADSCORE_MAX_BODY_BYTES"] == "33554432"


def test_pods_spread_over_nodes_and_zones(one: One) -> None:
    constraints = one("Rollout")["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [c["topologyKey"] for c in constraints] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]


def test_mlflow_runs_no_jobs_and_hands_out_no_files(one: One) -> None:
    container = one("Deployment", values="all-options", ending="-mlflow")["spec"]["template"]["spec"][
        "containers"
    ][0]
    assert "--no-serve-artifacts" in container["args"]
    assert {"name": "MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "value": "false"} in container["env"]
