"""ModelReleases: observe cluster, registry and event store, and do the release machine's next step."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from typing import Final

from leadscore.errors import BadInputError, RefusedError
from leadscore.events.store import EventStore
from leadscore.identity.approvers import Approvers
from leadscore.release.evidence import KPI, read_evidence
from leadscore.release.machine import decide_step
from leadscore.release.states import Observations, ReleaseSpec, Step
from leadscore_operator.decide.actions import EFFECTS, ReleaseObjects
from leadscore_operator.decide.release import (
    blocking_release,
    machine_spec,
    machine_status,
    plan_step,
    report_of,
)
from leadscore_operator.kube.resources import (
    DEPLOYMENTS,
    JOBS,
    OWNER_LABEL,
    RELEASES,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    Manifest,
)
from leadscore_operator.reconcile.base import ReconcileContext, apply_plan, get_live, set_failed_condition
from leadscore_operator.registry_view import RegistryView
from leadscore_operator.resources import ModelReleaseSpec, decode
from leadscore_operator.specs.rollouts import observe_rollout
from leadscore_operator.specs.shadows import observe_mirror, observe_shadow, shadow_name

_RECHECK: Final = timedelta(seconds=60)


async def reconcile_release(
    context: ReconcileContext,
    store: EventStore | None,
    registry: RegistryView | None,
    approvers: Approvers,
    name: str,
) -> datetime | None:
    """Read everything about a release, take the machine's next step; when to look again."""
    release = await get_live(context, RELEASES, name)
    if release is None:
        return None
    if store is None or registry is None:
        missing = BadInputError(
            "Releases need the event store and a registry server.",
            hint="Set LEADSCORE_EVENTS_URL and an http(s) LEADSCORE_TRACKING_URI.",
        )
        await set_failed_condition(context, RELEASES, release, missing)
        return None
    try:
        declared = decode(release["spec"], ModelReleaseSpec, "spec")
        spec, status = machine_spec(release, declared), machine_status(release)
        objects = await _objects(context, release, declared)
        seen = await _observe(context, store, registry, approvers, spec, objects)
        step = decide_step(spec, status, seen, context.clock.now())
        plan = plan_step(step, spec, objects, context.workload, context.clock.now())
        await _record(context, store, spec, step)
    except (BadInputError, RefusedError) as error:
        await set_failed_condition(context, RELEASES, release, error)
        # Fixes by a person (of the Rollout, say) send no event.
        return context.clock.now() + _RECHECK
    return await apply_plan(context, RELEASES, release, plan)


async def _objects(
    context: ReconcileContext, release: Manifest, declared: ModelReleaseSpec
) -> ReleaseObjects:
    rollout = await context.kube.get(ROLLOUTS, declared.rollout)
    if declared.evaluation != "shadow":
        return ReleaseObjects(release, rollout)
    name = shadow_name(declared.rollout)
    mirrored = await context.kube.get(SERVICES, name)
    return ReleaseObjects(release, rollout, mirrored, await context.kube.get(DEPLOYMENTS, name))


async def _observe(
    context: ReconcileContext,
    store: EventStore,
    registry: RegistryView,
    approvers: Approvers,
    spec: ReleaseSpec,
    objects: ReleaseObjects,
) -> Observations:
    """Read everything that a decision may look at: the cluster, the registry, and the event store once."""
    release, rollout, shadow = objects.release, objects.rollout, objects.shadow
    replica_sets = [] if rollout is None else await _replica_sets(context, rollout)
    jobs = await context.kube.list(JOBS, labels=f"{OWNER_LABEL}={spec.release}")
    releases = await context.kube.list(RELEASES)
    candidate = await registry.version(spec.model, spec.version)
    champion = await registry.champion(spec.model)
    digest = None if candidate is None else candidate.digest
    # When keys expire is a matter of real time.
    evidence = await asyncio.to_thread(read_evidence, store, spec, digest, approvers, time.time())
    return Observations(
        candidate=candidate,
        champion=champion,
        shadow=None if shadow is None else observe_shadow(shadow),
        mirror=observe_mirror(objects.mirrored, release["spec"]["rollout"]),
        rollout=None if rollout is None else observe_rollout(rollout, replica_sets),
        blocked_by=blocking_release(release, releases),
        gate=evidence.gate,
        evaluation=report_of(evidence.evaluation, jobs, spec.evaluation),
        approval=evidence.approval,
        unproven=evidence.unproven,
        requested=evidence.requested,
        kpi=report_of(evidence.kpi, jobs, KPI),
        ended=evidence.ended,
    )


async def _replica_sets(context: ReconcileContext, rollout: Manifest) -> list[Manifest]:
    uid = rollout["metadata"]["uid"]
    return [
        item
        for item in await context.kube.list(REPLICA_SETS)
        if any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences", []))
    ]


async def _record(context: ReconcileContext, store: EventStore, spec: ReleaseSpec, step: Step) -> None:
    """Put into the event store what a step must have on record before it changes anything."""
    record = EFFECTS[type(step.action)].record
    if record is not None:
        context.kube.may_write()
        await asyncio.to_thread(record, store, spec, step.status, step.action, time.time_ns() // 1_000)
