"""Planted leaks, on the one table that needs no file."""

from __future__ import annotations

from benchmarks.rows.leaks import LEAKS, LeadTable, judge_sample, random_table


def test_every_planted_kind_is_found_and_honest_columns_are_not_accused() -> None:
    found: dict[tuple[str, str], list[bool]] = {}
    accused: dict[str, list[bool]] = {}
    judge_sample(LeadTable("random", random_table(4_000)), 1_500, 0, found, accused)
    assert {kind for (kind, _), hits in found.items() if all(hits)} == set(LEAKS)
    assert sum(accused["random"]) <= 0.02 * len(accused["random"])
