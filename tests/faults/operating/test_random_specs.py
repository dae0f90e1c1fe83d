"""Random specs, asked of a real API server.

Refused there, or the operator can work with them (or says in Ready why not).

What the server takes is read back with its defaults, planned, and each child that the plan
makes is asked of the server as well (a dry run). A plan that raises BadInputError ends as
Ready=False; anything else that it raises is a defect.
"""

# ruff: noqa: E731
from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.faults.harness.api import Api
from tests.faults.harness.controlplane import ControlPlane
from tests.faults.harness.scenario import World
from tests.faults.operating import stage
from tests.unit.operator.objects import WORKLOAD

from leadscore.errors import BadInputError
from leadscore.release.machine import decide_step
from leadscore.release.states import Observations
from leadscore_operator.decide.actions import ReleaseObjects
from leadscore_operator.decide.detector import DetectorObservation, plan_detector
from leadscore_operator.decide.policy import PolicyObservation, plan_policy
from leadscore_operator.decide.release import machine_spec, machine_status, plan_step
from leadscore_operator.decide.run import RunObservation, plan_run
from leadscore_operator.kube.resources import RELEASES
from leadscore_operator.plan import Apply, Create, Plan
from leadscore_operator.resources import ModelReleaseSpec, decode
from leadscore_operator.specs.releases import model_release

pytestmark = pytest.mark.xdist_group("faults")

# LEADSCORE_RANDOM_SPECS=5000 pytest tests/faults/operating/test_random_specs.py
ROUNDS = int(os.environ.get("LEADSCORE_RANDOM_SPECS", "60"))
Object = dict[str, Any]
DURATIONS = (
    *("1s", "90s", "30m", "24h", "7d", "2w", "999w", "9999d", "99999h", "9999999m", "999999999s", "0d"),
    *("99999999w", "9999999999", "soon", "", "1 d", "-1d", "1.5d", "1mo", "\u0966d", "1d\n", 7, None, ["1d"]),
)
NUMBERS = (0, 1, 2, 5, 50, 100, 200, 10_000, 2**31 - 1, 2**31, 2**53, 2**63 - 1, -1, 0.5, 1e300, "7", None)
SHARES = (0, 0.05, 0.5, 0.999, 1, 1e-320, -0.1, 5, 1e308, "0.05", None)
CRONS = (
    *(
        "@hourly",
        "@daily",
        "@yearly",
        "*/5 * * * *",
        "0 3 * * mon-fri",
        "0 0 30 2 *",
        "0 0 29 2 1",
        "5/10 1,2 * jan-mar sun",
    ),
    *(
        "@often",
        "99 * * * *",
        "*/0 * * * *",
        "*/-1 * * * *",
        "1_0 * * * *",
        "0 0 0 * *",
        "a b c d e",
        "\u0663 * * * *",
        "* * * *",
    ),
    *(
        "0-99999999999999999999 * * * *",
        "*/99999999999999 * * * *",
        "-1 * * * *",
        "TZ=UTC * * * *",
        "5-1 * * * *",
        "1, * * * *",
        "0 0 * * 7",
    ),
)
ZONES = (
    *("Etc/UTC", "Europe/Prague", "Asia/Kathmandu", "Europe", "Local", "utc", "../etc/passwd",
        "/etc/localtime", "Mars/Olympus"),
    *("A" * 60, "posixrules", "zone.tab", "Ä", ".", "", " "),
)  # fmt: skip
NAMES = (
    "leads",
    "leads@champion",
    "leads/7",
    "leads@previous",
    "a b",
    "",
    "x" * 200,
    "Ünïcode",
    "leads/0",
    "--help",
)
TEXTS = ("", "plain", "x" * 300, "line\nline", "\u0000", "--danger=1", "🎲")
TIMES = (
    *("2026-01-01T00:00:00Z", "2026-03-01T12:00:00.123456789+05:30", "1970-01-01T00:00:00Z",
        "2199-12-31T23:59:59Z"),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z", "yesterday", "2026-01-01",
        "2016-12-31T23:59:60Z"),
)  # fmt: skip
QUANTITIES = ("500m", "2Gi", 1, "1e3", "lots", "-1", "", 10**30, 1.5, None, "1" * 40)
METHODS = ("univariate", "performance", "cbpe", "mmd", "classifier", "psi", "")


