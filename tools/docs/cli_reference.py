"""Write docs/cli.md from the command tree itself: `python tools/docs/cli_reference.py [--check]`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import typer.main

from leadscore.cli.main import app
from leadscore.errors import ExitCode

TARGET = Path(__file__).parents[2] / "docs" / "cli.md"
EXIT_MEANING = {
    ExitCode.OK: "done",
    ExitCode.UNEXPECTED: "unexpected failure: a bug, please report it",
    ExitCode.USAGE: "wrong option or argument",
    ExitCode.BAD_INPUT: "the table, contract, lead or file cannot be used as it is",
    ExitCode.NOT_FOUND: "no such model, version, alias or column",
    ExitCode.REFUSED: "a rule says no: too little data, gate not passed, breaking change, no permission",
    ExitCode.UNAVAILABLE: "registry, store or disk cannot be reached; nothing acknowledged was lost",
    ExitCode.CORRUPT: "a model artefact does not match its digests",
}


def plain(text: str | None) -> str:
    """Help text on one line, without markup and table bars."""
    return re.sub(r"\s+", " ", re.sub(r"\[/?[a-z ]+\]", "", text or "")).replace("|", "\\|").strip()


def commands(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every leaf command with its path, in the order of the help."""
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            child = command.get_command(click.Context(command), name)
            if child is not None:
                yield from commands(child, (*path, name))
    else:
        yield path, command


def section(path: tuple[str, ...], command: click.Command) -> str:
    """One command: its sentence and a row per option."""
    context = click.Context(command, info_name=" ".join(path))
    usage = plain(" ".join(command.collect_usage_pieces(context)))
    lines = [f"## {' '.join(path)}", "", plain(command.help), "", f"`{' '.join(path)} {usage}`", ""]
    rows = []
    for parameter in command.params:
        if not isinstance(parameter, click.Option):
            rows.append(f"| `{parameter.human_readable_name}` | {plain(getattr(parameter, 'help', ''))} | |")
        elif not parameter.hidden and "--help" not in parameter.opts:
            names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
            shown = (
                parameter.default is None or callable(parameter.default) or parameter.default in ((), [], "")
            )
            default = "required" if parameter.required else "" if shown else f"`{parameter.default}`"
            rows.append(f"| {names} | {plain(parameter.help)} | {default} |")
    if rows:
        lines += ["| argument | meaning | default |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def document() -> str:
    """The whole page."""
    head = [
        "# Command line",
        "",
        "<!-- Written by `make docs` from the commands themselves; edit their help texts instead. -->",
        "",
        "Tables by default, `--json` for machines, progress on standard error. Completion: `leadscore --install-completion`.",
        "`LEADSCORE_HOME` (default `./.leadscore`) holds the embedded stores; `LEADSCORE_TRACKING_URI` and",
        "`LEADSCORE_EVENTS_URL` replace them.",
        "",
        "| exit code | meaning |",
        "|---|---|",
        *(f"| {int(code)} | {meaning} |" for code, meaning in EXIT_MEANING.items()),
        "",
    ]
    root = typer.main.get_command(app)
    return (
        "\n".join(head)
        + "\n"
        + "\n".join(section(path, command) for path, command in commands(root, ("leadscore",)))
    )


def main() -> None:
    """Write the page, or with `--check` say whether it is fresh."""
    text = document().rstrip() + "\n"
    if "--check" in sys.argv:
        if not TARGET.exists() or TARGET.read_text() != text:
            sys.exit("docs/cli.md is not fresh: run `make docs`")
    else:
        TARGET.write_text(text)


if __name__ == "__main__":
    main()
