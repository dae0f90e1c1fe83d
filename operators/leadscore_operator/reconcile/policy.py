"""RetrainPolicies."""

from __future__ import annotations

from datetime import datetime

from leadscore.errors import BadInputError
from leadscore_operator.decide.policy import PolicySeen, plan_policy, unlisted
from leadscore_operator.kube.resources import DETECTORS, POLICIES, RELEASES, RUNS
from leadscore_operator.reconcile.base import Shell, living, settle, trouble


async def reconcile_policy(shell: Shell, name: str) -> datetime | None:
    """Read a policy and everything that it decides from, decide, and act; when to look again."""
    policy = await living(shell, POLICIES, name)
    if policy is None:
        return None
    detectors = await shell.kube.list(DETECTORS)
    runs = [run for run in await shell.kube.list(RUNS) if run["spec"].get("policy") == name]
    releases = await shell.kube.list(RELEASES)
    gone: set[str] = set()
    for missing in unlisted(policy, runs):
        found = await shell.kube.get(RUNS, missing)
        if found is None:
            gone.add(missing)
        else:
            runs.append(found)
    seen = PolicySeen(policy, detectors, runs, frozenset(gone), releases)
    try:
        plan = plan_policy(seen, shell.clock.now())
    except BadInputError as error:
        await trouble(shell, POLICIES, policy, error)
        return None
    return await settle(shell, POLICIES, policy, plan)