class Dice:
    """Random specs: mostly well-formed fields, of which one or two are something else."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def one(self, values: tuple[Any, ...], good: int) -> Any:
        """A value; most often one of the first `good` ones."""
        return self._chance.choice(values if self._chance.random() < 0.12 else values[:good])

    def some(self, **fields: Any) -> Object:
        """Some of these fields, and now and then one that nobody knows."""
        chosen = {name: make() for name, make in fields.items() if self._chance.random() < 0.6}
        if self._chance.random() < 0.03:
            chosen["watchforr"] = self.duration()
        return chosen

    def duration(self) -> Any:
        return self.one(DURATIONS, 11)

    def number(self) -> Any:
        return self.one(NUMBERS, 8)

    def share(self) -> Any:
        return self.one(SHARES, 4)

    def resources(self) -> Any:
        part = lambda: self.some(cpu=lambda: self.one(QUANTITIES, 3), memory=lambda: self.one(QUANTITIES, 2))
        return self.one(
            (self.some(requests=part, limits=part), {"limits": "a lot"}, {"claims": [{"name": "x"}]}, []), 1
        )

    def methods(self) -> Any:
        return [self.one(METHODS, 5) for _ in range(self._chance.randint(1, 3))]

    def detector(self) -> Object:
        schedule = lambda number: {
            "name": f"s{number}", "cron": self.one(CRONS, 8), "window": self.duration(),
            **self.some(methods=self.methods, args=lambda: [self.one(TEXTS, 2)]),
        }  # fmt: skip
        return {
            "model": self.one(NAMES[1:], 3),
            "schedules": [schedule(number) for number in range(self._chance.randint(1, 2))],
            **self.some(
                timeZone=lambda: self.one(ZONES, 3), methods=self.methods,
                suspend=lambda: self.one((True, False, "no"), 2),
                performance=lambda: self.some(window=self.duration, maturity=self.duration,
                    maxDrop=self.share),
                mode=lambda: self.one(("budget", "thresholds", "free"), 2),
                hysteresis=lambda: self.one(("1/1", "2/3", "9/9", "0/0", "3/2", "9999999/9"), 3),
                job=lambda: self.some(deadlineSeconds=self.number, retries=self.number,
                    resources=self.resources),
            ),
            **self.one(({}, {"falseAlarms": {"expected": self.number(), "per": self.duration()}}), 2),
        }  # fmt: skip

    def release(self) -> Object:
        """The fields that a ModelRelease and a policy's `release` have in common."""
        shadow = lambda: self.some(
            **{"for": self.duration, "minimumLeads": self.number, "extendFor": self.duration}
        )
        return self.some(
            replayWindow=self.duration, approvalFor=self.duration, watchFor=self.duration,
            watchEvery=self.duration, watchExposure=self.duration, watchMinimumLeads=self.number,
        ) | self.one(({}, {"evaluation": "none"}, {"evaluation": "shadow", "shadow": shadow()},
            {"evaluation": "twin"}), 3)  # fmt: skip

    def policy(self) -> Object:
        ramp = lambda: [
            self.some(every=self.duration) | self.one(({}, {"for": self.duration()}), 2)
            for _ in range(self._chance.randint(1, 3))
        ]
        triggers = lambda: self.some(
            drift=lambda: self.some(minSeverity=lambda: self.one(("moderate", "critical", "none"), 2),
                consecutive=self.number, hold=self.duration),
            performance=lambda: self.some(maxDrop=self.share, hold=self.duration),
            schedule=lambda: self.some(ramp=ramp),
        )  # fmt: skip
        run = lambda: self.some(
            data=lambda: self.one(TEXTS, 2), trials=self.number, minRecords=self.number, seed=self.number,
            attempts=self.number, retryDelay=self.duration, deadlineSeconds=self.number,
            args=lambda: [self.one(TEXTS, 2)], resources=self.resources,
        )  # fmt: skip
        return {"model": self.one(NAMES, 1)} | self.some(
            triggers=triggers, coolDown=self.duration, dataWindow=self.duration, run=run,
            budget=lambda: {"runs": self.number(), "per": self.duration()},
            suspend=lambda: self.one((True, False, 1), 2),
            release=lambda: self.release() | {"rollout": self.one(("r", "", "x" * 64), 1)},
        )  # fmt: skip

    def model_release(self) -> Object:
        return {"model": self.one(NAMES, 1), "version": self.number(), "rollout": "r"} | self.release()

    def run(self) -> Object:
        window = lambda: {"start": self.one(TIMES, 4), "end": self.one(TIMES, 4)}
        return {"policy": self.one(("leads", "", "x" * 41), 1)} | self.some(
            trigger=lambda: self.one(("manual", "drift", "whim"), 2), reason=lambda: self.one(TEXTS, 3),
            key=lambda: self.one(TEXTS, 2), window=window,
        )  # fmt: skip


@pytest.fixture(scope="module")
def world(plane: ControlPlane) -> Generator[World]:
    api = Api(plane)
    api.create("api/v1/namespaces", {"metadata": {"name": "random"}})
    world = World(api, "random", [])
    stage.install(world)
    yield world
    api.close()


