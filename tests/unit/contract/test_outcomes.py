"""Values of the target that nobody listed count as not converted, and a person is told so."""

from __future__ import annotations

import pyarrow as pa
import pytest
from tests.unit.contract.leads import CONTRACT

from leadscore.contract import FeatureContract, Target, parse_contract
from leadscore.contract.check import check_table
from leadscore.contract.outcomes import unlisted_in, unlisted_outcomes
from leadscore.data.matrix import labels

STAGES = {
    "Won": 40,
    "Closed Won": 23,
    "Lost": 60,
    "Negotiation": 9,
    "Negotiation (stalled)": 12,
    "Nurture": 16,
    "Dormant": 5,
    "n/a": 3,
}
FUNNEL = Target(column="stage", positive="Won", open_values=("Negotiation", "Nurturing"))


def told(target: Target, **values: int) -> dict[str, list[object]]:
    return {u.says: [g.value for g in u.groups] for u in unlisted_outcomes(target, list(values.items()))}


def contract_of(target: Target) -> FeatureContract:
    return parse_contract(
        f"name: crm\nid: lead_id\ntarget: {{column: stage, positive: {target.positive}, open_values:"
        f" [{', '.join(map(str, target.open_values))}]}}\nfeatures: [{{name: budget, type: numeric}}]\n"
    )


def stages() -> pa.Table:
    cells = [stage for stage, rows in STAGES.items() for _ in range(rows)]
    return pa.table(
        {
            "lead_id": [f"L-{i}" for i in range(len(cells))],
            "budget": [float(i) for i in range(len(cells))],
            "stage": cells,
        }
    )


def test_a_check_names_every_stage_that_counts_as_lost_unasked_what_seems_won_first() -> None:
    report = check_table(contract_of(FUNNEL), stages())
    assert report.status == "warnings"
    assert [(i.column, i.kind, i.row) for i in report.issues] == [
        ("stage", "unlisted_outcome", 41),
        ("stage", "unlisted_outcome", 133),
        ("stage", "unlisted_outcome", 161),
    ]
    won, still_open, unknown = (issue.message for issue in report.issues)
    assert won.startswith('"Closed Won" (23 rows) counts as not converted, though its words mean converted')
    assert '"Nurture" (16 rows), "Negotiation (stalled)" (12 rows) count as not converted' in still_open
    assert "`target.open_values`" in still_open
    assert unknown.startswith('"Dormant" (5 rows) counts as not converted, which no word says')
    assert report.issues[0].share == pytest.approx(23 / sum(STAGES.values()))


def test_the_rows_told_of_are_those_that_training_labels_as_not_converted() -> None:
    contract, table = contract_of(FUNNEL), stages()
    outcome = dict(zip(table["stage"].to_pylist(), labels(contract, table).tolist(), strict=True))
    unlisted = {value for u in unlisted_in(contract, table["stage"]) for value in u.spellings}
    assert unlisted == {"Closed Won", "Negotiation (stalled)", "Nurture", "Dormant"}
    assert {outcome[value] for value in unlisted} == {0.0}
    assert unlisted | {"Lost"} == {value for value, label in outcome.items() if label == 0.0}


@pytest.mark.parametrize(
    ("target", "values"),
    [
        (Target(column="y", positive="Won"), {"Won": 5, "Gone": 7}),
        (Target(column="y", positive="Won"), {"Won": 5, "Gone": 7, "gone ": 2}),
        (
            Target(column="y", positive="Won"),
            {"Won": 5, " won": 1, "Lost": 3, "Rejected": 4, "0": 1, "false": 2},
        ),
        (Target(column="y", positive="Won", open_values=("Open",)), {"Won": 5, "open": 2, "Gone": 7}),
        (Target(column="y", positive="Won"), {"Won": 5}),
        (Target(column="y", positive=1), {"1": 5, "1.0": 2, "0": 3, "0.0": 4}),
        (Target(column="y", positive=2), {"2": 5, "1": 3}),
        (Target(column="y", positive=True), {"yes": 5, "no": 3}),
        (Target(column="y", positive=False), {"false": 5, "true": 3}),
        (Target(column="y", positive="Lost"), {"Lost": 5, "Won": 3}),
        (Target(column="y", positive="churned"), {"churned": 5, "stayed": 3}),
    ],
)
def test_what_surely_means_lost_and_the_only_other_value_make_no_noise(
    target: Target, values: dict[str, int]
) -> None:
    assert told(target, **values) == {}


@pytest.mark.parametrize(
    ("target", "values", "says"),
    [
        (Target(column="y", positive="Won"), {"Won": 5, "Closed Won": 7}, {"won": ["Closed Won"]}),
        (Target(column="y", positive="Won"), {"Won": 5, "In progress": 7}, {"open": ["In progress"]}),
        (Target(column="y", positive="Won"), {"Won": 5, "Lost": 9, "Gone": 7}, {"unknown": ["Gone"]}),
        (Target(column="y", positive="Won"), {"Won": 5, "Gone": 7, "Away": 8}, {"unknown": ["Away", "Gone"]}),
        (
            Target(column="y", positive="Stage 5"),
            {"Stage 5": 5, "Stage 0": 4, "Stage 1": 3},
            {"unknown": ["Stage 0", "Stage 1"]},
        ),
        (Target(column="y", positive=1), {"1": 5, "0": 9, "2": 7}, {"unknown": [2]}),
        (Target(column="y", positive=3), {"3": 5, "0": 9, "1": 7}, {"unknown": [1]}),
        (Target(column="y", positive=True), {"yes": 5, "no": 9, "maybe": 1}, {"unknown": ["maybe"]}),
        (
            Target(column="y", positive="Lost"),
            {"Lost": 5, "Won": 9, "Closed lost": 1},
            {"won": ["Closed lost"]},
        ),
    ],
)
def test_any_other_value_is_told(
    target: Target, values: dict[str, int], says: dict[str, list[object]]
) -> None:
    assert told(target, **values) == says


@pytest.mark.parametrize(
    "values",
    [pa.array([1, 0, 2, None]), pa.array([1.0, 0.0, 2.0, None], pa.float32()), pa.array(["1", "0", "2", ""])],
)
def test_numbers_are_told_with_their_row_in_any_type(values: pa.Array) -> None:
    contract = parse_contract(
        "name: crm\nid: id\ntarget: {column: y, positive: 1}\nfeatures: [{name: budget, type: numeric}]\n"
    )
    table = pa.table({"id": ["a", "b", "c", "d"], "budget": [1.0, 2.0, 3.0, 4.0], "y": values})
    found = [(i.kind, i.row, i.share) for i in check_table(contract, table).issues]
    assert found == [("unlisted_outcome", 3, 0.25)]


def test_a_wrong_column_is_not_printed_whole() -> None:
    seen = [(f"Person {i}", 1) for i in range(5000)]
    (unlisted,) = unlisted_outcomes(CONTRACT.target, seen)
    assert unlisted.rows == 5000
    assert "(5000 in all)" in unlisted.sentence
    assert len(unlisted.sentence) < 400
