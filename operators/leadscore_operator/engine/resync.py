"""The periodic resync: reconcile objects whose events were missed, and detect a frozen watch."""

from __future__ import annotations

from collections.abc import Iterable

from leadscore_operator.engine.health import Health, Key
from leadscore_operator.engine.queue import WorkQueue
from leadscore_operator.kube.client import Kube
from leadscore_operator.kube.resources import (
    CRONJOBS,
    DETECTORS,
    JOBS,
    MANAGED_LABEL,
    MANAGER,
    OWNER_LABEL,
    POLICIES,
    RELEASES,
    RUNS,
    Manifest,
)
from leadscore_operator.specs.workload import NAME_LABEL

KINDS = (DETECTORS, POLICIES, RUNS, RELEASES)


class Resync:
    """List every kind and queue each object that has changed, or whose children have, since the last resync.

    Versions are only compared for being equal, as the API asks of clients. Policies are queued each time:
    each decides from objects that are not its children, and nothing else would show it what it has missed.
    """

    def __init__(self, kube: Kube, queue: WorkQueue[Key], health: Health) -> None:
        self._kube = kube
        self._queue = queue
        self._health = health
        self._known: dict[Key, frozenset[str]] = {}

    async def once(self) -> None:
        """List everything once.

        Raises:
            LeadScoreError: A list could not be read; nothing was forgotten.
        """
        ours = f"{MANAGED_LABEL}={MANAGER}"
        lists = {resource.plural: await self._kube.list(resource) for resource in KINDS}
        jobs = await self._kube.list(JOBS, labels=ours)
        cron_jobs = await self._kube.list(CRONJOBS, labels=ours)
        for plural, objects in (*lists.items(), (JOBS.plural, jobs)):
            self._health.listed(plural, ((o["metadata"]["name"], _version(o)) for o in objects))
        children = _by_owner((*jobs, *cron_jobs))
        found = {
            (plural, item["metadata"]["name"]): frozenset(
                (_version(item), *children.get(item["metadata"]["uid"], ()))
            )
            for plural, objects in lists.items()
            for item in objects
        }
        changed = [key for key, versions in found.items() if self._known.get(key) != versions]
        policies = [key for key in found if key[0] == POLICIES.plural]
        # Deleted objects are reconciled once more, so that their metrics go.
        gone = (self._known.keys() - found.keys()) | _left(cron_jobs, lists[DETECTORS.plural])
        for key in (*changed, *policies, *gone):
            self._queue.add(key)
        self._known = found
        self._health.resynced()


def _left(cron_jobs: Iterable[Manifest], detectors: Iterable[Manifest]) -> set[Key]:
    """Return deleted detectors whose CronJobs are left from a time without an operator."""
    live = {detector["metadata"]["uid"] for detector in detectors}
    labels = (cron_job["metadata"].get("labels", {}) for cron_job in cron_jobs)
    return {
        (DETECTORS.plural, each[NAME_LABEL])
        for each in labels
        if NAME_LABEL in each and each.get(OWNER_LABEL) not in live
    }


def _by_owner(objects: Iterable[Manifest]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in objects:
        owner = item["metadata"].get("labels", {}).get(OWNER_LABEL, "")
        found.setdefault(owner, []).append(f"{item['metadata']['name']}={_version(item)}")
    return found


def _version(item: Manifest) -> str:
    return str(item["metadata"]["resourceVersion"])
