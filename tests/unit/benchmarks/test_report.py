from io import StringIO

import pytest
from benchmarks.errors import BenchError
from benchmarks.machine import Machine
from benchmarks.report import (
    caption,
    description,
    replaced,
    rich_section,
    rich_table,
    rows_table,
    section_text,
)
from benchmarks.row import Row, Run, Section, at_least
from rich.console import Console

MACHINE = Machine("A CPU", 2, 8.0, "Linux", "3.11.7", 0.25, (("numpy", "2.4"),), "2026-01-02 03:04 UTC")
ROWS = [
    Row("a", "fast | thing", 12.0, "x", at_least(10), beside="one\nother", how="carefully"),
    Row("b", "slow thing", 1.0, "x", at_least(10)),
    Row("c", "absent thing", None, "", None, how="no data"),
]


def test_a_run_says_when_where_with_what_and_by_which_command():
    text = " ".join(description(Run(MACHINE, "make it", ("other==1.0",), "Busy.")).split())

    for part in (
        "2026-01-02 03:04 UTC",
        "`make it`",
        "A CPU, 2 cores",
        "load average at the start 0.25",
        "numpy 2.4",
        "other==1.0",
    ):
        assert part in text
    assert caption(Run(MACHINE, "make it", (), "Busy.")).endswith("Busy.")


def test_rows_and_sections_are_tables():
    assert "| slow thing | ≥ 10x | 1x | NO | - | - |" in rows_table(ROWS)
    text = section_text(Section("Months", ("month", "AUC"), (("2008-12", "0.7"),), "A note."))
    assert text == "### Months\n\n| month | AUC |\n| --- | --- |\n| 2008-12 | 0.7 |\n\nA note."


def test_a_cell_cannot_break_the_table():
    assert r"| fast \| thing | ≥ 10x | 12x | yes | one other | carefully |" in rows_table(ROWS)


def test_only_what_lies_between_the_markers_is_replaced():
    page = "before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n"

    once = replaced(page, "bench", "new")

    assert (
        replaced(once, "bench", "newer") == "before\n<!-- bench:begin -->\nnewer\n<!-- bench:end -->\nafter\n"
    )


@pytest.mark.parametrize("text", ["", "<!-- bench:begin -->", "<!-- bench:end --><!-- bench:begin -->"])
def test_a_page_without_its_markers_is_refused(text):
    with pytest.raises(BenchError, match="no section between"):
        replaced(text, "bench", "new")


def test_the_terminal_shows_every_row_and_section():
    console = Console(width=200, record=True, file=StringIO())
    console.print(rich_table(ROWS))
    console.print(rich_section(Section("Months", ("month",), (("2008-12",),))))

    shown = console.export_text()

    for part in ("fast | thing", "NO", "not measured", "no data", "2008-12"):
        assert part in shown
