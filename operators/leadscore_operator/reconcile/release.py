"""ModelReleases: look at cluster, registry and event store, ask the release machine, do its one step."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from leadscore.errors import BadInputError, RefusedError, UnavailableError
from leadscore.events.store import EventStore
from leadscore.identity.approvers import Approvers
from leadscore.release.approval import Binding, request
from leadscore.release.evidence import (
    KPI,
    REPLAY,
    SHADOW,
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
    StartShadow,
    Step,
    StopShadow,
)
from leadscore_operator.decide.release import ahead_of, machine_spec, machine_status, plan_step, report_of
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
from leadscore_operator.plan import Change, Create, Delete, Patch
from leadscore_operator.reconcile.base import Shell, living, settle, trouble
from leadscore_operator.registry_view import RegistryView
from leadscore_operator.resources import ReleaseWish, decode
from leadscore_operator.specs.rollouts import seen_rollout, version_patch
from leadscore_operator.specs.shadows import seen_mirror, seen_shadow, shadow_deployment, shadow_name

_MENDED: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class _Around:
    """The objects around a release that it changes; None: not there.

    Attributes:
        name: Of the Rollout, there or not.
        rollout: The Rollout.
        mirrored: The Service that copies of requests go to.
        shadow: The Deployment behind it, whoever made it.
    """

    name: str
    rollout: Manifest | None
    mirrored: Manifest | None = None
    shadow: Manifest | None = None


async def reconcile_release(
    shell: Shell, store: EventStore | None, registry: RegistryView | None, approvers: Approvers, name: str
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
        around = await _around(shell, wish)
        seen = await _look(shell, store, registry, spec, release, around, approvers=approvers)
        step = decide(spec, status, seen, shell.clock.now())
        changes = _changes(step, spec, release, around)
        await _record(shell, store, spec, step)
    except (BadInputError, RefusedError) as error:
        await trouble(shell, RELEASES, release, error)
        # What a person mends (the Rollout, say) sends no event.
        return shell.clock.now() + _MENDED
    plan = plan_step(step, spec, release, shell.workload, shell.clock.now(), others=changes)
    return await settle(shell, RELEASES, release, plan)


async def _around(shell: Shell, wish: ReleaseWish) -> _Around:
    rollout = await shell.kube.get(ROLLOUTS, wish.rollout)
    if wish.evaluation != "shadow":
        return _Around(wish.rollout, rollout)
    name = shadow_name(wish.rollout)
    mirrored = await shell.kube.get(SERVICES, name)
    return _Around(wish.rollout, rollout, mirrored, await shell.kube.get(DEPLOYMENTS, name))


async def _look(
    shell: Shell,
    store: EventStore,
    registry: RegistryView,
    spec: ReleaseSpec,
    release: Manifest,
    around: _Around,
    *,
    approvers: Approvers,
) -> Observations:
    rollout = around.rollout
    replica_sets = [] if rollout is None else await _replica_sets(shell, rollout)
    jobs = await shell.kube.list(JOBS, labels=f"{OWNER_LABEL}={spec.release}")
    releases = await shell.kube.list(RELEASES)
    candidate = await registry.version(spec.model, spec.version)
    champion = await registry.champion(spec.model)

    kind = SHADOW if spec.evaluation == "shadow" else REPLAY

    def from_store() -> Observations:
        # When keys expire is a matter of real time.
        approval, unproven = approval_seen(store, spec, approvers, time.time())
        return Observations(
            candidate=candidate,
            champion=champion,
            gate=None if candidate is None else gate_seen(store, spec.ref, candidate.digest),
            evaluation=report_of(report_seen(store, kind, spec.ref, spec.release), jobs, kind),
            approval=approval,
            unproven=unproven,
            requested=requested(store, spec),
            shadow=None if around.shadow is None else seen_shadow(around.shadow),
            mirror=seen_mirror(around.mirrored, around.name),
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


def _changes(step: Step, spec: ReleaseSpec, release: Manifest, around: _Around) -> tuple[Change, ...]:
    """What a step changes besides Jobs: the Rollout or the shadow."""
    action, rollout = step.action, around.rollout
    match action:
        case StopShadow():
            return _without(around.shadow)
        case PatchRollout() | RollBack() | StartShadow() if rollout is None:
            raise UnavailableError("The Rollout went away between the look and the step.")
        case PatchRollout(version=version, release=by, expected=expected) if rollout is not None:
            patch = version_patch(rollout, spec.model, version, by, expected)
            return (Patch(ROLLOUTS, rollout["metadata"]["name"], patch),)
        case RollBack(to=to, release=by) if rollout is not None:
            return (Patch(ROLLOUTS, rollout["metadata"]["name"], version_patch(rollout, spec.model, to, by)),)
        case StartShadow(version=version) if rollout is not None and around.mirrored is not None:
            body = shadow_deployment(release, rollout, around.mirrored, spec.model, version)
            return (Create(DEPLOYMENTS, body, release["metadata"]["uid"]),)
        case _:
            return ()


def _without(shadow: Manifest | None) -> tuple[Change, ...]:
    if shadow is None:
        return ()
    meta = shadow["metadata"]
    return (Delete(DEPLOYMENTS, meta["name"], meta["uid"]),)


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
