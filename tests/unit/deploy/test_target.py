"""Environments: strictly read, and the Helm line that follows from them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tools.deploy.__main__ import main
from tools.deploy.flow import reason_from, summary
from tools.deploy.target import ENVIRONMENTS, names, parse_target, read_target, upgrade_arguments

from leadscore.errors import BadInputError


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_every_environment_can_be_read_and_has_values(environment: str) -> None:
    assert read_target(environment).release == "leads"
    assert yaml.safe_load((ENVIRONMENTS / environment / "values.yaml").read_text())


def test_staging_and_production_are_not_the_same_place() -> None:
    assert len({(read_target(name).namespace, read_target(name).release) for name in names()}) == len(names())


def test_an_unknown_environment_names_those_that_there_are() -> None:
    with pytest.raises(BadInputError, match=r"production, staging"):
        read_target("prod")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("namespace: a\nrelease: b\nwait: 3\n", "wait"),
        ("namespace: a\n", "release"),
        ("namespace: a\nrelease: b\nmodel: leads\n", "no registry"),
        ("namespace: a\nrelease: b\nwhenNotDone: hope\n", "whenNotDone"),
    ],
)
def test_a_wrong_target_is_refused_with_what_is_wrong(text: str, match: str) -> None:
    with pytest.raises(BadInputError, match=match):
        parse_target(text, "x")


def test_values_come_from_files_alone_and_images_win() -> None:
    line = upgrade_arguments(read_target("staging"), Path("values.yaml"), 7, images=Path("images.yaml"))
    assert "--reset-values" in line
    files = [line[i + 1] for i, word in enumerate(line) if word == "--values"]
    assert [Path(file).name for file in files] == ["values.yaml", "images.yaml"]
    assert line[line.index("--set") + 1] == "model.version=7"
    assert line[line.index("--namespace") + 1] == "leadscore-staging"


@pytest.mark.parametrize("version", ["champion", "0", "-1", "7; rm"])
def test_a_version_is_a_number(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["apply", "--environment", "staging", "--version", version])
    assert ended.value.code == 2
    assert "not a model version" in capsys.readouterr().err


def test_the_reason_of_a_promotion_names_the_run() -> None:
    run = {"GITHUB_SERVER_URL": "https://example.com", "GITHUB_REPOSITORY": "a/b", "GITHUB_RUN_ID": "3"}
    assert reason_from(run, "staging") == "healthy in staging, https://example.com/a/b/actions/runs/3"
    assert reason_from({}, "staging") == "healthy in staging"


def test_a_pods_words_do_not_become_markup() -> None:
    page = summary("staging", "failed", ("<img src=x> `a`\n# b",))
    assert page == "### staging: failed\n- `<img src=x> 'a' # b`\n"
