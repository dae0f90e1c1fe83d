"""Changed values on a living release, on a real API server.

One version, the right one, whoever changed it and however.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from tests.faults.harness.controlplane import ADMIN, ControlPlane
from tests.support import programs
from tests.support.chart import CHART, ROOT, Manifest
from tests.support.live_release import SOURCES, LiveRelease, versions_in
from tests.support.waiting import wait_until
from tools.cluster.build import built_folder, is_built
from tools.cluster.pins import HELM

pytestmark = pytest.mark.xdist_group("faults")
ROLLOUTS = ROOT / "tests" / "faults" / "operating" / "rollouts.yaml"
# Each changes another part of the pods, or of what is around them.
CHANGES = {
    "memory": "scoring.resources.limits.memory=700Mi",
    "image": "image.tag=0.1.1",
    "a setting": "scoring.slowMs=250",
    "a fraction": "scoring.logSample=0.5",
    "environment": 'scoring.extraEnv=[{"name":"TZ","value":"UTC"}]',
    "pod labels": "scoring.podLabels.team=crm",
    "annotations": "scoring.podAnnotations.note=yes-please",
    "placement": "scoring.nodeSelector.pool=online",
    "pull secrets": 'imagePullSecrets=[{"name":"pull"}]',
    "how the model is fetched": "jobsImage.tag=0.1.1",
    "where the model is": 'model.registry.envFrom=[{"secretRef":{"name":"store"}}]',
    "the spool": "spool.size=5Gi",
    "shutdown": "scoring.shutdown.drainSeconds=6",
    "steps": 'rollout.steps=[{"weight":70,"duration":"1h"},{"weight":100,"duration":"1h"}]',
    "replicas": "workload.replicas=3",
    "labels": "commonLabels.team=crm",
    "load test": "loadTest.enabled=true",
}
# One of the service's container, one of the init container, one of the pod: lists and maps at once.
FEW = (CHANGES["memory"], "model.image.pullPolicy=Always", CHANGES["placement"])


@pytest.fixture(scope="module")
def server(plane: ControlPlane) -> ControlPlane:
    """The API server, and Argo's Rollout known to it."""
    headers = {"Authorization": f"Bearer {ADMIN}"}
    with httpx.Client(base_url=plane.address, verify=plane.tls(), headers=headers, timeout=30) as client:
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        reply = client.post(path, json=yaml.safe_load(ROLLOUTS.read_text()))
        assert reply.status_code in (201, 409), reply.text
        known = "/apis/argoproj.io/v1alpha1/rollouts"
        wait_until(lambda: client.get(known).status_code == 200, seconds=20, what="Rollouts")
    return plane


_numbers = itertools.count(1)


@pytest.fixture
def make(server: ControlPlane, tmp_path: Path) -> Iterator[Callable[..., LiveRelease]]:
    """Releases in namespaces of their own."""
    made: list[LiveRelease] = []

    def begin(source: str, *, installed: bool = True) -> LiveRelease:
        number = next(_numbers)
        folder = tmp_path / str(number)
        folder.mkdir()
        release = LiveRelease(server, programs.helm(), folder, f"living-{number}").begin()
        made.append(release)
        release.settings += SOURCES[source]
        if installed:
            release.install("model.version=1")
        return release

    yield begin
    for release in made:
        release.close()


def promoted(release: LiveRelease) -> str:
    """The operator has promoted version 2, and the values still say 1."""
    release.promote(2)
    release.argo_says(stable="h2", current="h2", phase="Healthy")
    return "2"


def undone(release: LiveRelease) -> str:
    """Helm has brought version 2, and a person went back to 1."""
    before = release.workload()["spec"]["template"]
    release.upgrade("model.version=2")
    release.undo_to(before)
    release.argo_says(stable="h1", current="h1", phase="Healthy")
    return "1"


def in_mid_canary(release: LiveRelease) -> str:
    """The operator's version 2 has a tenth of the requests."""
    release.replica_set("h1", release.workload()["spec"]["template"])
    release.promote(2)
    release.argo_says(stable="h1", current="h2", phase="Paused")
    return "2"


SITUATIONS = [promoted, undone, in_mid_canary]
Situation = Callable[[LiveRelease], str]
Make = Callable[..., LiveRelease]


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("source", SOURCES)
def test_an_upgrade_with_changed_values_keeps_the_version_that_is_live(
    make: Make, source: str, situation: Situation
) -> None:
    release = make(source)
    version = situation(release)
    release.upgrade(*FEW)
    assert release.served() == {version}


def test_whatever_value_is_changed_the_promoted_version_is_kept(make: Make) -> None:
    release = make("registry")
    version = promoted(release)
    for what, setting in CHANGES.items():
        before = release.workload()
        release.upgrade(setting)
        assert release.served() == {version}, what
        assert (release.workload() != before) is (what != "load test"), f"{what} has changed nothing"


