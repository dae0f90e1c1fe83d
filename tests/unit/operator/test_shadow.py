"""The shadow of a release as the operator sees it (tests/unit/chart/test_shadow.py: what it makes)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.unit.operator.objects import NOW, WORKLOAD, Manifest, stamp, thing

from leadscore.release.states import ReportShadow, Step, StopShadow
from leadscore_operator.decide.actions import ReleaseObjects
from leadscore_operator.decide.release import machine_spec, machine_status, object_status, plan_step
from leadscore_operator.resources import ModelReleaseSpec, decode
from leadscore_operator.specs.releases import shadow_report
from leadscore_operator.specs.shadows import observe_shadow, shadow_name

WISH = {"model": "leads", "version": 7, "rollout": "leads-lead-scoring", "evaluation": "shadow"}


def release(status: Manifest | None = None, **spec: Any) -> Manifest:
    return thing("leads-7", WISH | spec, status)


def declared(**spec: Any) -> ModelReleaseSpec:
    return decode(release(**spec)["spec"], ModelReleaseSpec, "spec")


def seen(*conditions: tuple[str, str, str], generation: int = 1, owner: str = "uid-leads-7") -> Manifest:
    """A Deployment as the API server shows it."""
    template = {"metadata": {"labels": {"leadscore.dev/model-version": "7"}}}
    status = {
        "observedGeneration": generation,
        "conditions": [
            {"type": kind, "status": state, "message": words, "lastTransitionTime": stamp(NOW)}
            for kind, state, words in conditions
        ],
    }
    return thing(
        shadow_name("leads"), {"template": template}, status, labels={"leadscore.dev/owner-uid": owner}
    )


def test_a_shadow_is_ready_since_its_deployment_says_so() -> None:
    found = observe_shadow(seen(("Available", "True", "")))
    assert (found.version, found.release, found.ready_since, found.trouble) == (7, "uid-leads-7", NOW, "")
    assert observe_shadow(seen(("Available", "False", ""))).ready_since is None
    assert observe_shadow(seen()).ready_since is None
    assert observe_shadow(seen(("Available", "True", ""), generation=0)).ready_since is None


def test_a_deployment_of_others_is_no_release_s() -> None:
    assert observe_shadow(seen(owner="")).release == ""
    plain = thing("leads-shadow", {"template": {"metadata": {}}})
    assert (observe_shadow(plain).version, observe_shadow(plain).ready_since) == (None, None)


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ([("Progressing", "False", "ReplicaSet x has timed out progressing.")],
            "ReplicaSet x has timed out progressing."),
        ([("ReplicaFailure", "True", "exceeded quota"), ("Progressing", "False", "late")], "exceeded quota."),
        ([("Progressing", "True", "")], ""),
    ],
)  # fmt: skip
def test_why_it_does_not_become_ready_is_said_in_kubernetes_words(
    conditions: list[tuple[str, str, str]], words: str
) -> None:
    assert observe_shadow(seen(*conditions)).trouble == words


@pytest.mark.parametrize(
    ("shadow", "hours", "least"),
    [(None, 24, 1_000), ({"for": "90m"}, 1.5, 1_000), ({"minimumLeads": 200}, 24, 200)],
)
def test_how_the_shadow_runs_is_the_machine_s(shadow: Manifest | None, hours: float, least: int) -> None:
    asked = declared(**({} if shadow is None else {"shadow": shadow}))
    spec = machine_spec(release(), asked)
    assert spec.evaluation == "shadow"
    assert spec.shadow_seconds == hours * 3_600
    assert spec.shadow_minimum_leads == least


@pytest.mark.parametrize(("percent", "said"), [(40.0, ["--percent=40"]), (None, [])])
def test_the_report_is_asked_for_since_the_shadow_was_ready(percent: float | None, said: list[str]) -> None:
    spec = machine_spec(release(), declared(shadow={"minimumLeads": 200}))
    step, command = shadow_report(ReportShadow(7, NOW, percent, 1), spec)
    assert step == "shadow"
    assert command == [
        *("leadscore", "release", "shadow", "--candidate=leads/7", f"--since={stamp(NOW)}"),
        *("--minimum-leads=200", *said, "--release=uid-leads-7"),
    ]


def test_since_when_the_shadow_was_ready_is_remembered() -> None:
    status = msgspec.structs.replace(machine_status(release()), phase="Shadow", shadow_since=NOW)
    written = object_status(status, release(), NOW + timedelta(hours=1))
    assert written["shadowSince"] == stamp(NOW)
    assert machine_status(release(written)) == status


def test_a_shadow_that_is_taken_down_after_the_end_is_looked_at_again() -> None:
    item = release({"phase": "Rejected", "reason": "so"})
    spec, status = machine_spec(item, declared()), machine_status(item)
    plan = plan_step(Step(StopShadow("x"), status), spec, ReleaseObjects(item), WORKLOAD, NOW)
    assert plan.again is not None
