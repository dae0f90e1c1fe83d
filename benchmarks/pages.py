"""Write the tables of benchmarks/results.json into the pages that show them.

`python -m benchmarks.pages [--check]`.

A page holds markers, `<!-- results:PART:begin -->` for the rows of a part and `<!--
tables:PART:begin -->` for its tables; what lies between them is made here. `results:runs`
says where and with what everything was measured.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from benchmarks.report import caption, description, replaced, rows_table, section_text
from benchmarks.results import Results, read

_DOCS = Path(__file__).parents[1] / "docs"
PAGES = (_DOCS / "benchmarks.md", *sorted((_DOCS / "research").glob("*.md")))
_MARKER = re.compile(r"<!-- ((results|tables):([a-z-]+)):begin -->")


def render(results: Results, kind: str, part: str) -> str:
    """The rows or tables of one part, each run under a line that names it.

    Part `runs`: what the runs were.
    """
    if part == "runs":
        return "\n".join(description(run) for _, run in sorted(results.runs.items()))
    if kind == "results":
        of_part = sorted((f for f in results.figures if f.part == part), key=lambda figure: figure.run)
        blocks = [
            (run, rows_table([figure.row for figure in figures]))
            for run, figures in groupby(of_part, key=lambda figure: figure.run)
        ]
    else:
        blocks = [(table.run, section_text(table.section)) for table in results.tables if table.part == part]
    if not blocks:
        return "Not measured yet."
    return "\n\n".join(_with_captions(results, blocks))


def _with_captions(results: Results, blocks: list[tuple[str, str]]) -> Iterator[str]:
    said = ""
    for run, block in blocks:
        if run != said:
            yield caption(results.runs[run])
        said = run
        yield block


def text_of(page: str, results: Results) -> str:
    """A page's text with the tables of the results between its markers."""
    for marker, kind, part in _MARKER.findall(page):
        page = replaced(page, marker, render(results, kind, part))
    return page


def main(arguments: list[str]) -> int:
    """Write the pages; with --check only say which are not as the results are, and end with 1."""
    results, changed = read(), []
    for page in PAGES:
        before = page.read_text(encoding="utf-8")
        after = text_of(before, results)
        if before != after:
            changed.append(page)
            if "--check" not in arguments:
                page.write_text(after, encoding="utf-8")
    if "--check" in arguments and changed:
        names = ", ".join(str(page.relative_to(_DOCS.parent)) for page in changed)
        sys.stderr.write(f"{names}: not as benchmarks/results.json is; run `make docs`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
