"""A pod serves nothing under a version that its label, its settings or its artefact contradicts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from leadscore_service.errors import SettingsError
from leadscore_service.settings import Settings
from leadscore_service.version import served_version


def version(tmp_path: Path, directory: Path | None = None, **environ: str) -> str:
    """What a worker in this environment serves."""
    home = {"LEADSCORE_HOME": str(tmp_path)}
    return served_version(Settings.from_environment(home | environ), directory or tmp_path / "model")


def note(tmp_path: Path, text: str) -> dict[str, str]:
    """What the init container that copied the artefact wrote."""
    file = tmp_path / "artefact-version"
    file.write_text(text)
    return {"LEADSCORE_ARTEFACT_VERSION_FILE": str(file), "LEADSCORE_MODEL_DIR": str(tmp_path / "model")}


def test_label_setting_and_artefact_that_agree_are_the_version(tmp_path: Path) -> None:
    told = {"LEADSCORE_MODEL_VERSION": "7", "LEADSCORE_VERSION_LABEL": "7"}
    assert version(tmp_path, **told, **note(tmp_path, "7\n")) == "7"
    cached = tmp_path / "models" / "leads" / "7"
    assert version(tmp_path, cached, **told, LEADSCORE_MODEL="leads/7") == "7"


@pytest.mark.parametrize(
    ("environ", "artefact"),
    [
        ({"LEADSCORE_MODEL_VERSION": "1", "LEADSCORE_VERSION_LABEL": "2"}, "2"),
        ({"LEADSCORE_MODEL_VERSION": "2", "LEADSCORE_VERSION_LABEL": "2"}, "1"),
        ({"LEADSCORE_MODEL_VERSION": "2", "LEADSCORE_VERSION_LABEL": "1"}, "2"),
        ({"LEADSCORE_VERSION_LABEL": "2"}, "1"),
        ({"LEADSCORE_MODEL_VERSION": "2"}, "1"),
    ],
)
def test_any_two_that_differ_are_refused_and_named(
    tmp_path: Path, environ: Mapping[str, str], artefact: str
) -> None:
    with pytest.raises(SettingsError, match="not sure which version") as refused:
        version(tmp_path, **environ, **note(tmp_path, artefact))
    assert f"{tmp_path / 'model'} says {artefact}" in str(refused.value)


@pytest.mark.parametrize("cached", ["1", "2"])
def test_a_registered_version_is_not_served_as_another(tmp_path: Path, cached: str) -> None:
    directory = tmp_path / "models" / "leads" / cached
    with pytest.raises(SettingsError, match="LEADSCORE_MODEL says 1"):
        version(tmp_path, directory, LEADSCORE_MODEL="leads/1", LEADSCORE_MODEL_VERSION="2")


def test_a_pod_that_is_told_to_read_a_label_and_has_none_serves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no label leadscore\.dev/model-version"):
        version(tmp_path, LEADSCORE_VERSION_LABEL="", LEADSCORE_MODEL_VERSION="")


def test_an_artefact_of_unknown_version_is_not_served_as_a_known_one(tmp_path: Path) -> None:
    missing = {"LEADSCORE_ARTEFACT_VERSION_FILE": str(tmp_path / "none")}
    with pytest.raises(SettingsError, match="which version the artefact is, is not known"):
        version(tmp_path, **missing, LEADSCORE_MODEL_VERSION="1")


def test_outside_a_pod_one_source_is_enough_and_an_alias_contradicts_nothing(tmp_path: Path) -> None:
    assert version(tmp_path) == ""
    assert version(tmp_path, LEADSCORE_MODEL_VERSION="7", LEADSCORE_MODEL_DIR=str(tmp_path)) == "7"
    cached = tmp_path / "models" / "leads" / "3"
    assert version(tmp_path, cached, LEADSCORE_MODEL="leads@champion") == "3"
    folder = {"LEADSCORE_MODEL": "leads/1", "LEADSCORE_MODEL_DIR": str(tmp_path)}
    assert version(tmp_path, **folder, LEADSCORE_MODEL_VERSION="2") == "2", (
        "the folder wins over the reference"
    )


def test_the_worker_stays_not_ready_and_its_log_says_why(
    make_service: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    service = make_service(LEADSCORE_MODEL_VERSION="1", LEADSCORE_VERSION_LABEL="2").start(until=("failed",))
    assert service.ask("GET", "/readyz").status == 503
    assert service.ask("GET", "/livez").status == 200, "it stays up to say why: no restart loop"
