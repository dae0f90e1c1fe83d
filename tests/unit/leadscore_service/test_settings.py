"""Settings: defaults, bounds, and errors that name the variable."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from leadscore_service.errors import SettingsError
from leadscore_service.settings import Settings

DOCS = Path(__file__).parents[3] / "docs" / "api.md"
SOURCE = Path(__file__).parents[3] / "bentos" / "leadscore_service"


def test_an_empty_environment_is_enough_and_needs_keys() -> None:
    settings = Settings.from_environment({})
    assert settings.auth == "keys"
    assert settings.otlp_endpoint is None
    assert settings.threads >= 1
    assert settings.spool_on_full == "refuse"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEADSCORE_AUTH", "no"),
        ("LEADSCORE_AUTH", "OFF"),
        ("LEADSCORE_THREADS", "0"),
        ("LEADSCORE_THREADS", "many"),
        ("LEADSCORE_MAX_BODY_BYTES", "-1"),
        ("LEADSCORE_SPOOL_ON_FULL", "ignore"),
        ("LEADSCORE_LOG_SAMPLE", "2"),
        ("LEADSCORE_DRAIN_S", "nan"),
        ("LEADSCORE_ROLE", "a b"),
        ("LEADSCORE_POD_TEMPLATE_HASH", 'x"y'),
    ],
)
def test_a_bad_value_is_refused_by_name(name, value) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment({name: value})


def test_an_empty_value_is_the_default() -> None:
    assert Settings.from_environment(
        {"LEADSCORE_THREADS": "", "LEADSCORE_AUTH": ""}
    ) == Settings.from_environment({})


def test_the_documentation_lists_every_variable() -> None:
    read = set()
    for module in SOURCE.glob("*.py"):
        read |= set(re.findall(r'"((?:LEADSCORE|OTEL)_[A-Z_]+)"', module.read_text()))
    documented = set(re.findall(r"^\| `((?:LEADSCORE|OTEL)_[A-Z_]+)` \|", DOCS.read_text(), re.MULTILINE))
    # What the supervisor tells its workers, and nobody else.
    assert read - {"LEADSCORE_SUPERVISED", "LEADSCORE_LISTENER", "LEADSCORE_SUPERVISOR"} <= documented


def test_the_bentos_pins_are_the_locks() -> None:
    root = SOURCE.parents[1]
    lock = {
        (package["name"], package.get("version"))
        for package in tomllib.loads((root / "uv.lock").read_text())["package"]
    }
    lines = (SOURCE / "requirements.txt").read_text().splitlines()
    pins = [line.split(";")[0].strip().split("==") for line in lines if line and not line.startswith("#")]
    assert all((name.partition("[")[0], version) in lock for name, version in pins)
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]["serve"]
    wanted = {re.split(r"[\[=><]", dependency)[0] for dependency in extras}
    assert wanted <= {name.partition("[")[0] for name, _ in pins}
