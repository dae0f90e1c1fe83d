"""A scenario: what a person and the world do, and how it has to end whatever goes wrong."""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.faults.harness.api import Api, Object
from tests.faults.harness.calls import Call
from tests.faults.harness.clock import Clock
from tests.faults.harness.controlplane import OPERATOR_USER, ControlPlane
from tests.faults.harness.database import DatabaseProxy
from tests.faults.harness.faults import Fault, Stale
from tests.faults.harness.ledger import Entry, Ledger
from tests.faults.harness.operators import Operators, Program
from tests.faults.harness.proxy import Proxy
from tests.faults.harness.servers import DatabaseServer, Server

_POLL_SECONDS = 0.03
# The scenario is asked when an operator has written something; in between only this often: questions cost CPU
# too.
_LOOK_SECONDS = 0.5
_names = itertools.count(1)
# How a promise is broken: the end did not come in time (a lost trigger shows like this, too); it did not stay
# or is another one; something was made twice or is left over; a right was missing.
WAYS = ("late", "another end", "doubled", "forbidden")


@dataclass(frozen=True, slots=True)
class World:
    """What a scenario may look at and touch: the true state, never the operator's view.

    Attributes:
        api: The API server as administrator, past the proxy.
        namespace: The replay's own.
        log: Every call of the operators to the API server so far.
        memory: The scenario's own notes within one replay.
        folder: Of the replay; the operators know it too.
        clock: The operators'; a scenario may let days pass.
        stores: What the other proxies know, by the server's name.
    """

    api: Api
    namespace: str
    log: list[Entry]
    memory: dict[str, Any] = field(default_factory=dict)
    folder: Path = Path()
    clock: Clock | None = None
    stores: Mapping[str, Ledger] = field(default_factory=dict[str, Ledger])

    def path(self, resource: str, group: str = "", version: str = "v1") -> str:
        """Path of a namespaced collection."""
        root = f"apis/{group}/{version}" if group else f"api/{version}"
        return f"{root}/namespaces/{self.namespace}/{resource}"

    def done(self, verb: str, resource: str) -> list[Call]:
        """Writes that the server committed, whether or not the operator heard of it."""
        wanted = (verb, resource)
        return [e.call for e in self.log if e.committed and (e.call.verb, e.call.resource) == wanted]


class Scenario(Protocol):
    """One scenario.

    Attributes:
        name: For the table.
        operators: Names of the processes that run at once.
        rules: RBAC rules of the operator in the namespace; what is not granted here is denied.
        seconds: How long the scenario may take under one fault.
    """

    name: str
    operators: tuple[str, ...]
    rules: Sequence[Object]
    seconds: float

    def program(self) -> Program:
        """How the operator is started."""
        ...

    def servers(self, namespace: str) -> AbstractContextManager[Sequence[Server]]:
        """What else the operator asks; its own part of each for the length of a replay."""
        ...

    def begin(self, world: World) -> None:
        """What a person does first."""
        ...

    def act(self, world: World) -> None:
        """What the world does meanwhile (a Job ends, a person approves); called often."""
        ...

    def ended(self, world: World) -> bool:
        """Whether the scenario has come to an end that is meant to stay."""
        ...

    def state(self, world: World) -> object:
        """The final state without what differs from replay to replay (uids, times, versions)."""
        ...

    def problems(self, world: World) -> list[str]:
        """Broken promises, one sentence each: what was made twice, lost, or left over."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one replay went.

    Attributes:
        faults: What was put in its way.
        reached: Whether it happened; of old answers one at least.
        state: The final state.
        problems: Broken promises; empty is well.
        ways: Of which kinds they are (`WAYS`).
        calls: The operator's calls, in order.
        events: Watch events seen per resource.
        restarts: How often a process was started again.
        seconds: How long it took.
    """

    faults: tuple[Fault, ...]
    reached: bool
    state: object
    problems: tuple[str, ...]
    ways: frozenset[str]
    calls: tuple[Entry, ...]
    events: dict[str, int]
    restarts: int
    seconds: float


def replay(
    plane: ControlPlane,
    scenario: Scenario,
    faults: Sequence[Fault] = (),
    *,
    expected: object = None,
    patience: float = 1.0,
) -> Outcome:
    """Tell a scenario once.

    Args:
        plane: The API server; the replay gets a namespace of its own.
        scenario: What is run.
        faults: What goes wrong meanwhile.
        expected: The final state of the undisturbed scenario; None: there is nothing to compare with yet.
        patience: Times the scenario's own limit and the operators' intervals, for a
            machine with little time to spare.
    """
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="replay-") as folder,
        telling(plane, scenario, Path(folder), faults, patience=patience) as (world, proxy, operators),
    ):
        ledgers = (proxy.ledger, *world.stores.values())
        broken = _tell(scenario, world, proxy, operators, patience * scenario.seconds)
        state = scenario.state(world)
        broken += [("doubled", problem) for problem in scenario.problems(world)]
        if expected is not None and state != expected:
            broken.append(("another end", f"ended as {state}, not as {expected}"))
        broken += [("forbidden", problem) for problem in _denied(proxy.log)]
        problems = [sentence for _, sentence in broken]
        if problems:
            problems.append(operators.tail())
    hit = {fault for ledger in ledgers for fault in ledger.hit}
    calls = sorted((entry for ledger in ledgers for entry in ledger.log), key=lambda entry: entry.at)
    return Outcome(
        tuple(faults), _reached(faults, hit), state, tuple(problems), frozenset(way for way, _ in broken),
        tuple(calls), dict(proxy.events_seen), operators.restarts, time.monotonic() - started,
    )  # fmt: skip


