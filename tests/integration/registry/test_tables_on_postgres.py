"""The registry without MLflow on a PostgreSQL of MLflow's.

Both clients say and do the same, several at once too.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.postgres import PostgresServer, postgres

from leadscore.errors import NotFoundError
from leadscore.registry.backend import Backend
from leadscore.registry.light import light_client
from leadscore.registry.store import ModelRegistry
from leadscore.registry.tables import TablesClient
from leadscore.settings import Home

__all__ = ["postgres"]


@pytest.fixture(scope="module")
def home(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A machine whose registry is a database of PostgreSQL without a server: MLflow makes its tables."""
    uri = postgres.new_database().replace("postgresql://", "postgresql+psycopg://")
    folder = tmp_path_factory.mktemp("home")
    home = Home.from_environment({"LEADSCORE_HOME": str(folder), "LEADSCORE_TRACKING_URI": uri})
    assert light_client(uri) is None, "a new database is MLflow's to make"
    Backend.open(home)
    return home


@pytest.fixture
def both(home: Home, artefacts: tuple[Path, ...]) -> Iterator[tuple[Backend, Backend]]:
    """The light client and MLflow's, with three versions of `leads`."""
    from mlflow.tracking import MlflowClient

    registry = ModelRegistry(home)
    for folder, alias in zip(artefacts, ("champion", "challenger", None), strict=True):
        registry.publish(folder, "leads", alias=alias)
    light, mlflow = light_client(home.tracking_uri), MlflowClient(home.tracking_uri, home.tracking_uri)
    assert isinstance(light, TablesClient)
    yield Backend(light, home), Backend(mlflow, home)  # type: ignore[arg-type]
    mlflow.delete_registered_model("leads")


def said(backend: Backend) -> object:
    versions = backend.versions("leads")
    found = [backend.version("leads", v.version) for v in versions]
    return backend.names(), backend.model("leads"), versions, found


def test_both_clients_read_the_same(both: tuple[Backend, Backend]) -> None:
    light, mlflow = both
    assert said(light) == said(mlflow)
    assert light.versions("nobody") == mlflow.versions("nobody") == []


@pytest.mark.parametrize("writer", [0, 1])
def test_what_either_writes_the_other_reads(both: tuple[Backend, Backend], writer: int) -> None:
    one = both[writer]
    for _ in range(2):  # the second time each row is there
        one.set_alias("leads", "champion", 3)
        one.set_version_tag("leads", 2, "note", "it's “quoted” % : \n and long " + "x" * 4_000)
        one.set_model_tag("leads", "kept", "yes")
    one.set_alias("leads", "challenger", None)
    one.set_model_tag("leads", "gone", "soon")
    one.set_model_tag("leads", "gone", None)
    assert said(both[0]) == said(both[1])
    model = both[1 - writer].model("leads")
    assert (model.aliases, model.tags["kept"], "gone" in model.tags) == ({"champion": 3}, "yes", False)


@pytest.mark.parametrize("which", [0, 1])
def test_what_is_not_there_is_not_found_by_either(both: tuple[Backend, Backend], which: int) -> None:
    backend = both[which]
    for call in (
        lambda: backend.model("nobody"),
        lambda: backend.version("leads", 9),
        lambda: backend.set_alias("leads", "champion", 9),
        lambda: backend.set_version_tag("leads", 9, "a", "b"),
        lambda: backend.set_model_tag("nobody", "a", "b"),
    ):
        with pytest.raises(NotFoundError):
            call()


def test_several_who_write_the_same_new_row_at_once_leave_one_and_no_error_of_the_database(
    both: tuple[Backend, Backend], home: Home
) -> None:
    def write(number: int) -> None:
        light = light_client(home.tracking_uri)
        assert light is not None
        backend = Backend(light, home)
        for turn in range(5):
            backend.set_alias("leads", f"turn-{turn}", 1 + number % 3)
            backend.set_version_tag("leads", 1, f"turn-{turn}", str(number))
            backend.set_model_tag("leads", f"turn-{turn}", str(number))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert said(both[0]) == said(both[1])
    assert sorted(a for a in both[1].model("leads").aliases if a.startswith("turn")) == [
        f"turn-{t}" for t in range(5)
    ]
