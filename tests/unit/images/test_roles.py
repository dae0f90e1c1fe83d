"""The table of roles, the folders below images/ and the chart agree."""

import re

import pytest
import yaml
from tools.images.errors import ImageError
from tools.images.paths import RECIPES, ROOT
from tools.images.roles import MODEL, ROLES, Base, find

ALL = [*ROLES, MODEL]
PYTHON = [role for role in ROLES if role.base is Base.PYTHON]


def dockerfile(role) -> str:
    return (role.folder / "Dockerfile").read_text()


def instructions(role, word: str) -> list[str]:
    joined = dockerfile(role).replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.startswith(f"{word} ")]


def test_every_folder_is_a_role_and_every_role_has_one():
    assert {path.name for path in RECIPES.iterdir()} == {role.name for role in ALL}


@pytest.mark.parametrize("role", ALL, ids=lambda role: role.name)
def test_an_image_runs_as_a_numeric_user_without_rights(role):
    (user,) = instructions(role, "USER")
    assert re.fullmatch(r"USER (10001:10001|999:999)", user)


@pytest.mark.parametrize("role", ALL, ids=lambda role: role.name)
def test_a_recipe_starts_from_the_public_base_unless_told_otherwise(role):
    assert instructions(role, "FROM") == ["FROM ${BASE}"]
    assert instructions(role, "ARG")[0] == (f"ARG BASE={role.base.value}" if role.base.value else "ARG BASE")


@pytest.mark.parametrize("role", ALL, ids=lambda role: role.name)
def test_a_recipe_needs_no_network(role):
    fetching = re.compile(r"\b(apt-get|apt|apk|curl|wget|git|pip3? install|uv)\b|^ADD ", re.MULTILINE)
    commands = "\n".join(instructions(role, "RUN") + instructions(role, "ADD"))
    assert fetching.findall(commands) == []


def test_python_images_share_their_first_layer():
    assert len({instructions(role, "RUN")[0] for role in PYTHON}) == 1


@pytest.mark.parametrize("role", PYTHON, ids=lambda role: role.name)
def test_a_python_image_writes_no_bytecode_and_says_what_it_runs(role):
    assert "PYTHONDONTWRITEBYTECODE=1" in dockerfile(role)
    assert len(instructions(role, "ENTRYPOINT")) == 1


def test_bases_are_pinned_by_tag():
    for base in Base:
        assert not base.value or re.search(r":[0-9][\w.-]+$", base.value)


@pytest.mark.parametrize(
    "role",
    [role for role in ROLES if role.name in {"service", "jobs", "postgresql"}],
    ids=lambda role: role.name,
)
def test_the_chart_names_the_image_where_the_role_says(role):
    place = yaml.safe_load((ROOT / "charts/lead-scoring/values.yaml").read_text())
    for key in role.chart_value:
        place = place[key]
    assert {"repository", "tag", "pullPolicy"} <= place.keys()


def test_the_bundled_postgresql_runs_as_the_charts_user():
    values = yaml.safe_load((ROOT / "charts/lead-scoring/values.yaml").read_text())
    user = values["postgresql"]["runAsUser"]
    assert instructions(find("postgresql"), "USER") == [f"USER {user}:{user}"]


def test_an_unknown_role_is_refused_with_those_there_are():
    with pytest.raises(ImageError, match="service"):
        find("servise")
