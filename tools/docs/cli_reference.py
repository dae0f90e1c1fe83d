"""Write docs/cli.md from the command tree itself: `python tools/docs/cli_reference.py [--check]`."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import typer.main
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

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
    ExitCode.NOT_JUDGED: "a check has run and could not judge: too few leads or outcomes, or none",
}


def plain(text: str | None) -> str:
    """Help text on one line, without markup and table bars."""
    return re.sub(r"\s+", " ", re.sub(r"\[/?[a-z ]+\]", "", text or "")).replace("|", "\\|").strip()


def commands(
    command: TyperCommand | TyperGroup, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    """Every leaf command with its path, in the order of the help."""
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            yield from commands(cast("TyperCommand | TyperGroup", child), (*path, name))
    else:
        yield path, command


def section(path: tuple[str, ...], command: TyperCommand) -> str:
    """One command: its sentence and a row per argument and option."""
    arguments = [p for p in command.params if isinstance(p, TyperArgument)]
    options = [p for p in command.params if isinstance(p, TyperOption) and not p.hidden and p.name != "help"]
    words = [a.name.upper() if a.required else f"[{a.name.upper()}]" for a in arguments if a.name]
    usage = " ".join([*path, *words, "[OPTIONS]"])
    rows = [
        f"| `{(a.name or '').upper()}` | {plain(a.help)} | {'required' if a.required else ''} |"
        for a in arguments
    ]
    rows += [f"| {_names(option)} | {plain(option.help)} | {_default(option)} |" for option in options]
    table = ["| argument | meaning | default |", "|---|---|---|", *rows, ""] if rows else []
    said = textwrap.fill(plain(command.help), 120, break_long_words=False, break_on_hyphens=False)
    return "\n".join([f"## {' '.join(path)}", "", said, "", f"`{usage}`", "", *table])


def _names(option: TyperOption) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    return f"{names} (`${option.envvar}`)" if isinstance(option.envvar, str) else names


def _default(option: TyperOption) -> str:
    if option.required:
        return "required"
    if option.is_flag or option.default is None or callable(option.default) or option.default in ((), [], ""):
        return ""
    return f"`{option.default}`"


def document() -> str:
    """The whole page."""
    head = [
        "# Command line",
        "",
        "<!-- Written by `make docs` from the commands themselves; edit their help texts instead. -->",
        "",
        (
            "Tables by default, `--json` for machines, progress on standard error. Completion: "
            "`leadscore --install-completion`."
        ),
        "`LEADSCORE_HOME` (default `./.leadscore`) holds the embedded stores; `LEADSCORE_TRACKING_URI` and",
        "`LEADSCORE_EVENTS_URL` replace them.",
        "",
        "| exit code | meaning |",
        "|---|---|",
        *(f"| {int(code)} | {meaning} |" for code, meaning in EXIT_MEANING.items()),
        "",
    ]
    root = cast("TyperGroup", typer.main.get_command(app))
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
