"""benchmarks/results.json: what a run records, and the pages that are made of it."""

from pathlib import Path

import pytest
from benchmarks import pages
from benchmarks.__main__ import PARTS, SUITES
from benchmarks.errors import BenchError
from benchmarks.machine import Machine
from benchmarks.results import Results, read, write
from benchmarks.row import Row, Run, Section, at_least

FIRST = Run(Machine("A CPU", 2, 8.0, "Linux", "3.11.7", 0.25, (), "2026-01-02 03:04 UTC"), "make it")
LATER = Run(Machine("A CPU", 2, 8.0, "Linux", "3.11.7", None, (), "2026-02-02 03:04 UTC"), "make it again")
FAST, SLOW = (
    Row("fast", "fast thing", 12.0, "x", at_least(10)),
    Row("slow", "slow thing", 1.0, "x", at_least(10)),
)


def test_a_later_measurement_takes_the_place_of_the_earlier_one_and_the_others_stay():
    once = Results().recorded(FIRST, {"serving": [FAST, SLOW]}, {})
    again = once.recorded(LATER, {"serving": [Row("slow", "slow thing", 11.0, "x", at_least(10))]}, {})

    assert [(f.row.name, f.row.value, f.run) for f in again.figures] == [
        ("fast", 12.0, FIRST.name),
        ("slow", 11.0, LATER.name),
    ]
    assert set(again.runs) == {FIRST.name, LATER.name}


def test_a_run_that_no_figure_is_of_any_more_goes():
    results = Results().recorded(FIRST, {"serving": [FAST]}, {}).recorded(LATER, {"serving": [FAST]}, {})

    assert set(results.runs) == {LATER.name}


def test_what_could_not_be_measured_leaves_the_older_figure():
    results = Results().recorded(FIRST, {"serving": [FAST]}, {})

    assert results.recorded(LATER, {"serving": [Row("fast", "fast", None, "", None)]}, {}) == results


def test_results_are_read_as_they_were_written(tmp_path):
    section = Section("Months", ("month",), (("2008-12",),))
    results = Results().recorded(FIRST, {"serving": [FAST]}, {"bank": [section]})

    write(results, tmp_path / "results.json")

    assert read(tmp_path / "results.json") == results


def test_a_damaged_file_is_refused_by_name(tmp_path):
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(BenchError, match=r"results\.json cannot be read"):
        read(tmp_path / "results.json")


def test_a_page_shows_each_run_under_its_name():
    results = Results().recorded(FIRST, {"serving": [FAST]}, {}).recorded(LATER, {"serving": [SLOW]}, {})
    page = (
        "<!-- results:serving:begin -->\n<!-- results:serving:end -->\n<!-- results:runs:begin -->\n"
        "<!-- results:runs:end -->"
    )

    text = pages.text_of(page, results)

    assert text.index(f"run `{FIRST.name}`") < text.index("fast thing") < text.index(f"run `{LATER.name}`")
    assert "`make it again`" in text
    assert pages.text_of(text, results) == text


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.name)
def test_the_pages_are_as_the_results_are(page: Path):
    text = page.read_text(encoding="utf-8")
    assert pages.text_of(text, read()) == text


def test_every_part_of_the_bench_has_its_place_on_a_page():
    shown = "".join(page.read_text(encoding="utf-8") for page in pages.PAGES)
    assert [part for part in PARTS if f"<!-- results:{part}:begin -->" not in shown] == []


def test_every_figure_is_of_a_row_that_there_is():
    names = {name for suite in SUITES for name in suite.rows}
    unknown = {figure.row.name for figure in read().figures if figure.part != "cluster"} - names
    assert unknown == set()