@contextmanager
def telling(
    plane: ControlPlane,
    scenario: Scenario,
    folder: Path,
    faults: Sequence[Fault] = (),
    *,
    patience: float = 1.0,
) -> Generator[tuple[World, Proxy, Operators]]:
    """A scenario that has begun, in a namespace of its own, its operators running; stopped in the end.

    Args:
        plane: The API server.
        scenario: What is run.
        folder: Of the replay.
        faults: What goes wrong.
        patience: Times the operators' intervals.
    """
    api = Api(plane)
    namespace = f"replay-{os.getpid()}-{next(_names)}"
    program = scenario.program()
    clock = Clock(folder, own=program.reads_a_clock_file)
    operators = Operators(program, namespace, folder, clock, patience)
    with scenario.servers(namespace) as servers:
        proxy = Proxy(plane, scenario.operators, kill=operators.kill, step_clock=clock.step)
        others = {server.name: _before(server, scenario.operators, operators) for server in servers}
        stores = {name: other.ledger for name, other in others.items()}
        world = World(api, namespace, proxy.log, folder=folder, clock=clock, stores=stores)
        try:
            _grant(api, namespace, scenario.rules)
            for ledger in (proxy.ledger, *stores.values()):
                ledger.arm(faults)
            scenario.begin(world)
            operators.start(proxy.addresses, {name: other.addresses for name, other in others.items()})
            yield world, proxy, operators
        finally:
            operators.stop()
            for each in (proxy, *others.values()):
                each.close()
            api.close()


def _before(server: Server, clients: Sequence[str], operators: Operators) -> Proxy | DatabaseProxy:
    if isinstance(server, DatabaseServer):
        return DatabaseProxy(server, clients, kill=operators.kill)
    return Proxy(server, clients, kill=operators.kill)


def _tell(
    scenario: Scenario, world: World, proxy: Proxy, operators: Operators, seconds: float
) -> list[tuple[str, str]]:
    deadline = time.monotonic() + seconds
    pacer = _Pacer(proxy.log)
    while not scenario.ended(world):
        if time.monotonic() > deadline:
            return [("late", f"did not end within {seconds:.0f} s")]
        operators.revive()
        scenario.act(world)
        pacer.pause(operators)
    # An end that is meant to stay: every operator has to look at the world anew, and leave it as it is.
    settled = time.monotonic()
    while time.monotonic() < deadline and not all(_looked(proxy.log, c, settled) for c in scenario.operators):
        operators.revive()
        scenario.act(world)
        pacer.pause(operators)
    if not all(_looked(proxy.log, client, settled) for client in scenario.operators):
        words = "an operator never looked at the world again: what it missed is missed for good"
        return [("late", words)]
    return [] if scenario.ended(world) else [("another end", "the end did not stay")]


class _Pacer:
    """Waits for something to look at."""

    def __init__(self, log: list[Entry]) -> None:
        self._log = log
        self._known = -1

    def pause(self, operators: Operators) -> None:
        """Return soon after an operator's write, and now and then anyway."""
        until = time.monotonic() + _LOOK_SECONDS
        pause = threading.Event()
        while time.monotonic() < until:
            pause.wait(_POLL_SECONDS)
            operators.revive()
            written = sum(e.committed for e in self._log if e.call.resource != "leases")
            if written != self._known:
                self._known = written
                return


def _looked(log: list[Entry], client: str, since: float) -> bool:
    """Whether a client has begun two full reads since: the first may have been under way."""
    lists = [
        e for e in log if e.client == client and e.call.verb == "list" and e.at > since and e.status == 200
    ]
    return len(lists) >= 2 and any(lists[-1].call.signature == e.call.signature for e in lists[:-1])


def _reached(faults: Sequence[Fault], hit: set[Fault]) -> bool:
    old = [fault for fault in faults if isinstance(fault, Stale)]
    return {fault for fault in faults if fault not in old} <= hit and (not old or any(f in hit for f in old))


def _denied(log: list[Entry]) -> list[str]:
    return sorted({f"not allowed: {e.call.signature}" for e in log if e.status == 403})


def _grant(api: Api, namespace: str, rules: Sequence[Object]) -> None:
    api.create("api/v1/namespaces", {"metadata": {"name": namespace}})
    rbac = f"apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    api.create(f"{rbac}/roles", {"metadata": {"name": "operator"}, "rules": list(rules)})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": OPERATOR_USER}
    api.create(
        f"{rbac}/rolebindings", {"metadata": {"name": "operator"}, "roleRef": role, "subjects": [subject]}
    )