@pytest.mark.parametrize("source", SOURCES)
def test_an_upgrade_that_asks_for_another_version_than_the_last_brings_it(make: Make, source: str) -> None:
    release = make(source)
    promoted(release)
    release.upgrade("model.version=3")
    assert release.served() == {"3"}
    release.upgrade("model.version=1")
    assert release.served() == {"1"}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("upgraded", [False, True], ids=["at once", "after an upgrade"])
def test_the_version_that_the_values_have_always_asked_for_is_brought_when_it_is_meant(
    make: Make, source: str, *, upgraded: bool
) -> None:
    release = make(source)
    promoted(release)
    if upgraded:
        release.upgrade(CHANGES["memory"])
    else:
        # Helm would not write what it wrote last: it says so, and how it is done.
        said = release.refusal("model.keepLive=false")
        assert "once with --set model.version=2, then with --set model.version=1" in said
        release.upgrade("model.version=2")
    release.upgrade("model.version=1", "model.keepLive=false")
    assert release.served() == {"1"}


def test_a_version_that_was_sent_back_is_tried_again_only_by_an_upgrade_that_asks_for_it(make: Make) -> None:
    release = make("registry")
    in_mid_canary(release)
    release.argo_says(stable="h1", current="h2", phase="Degraded", aborted=True)
    said = release.refusal(CHANGES["memory"])
    assert "Version 1 is to be brought and the pod template names version 2" in said
    release.upgrade("model.version=2")
    assert release.served() == {"2"}
    release.upgrade("model.version=1", CHANGES["memory"])
    assert release.served() == {"1"}


def test_a_version_that_the_values_ask_for_is_tried_again_with_another_image(make: Make) -> None:
    release = make("registry")
    release.replica_set("h1", release.workload()["spec"]["template"])
    release.upgrade("model.version=2")
    release.argo_says(stable="h1", current="h2", phase="Degraded", aborted=True)
    release.upgrade(CHANGES["image"])
    assert release.served() == {"2"}


def undone_and_not_stable_yet(release: LiveRelease) -> None:
    """A person has gone back to version 1.

    Argo has skipped every step and still calls version 2's pods stable.
    """
    undone(release)
    steps = len(release.workload()["spec"]["strategy"]["canary"]["steps"])
    release.argo_says(stable="h2", current="h1", phase="Progressing", step=steps)


def in_the_last_step(release: LiveRelease) -> None:
    """The operator's version 2 has all the traffic and is watched."""
    in_mid_canary(release)
    release.argo_says(stable="h1", current="h2", phase="Paused", weight=100, step=4)


@pytest.mark.parametrize("situation", [undone_and_not_stable_yet, in_the_last_step])
def test_a_value_that_changes_pods_is_refused_while_stable_is_a_version_that_was_left(
    make: Make, situation: Callable[[LiveRelease], None]
) -> None:
    release = make("registry")
    situation(release)
    before = release.workload()["spec"]
    said = release.refusal(CHANGES["memory"])
    assert "the version that was left, which would get the traffic back" in said
    assert f"kubectl argo rollouts -n {release.namespace} promote leads-lead-scoring --full" in said
    assert release.workload()["spec"] == before
    # What changes no pod goes on, and so does another version, which is the way back.
    release.upgrade(CHANGES["steps"])
    release.upgrade("model.version=3")
    assert release.served() == {"3"}


