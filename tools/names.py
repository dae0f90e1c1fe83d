"""Check that a public name stands for one thing in all product modules: `python -m tools.names`.

Looked at are classes, functions, type aliases and constants of modules under `src`, `bentos` and `operators`.
A command of the command line is called like what it does, and nobody imports it: functions of `leadscore.cli`
may share a name with the function that does the work.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PRODUCT = ("src", "bentos", "operators")
# Names that may stand in several modules, and why.
ALLOWED = {
    "app": "typer's habit: each module of the command line has its own group of commands",
    "main": "what `python -m` calls; never imported",
    "PAGE": "each module of the console's pages is one page",
    "build": "what makes a page of the console",
    "export": "what makes the file of a page of the console",
    "KIND": "what the records of one module are called in the event store",
    "replace_file": "two writers of files, which become one",
    "replacing": "two writers of files, which become one",
}


def repeated(root: Path = ROOT) -> dict[str, list[str]]:
    """Return each name that several modules define, with the paths of these."""
    found: dict[str, list[str]] = defaultdict(list)
    for folder in PRODUCT:
        for path in sorted((root / folder).rglob("*.py")):
            shown = path.relative_to(root).as_posix()
            if "/migrations/versions/" in shown:  # each script has the names that Alembic looks for
                continue
            for name in _public(ast.parse(path.read_text(encoding="utf-8")), command="/cli/" in shown):
                found[name].append(shown)
    return {name: paths for name, paths in found.items() if len(paths) > 1 and name not in ALLOWED}


def _public(module: ast.Module, *, command: bool) -> Iterator[str]:
    for node in module.body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() if command:
                continue
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names = [name]
            case ast.Assign(value=ast.Call(func=ast.Name(id="TypeVar" | "ParamSpec"))):
                continue
            case ast.Assign(targets=targets):
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names = [name]
            case _:
                continue
        yield from (name for name in names if not name.startswith("_"))


def main() -> int:
    """Print what is defined twice; 1 if anything is."""
    found = repeated()
    for name, paths in sorted(found.items()):
        print(f"{name} stands for {len(paths)} things: {', '.join(paths)}")
    if found:
        print("Say which: rename all but one, or give a reason in tools/names.py.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
