"""Workflows: what actionlint says of ours, and that both it and our rules catch what they should."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tools.cluster.pins import ACTIONLINT
from tools.workflows import actionlint
from tools.workflows.__main__ import ROOT, workflows
from tools.workflows.rules import findings, make_targets, named_targets

SHA = "11bd71901bbe5b1630ceea73d27597364c9af683"
GOOD = f"""\
name: good
on: push
permissions: {{contents: read}}
concurrency: {{group: "x"}}
jobs:
  one:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    steps:
      - uses: actions/checkout@{SHA} # v4.2.2
        with: {{persist-credentials: false}}
      - run: make lint
"""
TARGETS = frozenset({"lint", "test"})


def broken(old: str, new: str) -> list[str]:
    assert old in GOOD
    return findings(GOOD.replace(old, new), TARGETS)


def test_a_good_workflow_has_no_findings() -> None:
    assert findings(GOOD, TARGETS) == []


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        (f"@{SHA} # v4.2.2", "@v4", "not pinned by commit"),
        (" # v4.2.2", "", "which version the commit is"),
        ("permissions: {contents: read}\n", "", "permissions at the top"),
        ("{contents: read}", "write-all", "permissions at the top"),
        ("{contents: read}", "{contents: write}", "permissions at the top"),
        ('concurrency: {group: "x"}\n', "", "no concurrency group"),
        ("    timeout-minutes: 5\n", "", "no timeout-minutes"),
        ("{persist-credentials: false}", "{fetch-depth: 1}", "leaves its token"),
        ("make lint", "make lnit", "make lnit: the Makefile has no such target"),
        ("make lint", "echo ${{ github.head_ref }}", "can be made to run code"),
    ],
)
def test_each_rule_catches_its_breach(old: str, new: str, finding: str) -> None:
    assert any(finding in line for line in broken(old, new))


def test_make_lines_are_read_with_variables_and_options() -> None:
    script = (
        "sudo make -j2 build ENV=staging test\nmake deploy VERSION=$V && make lint  # make nothing\ncmake x"
    )
    assert named_targets(script) == ["build", "test", "deploy", "lint"]


def test_targets_are_read_from_a_makefile() -> None:
    assert make_targets("X := 1\n.PHONY: a\na: b  ## A\nb-c:\n\techo y: z\n") == {"a", "b-c"}


@pytest.mark.parametrize("path", workflows(), ids=lambda p: p.name)
def test_our_workflows_keep_our_rules(path: Path) -> None:
    assert findings(path.read_text(), make_targets((ROOT / "Makefile").read_text())) == []


needs_actionlint = pytest.mark.skipif(
    not actionlint.is_available(), reason="there is no Go to build actionlint"
)


@needs_actionlint
def test_our_workflows_pass_actionlint() -> None:
    assert actionlint.problems(workflows()) == []


@needs_actionlint
@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("runs-on: ubuntu-24.04", "runs-on: ubuntu-24.04\n    needs: [two]", "two"),
        ("- run: make lint", "- run: make lint\n        if: ${{ env.X = 1 }}", "expression"),
        ("timeout-minutes: 5", "timeout-minute: 5", "timeout-minute"),
    ],
)
def test_actionlint_really_catches_a_broken_workflow(
    tmp_path: Path, old: str, new: str, finding: str
) -> None:
    path = tmp_path / "broken.yml"
    path.write_text(GOOD.replace(old, new))
    assert any(finding in line for line in actionlint.problems([path]))


def test_actionlint_is_pinned_by_its_own_lock() -> None:
    assert ACTIONLINT.version.startswith("v1.")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_every_named_target_is_one_that_make_knows() -> None:
    """The reading of the Makefile above is checked against make itself."""
    for target in make_targets((ROOT / "Makefile").read_text()):
        done = subprocess.run(
            ["make", "--dry-run", "--question", target], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert "No rule" not in done.stderr, target