@pytest.mark.parametrize("situation", [undone_and_not_stable_yet, in_the_last_step])
def test_once_the_rollout_is_healthy_or_has_been_sent_back_values_change_again(
    make: Make, situation: Callable[[LiveRelease], None]
) -> None:
    release = make("registry")
    situation(release)
    release.argo_says(stable="h2", current="h2", phase="Healthy", weight=0, step=6)
    release.upgrade(CHANGES["memory"])
    assert (
        release.workload()["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
        == "700Mi"
    )


@pytest.mark.parametrize("source", SOURCES)
def test_a_rollback_of_the_release_brings_its_version_whole(make: Make, source: str) -> None:
    release = make(source)
    promoted(release)
    release.upgrade(CHANGES["memory"])
    release.rollback(1)
    assert release.served() == {"1"}


def test_a_promotion_between_rendering_and_applying_is_kept(make: Make) -> None:
    """Helm sends what has changed between two renderings: the label has not."""
    release = make("registry")
    before = release.rendered(sees_cluster=True)
    after = release.rendered(CHANGES["memory"], sees_cluster=True)
    old, new = (next(m for m in made if m["kind"] == "Rollout") for made in (before, after))
    release.promote(2)
    release.merge(two_way(old, new), manager="helm")
    assert release.served() == {"2"}


def two_way(old: Manifest, new: Manifest) -> Manifest:
    """The merge patch that Helm makes of two renderings of a custom resource.

    Maps by key, lists as a whole.
    """
    patch: Manifest = dict.fromkeys(old.keys() - new.keys())
    for key, value in new.items():
        if key not in old:
            patch[key] = value
        elif isinstance(value, dict) and isinstance(old[key], dict):
            if inner := two_way(old[key], value):
                patch[key] = inner
        elif value != old[key]:
            patch[key] = value
    return patch


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("source", SOURCES)
def test_server_side_apply_of_what_helm_renders_keeps_the_version(
    make: Make, source: str, situation: Situation
) -> None:
    release = make(source)
    version = situation(release)
    made = release.rendered(*FEW, sees_cluster=True)
    reply = release.apply(next(m for m in made if m["kind"] == "Rollout"), force=True, manager="helm")
    assert reply.status_code == 200, reply.text
    assert release.served() == {version}


def by_gitops(make: Make, source: str, *settings: str) -> LiveRelease:
    """A release that nothing but server-side apply has made, of templates that saw no cluster."""
    release = make(source, installed=False)
    assert applied(release, *settings, force=True).status_code in (200, 201)
    return release


def applied(release: LiveRelease, *settings: str, force: bool) -> httpx.Response:
    made = release.rendered(*settings, sees_cluster=False)
    return release.apply(next(m for m in made if m["kind"] == "Rollout"), force=force)


@pytest.mark.parametrize("source", ["registry", "claim"])
def test_under_gitops_with_version_zero_a_promotion_and_an_undo_stay(make: Make, source: str) -> None:
    release = by_gitops(make, source, "model.version=0")
    assert release.served() & {"none", ""}, "nobody has said a version yet"
    first = {"spec": {"template": {"metadata": {"labels": {"leadscore.dev/model-version": "1"}}}}}
    release.merge(first, manager="kubectl-patch")
    assert release.served() == {"1"}
    old = release.workload()["spec"]["template"]
    release.promote(2)
    for force, setting in zip((False, True, True), FEW, strict=True):
        assert applied(release, setting, force=force).status_code == 200
        assert release.served() == {"2"}, setting
    release.undo_to(old)
    # The undo wrote lists, which git owns: without force it is told so, with force it takes them back; the
    # label stays.
    assert applied(release, CHANGES["a setting"], force=True).status_code == 200
    assert release.served() == {"1"}


@pytest.mark.parametrize("source", SOURCES)
def test_under_gitops_with_a_version_in_git_a_promotion_is_a_conflict_that_changes_nothing(
    make: Make, source: str
) -> None:
    release = by_gitops(make, source, "model.version=1")
    release.promote(2)
    before = release.workload()["spec"]
    reply = applied(release, CHANGES["memory"], force=False)
    assert reply.status_code == 409
    assert "leadscore.dev/model-version" in reply.json()["message"]
    assert "leadscore-operator" in reply.json()["message"]
    assert release.workload()["spec"] == before
    assert release.served() == {"2"}


@pytest.mark.parametrize("source", SOURCES)
def test_under_gitops_that_forces_its_version_every_place_of_it_agrees(make: Make, source: str) -> None:
    release = by_gitops(make, source, "model.version=1")
    release.promote(2)
    assert applied(release, CHANGES["memory"], force=True).status_code == 200
    assert release.served() == {"1"}
    assert applied(release, "model.version=3", force=True).status_code == 200
    assert release.served() == {"3"}


def test_a_release_of_an_older_chart_is_asked_which_version_is_meant(make: Make) -> None:
    release = make("registry")
    promoted(release)
    release.merge({"metadata": {"annotations": {"leadscore.dev/values-version": None}}})
    assert "Set model.version=2 to keep it" in release.refusal(CHANGES["memory"])
    release.upgrade("model.version=2", CHANGES["memory"])
    assert release.served() == {"2"}


def test_with_helm_and_version_zero_the_notes_say_how_the_first_one_is_named(make: Make) -> None:
    release = make("registry", installed=False)
    said = release.install("model.version=0")
    assert "serves model leads, no version yet" in said
    (patch,) = re.findall(r"--type merge -p '(.+)'", said)
    release.merge(json.loads(patch))
    assert release.served() == {"1"}
    release.promote(2)
    assert "serves model leads, version 2." in release.upgrade(*FEW)
    assert release.served() == {"2"}


def test_the_notes_say_which_version_is_kept_and_how_the_other_is_brought(make: Make) -> None:
    release = make("image")
    promoted(release)
    said = release.upgrade(CHANGES["memory"])
    assert "serves model leads, version 2." in said
    assert "version 2 was released or undone to since: it is kept" in said
    assert "--set model.version=1 --set model.keepLive=false" in said
    assert "127.0.0.1:3000" not in said, "`make up` has that port"


# --- what is not the version --------------------------------------------------------------------------------


def test_an_autoscaler_takes_over_the_pods_that_there_are(make: Make) -> None:
    release = make("registry")
    release.merge({"spec": {"replicas": 4}})
    release.upgrade("autoscaling.enabled=true")
    assert release.workload()["spec"]["replicas"] == 4
    release.merge({"spec": {"replicas": 6}}, manager="horizontal-pod-autoscaler")
    release.upgrade(CHANGES["memory"])
    assert release.workload()["spec"]["replicas"] == 6


def test_an_autoscaler_never_begins_below_its_fewest_pods(make: Make) -> None:
    release = make("registry")
    release.merge({"spec": {"replicas": 1}})
    release.upgrade("autoscaling.enabled=true", "autoscaling.minReplicas=3")
    assert release.workload()["spec"]["replicas"] == 3


def test_another_kind_of_workload_is_refused_and_nothing_changes(make: Make) -> None:
    release = make("registry")
    before = release.workload()
    said = release.refusal("workload.kind=Deployment")
    assert "this release runs as a Rollout" in said
    assert "Install a second release with workload.kind=Deployment" in said
    assert release.workload() == before


def test_a_deployment_s_live_version_and_kind_are_kept_too(make: Make) -> None:
    release = make("registry", installed=False)
    release.install("workload.kind=Deployment", "model.version=1")
    kind = ("deployments", "apis/apps/v1")
    old = release.workload(*kind)["spec"]["template"]
    release.upgrade("model.version=2")
    release.undo_deployment(old)
    release.upgrade(CHANGES["memory"])
    assert versions_in(release.workload(*kind)["spec"]["template"]) == {"1"}
    assert "this release runs as a Deployment" in release.refusal("workload.kind=Rollout")


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("postgresql.persistence.size=16Gi", "set it back to 8Gi"),
        ("postgresql.persistence.storageClassName=fast", "Set it back to"),
        ("postgresql.persistence.enabled=false", "Set it back to true"),
        ("nameOverride=scoring", "cannot change in the life of a release"),
        ("fullnameOverride=other", "cannot change in the life of a release"),
    ],
)
def test_what_never_changes_is_refused_with_what_to_do(make: Make, setting: str, sentence: str) -> None:
    release = make("image")
    assert sentence in release.refusal(setting)
    # The same size in other words is the same size.
    release.upgrade("postgresql.persistence.size=8192Mi")


