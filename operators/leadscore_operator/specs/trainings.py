"""RetrainRuns, and the Jobs that train."""

from __future__ import annotations

from leadscore.durations import format_time
from leadscore.policy.state import Retrain, RetrainWindow
from leadscore_operator.kube.resources import MANAGED_LABEL, MANAGER, OWNER_LABEL, POLICIES, RUNS, Manifest
from leadscore_operator.resources import PolicySpec
from leadscore_operator.specs.names import job_name, run_name
from leadscore_operator.specs.workload import (
    MESSAGE_PATH,
    NAME_LABEL,
    PART_LABEL,
    Workload,
    object_metadata,
    pod_template,
)

TRAINING = "retrain"
POLICY_LABEL = "leadscore.dev/policy"


def retrain_run(policy: Manifest, decision: Retrain) -> Manifest:
    """The RetrainRun of a decision: its name depends on the policy and the decision's key alone."""
    meta = policy["metadata"]
    name = run_name(meta["name"], meta["uid"], decision.key)
    return {
        "metadata": object_metadata(
            name, policy, POLICIES, part="retrain-run", labels={POLICY_LABEL: meta["name"]}
        ),
        "spec": {
            "policy": meta["name"],
            "trigger": decision.trigger,
            "reason": decision.reason[:1000],
            "key": decision.key,
            "window": {
                "start": format_time(decision.window.start),
                "end": format_time(decision.window.end),
            },
        },
    }


def train_command(run: Manifest, policy: PolicySpec, window: RetrainWindow, attempt: int) -> list[str]:
    """The command line of a training. The run's uid is its key: whoever trains for it claims it first."""
    how = policy.run
    command = ["leadscore", "retrain", f"--model={policy.model}", f"--run={run['metadata']['uid']}"]
    command += [
        f"--attempt={attempt}",
        f"--since={format_time(window.start)}",
        f"--until={format_time(window.end)}",
    ]
    command += [f"--trials={how.trials}", f"--min-records={how.min_records}", f"--seed={how.seed}"]
    command.append(f"--min-completeness={how.min_completeness:g}")
    if how.delay_aware:
        command.append("--delay-aware")
    if how.data:
        command.append(f"--data={how.data}")
    return [*command, f"--termination-message={MESSAGE_PATH}", *how.args]


def train_job(
    run: Manifest, policy: PolicySpec, window: RetrainWindow, attempt: int, workload: Workload
) -> Manifest:
    """The Job of an attempt: one pod at a time, no retries of its own (the next attempt is another Job)."""
    meta = run["metadata"]
    labels = {
        MANAGED_LABEL: MANAGER,
        OWNER_LABEL: meta["uid"],
        PART_LABEL: TRAINING,
        NAME_LABEL: meta["name"],
    }
    command = train_command(run, policy, window, attempt)
    return {
        "metadata": object_metadata(job_name(meta["name"], meta["uid"], attempt), run, RUNS, part=TRAINING),
        "spec": {
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": policy.run.deadline_seconds,
            "ttlSecondsAfterFinished": 86_400,
            "template": pod_template(workload, command, labels, resources=policy.run.resources),
        },
    }
