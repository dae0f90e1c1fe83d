"""RetrainRuns."""

from __future__ import annotations

from datetime import datetime

from leadscore.errors import BadInputError
from leadscore_operator.decide.jobs import job_end
from leadscore_operator.decide.run import RUN_FINAL, RunObservation, current_job, plan_run
from leadscore_operator.kube.resources import JOBS, OWNER_LABEL, POLICIES, RUNS, Manifest
from leadscore_operator.reconcile.base import (
    ReconcileContext,
    apply_plan,
    get_live,
    read_termination_message,
    set_failed_condition,
)


async def reconcile_run(context: ReconcileContext, name: str) -> datetime | None:
    """Read a run, its policy and its Job, and do what is to be done; when to look again."""
    run = await get_live(context, RUNS, name)
    if run is None:
        return None
    policy = await context.kube.get(POLICIES, run["spec"]["policy"])
    job = await _job(context, run)
    end = None if job is None else job_end(job)
    words = None
    if end is not None and run.get("status", {}).get("phase") not in RUN_FINAL:
        words = await read_termination_message(context.kube, current_job(run), succeeded=end.succeeded)
    blocked_by = await _blocked_by(context, run) if job is None else ""
    try:
        plan = plan_run(
            RunObservation(run, policy, job, words, blocked_by), context.workload, context.clock.now()
        )
    except BadInputError as error:
        await set_failed_condition(context, RUNS, run, error)
        return None
    return await apply_plan(context, RUNS, run, plan)


async def _job(context: ReconcileContext, run: Manifest) -> Manifest | None:
    """The present attempt's Job. One that was made is gone only if a list lacks it too.

    An answer that is older than the Job must not start a second training beside the first.
    """
    name = current_job(run)
    job = await context.kube.get(JOBS, name)
    if job is None and run.get("status", {}).get("job") == name:
        made = await context.kube.list(JOBS, labels=f"{OWNER_LABEL}={run['metadata']['uid']}")
        return next((each for each in made if each["metadata"]["name"] == name), None)
    return job


async def _blocked_by(context: ReconcileContext, run: Manifest) -> str:
    """An older run of the same policy that has not ended: runs of a policy go one after the other."""
    mine = _age(run)
    older = [
        other
        for other in await context.kube.list(RUNS)
        if other["spec"].get("policy") == run["spec"]["policy"]
        and other.get("status", {}).get("phase") not in RUN_FINAL
        and _age(other) < mine
    ]
    return min(older, key=_age)["metadata"]["name"] if older else ""


def _age(run: Manifest) -> tuple[str, str]:
    return run["metadata"]["creationTimestamp"], run["metadata"]["name"]
