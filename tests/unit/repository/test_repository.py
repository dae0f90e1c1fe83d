"""The repository keeps its own rules: links lead somewhere, commands that are named exist, modules stay small."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
MODULES = sorted(
    p
    for folder in ("src", "bentos", "operators", "loadtests", "benchmarks", "tools")
    for p in (ROOT / folder).rglob("*.py")
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_relative_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    dead = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert dead == []


@pytest.mark.parametrize("module", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_stay_small(module: Path) -> None:
    # Most have 50 to 350 lines; one thing is not cut in two for being longer.
    assert len(module.read_text().splitlines()) <= 500


def test_make_help_lists_every_command_of_the_readme() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = re.sub(r"\x1b\[[0-9;]*m", "", listed)
    for target in ("up", "test", "lint", "bench", "load", "build"):
        assert re.search(rf"\b{target}\b", listed)


def test_no_target_of_the_makefile_is_written_twice() -> None:
    said = subprocess.run(["make", "--dry-run", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "overriding recipe" not in said.stderr


def test_readme_shows_the_two_commands_on_its_first_screen() -> None:
    first_screen = (ROOT / "README.md").read_text().splitlines()[:12]
    assert any(line.startswith("make up") for line in first_screen)
    assert any(line.startswith("make test") for line in first_screen)


def test_ci_runs_the_readme_commands() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "make lint" in script
    assert "make test" in script


def test_shell_scripts_are_valid() -> None:
    for script in (ROOT / "tools").rglob("*.sh"):
        subprocess.run(["sh", "-n", script], check=True)