def test_a_migration_and_a_load_test_are_made_again_only_when_they_do_something_else(make: Make) -> None:
    release = make("image", installed=False)
    on = ("mlflow.enabled=true", "mlflow.artifactRoot=s3://b/p", "networkPolicy.enabled=false")
    release.install(*on, "loadTest.enabled=true")

    def jobs() -> dict[str, str]:
        parts = ("mlflow-migrate", "events-migrate", "load-test")
        return {part: name for part in parts for name in release.jobs() if part in name}

    first = jobs()
    release.upgrade(CHANGES["memory"])
    assert jobs() == first
    release.upgrade("loadTest.seed=8")
    assert jobs()["mlflow-migrate"] == first["mlflow-migrate"]
    assert jobs()["events-migrate"] == first["events-migrate"]
    assert jobs()["load-test"] != first["load-test"]
    release.upgrade("jobsImage.tag=0.1.1")
    assert jobs()["mlflow-migrate"] != first["mlflow-migrate"]
    assert jobs()["events-migrate"] == first["events-migrate"]
    release.upgrade("image.tag=0.1.1")
    assert jobs()["events-migrate"] != first["events-migrate"]


def test_kept_definitions_are_not_taken_over_in_silence(make: Make) -> None:
    first, second = make("image"), make("image")
    # Other tests may have brought them to this API server, without Helm.
    for name in first.definitions():
        first.annotate_definition(name, "leads", first.namespace)
    first.upgrade("crds.enabled=true")
    said = second.refusal("crds.enabled=true")
    assert f'of release "leads" in namespace "{first.namespace}"' in said
    command = said[said.index("kubectl annotate") :].splitlines()[0].split()
    assert f"meta.helm.sh/release-namespace={second.namespace}" in command
    names = [word.removeprefix("crd/") for word in command if word.startswith("crd/")]
    assert len(names) == 4
    for name in names:
        first.annotate_definition(name, "leads", second.namespace)
    second.upgrade("crds.enabled=true")


def test_helm_of_this_project_knows_a_kubernetes_that_the_chart_accepts() -> None:
    """Built from its module without a stamp it would say 1.20."""
    helm = built_folder(HELM) / "helm"
    if not is_built(HELM):
        pytest.skip("Helm is not built from its module here")
    said = subprocess.run(
        [helm, "template", "leads", str(CHART)], capture_output=True, text=True, check=False, timeout=60
    )
    assert said.returncode == 0, said.stderr
