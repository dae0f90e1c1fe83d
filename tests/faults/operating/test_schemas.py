"""The custom resources' own schemas, asked of a real API server: what is wrong is refused with a sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.faults.harness.api import Api
from tests.faults.harness.controlplane import ControlPlane
from tests.faults.harness.scenario import World
from tests.faults.operating import stage

pytestmark = pytest.mark.xdist_group("faults")
# The toolbox is a plain Pod.
EXAMPLES = sorted((Path(__file__).parents[3] / "manifests" / "examples").glob("[!t]*.yaml"))
SCHEDULE = {"name": "daily", "cron": "@daily", "window": "1d"}
DETECTOR = {"model": "leads@champion", "schedules": [SCHEDULE]}
POLICY: dict[str, Any] = {"model": "leads"}
SHADOWED: dict[str, Any] = {
    "model": "leads",
    "version": 1,
    "rollout": "r",
    "evaluation": "shadow",
    "shadow": {"for": "1h"},
}
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("DriftDetector", DETECTOR | {"model": "leads"}, "NAME@champion"),
    ("DriftDetector", DETECTOR | {"schedules": [SCHEDULE | {"cron": "daily"}]}, "cron takes five fields"),
    ("DriftDetector", DETECTOR | {"schedules": [SCHEDULE | {"window": "1mo"}]}, "window must be a duration"),
    ("DriftDetector", DETECTOR | {"schedules": [SCHEDULE | {"name": "Daily"}]}, "small letters"),
    ("DriftDetector", DETECTOR | {"falseAlarms": {"expected": 0, "per": "30d"}},
        "a detector that never errs never signals"),
    ("DriftDetector", DETECTOR | {"falseAlarms": {"expected": 1, "per": "30d"}, "mode": "thresholds"},
        "set one of the two"),
    ("DriftDetector", DETECTOR | {"methods": ["psi"]}, "Unsupported value"),
    ("DriftDetector", DETECTOR | {"methods": ["cbpe"]}, "name another method beside it"),
    ("DriftDetector", DETECTOR | {"performance": {}}, "name performance or sequential among the methods"),
    ("DriftDetector", DETECTOR | {"methods": ["sequential", "univariate"]}, "give it a schedule of its own"),
    ("DriftDetector", DETECTOR | {"methods": ["sequential"], "mode": "thresholds"}, "leave mode at budget"),
    ("DriftDetector", DETECTOR | {"methods": ["alibi:MMDDrift"]}, "Unsupported value"),
    ("DriftDetector", DETECTOR | {"methods": ["performance"], "performance": {"maturity": "soon"}},
        "such as 30d, or 0d"),
    ("DriftDetector", DETECTOR | {"hysteresis": "3/2"}, "N up to M"),
    ("RetrainPolicy", POLICY | {"coolDown": "1 day"}, "coolDown must be a duration"),
    ("RetrainPolicy", POLICY | {"triggers": {"performance": {"maxDrop": 5}}}, "0.05 tolerates a loss of 5 %"),
    ("RetrainPolicy", POLICY | {"triggers": {"schedule": {"ramp": [{"every": "7d"}, {"every": "30d"}]}}},
        "Only the last step"),
    ("RetrainPolicy", POLICY | {"budget": {"runs": 0, "per": "30d"}}, "greater than or equal to 1"),
    ("RetrainPolicy", POLICY | {"release": {}}, "release.rollout: Required value"),
    ("RetrainPolicy", POLICY | {"release": {"rollout": "r", "watchFor": "soon"}},
        "release.watchFor must be a duration"),
    ("RetrainPolicy", POLICY | {"release": {"rollout": "r", "evaluation": "twin"}}, "Unsupported value"),
    ("RetrainPolicy", POLICY | {"release": {"rollout": "r", "shadow": {"for": "1h"}}},
        "set release.evaluation to shadow"),
    ("RetrainPolicy", POLICY | {"dataWindow": "99999999w"},
        "dataWindow must be a duration such as 180d, at most 999w"),
    ("RetrainPolicy", POLICY | {"run": {"resources": {"limits": "a lot"}}}, "must be of type object"),
    ("RetrainRun", {"policy": "leads",
        "window": {"start": "0001-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}},
        "between the years 1970 and 2200"),
    ("RetrainRun", {"policy": "leads",
        "window": {"start": "2026-02-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}},
        "window.start must be before window.end"),
    ("ModelRelease", {"model": "leads@champion", "version": 1, "rollout": "r"}, "without version or alias"),
    ("ModelRelease", {"model": "leads", "version": 0, "rollout": "r"}, "greater than or equal to 1"),
    (
        "ModelRelease",
        {"model": "leads", "version": 1, "rollout": "r", "watchExposure": "a day"},
        "watchExposure must be a duration",
    ),
    (
        "ModelRelease",
        {"model": "leads", "version": 1, "rollout": "r", "watchMinimumLeads": -1},
        "greater than or equal to 0",
    ),
    ("ModelRelease", SHADOWED | {"evaluation": "replay"},
        "set evaluation to shadow, or leave spec.shadow out"),
    ("ModelRelease", SHADOWED | {"shadow": {"for": "a day"}}, "shadow.for must be a duration"),
    ("ModelRelease", SHADOWED | {"shadow": {"minimumLeads": 99}}, "greater than or equal to 100"),
]  # fmt: skip
PLURALS = {
    "DriftDetector": "driftdetectors", "RetrainPolicy": "retrainpolicies", "RetrainRun": "retrainruns",
    "ModelRelease": "modelreleases",
}  # fmt: skip


@pytest.fixture(scope="module")
def world(plane: ControlPlane) -> Generator[World]:
    api = Api(plane)
    api.create("api/v1/namespaces", {"metadata": {"name": "schemas"}})
    world = World(api, "schemas", [])
    stage.install(world)
    yield world
    api.close()


def create(world: World, kind: str, spec: dict[str, Any], name: str = "a") -> None:
    stage.create(world, PLURALS[kind], kind, name, spec)


@pytest.mark.parametrize(("kind", "spec", "says"), WRONG)
def test_what_is_wrong_is_refused_with_a_sentence(
    world: World, kind: str, spec: dict[str, Any], says: str
) -> None:
    with pytest.raises(AssertionError, match=says.replace("(", r"\(")):
        create(world, kind, spec)


def test_a_field_that_nobody_knows_is_refused_as_kubectl_asks(world: World) -> None:
    """kubectl asks for strict validation; the old schema kept whatever stood in `release`."""
    for plural, kind, spec in (
        ("retrainpolicies", "RetrainPolicy", POLICY | {"release": {"rollout": "r", "watchforr": "1d"}}),
        ("driftdetectors", "DriftDetector", DETECTOR | {"job": {"resources": {"limit": {"cpu": "1"}}}}),
    ):
        body = {"apiVersion": "leadscore.dev/v1alpha1", "kind": kind, "metadata": {"name": "u"}, "spec": spec}
        with pytest.raises(AssertionError, match="unknown field"):
            world.api.create(f"{stage.custom(world, plural)}?fieldValidation=Strict", body)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda f: f.stem)
def test_the_examples_are_accepted(world: World, file: Path) -> None:
    body = yaml.safe_load(file.read_text())
    world.api.create(stage.custom(world, PLURALS[body["kind"]]), body)


def test_the_tutorials_patches_of_the_examples_are_accepted(world: World) -> None:
    """Samples and tutorial are written apart.

    A field that a sample gains may need another that a patch takes away.
    """
    text = (EXAMPLES[0].parents[2] / "docs" / "tutorials" / "drift-to-canary.md").read_text()
    patches = re.findall(r"patch (driftdetector|retrainpolicy) leads --type=merge -p '([^']+)'", text)
    assert {kind for kind, _ in patches} == {"driftdetector", "retrainpolicy"}
    for kind, patch in patches:
        body = yaml.safe_load(next(f for f in EXAMPLES if f.stem == kind).read_text())
        world.api.create(
            stage.custom(world, PLURALS[body["kind"]]), body | {"metadata": {"name": f"tutorial-{kind}"}}
        )
        world.api.merge(f"{stage.custom(world, PLURALS[body['kind']])}/tutorial-{kind}", json.loads(patch))


def test_a_run_never_changes_a_policy_keeps_its_model_and_a_stopped_release_stays_stopped(
    world: World,
) -> None:
    create(world, "RetrainRun", {"policy": "leads"}, "fixed")
    create(world, "RetrainPolicy", POLICY, "fixed")
    create(world, "ModelRelease", {"model": "leads", "version": 1, "rollout": "r", "abort": True}, "fixed")
    for kind, change, says in (
        ("RetrainRun", {"reason": "Another."}, "never changes"),
        ("RetrainPolicy", {"model": "churn"}, "one model for life"),
        ("ModelRelease", {"version": 2}, "one version and one Rollout for life"),
        ("ModelRelease", {"abort": False}, "cannot be told to go on"),
        ("ModelRelease", {"evaluation": "none"}, "evaluation is chosen once"),
    ):
        with pytest.raises(AssertionError, match=says):
            world.api.merge(f"{stage.custom(world, PLURALS[kind])}/fixed", {"spec": change})


def test_a_name_that_leaves_no_room_for_childrens_names_is_refused(world: World) -> None:
    with pytest.raises(AssertionError, match="40 characters at most"):
        create(world, "DriftDetector", DETECTOR, "x" * 41)
