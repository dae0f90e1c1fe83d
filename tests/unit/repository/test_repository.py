"""The repository keeps its own rules.

Links lead somewhere, commands that are named exist, modules stay small.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections import defaultdict
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


PRODUCT = [
    path for folder in ("src", "bentos", "operators") for path in sorted((ROOT / folder).rglob("*.py"))
]
COMMANDS = sorted((ROOT / "src" / "leadscore" / "cli").glob("*.py"))
# Public names that the product itself does not use, and why they are there.
REACHED_FROM_OUTSIDE = {
    "run_task": "the wheel's entry point `leadscore-task`",
    "prometheus_rule": "what the chart's files of alerts are made of, by tools/chart",
}


@pytest.mark.parametrize("module", COMMANDS, ids=lambda p: p.stem)
def test_commands_are_thin(module: Path) -> None:
    """Options, a call, something printed: pages and Jobs call what is behind, so it must not be here."""
    long = [
        f"{function.name}: {lines} lines"
        for function in ast.walk(ast.parse(module.read_text()))
        if isinstance(function, ast.FunctionDef)
        and (lines := function.end_lineno - function.body[0].end_lineno) > 60  # type: ignore[operator]
    ]
    assert long == []


def test_nothing_but_the_entry_point_imports_a_command() -> None:
    importing = [
        str(path.relative_to(ROOT))
        for folder in ("src", "bentos", "operators", "benchmarks", "loadtests")
        for path in (ROOT / folder).rglob("*.py")
        if "cli" not in path.relative_to(ROOT).parts and "leadscore.cli" in path.read_text()
    ]
    assert importing == []


def test_what_is_public_is_used_by_the_product() -> None:
    """What only tests or benchmarks use lives there, and what nobody uses goes."""
    defined: defaultdict[str, list[str]] = defaultdict(list)
    used: set[str] = set()
    for path in PRODUCT:
        tree = ast.parse(path.read_text())
        for node in tree.body:
            registered = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.decorator_list
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not registered:
                defined[node.name].append(str(path.relative_to(ROOT)))
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                used.add(node.id)
            elif isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.ImportFrom):
                used |= {alias.name for alias in node.names if alias.asname}
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "cast":
                used |= set(re.findall(r"\w+", ast.unparse(node.args[0])))
    unused = {name: defined[name] for name in defined.keys() - used if not name.startswith("_")}
    assert unused.keys() - REACHED_FROM_OUTSIDE.keys() == set(), unused
