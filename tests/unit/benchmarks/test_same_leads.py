"""The same leads in any format give the same scores, bit for bit.

Ten thousand tables are a program's work.
"""

from __future__ import annotations

import pytest
from benchmarks import same_leads
from benchmarks.same_leads import differences
from hypothesis import given, settings
from hypothesis import strategies as st

from leadscore.data import columns


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_same_leads_in_any_format_have_the_same_ids_and_scores(tmp_path_factory, seed):
    assert differences(seed, tmp_path_factory.mktemp("leads")) == []


def test_a_reader_that_is_off_by_a_millionth_is_found(tmp_path, monkeypatch):
    read = columns.read_number

    def off(text, form):
        number = read(text, form)
        return None if number is None else number * (1 + 1e-6)

    monkeypatch.setattr(columns, "read_number", off)
    for seed in range(100):
        folder = tmp_path / str(seed)
        folder.mkdir()
        if differences(seed, folder):
            return
    pytest.fail("no table of a hundred told")


def test_the_program_counts_the_tables_that_differ(monkeypatch, capsys):
    assert same_leads.main(["--tables", "2", "--seed", "7"]) == 0
    assert "0 of 2 random tables" in capsys.readouterr().out
    monkeypatch.setattr(same_leads, "differences", lambda *_: ["CSV"])
    assert same_leads.main(["--tables", "2"]) == 1
    assert "2 of 2 random tables" in capsys.readouterr().out
