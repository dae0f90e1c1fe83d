"""What a pipeline relies on.

Environments that render, images by digest, a package, a deployer's rights that suffice.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.chart import CHART, ROOT, Chart, Manifest, containers, pod_specs
from tools.chart.package import package, values_files
from tools.cluster.errors import ClusterError

FILES = values_files()
DIGEST = "sha256:" + "e" * 64
RIGHTS = ROOT / "manifests" / "ci" / "deployer.yaml"


def rendered(chart: Chart, file: Path, *settings: str) -> tuple[Manifest, ...]:
    options = [word for setting in settings for word in ("--set", setting)]
    done = chart.run(
        "template", "leads", str(CHART), "--namespace", "scoring", "--values", str(file), *options
    )
    assert done.returncode == 0, done.stderr
    return tuple(document for document in yaml.safe_load_all(done.stdout) if document)


def ids(file: Path) -> str:
    return f"{file.parent.name}-{file.stem}"


def test_environments_are_among_the_values_files() -> None:
    assert {"staging", "production"} <= {file.parent.name for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=ids)
def test_every_pod_of_every_values_file_is_restricted(chart: Chart, file: Path) -> None:
    pods = list(pod_specs(rendered(chart, file)))
    assert pods
    for owner, spec in pods:
        assert breaches(spec) == [], owner


def breaches(spec: Manifest) -> list[str]:
    """What the restricted Pod Security Standard forbids and a pod does, hostPath and ports included."""
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    pod = spec.get("securityContext", {})
    found += [f"volume {v['name']}" for v in spec["volumes"] if "hostPath" in v]
    for container in containers(spec):
        own = container.get("securityContext", {})
        both = {**pod, **own}
        checks = {
            "runAsNonRoot": both.get("runAsNonRoot") is True,
            "runAsUser": both.get("runAsUser") != 0,
            "seccompProfile": both.get("seccompProfile", {}).get("type") in {"RuntimeDefault", "Localhost"},
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities": own.get("capabilities", {}).get("drop") == ["ALL"]
            and not set(own["capabilities"].get("add", [])) - {"NET_BIND_SERVICE"},
            "privileged": not own.get("privileged"),
            "hostPort": not any("hostPort" in port for port in container.get("ports", [])),
        }
        found += [f"{container['name']}: {name}" for name, kept in checks.items() if not kept]
    return found


@pytest.mark.parametrize(
    ("change", "breach"),
    [
        ({"hostNetwork": True}, "hostNetwork"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "volume v"),
        ({"securityContext": {}, "container": {"securityContext": {}}}, "runAsNonRoot"),
        ({"container": {"securityContext": {"allowPrivilegeEscalation": True}}}, "allowPrivilegeEscalation"),
        ({"container": {"ports": [{"hostPort": 1}]}}, "hostPort"),
    ],
)
def test_the_restricted_check_catches_a_breach(chart: Chart, change: dict[str, Any], breach: str) -> None:
    _, spec = next(pod_specs(chart.render()))
    changed = {**spec, **{key: value for key, value in change.items() if key != "container"}}
    changed["containers"] = [{**c, **change.get("container", {})} for c in spec["containers"]]
    assert any(breach in found for found in breaches(changed))


def test_every_image_can_be_named_by_digest(chart: Chart) -> None:
    """With every digest set, no pod of any role is left that takes an image by tag."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    settings = [f"{path}.digest={DIGEST}" for path in image_paths(values)]
    assert len(settings) >= 4
    for owner, spec in pod_specs(rendered(chart, CHART / "ci" / "default-values.yaml", *settings)):
        for container in containers(spec):
            assert container["image"].endswith(f"@{DIGEST}"), (owner, container["image"])


def image_paths(values: dict[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for key, value in values.items():
        if isinstance(value, dict):
            path = f"{prefix}{key}"
            found += [path] if {"repository", "digest"} <= value.keys() else image_paths(value, f"{path}.")
    return found


def test_the_package_holds_the_chart_and_none_of_its_workshop(helm: str, tmp_path: Path) -> None:
    archive = package(helm, tmp_path, [CHART / "ci" / "default-values.yaml"])
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    assert "lead-scoring/values.schema.json" in names
    assert "lead-scoring/templates/workload.yaml" in names
    assert not [name for name in names if name.startswith("lead-scoring/ci/")]


def test_a_chart_that_does_not_lint_is_not_packaged(helm: str, tmp_path: Path) -> None:
    wrong = tmp_path / "values.yaml"
    wrong.write_text("workload: {replicas: none}\n")
    with pytest.raises(ClusterError, match="replicas"):
        package(helm, tmp_path / "dist", [wrong])
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize("file", FILES, ids=ids)
def test_the_deployers_role_covers_what_the_chart_makes(chart: Chart, file: Path) -> None:
    allowed = {
        (group, resource)
        for rule in deployer_role()["rules"]
        if {"create", "patch", "delete", "get"} <= set(rule["verbs"])
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    for manifest in rendered(chart, file):
        if manifest["kind"] in CLUSTER_WIDE:
            continue
        group = manifest["apiVersion"].rpartition("/")[0]
        assert (group, plural(manifest["kind"])) in allowed, manifest["kind"]


# Custom resource definitions are installed by who administers the cluster, not by who deploys into a
# namespace.
CLUSTER_WIDE = {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}


def deployer_role() -> Manifest:
    found = [m for m in yaml.safe_load_all(RIGHTS.read_text()) if m["kind"] == "Role"]
    return next(m for m in found if m["metadata"]["name"] == "leadscore-deployer")


def plural(kind: str) -> str:
    low = kind.lower()
    if low.endswith("y"):
        return f"{low[:-1]}ies"
    return f"{low}{'es' if low.endswith('s') else 's'}"


def test_the_deployer_may_give_the_operator_its_rights() -> None:
    """The API server refuses a Role with a right that its maker lacks."""
    held = [(r["apiGroups"], r["resources"], set(r["verbs"])) for r in deployer_role()["rules"]]
    for rule in yaml.safe_load((CHART / "files" / "operator" / "rules.yaml").read_text()):
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                verbs = {
                    v
                    for groups, resources, vs in held
                    if group in groups and resource in resources
                    for v in vs
                }
                assert set(rule["verbs"]) <= verbs, (group, resource)


def test_nobody_in_a_pipeline_has_wildcards_or_may_act_as_others() -> None:
    for manifest in yaml.safe_load_all(RIGHTS.read_text()):
        for rule in manifest.get("rules", []):
            assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            assert not {"impersonate", "escalate", "bind"} & set(rule["verbs"])
            assert "pods/exec" not in rule["resources"]


def test_who_gives_the_verdict_cannot_deploy() -> None:
    roles = {m["metadata"]["name"]: m for m in yaml.safe_load_all(RIGHTS.read_text()) if m["kind"] == "Role"}
    for rule in roles["leadscore-verdict"]["rules"]:
        if rule["resources"] == ["pods/portforward"]:
            continue  # to ask MLflow, which is never on the ingress
        assert set(rule["verbs"]) <= {"get", "list", "watch"}
        assert "secrets" not in rule["resources"]