def taken(world: World, kind: str, plural: str, spec: Object, name: str) -> Object | None:
    """The object as the server keeps it; None if it is refused, in words."""
    try:
        stage.create(world, plural, kind, name, spec)
    except AssertionError as refusal:
        if "Invalid" in str(refusal) or "BadRequest" in str(refusal):
            return None
        raise
    return world.api.get(f"{stage.custom(world, plural)}/{name}")


def plans(kind: str, item: Object, now: datetime) -> list[Plan]:
    """What the operator would do about it, now and after some failures and years."""
    match kind:
        case "DriftDetector":
            return [plan_detector(DetectorObservation(item, [], [], {}), WORKLOAD, now)]
        case "RetrainPolicy":
            asked = {
                **item,
                "metadata": {**item["metadata"], "annotations": {"leadscore.dev/retrain": "now"}},
            }
            years = now + timedelta(days=3000)
            made = [
                plan_policy(PolicyObservation(each, [], [], frozenset(), []), at)
                for each in (item, asked)
                for at in (now, years)
            ]
            return made + _runs_of(item, now)
        case "RetrainRun":
            policy = {"metadata": {"name": "leads", "uid": "u", "generation": 1}, "spec": {"model": "leads"}}
            return [plan_run(RunObservation(item, policy, None, None), WORKLOAD, now)]
        case _:
            wish = decode(item["spec"], ModelReleaseSpec, "spec")
            spec, status = machine_spec(item, wish), machine_status(item)
            step = decide_step(spec, status, Observations(candidate=None, champion=None, gate=None), now)
            return [plan_step(step, spec, ReleaseObjects(item), WORKLOAD, now)]


def _runs_of(policy: Object, now: datetime) -> list[Plan]:
    """A retraining by this policy, its failed attempts, and the release that it makes."""
    run = {
        "metadata": {
            "name": "leads-1", "uid": "11111111-1111-1111-1111-111111111111", "generation": 1,
            "resourceVersion": "1", "creationTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "namespace": "random",
        },
        "spec": {"policy": "leads", "trigger": "manual", "reason": "", "key": ""},
    }  # fmt: skip
    made = [plan_run(RunObservation(run, policy, None, None), WORKLOAD, now)]
    for attempt in (1, 5, 9):
        lost = {**run, "status": {"attempt": attempt, "job": made[0].status["job"], "phase": "Running"}}
        made.append(plan_run(RunObservation(lost, policy, None, None), WORKLOAD, now))
    wanted = policy["spec"].get("release")
    if wanted is not None:
        body = model_release(policy["spec"]["model"], 7, wanted, run)
        made.append(Plan(changes=(Create(RELEASES, body, ""),)))
    return made


def refusals(world: World, plan: Plan) -> list[str]:
    """What the server says against the children of a plan."""
    said: list[str] = []
    for change in plan.changes:
        if isinstance(change, (Create, Apply)):
            resource = change.resource
            path = resource.path(world.namespace).lstrip("/")
            body = {"apiVersion": resource.api, "kind": resource.kind, **change.body}
            try:
                world.api.create(f"{path}?dryRun=All", body)
            except AssertionError as refusal:
                # Two quantities are compared by the Job's own validation; Ready says what it says (`settle`).
                if "must be less than or equal to" not in str(refusal):
                    said.append(str(refusal))
    return said


KINDS = (
    ("DriftDetector", "driftdetectors", Dice.detector), ("RetrainPolicy", "retrainpolicies", Dice.policy),
    ("RetrainRun", "retrainruns", Dice.run), ("ModelRelease", "modelreleases", Dice.model_release),
)  # fmt: skip


@pytest.mark.parametrize(("kind", "plural", "make"), KINDS, ids=[kind for kind, *_ in KINDS])
def test_a_spec_is_refused_by_the_server_or_served_or_said_to_be_unservable(
    world: World, kind: str, plural: str, make: Any
) -> None:
    became: Counter[str] = Counter()
    for seed in range(ROUNDS):
        spec = make(Dice(seed))
        item = taken(world, kind, plural, spec, f"r{seed}")
        if item is None:
            became["refused"] += 1
            continue
        try:
            made = plans(kind, item, datetime.now(UTC).replace(microsecond=0))
        except BadInputError as error:
            became["said" if error.message and error.hint else f"said without a hint: {spec}"] += 1
            continue
        for plan in made:
            assert not (said := refusals(world, plan)), (spec, said)
        became["served"] += 1
    assert set(became) == {"refused", "served"} | ({"said"} & set(became)), became
    assert min(became["served"], became["refused"]) > ROUNDS / 20
