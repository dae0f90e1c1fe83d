"""The Rollout of the scoring service: which version it serves, and the patch that makes it serve another."""

from __future__ import annotations

import copy

from leadscore.errors import RefusedError
from leadscore.release.expected import ExpectedPsi
from leadscore.release.states import RolloutObservation
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
# How the chart's pods know their version (charts/lead-scoring/templates/_pod.tpl).
_VERSION = "LEADSCORE_MODEL_VERSION"
_MODEL = "LEADSCORE_MODEL"
_BROUGHT = "LEADSCORE_ARTEFACT_VERSION"
_STATES = ("Healthy", "Progressing", "Paused", "Degraded")


def observe_rollout(rollout: Manifest, replica_sets: list[Manifest]) -> RolloutObservation:
    """The Rollout in the release machine's words.

    Raises:
        RefusedError: Its pod template names no model version: it is not of this chart.
    """
    template, status = rollout["spec"]["template"], rollout.get("status", {})
    desired = version_of(template)
    if desired is None:
        raise RefusedError(
            f"The Rollout {rollout['metadata']['name']} has no label {VERSION_LABEL} in its pod template.",
            hint="spec.rollout must name the Rollout of the scoring service. With model.version=0 the first "
            "version is set by hand (docs/gitops.md).",
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
    # Until Argo has looked at a patched template, its status is about the one before, which has arrived long
    # ago.
    arrived = (
        current and stable_hash != "" and stable_hash == status.get("currentPodHash") and stable == desired
    )
    canary = int(weights.get("canary", {}).get("weight", 0)) if current else 0
    return RolloutObservation(
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

    It writes the label, which every other place reads: Helm leaves it alone, because it merges a map by its
    keys. A list is written only where an image's tag is the version. What the version's scores may differ
    from stable's goes with it, or what a release before was allowed goes away.

    Raises:
        RefusedError: As `pinned_template`.
    """
    meta = {
        "resourceVersion": rollout["metadata"]["resourceVersion"],
        "annotations": {RELEASE_ANNOTATION: release, **_allowance(version, expected)},
    }
    pinned = pinned_template(rollout, model, version)
    template: Manifest = {"metadata": {"labels": {VERSION_LABEL: str(version)}}}
    if pinned["spec"] != rollout["spec"]["template"]["spec"]:
        template["spec"] = {"initContainers": pinned["spec"]["initContainers"]}
    return {"metadata": meta, "spec": {"template": template}}


def pinned_template(rollout: Manifest, model: str, version: int) -> Manifest:
    """A copy of the Rollout's pod template that serves another version.

    The version stands in a label. By the chart's `model.source`, a registry reference or a
    claim's sub-path reads it, or an init container's image has it as its tag, beside a variable
    that says which version the image brings.

    Raises:
        RefusedError: The pods would not follow the label, or they serve another model.
    """
    template = copy.deepcopy(rollout["spec"]["template"])
    old, name, spec = version_of(template), rollout["metadata"]["name"], template["spec"]
    template["metadata"]["labels"][VERSION_LABEL] = str(version)
    for container in (*spec.get("initContainers", []), *spec["containers"]):
        _check_reads_label(container, name, model)
    if any(_follows(container) for container in spec["containers"]):
        return template
    brought = [c for c in spec.get("initContainers", []) if c["name"] == "model" and _retag(c, old, version)]
    if not brought:
        raise RefusedError(
            f"The Rollout {name} does not name version {old} in its model's image tag, "
            "registry reference or sub-path.",
            hint="An image pinned by digest cannot be released by version: leave model.image.digest empty.",
        )
    return template


def _check_reads_label(container: Manifest, rollout: str, model: str) -> None:
    """Refuse a container that would go on with its own version, or that serves another model."""
    for entry in container.get("env", []):
        field = entry.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "")
        if entry["name"] == _VERSION and field != f"metadata.labels['{VERSION_LABEL}']":
            raise RefusedError(
                f"The Rollout {rollout} does not read {_VERSION} from its label {VERSION_LABEL}: its pods "
                "would serve one version and answer as another.",
                hint=(
                    "A chart before this operator's has written it: upgrade the "
                    "release with this one's first."
                ),
            )
        if entry["name"] == _MODEL and entry.get("value") != f"{model}/$({_VERSION})":
            raise RefusedError(
                f"The Rollout {rollout} serves {entry.get('value')}, and the "
                f"release is of the model {model}.",
                hint="spec.model and the chart's model.name must be the same.",
            )


def _follows(container: Manifest) -> bool:
    """Whether the container takes its model by the version that it reads."""
    paths = [m.get("subPathExpr", "") for m in container.get("volumeMounts", []) if m["name"] == "model"]
    return any(e["name"] == _MODEL for e in container.get("env", [])) or any(
        f"$({_VERSION})" in p for p in paths
    )


def _retag(container: Manifest, old: int | None, version: int) -> bool:
    """Change an image whose tag is the present version, and what the container says of it.

    False if it has no such tag.
    """
    name, colon, tag = container["image"].rpartition(":")
    if not colon or tag != str(old) or "@" in name:
        return False
    container["image"] = f"{name}:{version}"
    for entry in container.get("env", []):
        if entry["name"] == _BROUGHT:
            entry["value"] = str(version)
    return True


def _allowance(version: int, expected: ExpectedPsi | None) -> dict[str, str | None]:
    """Annotations that name both versions, so that the metric samples count for no other pair.

    None takes them away.
    """
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
