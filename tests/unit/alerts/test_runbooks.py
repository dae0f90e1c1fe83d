"""Every alert has a runbook that it links, and every command in a runbook is one."""

from __future__ import annotations

import re
import shlex

import click
import pytest
import typer
import yaml
from tests.support.chart import CHART, ROOT
from tests.support.runbooks import NAMES, RUNBOOKS, commands

from leadscore.alerts.messages import AlertLinks
from leadscore.alerts.rules import default_rules
from leadscore.cli.main import app

KUBECTL = {"get", "describe", "logs", "exec", "top", "port-forward", "argo", "annotate", "create", "patch"}
PROMQL = re.compile(r"^(sum|max|min|histogram_quantile|increase|rate|count|avg|topk|time)\b")


def runbook_queries(name: str) -> list[str]:
    return [each for each in commands(name) if PROMQL.match(each)]


def test_every_alert_has_its_runbook_and_links_it() -> None:
    alerts = {rule.alert for rule in default_rules().rules}
    assert alerts == set(NAMES)
    for rule in default_rules().rules:
        links = dict(AlertLinks(runbooks="https://wiki").of(rule, rule.alert))
        assert links["Runbook"] == f"https://wiki/{rule.alert}.md"
        assert (ROOT / dict(AlertLinks().of(rule, rule.alert))["Runbook"]).exists()
    listed = (RUNBOOKS / "README.md").read_text()
    assert {name for name in NAMES if f"[{name}]({name}.md)" in listed} == alerts


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_says_what_it_does_to_people_where_to_look_and_what_to_do(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text()
    rule = default_rules().named(name)
    assert rule is not None
    assert text.startswith(f"# {name}\n\n**Severity:** {rule.severity}")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["What it does to people", "Look", "Do"]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_of_a_runbook_is_one(name: str) -> None:
    assert commands(name)
    for command in commands(name):
        if PROMQL.match(command):
            continue
        for part in re.split(r"\s(?:\||&&|&)\s", command):
            check(part)


def check(command: str) -> None:
    """That a program's command line is one that it takes."""
    words = shlex.split(re.split(r"\s[<>]\s?", command)[0])
    if "--" in words:
        check_kubectl(words[: words.index("--")])
        words = words[words.index("--") + 1 :]
    if words[0] == "leadscore":
        parse(words[1:])
    elif words[0] == "kubectl":
        check_kubectl(words)
    else:
        assert words[0] in {"curl", "grep", "df", "cat", "tail", "ls", "helm"}, command


def check_kubectl(words: list[str]) -> None:
    rest = [word for word in words[1:] if word not in {"-n", "NAMESPACE"}]
    assert rest[0] in KUBECTL, words
    assert len(rest) > 1, words


def parse(words: list[str]) -> None:
    """Find the command and parse its options; `…` stands for a text."""
    command: click.Command = typer.main.get_command(app)
    context = click.Context(command, info_name="leadscore")
    while isinstance(command, click.Group):
        assert words, "a group is no command"
        found = command.get_command(context, words[0])
        assert found is not None, f"there is no command {words[0]!r} of {command.name}"
        command, words = found, words[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    numbers = [re.sub(r"^(NUMBER|DAYS)$", "1", word) for word in words]
    # Parsing checks names, numbers and what is needed; nothing runs.
    command.parse_args(context, numbers)


def test_alert_files_of_the_chart_hold_every_rule() -> None:
    written = {
        path.stem: yaml.safe_load(path.read_text()) for path in (CHART / "files" / "alerts").rglob("*.yaml")
    }
    assert set(written) == {rule.alert for rule in default_rules().rules}
    for rule in default_rules().rules:
        assert written[rule.alert]["labels"]["severity"] == rule.severity
