# ruff: noqa: D102 - each method is documented by MLflow under the same name
"""The part of MLflow's client that the registry uses, with types (MLflow itself is only partly annotated)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol, TypeVar

Item_co = TypeVar("Item_co", covariant=True)


class MlflowPage(Protocol[Item_co]):
    """One page of a search."""

    @property
    def token(self) -> str | None: ...

    def __iter__(self) -> Iterator[Item_co]: ...


class MlflowModel(Protocol):
    """`mlflow.entities.model_registry.RegisteredModel`."""

    @property
    def name(self) -> str: ...
    @property
    def aliases(self) -> Mapping[str, int | str]: ...
    @property
    def tags(self) -> Mapping[str, str]: ...


class Version(Protocol):
    """`mlflow.entities.model_registry.ModelVersion`."""

    @property
    def version(self) -> int | str: ...
    @property
    def tags(self) -> Mapping[str, str]: ...
    @property
    def creation_timestamp(self) -> int: ...
    @property
    def source(self) -> str: ...


class RunInfo(Protocol):
    """`mlflow.entities.RunInfo`."""

    run_id: str
    artifact_uri: str


class MlflowRun(Protocol):
    """`mlflow.entities.Run`."""

    info: RunInfo


class MlflowExperiment(Protocol):
    """`mlflow.entities.Experiment`."""

    @property
    def experiment_id(self) -> str: ...
    @property
    def artifact_location(self) -> str: ...


class Store(Protocol):
    """`mlflow.store.artifact.artifact_repo.ArtifactRepository`: what every kind of store implements."""

    def _download_file(self, remote_file_path: str, local_path: str) -> None: ...


class RegistryClient(Protocol):
    """What looking at models and moving aliases takes: of `mlflow.tracking.MlflowClient`, or of `light`."""

    def search_registered_models(
        self, *, max_results: int, page_token: str | None
    ) -> MlflowPage[MlflowModel]: ...
    def search_model_versions(
        self, filter_string: str, *, max_results: int, page_token: str | None
    ) -> MlflowPage[Version]: ...
    def get_registered_model(self, name: str) -> MlflowModel: ...
    def get_model_version(self, name: str, version: str) -> Version: ...
    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None: ...
    def delete_registered_model_alias(self, name: str, alias: str) -> None: ...
    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None: ...
    def set_registered_model_tag(self, name: str, key: str, value: str) -> None: ...
    def delete_registered_model_tag(self, name: str, key: str) -> None: ...
    def get_experiment_by_name(self, name: str) -> MlflowExperiment | None: ...


class Client(RegistryClient, Protocol):
    """`mlflow.tracking.MlflowClient`."""

    def create_registered_model(self, name: str) -> MlflowModel: ...
    def create_model_version(
        self, name: str, source: str, *, run_id: str, tags: Mapping[str, str]
    ) -> Version: ...
    def create_experiment(self, name: str, *, artifact_location: str | None) -> str: ...
    def create_run(self, experiment_id: str, *, run_name: str) -> MlflowRun: ...
    def log_artifacts(self, run_id: str, local_dir: str, artifact_path: str) -> None: ...
    def log_metric(self, run_id: str, key: str, value: float) -> None: ...
    def set_terminated(self, run_id: str) -> None: ...
