"""Find the objects to reconcile when one has changed. Hints only: the resync finds the rest."""

from __future__ import annotations

from leadscore_operator.engine.health import Key
from leadscore_operator.kube.resources import DETECTORS, JOBS, POLICIES, RELEASES, RUNS, Manifest
from leadscore_operator.specs.checks import CHECK
from leadscore_operator.specs.trainings import TRAINING
from leadscore_operator.specs.workload import NAME_LABEL, PART_LABEL

_OWNERS = {CHECK: DETECTORS.plural, TRAINING: RUNS.plural, "release": RELEASES.plural}


class Relations:
    """Remember from the watch which policies are about which models, and which runs about which policy."""

    def __init__(self) -> None:
        self._models: dict[str, str] = {}
        self._runs: dict[str, tuple[str, bool]] = {}

    def concerned(self, plural: str, item: Manifest, *, deleted: bool) -> list[Key]:
        """Keys to reconcile after this object was added, changed or deleted."""
        name: str = item["metadata"]["name"]
        keys: list[Key] = [] if plural == JOBS.plural else [(plural, name)]
        if plural == JOBS.plural:
            labels = item["metadata"].get("labels", {})
            owner = _OWNERS.get(labels.get(PART_LABEL, ""))
            if owner and labels.get(NAME_LABEL):
                keys.append((owner, labels[NAME_LABEL]))
        elif plural == POLICIES.plural:
            self._models.pop(name, None)
            if not deleted:
                self._models[name] = item["spec"].get("model", "")
            keys += self._live_runs(name)
        elif plural == RUNS.plural:
            policy = item["spec"].get("policy", "")
            self._runs.pop(name, None)
            if not deleted:
                live = item.get("status", {}).get("phase") not in {"Succeeded", "Failed"}
                self._runs[name] = (policy, live)
            keys += [(POLICIES.plural, policy), *self._live_runs(policy)]
        elif plural in {DETECTORS.plural, RELEASES.plural}:
            model = item["spec"].get("model", "").replace("@", "/").split("/", maxsplit=1)[0]
            keys += [(POLICIES.plural, policy) for policy, wanted in self._models.items() if wanted == model]
        return keys

    def _live_runs(self, policy: str) -> list[Key]:
        return [(RUNS.plural, run) for run, (owner, live) in self._runs.items() if live and owner == policy]
