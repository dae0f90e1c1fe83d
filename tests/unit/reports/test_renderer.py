"""What every report keeps to: names stay text, tables stay tables, nothing is loaded, nothing is missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from jinja2 import UndefinedError

from leadscore.registry.versions import ModelVersion
from leadscore.release import page
from leadscore.release.compare import Latency
from leadscore.release.report import Comparison, Question, Scored, comparison_report
from leadscore.reports import render_html, render_markdown

AT = datetime(2026, 3, 1, tzinfo=UTC)
EVIL = '<script>alert("1")</script> & it\'s'


def version(number: int) -> ModelVersion:
    return ModelVersion("leads", number, (), "None", f"{number}" * 64, "xgboost", "c1", AT, {}, {}, ())


@pytest.fixture(scope="module")
def found() -> Comparison:
    rng = np.random.default_rng(0)
    champion = rng.random(400)
    candidate = np.clip(champion + rng.normal(0, 0.05, 400), 0, 1)
    every = np.ones(400, dtype=np.bool_)
    scored = Scored(
        champion=champion,
        candidate=candidate,
        champion_grades=(3 - champion * 4).clip(0, 3).astype(np.intp),
        candidate_grades=(3 - candidate * 4).clip(0, 3).astype(np.intp),
        labelled=every,
        converted=rng.random(400) < champion,
        mature=every,
        own=every,
        same=every,
        sample=np.zeros((4, 2), dtype=np.float32),
    )
    question = Question(version(2), version(1), AT, AT + timedelta(days=1), timedelta(days=30))
    return comparison_report(scored, Latency(champion=10.0, candidate=12.0), question)


def test_a_page_of_a_comparison_escapes_names_and_loads_nothing(found: Comparison):
    html = page.html(msgspec.structs.replace(found, model=EVIL, summary=EVIL, remarks=(EVIL,)))
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 6  # twice each in title and heading, summary, remark
    assert not [load for load in ("http://", "https://", "url(", " src=") if load in html]
    assert "default-src 'none'" in html


@pytest.mark.parametrize("kind", ["replay", "shadow"])
def test_a_comparison_says_the_same_in_both_forms(found: Comparison, kind: str):
    found = msgspec.structs.replace(found, kind=kind, remarks=("Look at the source.",))
    html, text = page.html(found), page.markdown(found)
    matrix = [f"{count:,}" for row in found.grades.matrix for count in row]
    for said in (found.summary, "Look at the source.", "What was compared", "Grades", found.digest, *matrix):
        assert said in html
        assert said in text
    assert "| champion \\ candidate | A | B | C | D |\n| --- | --- | --- | --- | --- |\n| A | " in text


def test_a_cell_of_a_table_neither_ends_it_nor_opens_another():
    text = render_markdown(
        "comparison.md",
        title="t",
        words="w",
        summary="s",
        remarks=(),
        sections=[("heading", [("a|b", "two\nlines")])],
        grades=["A"],
        changes=[],
    )
    assert "| a\\|b | two lines |\n" in text


def test_a_value_that_is_missing_is_an_error_and_no_gap():
    with pytest.raises(UndefinedError):
        render_html("comparison.html", title="t")
    with pytest.raises(UndefinedError):
        render_markdown("comparison.md", title="t")
