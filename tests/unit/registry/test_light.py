"""The registry without MLflow does what MLflow's own client does, and leaves to it what it does not know."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from leadscore.errors import NotFoundError, UnavailableError
from leadscore.registry.backend import Backend
from leadscore.registry.light import light_client
from leadscore.registry.rest import RestClient
from leadscore.registry.store import ModelRegistry
from leadscore.registry.tables import TablesClient
from leadscore.settings import Home

SERVER = "http://127.0.0.1:5000"


def backends(home: Home) -> tuple[Backend, Backend]:
    from mlflow.tracking import MlflowClient

    light = light_client(home.tracking_uri)
    assert isinstance(light, TablesClient), (
        "the schema that is known is the one of the MLflow that is installed"
    )
    return Backend(light, home), Backend(MlflowClient(home.tracking_uri, home.tracking_uri), home)  # type: ignore[arg-type]


def said(backend: Backend, name: str) -> object:
    versions = backend.versions(name)
    return (
        backend.names(),
        backend.model(name),
        versions,
        [backend.version(name, v.version) for v in versions],
    )


def test_both_clients_read_the_same(three: ModelRegistry, home: Home) -> None:
    light, mlflow = backends(home)
    assert said(light, "leads") == said(mlflow, "leads")
    assert light.versions("nobody") == mlflow.versions("nobody") == []


@pytest.mark.parametrize("writer", [0, 1])
def test_what_either_writes_the_other_reads(three: ModelRegistry, home: Home, writer: int) -> None:
    both = backends(home)
    one = both[writer]
    for _ in range(2):  # the second time each row is there
        one.set_alias("leads", "champion", 3)
        one.set_version_tag("leads", 2, "note", "it's “quoted” % : \n and long " + "x" * 4_000)
        one.set_model_tag("leads", "kept", "yes")
    one.set_alias("leads", "challenger", None)
    one.set_model_tag("leads", "gone", "soon")
    one.set_model_tag("leads", "gone", None)
    told = said(both[0], "leads")
    assert told == said(both[1], "leads")
    model = both[1 - writer].model("leads")
    assert (model.aliases, model.tags["kept"]) == ({"champion": 3}, "yes")
    assert "gone" not in model.tags
    assert both[1 - writer].version("leads", 2).tags["note"].startswith("it's “quoted”")


@pytest.mark.parametrize("which", [0, 1])
def test_what_is_not_there_is_not_found_by_either(three: ModelRegistry, home: Home, which: int) -> None:
    backend = backends(home)[which]
    calls = (
        lambda: backend.model("nobody"),
        lambda: backend.version("leads", 9),
        lambda: backend.set_alias("leads", "champion", 9),
        lambda: backend.set_alias("nobody", "champion", None),
        lambda: backend.set_version_tag("leads", 9, "a", "b"),
        lambda: backend.set_model_tag("nobody", "a", "b"),
    )
    for call in calls:
        with pytest.raises(NotFoundError):
            call()


def test_a_version_that_mlflow_deleted_is_gone(three: ModelRegistry, home: Home) -> None:
    from mlflow.tracking import MlflowClient

    MlflowClient(home.tracking_uri, home.tracking_uri).delete_model_version("leads", "3")
    light, mlflow = backends(home)
    assert said(light, "leads") == said(mlflow, "leads")
    assert [v.version for v in light.versions("leads")] == [1, 2]


def test_a_new_database_and_one_of_another_schema_are_left_to_mlflow(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    assert light_client(f"sqlite:///{path}") is None
    assert not path.exists(), "looking makes nothing"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('0123456789ab')")
    assert light_client(f"sqlite:///{path}") is None


def test_a_damaged_database_is_unavailable_and_never_empty(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 1_000)
    home = Home.from_environment({"LEADSCORE_HOME": str(tmp_path)})
    with pytest.raises(UnavailableError):
        Backend.open(home)


@pytest.mark.parametrize(
    ("uri", "environ", "light"),
    [
        (SERVER, {}, True),
        (SERVER, {"MLFLOW_TRACKING_TOKEN": "t"}, True),
        (SERVER, {"MLFLOW_TRACKING_AWS_SIGV4": "true"}, False),
        (SERVER, {"MLFLOW_TRACKING_CLIENT_CERT_PATH": "/c.pem"}, False),
        (SERVER, {"MLFLOW_WORKSPACE": "sales"}, False),
        (SERVER, {"NETRC": "/somewhere"}, False),
        ("http://ann:secret@127.0.0.1:5000", {}, False),
        ("https://mlflow.example.com", {}, True),
        ("https://mlflow.example.com", {"MLFLOW_TRACKING_CLIENT_CERT_PATH": "client.pem"}, False),
        ("mysql://db/mlflow", {}, False),
        ("databricks://profile", {}, False),
    ],
)
def test_settings_that_are_not_read_here_are_left_to_mlflow(
    uri: str, environ: dict[str, str], light: bool, tmp_path: Path
) -> None:
    found = light_client(uri, environ | {"HOME": str(tmp_path)})
    assert isinstance(found, RestClient) == light


@pytest.mark.parametrize("name", [".netrc", ".mlflow/credentials"])
def test_credentials_in_files_are_left_to_mlflow(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert light_client(SERVER, {"HOME": str(tmp_path)}) is None
