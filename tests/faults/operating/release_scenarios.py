"""The scenarios of a release: published, judged, replayed, answered by a person.

Then canary, watch, champion, or nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from tests.faults.harness.operators import Program
from tests.faults.harness.scenario import World
from tests.faults.harness.servers import REGISTRY, HttpServer, Server
from tests.faults.operating import databases, releasing, stage

from leadscore.release.approval import answers_of, requests_of
from leadscore.release.states import FINAL

Course = Literal["approved", "denied", "aborted", "rolled back", "shadowed", "stopped in the shadow"]
SHADOWED: Final[frozenset[Course]] = frozenset(("shadowed", "stopped in the shadow"))


@dataclass(frozen=True)
class _End:
    phase: str
    serves: int
    patches: int


# Where each course has to lead: a retreat is one more patch of the Rollout.
_ENDS: Final[dict[Course, _End]] = {
    "approved": _End("Promoted", releasing.NEW, 1),
    "shadowed": _End("Promoted", releasing.NEW, 1),
    "stopped in the shadow": _End("Aborted", releasing.OLD, 0),
    "denied": _End("Rejected", releasing.OLD, 0),
    "aborted": _End("Aborted", releasing.OLD, 2),
    "rolled back": _End("RolledBack", releasing.OLD, 2),
}


@dataclass(frozen=True)
class ReleaseScenario:
    """A candidate that passed the gate is released.

    Attributes:
        course: What comes of it: a person says no, Argo aborts the canary, the business
            figure falls in the watch, or none of it; it may be tried by a shadow instead of a
            replay, and a person may stop it there.
    """

    course: Course = "approved"
    operators: tuple[str, ...] = ("a",)
    seconds: float = 120.0
    rules = stage.RULES

    @property
    def name(self) -> str:
        """For the table."""
        return f"release {self.course}{f', {len(self.operators)} at once' if len(self.operators) > 1 else ''}"

    @property
    def title(self) -> str:
        """For test ids."""
        return self.name

    def program(self) -> Program:
        """The operator's process, told where the registry is and who may approve."""
        keys = str(releasing.people().path)
        return stage.operator(LEADSCORE_TRACKING_URI=f"{{{REGISTRY}}}", LEADSCORE_API_KEYS=keys)

    @contextmanager
    def servers(self, namespace: str) -> Generator[Sequence[Server]]:
        """The event store, and MLflow."""
        with databases.fresh(namespace) as store:
            yield (*store, HttpServer(REGISTRY, releasing.registry().uri))

    def begin(self, world: World) -> None:
        """Two published versions, the gate's verdict, a Rollout, and a person who wants the newer one out."""
        stage.install(world)
        releasing.prepare(world)
        spec = {"model": releasing.model_of(world), "version": releasing.NEW, "rollout": "leads"}
        if self.course in SHADOWED:
            releasing.mirror(world)
            spec["evaluation"] = "shadow"
        stage.create(world, "modelreleases", "ModelRelease", releasing.RELEASE, spec)

    def act(self, world: World) -> None:
        """Pods become ready, Jobs do their work, Argo moves traffic, the person answers, two days pass."""
        if self.course in SHADOWED:
            releasing.run_shadow(world)
        if self.course == "shadowed":
            releasing.let_the_shadow_s_day_pass(world)
        elif self.course == "stopped in the shadow":
            releasing.stop_in_the_shadow(world)
        releasing.run_jobs(world, kpi_falls=self.course == "rolled back")
        releasing.move_traffic(world, aborts=self.course == "aborted")
        releasing.decide(world, "denied" if self.course == "denied" else "approved")
        releasing.let_days_pass(world)

    def ended(self, world: World) -> bool:
        """The release has ended, and so has every Job."""
        phase = releasing.release(world).get("status", {}).get("phase")
        return phase in FINAL and all(stage.ended(job) for job in releasing.jobs(world))

    def state(self, world: World) -> object:
        """What release, Rollout, registry and event store say, without ids and times."""
        status = releasing.release(world).get("status", {})
        model = releasing.model_of(world)
        versions = releasing.registry().models.versions(model)
        return {
            "release": {
                key: status.get(key) for key in ("phase", "digest", "champion", "previous", "approvedBy")
            },
            "evidence": sorted(key for key in ("gate", "evaluation", "approval") if status.get(key)),
            "served": releasing.desired(world),
            "shadow": releasing.shadow(world) is not None,
            "registry": [(v.version, v.stage, v.aliases) for v in versions],
            "jobs": sorted({releasing.step_of(job).partition("-")[0] for job in releasing.jobs(world)}),
            "records": sorted(self._records(world)),
        }

    def problems(self, world: World) -> list[str]:
        """The course's end.

        One answer, one patch per decision, one promotion, no Job twice or without its release.
        """
        found: list[str] = []
        end, model = _ENDS[self.course], releasing.model_of(world)
        phase, served = releasing.release(world).get("status", {}).get("phase"), releasing.desired(world)
        if (phase, served) != (end.phase, end.serves):
            found.append(f"the release is {phase} and version {served} is served")
        patches = len(world.done("patch", "rollouts"))
        if patches != end.patches:
            found.append(f"the Rollout was patched {patches} times")
        shadows = tuple(len(world.done(verb, "deployments")) for verb in ("create", "delete"))
        wanted = (1, 1) if self.course in SHADOWED else (0, 0)
        if shadows != wanted or releasing.shadow(world) is not None:
            there = "is" if releasing.shadow(world) is not None else "is not"
            found.append(
                f"a shadow was begun {shadows[0]} and ended {shadows[1]} times, and one {there} there"
            )
        with releasing.events(world) as store:
            asked, answered = (len(f(store, f"{model}/{releasing.NEW}")) for f in (requests_of, answers_of))
        if asked > 1 or answered > 1:
            found.append(f"asked {asked} times, answered {answered} times")
        candidate = releasing.registry().models.get(model, releasing.NEW)
        done = Counter(decision.action for decision in candidate.decisions)
        found += [f"{action} was done {n} times" for action, n in done.items() if n > 1]
        jobs, uid = releasing.jobs(world), releasing.release(world)["metadata"]["uid"]
        found += [
            f"the Job {job['metadata']['name']} is an orphan"
            for job in jobs
            if job["metadata"]["ownerReferences"][0]["uid"] != uid
        ]
        steps = Counter(releasing.step_of(job) for job in jobs)
        found += [f"{n} Jobs of the step {step}" for step, n in steps.items() if n > 1]
        made = len(world.done("create", "jobs"))
        return [*found, *([f"{made} Jobs were made and {len(jobs)} are there"] if made != len(jobs) else [])]

    @staticmethod
    def _records(world: World) -> set[str]:
        with releasing.events(world) as store:
            return {
                record.kind
                for record in store.evidence(subject=f"{releasing.model_of(world)}/{releasing.NEW}")
            }


RELEASE_STORIES = (
    ReleaseScenario(),
    ReleaseScenario("denied"),
    ReleaseScenario("aborted"),
    ReleaseScenario("rolled back"),
    ReleaseScenario("shadowed"),
    ReleaseScenario("stopped in the shadow"),
    ReleaseScenario(operators=("a", "b")),
)
