"""Models from the registry.

A version is fetched and verified, its alias follows the canary, and MLflow may be away.
"""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.scenario.begin import installed, scenario
from tests.e2e.scenario.given import Given
from tests.e2e.scenario.images import MODEL, jobs_values
from tests.e2e.scenario.patience import wait_until
from tests.e2e.scenario.registry import ask_again, claims, registry_values, wait_for_mlflow
from tests.e2e.scenario.release import FULL, Release, Values, merged, scenario_values
from tests.support.artefacts import build_artefact
from tools.cluster.errors import ClusterError

pytestmark = pytest.mark.e2e

_PUBLISH = """
import base64, io, sys, tarfile
from pathlib import Path
from leadscore.registry.store import ModelRegistry
from leadscore.settings import Home
tarfile.open(fileobj=io.BytesIO(base64.b64decode(sys.stdin.read()))).extractall("/tmp/published")
for folder in sorted(Path("/tmp/published").iterdir()):
    alias = "champion" if folder.name == "1" else "challenger"
    print(ModelRegistry(Home.from_environment()).publish(folder, NAME, alias=alias, by="scenario").ref)
"""


class Registry:
    """The chart's MLflow, spoken to with `leadscore models` in its own pod."""

    def __init__(self, release: Release) -> None:
        self._release = release

    def run(self, *words: str, stdin: str | None = None) -> str:
        """A command with the registry's address, in the MLflow pod."""
        settings = ("LEADSCORE_TRACKING_URI=http://127.0.0.1:5000", "LEADSCORE_HOME=/tmp/leadscore")
        target = f"deployment/{FULL}-mlflow"
        return self._release.kube.run(
            "exec", "--stdin", target, "--", "env", *settings, *words, stdin=stdin or "", timeout=180
        )

    def publish(self, folders: dict[int, Path]) -> None:
        """Publish versions in order: the first is champion, the second challenger."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as packed:
            for version, folder in folders.items():
                packed.add(folder, arcname=str(version))
        code = _PUBLISH.replace("NAME", repr(MODEL))
        said = self.run("python", "-c", code, stdin=base64.b64encode(archive.getvalue()).decode())
        # MLflow adds words of its own.
        assert {f"{MODEL}/{version}" for version in folders} <= set(said.split()), said

    def versions(self) -> dict[int, dict[str, Any]]:
        """What `leadscore models list` says, by version."""
        found = json.loads(self.run("leadscore", "models", "list", MODEL, "--json"))
        return {version["version"]: version for version in found}


@pytest.fixture(scope="module")
def release(
    scenario_images: tuple[Values, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Release]:
    """A release whose models come from its own MLflow."""
    folder = tmp_path_factory.mktemp("models")
    artefacts = {v: build_artefact(folder / str(v), name=MODEL, trees=18 + v) for v in (1, 2)}
    values = merged(scenario_values(steps_seconds=15), registry_values(name=MODEL))

    def publish(made: Release) -> None:
        wait_for_mlflow(made)
        Registry(made).publish(artefacts)
        ask_again(made)

    with installed(
        "registry", values, merged(scenario_images[0], jobs_values()), objects=claims(), before_ready=publish
    ) as made:
        yield made


@pytest.fixture
def given(
    request: pytest.FixtureRequest, release: Release, scenario_images: tuple[Values, str]
) -> Iterator[Given]:
    """A scenario on this release."""
    yield from scenario(request, release, scenario_images[1])


def test_alias_and_stage_follow_the_canary_and_the_rollback(given: Given, release: Release) -> None:
    registry = Registry(release)
    canary = given.stable(1).load().when.new_version(2).then.promoted(2).no_request_failed()
    assert registry.versions()[1]["aliases"] == ["champion"]
    registry.run(
        "leadscore", "models", "promote", f"{MODEL}/2", "--expect-champion", "1", "--reason", "canary"
    )
    versions = registry.versions()
    assert "champion" in versions[2]["aliases"]
    assert versions[2]["stage"] == "Production"
    assert versions[1]["aliases"] == ["previous"]
    assert versions[1]["stage"] != "Production"
    canary.when.undone().then.all_traffic_on(1, within=10, what="rollback, model from the registry")
    registry.run("leadscore", "models", "rollback", MODEL, "--reason", "scenario")
    assert "champion" in registry.versions()[1]["aliases"]
    canary.no_request_failed()


def test_a_promotion_against_another_champion_is_refused(release: Release) -> None:
    with pytest.raises(ClusterError, match="champion"):
        Registry(release).run("leadscore", "models", "promote", f"{MODEL}/2", "--expect-champion", "7")


def test_pods_restart_while_mlflow_is_down(given: Given, release: Release) -> None:
    (
        given.stable(1)
        .load()
        .when.stopped("deployment", "mlflow")
        .restarted()
        .then.pods_replaced()
        .only(1)
        .no_request_failed()
        .when.started("deployment", "mlflow")
    )
    wait_until(lambda: len(Registry(release).versions()) == 2, seconds=60, what="the registry's answer")
