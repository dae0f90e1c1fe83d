"""The Rollout of the scoring service: which version it serves, and the patch that makes it serve another."""

from __future__ import annotations

import copy

from leadscore.errors import RefusedError
from leadscore.release.expected import ExpectedPsi
from leadscore.release.states import RolloutSeen
from leadscore_operator.kube.resources import Manifest

VERSION_LABEL = "leadscore.dev/model-version"
RELEASE_ANNOTATION = "leadscore.dev/release"
# What the chart's AnalysisTemplates take as arguments (charts/lead-scoring/templates/_analysis.tpl).
EXPECTED_CANDIDATE = "leadscore.dev/expected-candidate"
EXPECTED_STABLE = "leadscore.dev/expected-stable"
EXPECTED_SCORES = "leadscore.dev/expected-score-psi"
EXPECTED_GRADES = "leadscore.dev/expected-grade-psi"
SCORES_SPREAD = "leadscore.dev/expected-score-psi-spread"
GRADES_SPREAD = "leadscore.dev/expected-grade-psi-spread"
_EXPECTED = (
    EXPECTED_CANDIDATE,
    EXPECTED_STABLE,
    EXPECTED_SCORES,
    EXPECTED_GRADES,
    SCORES_SPREAD,
    GRADES_SPREAD,
)
HASH_LABEL = "rollouts-pod-template-hash"
_STATES = ("Healthy", "Progressing", "Paused", "Degraded")


def seen_rollout(rollout: Manifest, replica_sets: list[Manifest]) -> RolloutSeen:
    """The Rollout in the release machine's words.

    Raises:
        RefusedError: Its pod template names no model version: it is not of this chart.
    """
    template, status = rollout["spec"]["template"], rollout.get("status", {})
    desired = version_of(template)
    if desired is None:
        raise RefusedError(
            f"The Rollout {rollout['metadata']['name']} has no label {VERSION_LABEL} in its pod template.",
            hint="spec.rollout must name the Rollout of the scoring service.",
        )
    stable_hash = status.get("stableRS", "")
    stable = next(
        (
            version_of(rs["spec"]["template"])
            for rs in replica_sets
            if stable_hash and rs["metadata"].get("labels", {}).get(HASH_LABEL) == stable_hash
        ),
        None,
    )
    current = str(status.get("observedGeneration", "")) == str(rollout["metadata"]["generation"])
    phase = status.get("phase", "Progressing")
    weights = status.get("canary", {}).get("weights", {})
    # Until Argo has looked at a patched template, its status is about the one before, which has arrived long ago.
    arrived = (
        current and stable_hash != "" and stable_hash == status.get("currentPodHash") and stable == desired
    )
    canary = int(weights.get("canary", {}).get("weight", 0)) if current else 0
    return RolloutSeen(
        desired=desired,
        stable=stable,
        weight=100 if arrived else canary,
        state=phase if current and phase in _STATES else "Progressing",
        aborted=current and bool(status.get("abort")),
        message=status.get("message", "") if current else "",
        release=rollout["metadata"].get("annotations", {}).get(RELEASE_ANNOTATION, ""),
    )


def version_patch(
    rollout: Manifest, model: str, version: int, release: str, expected: ExpectedPsi | None = None
) -> Manifest:
    """The merge patch that pins a version in the pod template and signs it with the release, both or neither.

    What the version's scores may differ from stable's goes with it, or what a release before was allowed goes away.

    Raises:
        RefusedError: As `pinned_template`.
    """
    meta = {
        "resourceVersion": rollout["metadata"]["resourceVersion"],
        "annotations": {RELEASE_ANNOTATION: release, **_allowance(version, expected)},
    }
    return {"metadata": meta, "spec": {"template": pinned_template(rollout, model, version)}}


def pinned_template(rollout: Manifest, model: str, version: int) -> Manifest:
    """A copy of the Rollout's pod template that serves another version.

    The version stands in a label, in the environment, and (by the chart's `model.source`) in an init container's image
    tag or in a claim's sub-path.

    Raises:
        RefusedError: The template does not name the present version where it should, so nothing would be pinned.
    """
    template = copy.deepcopy(rollout["spec"]["template"])
    old = version_of(template)
    labels = template["metadata"]["labels"]
    labels[VERSION_LABEL] = str(version)
    spec = template["spec"]
    pinned = old == version
    for container in (*spec.get("initContainers", []), *spec["containers"]):
        for entry in container.get("env", []):
            if entry["name"] == "LEADSCORE_MODEL_VERSION":
                entry["value"] = str(version)
            elif entry["name"] == "LEADSCORE_MODEL":
                entry["value"], pinned = f"{model}/{version}", True
        for mount in container.get("volumeMounts", []):
            head, slash, tail = mount.get("subPath", "").rpartition("/")
            if mount["name"] == "model" and slash and tail == str(old):
                mount["subPath"], pinned = f"{head}/{version}", True
    for container in spec.get("initContainers", []):
        name, colon, tag = container["image"].rpartition(":")
        if container["name"] == "model" and colon and tag == str(old) and "@" not in name:
            container["image"], pinned = f"{name}:{version}", True
    if not pinned:
        raise RefusedError(
            f"The Rollout {rollout['metadata']['name']} does not name version {old} in its model's image tag, registry"
            " reference or sub-path.",
            hint="An image pinned by digest cannot be released by version: leave model.image.digest empty.",
        )
    return template


def _allowance(version: int, expected: ExpectedPsi | None) -> dict[str, str | None]:
    """Annotations that name both versions, so that the figures count for no other pair; None takes them away."""
    if expected is None:
        return dict.fromkeys(_EXPECTED)
    return {
        EXPECTED_CANDIDATE: str(version),
        EXPECTED_STABLE: str(expected.against),
        EXPECTED_SCORES: f"{expected.scores:.4f}",
        EXPECTED_GRADES: f"{expected.grades:.4f}",
        SCORES_SPREAD: f"{expected.scores_spread:.4f}",
        GRADES_SPREAD: f"{expected.grades_spread:.4f}",
    }


def version_of(template: Manifest) -> int | None:
    """Version in a pod template's label; None if it has none."""
    text = template.get("metadata", {}).get("labels", {}).get(VERSION_LABEL, "")
    return int(text) if text.isdigit() else None
