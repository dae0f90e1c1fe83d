"""Write the list of decisions into docs/decisions/README.md: `python -m tools.docs.decisions [--check]`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"
_MARKS = re.compile(r"(?<=<!-- decisions:begin -->\n).*?(?=<!-- decisions:end -->)", re.DOTALL)


def listed(folder: Path = FOLDER) -> str:
    """One line per record: its number and title, which are its first heading."""
    lines: list[str] = []
    for path in sorted(folder.glob("[0-9]*.md")):
        heading = path.read_text(encoding="utf-8").split("\n", 1)[0]
        found = re.fullmatch(r"# (\d+)\. (.+)", heading)
        if found is None or int(found[1]) != int(path.name[:4]):
            raise SystemExit(
                f"{path.name}: its first line is no `# {int(path.name[:4])}. Title`: {heading!r}"
            )
        lines.append(f"| {found[1]} | [{found[2]}]({path.name}) |")
    return "\n".join(["| | decision |", "|---|---|", *lines, ""])


def main(arguments: list[str]) -> int:
    """Write the list; with --check only say whether it is as the records are."""
    page = FOLDER / "README.md"
    before = page.read_text(encoding="utf-8")
    after = _MARKS.sub(lambda _: listed(), before)
    if before != after and "--check" in arguments:
        sys.stderr.write(f"{page.name} of the decisions lacks one or names another: run `make docs`\n")
        return 1
    if before != after:
        page.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
