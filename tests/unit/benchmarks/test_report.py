from io import StringIO

import pytest
from benchmarks.errors import BenchError
from benchmarks.machine import Machine
from benchmarks.report import Section, markdown, rich_section, rich_table, write_between
from benchmarks.row import Row, at_least
from rich.console import Console

MACHINE = Machine("A CPU", 2, 8.0, "Linux", "3.11.7", 0.25, (("numpy", "2.4"),), "2026-01-02 03:04 UTC")
ROWS = [
    Row("a", "fast | thing", 12.0, "x", at_least(10), beside="one\nother", how="carefully"),
    Row("b", "slow thing", 1.0, "x", at_least(10)),
    Row("c", "absent thing", None, "", None, how="no data"),
]


def test_the_section_says_when_where_with_what_and_by_which_command():
    text = markdown(
        ROWS, [Section("Months", ("month", "AUC"), (("2008-12", "0.7"),), "A note.")], MACHINE, "make it"
    )

    for part in (
        "2026-01-02 03:04 UTC",
        "`make it`",
        "A CPU, 2 cores",
        "load average at the start 0.25",
        "numpy 2.4",
    ):
        assert part in text
    assert "| slow thing | ≥ 10x | 1x | NO | - | - |" in text
    assert "### Months\n\n| month | AUC |\n| --- | --- |\n| 2008-12 | 0.7 |\n\nA note." in text


def test_a_cell_cannot_break_the_table():
    assert r"| fast \| thing | ≥ 10x | 12x | yes | one other | carefully |" in markdown(
        ROWS, [], MACHINE, "make it"
    )


def test_only_what_lies_between_the_markers_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n")

    write_between(page, "bench", "new")
    write_between(page, "bench", "newer")

    assert page.read_text() == "before\n<!-- bench:begin -->\nnewer\n<!-- bench:end -->\nafter\n"


@pytest.mark.parametrize("text", ["", "<!-- bench:begin -->", "<!-- bench:end --><!-- bench:begin -->"])
def test_a_page_without_its_markers_is_refused_and_left_alone(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)

    with pytest.raises(BenchError, match="no section between"):
        write_between(page, "bench", "new")

    assert page.read_text() == text


def test_the_terminal_shows_every_row_and_section():
    console = Console(width=200, record=True, file=StringIO())
    console.print(rich_table(ROWS))
    console.print(rich_section(Section("Months", ("month",), (("2008-12",),))))

    shown = console.export_text()

    for part in ("fast | thing", "NO", "not measured", "no data", "2008-12"):
        assert part in shown
