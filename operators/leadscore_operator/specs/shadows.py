"""The shadow of a release.

A Deployment like the Rollout's pods that serves the candidate to copies of the requests.

The chart makes the Service and the mirror (`shadow.enabled`, `shadow.version: 0`); this
Deployment brings the pods behind them. It has the name that the chart's own shadow would have, so
that there is one shadow per Rollout, whoever wants it.
"""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Final

from leadscore.errors import RefusedError
from leadscore.events.records import SHADOW_ROLE
from leadscore.release.mirror import MirrorObservation, ShadowObservation
from leadscore_operator.kube.resources import OWNER_LABEL, RELEASES, Manifest
from leadscore_operator.specs.rollouts import HASH_LABEL, VERSION_LABEL, pinned_template, version_of
from leadscore_operator.specs.workload import object_metadata

# What the chart says about the mirror, on the Service.
PERCENT: Final = "leadscore.dev/mirror-percent"
REPLICAS: Final = "leadscore.dev/shadow-replicas"
_ROLE: Final = "LEADSCORE_ROLE"
_PART: Final = "release"


def shadow_name(rollout: str) -> str:
    """Name of the Service that copies go to, and of the Deployment behind it."""
    return f"{rollout}-shadow"


def observe_mirror(service: Manifest | None, rollout: str) -> MirrorObservation:
    """Whether requests can be copied, and how many are."""
    if service is None:
        return MirrorObservation(
            lacks=f"There is no Service {shadow_name(rollout)} that requests could be copied to: set"
            " shadow.enabled=true and shadow.version=0 in the chart."
        )
    said = service["metadata"].get("annotations", {}).get(PERCENT, "")
    return MirrorObservation(percent=float(said) if said.isdigit() else None)


def observe_shadow(deployment: Manifest) -> ShadowObservation:
    """The shadow in the release machine's words.

    The Deployment's own condition says since when it is ready, so that every read gives the same.
    """
    meta, status = deployment["metadata"], deployment.get("status", {})
    current = status.get("observedGeneration") == meta.get("generation")
    conditions = {c["type"]: c for c in status.get("conditions", [])} if current else {}
    available = conditions.get("Available", {})
    ready = available.get("status") == "True"
    return ShadowObservation(
        version=version_of(deployment["spec"]["template"]),
        ready_since=datetime.fromisoformat(available["lastTransitionTime"]) if ready else None,
        release=meta.get("labels", {}).get(OWNER_LABEL, ""),
        trouble=_trouble(conditions),
    )


def shadow_deployment(
    release: Manifest, rollout: Manifest, service: Manifest, model: str, version: int
) -> Manifest:
    """The Deployment of a release's shadow, made from the Rollout's present pod template.

    Raises:
        RefusedError: The template does not say which version or role a pod has, or the
            Service selects callers' pods, too.
    """
    meta = release["metadata"]
    template = pinned_template(rollout, model, version)
    selector: dict[str, str] = service["spec"].get("selector") or {}
    labels: dict[str, str] = template["metadata"]["labels"]
    if selector.items() <= labels.items():
        raise RefusedError(
            f"The Service {service['metadata']['name']} selects the pods that answer callers: a copy would "
            "be answered by the same pods.",
            hint="It must be the chart's shadow Service (shadow.enabled=true).",
        )
    before = {key: labels[key] for key in selector if key in labels}
    labels.pop(HASH_LABEL, None)
    labels.update(selector)
    labels[OWNER_LABEL] = meta["uid"]
    spec = template["spec"]
    _in_the_role_of_a_shadow(spec, rollout["metadata"]["name"])
    for constraint in spec.get("topologySpreadConstraints", []):
        match = constraint.get("labelSelector", {}).get("matchLabels", {})
        match.update({key: selector[key] for key in before if match.get(key) == before[key]})
    replicas = service["metadata"].get("annotations", {}).get(REPLICAS, "")
    name = shadow_name(rollout["metadata"]["name"])
    return {
        "metadata": object_metadata(
            name, release, RELEASES, part=_PART, labels={VERSION_LABEL: str(version)}
        ),
        "spec": {
            "replicas": int(replicas) if replicas.isdigit() else 1,
            "revisionHistoryLimit": 0,
            "progressDeadlineSeconds": rollout["spec"].get("progressDeadlineSeconds", 600),
            "selector": {"matchLabels": {**selector, OWNER_LABEL: meta["uid"]}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": template,
        },
    }


def _in_the_role_of_a_shadow(spec: Manifest, rollout: str) -> None:
    """Set the role, and read the pod's hash from the label that a Deployment gives it."""
    told = False
    for container in (*spec.get("initContainers", []), *spec["containers"]):
        for number, entry in enumerate(container.get("env", [])):
            field = entry.get("valueFrom", {}).get("fieldRef", {})
            if entry["name"] == _ROLE:
                container["env"][number], told = {"name": _ROLE, "value": SHADOW_ROLE}, True
            elif HASH_LABEL in field.get("fieldPath", ""):
                changed = copy.deepcopy(entry)
                changed["valueFrom"]["fieldRef"]["fieldPath"] = "metadata.labels['pod-template-hash']"
                container["env"][number] = changed
    if not told:
        raise RefusedError(
            f"The Rollout {rollout} sets no {_ROLE}: what its shadow says would be "
            "stored as a caller's answer.",
            hint="spec.rollout must name the Rollout of the scoring service.",
        )


def _trouble(conditions: dict[str, Manifest]) -> str:
    """Kubernetes' own words for why there will be no ready pod."""
    failing = conditions.get("ReplicaFailure", {})
    late = conditions.get("Progressing", {})
    said = ""
    if failing.get("status") == "True":
        said = failing.get("message") or failing.get("reason", "")
    elif late.get("status") == "False":
        said = late.get("message") or late.get("reason", "")
    return f"{said.rstrip('.')}." if said else ""
