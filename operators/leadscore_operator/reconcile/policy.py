"""RetrainPolicies."""

from __future__ import annotations

from datetime import datetime

from leadscore.errors import BadInputError
from leadscore_operator.decide.policy import PolicyObservation, plan_policy, unlisted
from leadscore_operator.kube.resources import DETECTORS, POLICIES, RELEASES, RUNS
from leadscore_operator.reconcile.base import ReconcileContext, apply_plan, get_live, set_failed_condition


async def reconcile_policy(context: ReconcileContext, name: str) -> datetime | None:
    """Read a policy and everything that it decides from, decide, and act; when to look again."""
    policy = await get_live(context, POLICIES, name)
    if policy is None:
        return None
    detectors = await context.kube.list(DETECTORS)
    runs = [run for run in await context.kube.list(RUNS) if run["spec"].get("policy") == name]
    releases = await context.kube.list(RELEASES)
    gone: set[str] = set()
    for missing in unlisted(policy, runs):
        found = await context.kube.get(RUNS, missing)
        if found is None:
            gone.add(missing)
        else:
            runs.append(found)
    seen = PolicyObservation(policy, detectors, runs, frozenset(gone), releases)
    try:
        plan = plan_policy(seen, context.clock.now())
    except BadInputError as error:
        await set_failed_condition(context, POLICIES, policy, error)
        return None
    return await apply_plan(context, POLICIES, policy, plan)
