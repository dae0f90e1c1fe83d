"""The claimer's scenario: two requests, one claim each in the database, each request marked."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from tests.faults.harness.operators import Program
from tests.faults.harness.scenario import World
from tests.faults.harness.servers import STORE, Server
from tests.faults.operating import databases

CLAIMER = Path(__file__).parent / "claimer.py"
NAMES = ("june", "july")
_TABLE = (
    "CREATE TABLE evidence (evidence_id text PRIMARY KEY, kind text, subject text, at bigint, document text)"
)


@dataclass(frozen=True)
class ClaimScenario:
    """Two requests are claimed.

    Attributes:
        mode: The controller's (see `claimer.py`).
    """

    mode: str = "right"
    operators: tuple[str, ...] = ("a",)
    seconds: float = 40.0
    rules = ({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "patch"]},)

    @property
    def name(self) -> str:
        """For the table."""
        return f"claims {self.mode}"

    def program(self) -> Program:
        """The controller's process."""
        environment = {
            "TOY_NAMESPACE": "{namespace}",
            "TOY_STORE": databases.url(f"{{{STORE}}}", "{namespace}"),
        }
        return Program((sys.executable, str(CLAIMER), self.mode), environment)

    @contextmanager
    def servers(self, namespace: str) -> Generator[Sequence[Server]]:
        """A database with the one table."""
        with databases.fresh(namespace) as servers:
            with psycopg.connect(_url(namespace)) as connection:
                connection.execute(_TABLE)
            yield servers

    def begin(self, world: World) -> None:
        """Ask for both."""
        for name in NAMES:
            body = {"metadata": {"name": name, "labels": {"toy": "request"}}}
            world.api.create(world.path("configmaps"), body)

    def act(self, world: World) -> None:
        """Nothing happens meanwhile."""

    def ended(self, world: World) -> bool:
        """Every request is marked."""
        return all("toy/claimed" in r["metadata"].get("annotations", {}) for r in _requests(world))

    def state(self, world: World) -> object:
        """How many claims there are of each request."""
        counts = self._claims(world)
        return {r["metadata"]["name"]: counts.get(r["metadata"]["uid"], 0) for r in _requests(world)}

    def problems(self, world: World) -> list[str]:
        """No request claimed twice."""
        return [f"{count} claims of one request" for count in self._claims(world).values() if count > 1]

    @staticmethod
    def _claims(world: World) -> dict[str, int]:
        with psycopg.connect(_url(world.namespace)) as connection:
            return dict(connection.execute("SELECT subject, count(*) FROM evidence GROUP BY 1").fetchall())


def _requests(world: World) -> list[dict[str, dict[str, str]]]:
    return [r for r in world.api.items(world.path("configmaps")) if r["metadata"]["name"] in NAMES]


def _url(namespace: str) -> str:
    return databases.url(f"127.0.0.1:{databases.server().port}", namespace)
