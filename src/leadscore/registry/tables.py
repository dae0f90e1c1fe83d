# ruff: noqa: D102 - as in `mlflow_client`
"""MLflow's model registry in its own tables, for a database that is used without a server.

The tables are MLflow's: made, migrated and otherwise written by it. What stands here is what its store does
with a model's aliases and tags, at the schema of the version that we pin.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    and_,
    create_engine,
    delete,
    inspect,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from leadscore.errors import NotFoundError
from leadscore.registry.light import LightExperiment, LightModel, LightPage, LightVersion

# MLflow's schema at the version that we pin, as Alembic names it; a test holds it against MLflow itself.
SCHEMA: Final = "dc11669786a5"
_WORKSPACE: Final = "default"
_DELETED: Final = "Deleted_Internal"

_META: Final = MetaData()


def _table(name: str, *columns: Column[Any]) -> Table:
    return Table(name, _META, Column("workspace", String, primary_key=True), *columns)


def _name() -> Column[str]:
    return Column("name", String, primary_key=True)


_MODELS: Final = _table("registered_models", _name())
_MODEL_TAGS: Final = _table(
    "registered_model_tags", _name(), Column("key", String, primary_key=True), Column("value", String)
)
_ALIASES: Final = _table(
    "registered_model_aliases", _name(), Column("alias", String, primary_key=True), Column("version", Integer)
)
_VERSIONS: Final = _table(
    "model_versions", _name(), Column("version", Integer, primary_key=True),
    Column("creation_time", BigInteger),
    Column("current_stage", String), Column("source", String),
)  # fmt: skip
_VERSION_TAGS: Final = _table(
    "model_version_tags", _name(), Column("version", Integer, primary_key=True),
    Column("key", String, primary_key=True), Column("value", String),
)  # fmt: skip
_EXPERIMENTS: Final = Table(
    "experiments", _META, Column("experiment_id", Integer, primary_key=True), Column("name", String),
    Column("workspace", String), Column("artifact_location", String),
)  # fmt: skip
_ALEMBIC: Final = Table("alembic_version", _META, Column("version_num", String))


class TablesClient:
    """A registry in a database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, uri: str) -> Self | None:
        """Connect; None if the database is new or has another schema.

        MLflow makes, migrates or refuses it.
        """
        url = make_url(uri)
        if url.get_backend_name() == "sqlite" and not (url.database and Path(url.database).is_file()):
            return None
        engine = create_engine(url, poolclass=NullPool)
        with engine.connect() as connection:
            known = inspect(connection).has_table(_ALEMBIC.name)
            schemas = connection.scalars(select(_ALEMBIC.c.version_num)).all() if known else []
        return cls(engine) if schemas == [SCHEMA] else None

    def search_registered_models(self, *, max_results: int, page_token: str | None) -> LightPage[LightModel]:
        del max_results, page_token  # all at once
        with self._engine.connect() as connection:
            names = connection.scalars(select(_MODELS.c.name).where(_here(_MODELS))).all()
            return LightPage([LightModel(name, {}, {}) for name in names])

    def search_model_versions(
        self, filter_string: str, *, max_results: int, page_token: str | None
    ) -> LightPage[LightVersion]:
        del max_results, page_token
        # The one form that is asked; names hold no quotes.
        name = filter_string.removeprefix("name='").removesuffix("'")
        with self._engine.connect() as connection:
            return LightPage(_versions(connection, _VERSIONS.c.name == name))

    def get_registered_model(self, name: str) -> LightModel:
        with self._engine.connect() as connection:
            _check_model(connection, name)
            aliases = connection.execute(
                select(_ALIASES.c.alias, _ALIASES.c.version).where(_here(_ALIASES, name=name))
            )
            tags = connection.execute(
                select(_MODEL_TAGS.c.key, _MODEL_TAGS.c.value).where(_here(_MODEL_TAGS, name=name))
            )
            return LightModel(name, {r.alias: r.version for r in aliases}, {r.key: r.value for r in tags})

    def get_model_version(self, name: str, version: str) -> LightVersion:
        with self._engine.connect() as connection:
            return _version(connection, name, version)

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        with self._engine.begin() as connection:
            _version(connection, name, version)
            _put(connection, _ALIASES, {"name": name, "alias": alias}, {"version": int(version)})

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        with self._engine.begin() as connection:
            _check_model(connection, name)
            connection.execute(delete(_ALIASES).where(_here(_ALIASES, name=name, alias=alias)))

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        with self._engine.begin() as connection:
            _version(connection, name, version)
            _put(
                connection,
                _VERSION_TAGS,
                {"name": name, "version": int(version), "key": key},
                {"value": value},
            )

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        with self._engine.begin() as connection:
            _check_model(connection, name)
            _put(connection, _MODEL_TAGS, {"name": name, "key": key}, {"value": value})

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        with self._engine.begin() as connection:
            _check_model(connection, name)
            connection.execute(delete(_MODEL_TAGS).where(_here(_MODEL_TAGS, name=name, key=key)))

    def get_experiment_by_name(self, name: str) -> LightExperiment | None:
        query = select(_EXPERIMENTS.c.experiment_id, _EXPERIMENTS.c.artifact_location)
        with self._engine.connect() as connection:
            found = connection.execute(query.where(_here(_EXPERIMENTS, name=name))).one_or_none()
        return None if found is None else LightExperiment(str(found[0]), found[1] or "")


def _here(table: Table, **wanted: object) -> ColumnElement[bool]:
    return and_(
        table.c.workspace == _WORKSPACE, *(table.c[column] == value for column, value in wanted.items())
    )


def _check_model(connection: Connection, name: str) -> None:
    if connection.scalar(select(_MODELS.c.name).where(_here(_MODELS, name=name))) is None:
        raise NotFoundError(f"There is no model {name}.", hint="`leadscore models list` shows what there is.")


def _version(connection: Connection, name: str, version: str) -> LightVersion:
    found = _versions(connection, and_(_VERSIONS.c.name == name, _VERSIONS.c.version == int(version)))
    if not found:
        raise NotFoundError(
            f"There is no version {version} of {name}.", hint="`leadscore models list` shows what there is."
        )
    return found[0]


def _versions(connection: Connection, wanted: ColumnElement[bool]) -> list[LightVersion]:
    rows: Sequence[Any] = connection.execute(
        select(_VERSIONS.c.name, _VERSIONS.c.version, _VERSIONS.c.creation_time, _VERSIONS.c.source).where(
            _here(_VERSIONS), wanted, _VERSIONS.c.current_stage != _DELETED
        )
    ).all()
    tags: dict[int, dict[str, str]] = {row.version: {} for row in rows}
    if rows:
        told = connection.execute(
            select(_VERSION_TAGS.c.version, _VERSION_TAGS.c.key, _VERSION_TAGS.c.value).where(
                _here(_VERSION_TAGS, name=rows[0].name), _VERSION_TAGS.c.version.in_(tags)
            )
        )
        for version, key, value in told:
            tags[version][key] = value
    return [LightVersion(row.version, tags[row.version], row.creation_time, row.source) for row in rows]


def _put(connection: Connection, table: Table, key: dict[str, object], values: dict[str, object]) -> None:
    """Write a row whether or not it is there, or somebody else writes it at this moment."""
    row = {"workspace": _WORKSPACE, **key}
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(
        insert(table).values(**row, **values).on_conflict_do_update(index_elements=list(row), set_=values)
    )
