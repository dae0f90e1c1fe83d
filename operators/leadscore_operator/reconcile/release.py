"""ModelReleases: look at cluster, registry and event store, ask the release machine, do its one step."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from typing import Final

from leadscore.errors import BadInputError, RefusedError, UnavailableError
from leadscore.events.store import EventStore
from leadscore.release.approval import Binding, request
from leadscore.release.evidence import (
    KPI,
    REPLAY,
    approval_seen,
    ended_seen,
    gate_seen,
    record_end,
    report_seen,
    requested,
)
from leadscore.release.machine import decide
from leadscore.release.states import (
    Finish,
    Observations,
    PatchRollout,
    ReleaseSpec,
    RequestApproval,
    RollBack,
    Step,
)
from leadscore_operator.decide.release import ahead_of, machine_spec, machine_status, plan_step, report_of
from leadscore_operator.kube.resources import (
    JOBS,
    OWNER_LABEL,
    RELEASES,
    REPLICA_SETS,
    ROLLOUTS,
    Manifest,
)
from leadscore_operator.plan import Change, Patch
from leadscore_operator.reconcile.base import Shell, living, settle, trouble
from leadscore_operator.registry_view import RegistryView
from leadscore_operator.resources import ReleaseWish, decode
from leadscore_operator.specs.rollouts import seen_rollout, version_patch

_MENDED: Final = timedelta(seconds=60)


async def reconcile_release(
    shell: Shell, store: EventStore | None, registry: RegistryView | None, name: str
) -> datetime | None:
    """Read everything about a release, take the machine's next step; when to look again."""
    release = await living(shell, RELEASES, name)
    if release is None:
        return None
    if store is None or registry is None:
        missing = BadInputError(
            "Releases need the event store and a registry server.",
            hint="Set LEADSCORE_EVENTS_URL and an http(s) LEADSCORE_TRACKING_URI.",
        )
        await trouble(shell, RELEASES, release, missing)
        return None
    try:
        wish = decode(release["spec"], ReleaseWish, "spec")
        spec, status = machine_spec(release, wish), machine_status(release)
        rollout = await shell.kube.get(ROLLOUTS, wish.rollout)
        seen = await _look(shell, store, registry, spec, release, rollout)
        step = decide(spec, status, seen, shell.clock.now())
        changes = _rollout_change(step, spec, rollout)
        await _record(shell, store, spec, step)
    except (BadInputError, RefusedError) as error:
        await trouble(shell, RELEASES, release, error)
        # What a person mends (the Rollout, say) sends no event.
        return shell.clock.now() + _MENDED
    plan = plan_step(step, spec, release, shell.workload, shell.clock.now(), others=changes)
    return await settle(shell, RELEASES, release, plan)


async def _look(
    shell: Shell,
    store: EventStore,
    registry: RegistryView,
    spec: ReleaseSpec,
    release: Manifest,
    rollout: Manifest | None,
) -> Observations:
    replica_sets = [] if rollout is None else await _replica_sets(shell, rollout)
    jobs = await shell.kube.list(JOBS, labels=f"{OWNER_LABEL}={spec.release}")
    releases = await shell.kube.list(RELEASES)
    candidate = await registry.version(spec.model, spec.version)
    champion = await registry.champion(spec.model)

    def from_store() -> Observations:
        return Observations(
            candidate=candidate,
            champion=champion,
            gate=None if candidate is None else gate_seen(store, spec.ref, candidate.digest),
            evaluation=report_of(report_seen(store, REPLAY, spec.ref, spec.release), jobs, "replay"),
            approval=approval_seen(store, spec),
            requested=requested(store, spec),
            rollout=None if rollout is None else seen_rollout(rollout, replica_sets),
            kpi=report_of(report_seen(store, KPI, spec.ref, spec.release), jobs, "kpi"),
            ahead=ahead_of(release, releases),
            ended=ended_seen(store, spec),
        )

    return await asyncio.to_thread(from_store)


async def _replica_sets(shell: Shell, rollout: Manifest) -> list[Manifest]:
    uid = rollout["metadata"]["uid"]
    return [
        item
        for item in await shell.kube.list(REPLICA_SETS)
        if any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences", []))
    ]


def _rollout_change(step: Step, spec: ReleaseSpec, rollout: Manifest | None) -> tuple[Change, ...]:
    action = step.action
    if not isinstance(action, PatchRollout | RollBack):
        return ()
    if rollout is None:
        raise UnavailableError("The Rollout went away between the look and the step.")
    if isinstance(action, PatchRollout):
        patch = version_patch(rollout, spec.model, action.version, action.release, action.expected)
    else:
        patch = version_patch(rollout, spec.model, action.to, action.release)
    return (Patch(ROLLOUTS, rollout["metadata"]["name"], patch),)


async def _record(shell: Shell, store: EventStore, spec: ReleaseSpec, step: Step) -> None:
    """What a step puts into the event store: the question to a person, or how it ended."""
    action, at = step.action, time.time_ns() // 1_000
    if isinstance(action, RequestApproval):
        shell.kube.may_write()
        binding = Binding(
            model=spec.model,
            version=spec.version,
            digest=action.digest,
            evidence=action.evidence,
            release=spec.release,
        )
        await asyncio.to_thread(request, store, binding, at=at)
    elif isinstance(action, Finish):
        shell.kube.may_write()
        await asyncio.to_thread(record_end, store, spec, step.status, action, at)
