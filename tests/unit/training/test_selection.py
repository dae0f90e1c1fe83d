"""Which leads a run learns from: by age, never because an outcome happens to be known.

Not from the future.
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from leadscore.contract import FeatureContract
from leadscore.data.matrix import labels
from leadscore.data.synthetic import generate
from leadscore.errors import RefusedError
from leadscore.training.options import TrainOptions
from leadscore.training.rates import rate_warnings, wilson, window_rate
from leadscore.training.selection import TrainingSelection, select_leads

START = datetime(2022, 1, 1, tzinfo=UTC)
LATER = datetime(2030, 1, 1, tzinfo=UTC)
OPTIONS = TrainOptions(name="crm", months=24, min_records=500)


def select(table: pa.Table, contract: FeatureContract, **changes: object) -> TrainingSelection:
    return select_leads(table, contract, dataclasses.replace(OPTIONS, **changes), threads=1)


def funnel(loss_delay: float, *, months: float = 36, rows: int = 9000, seed: int = 1) -> pa.Table:
    return generate(rows=rows, seed=seed, start=START, months=months, loss_delay=loss_delay)


def truth(contract: FeatureContract, like: pa.Table, loss_delay: float, *, seed: int = 1) -> np.ndarray:
    """The outcomes of the leads in `like`, known or not."""
    told = generate(
        rows=9000,
        seed=seed,
        start=START,
        months=36,
        loss_delay=loss_delay,
        as_of=datetime(2060, 1, 1, tzinfo=UTC),
    )
    return labels(contract, told)[np.isin(told["lead_id"].to_numpy(), like["lead_id"].to_numpy())]


@pytest.mark.parametrize("loss_delay", [14, 60, 180, 360])
def test_training_sees_the_true_conversion_rate_however_late_losses_are_admitted(
    contract: FeatureContract, loss_delay: float
) -> None:
    table = funnel(loss_delay)
    chosen = select(table, contract)
    created = table["created_at"].to_numpy().astype("datetime64[us]")
    inside = table.filter(pa.array((created >= chosen.window.start) & (created <= chosen.window.end)))
    true = wilson(truth(contract, inside, loss_delay).mean(), inside.num_rows)
    seen = window_rate("training", chosen.leads.converted, chosen.leads.weights)
    assert true.low <= seen.rate <= true.high


def test_losses_that_take_longer_than_the_table_are_refused_with_months_and_rates(
    contract: FeatureContract,
) -> None:
    with pytest.raises(RefusedError, match="In no part of the table") as caught:
        select(funnel(360, months=9), contract)
    text = str(caught.value)
    assert "are still open after" in text
    assert "2022-01: " in text
    assert "of these converted" in text


def test_without_dates_of_outcomes_a_funnel_of_late_losses_is_refused(contract: FeatureContract) -> None:
    undated = msgspec.structs.replace(
        contract, target=msgspec.structs.replace(contract.target, known_at=None)
    )
    with pytest.raises(RefusedError, match="In no part of the table"):
        select(funnel(360, months=9), undated)
    chosen = select(funnel(60), undated)
    assert "does not say when" in chosen.delay.note
    assert chosen.mature == 0


def test_a_bulk_import_of_outcomes_does_not_make_known_leads_young(contract: FeatureContract) -> None:
    table = generate(rows=4000, seed=3, start=START, months=12, as_of=datetime(2060, 1, 1, tzinfo=UTC))
    at = table.column_names.index("outcome_known_at")
    day = pa.array([datetime(2023, 1, 2, tzinfo=UTC)] * table.num_rows, table.schema.field(at).type)
    chosen = select(table.set_column(at, "outcome_known_at", day), contract)
    assert len(chosen.leads.converted) == table.num_rows
    assert (chosen.leads.weights == 1).all()


def test_a_lead_of_the_year_2205_is_left_out_and_counted(contract: FeatureContract) -> None:
    table = funnel(14)
    created = table["created_at"].to_pylist()
    created[5] = datetime(2205, 3, 1, tzinfo=UTC)
    at = table.column_names.index("created_at")
    typo = table.set_column(at, "created_at", pa.array(created, table.schema.field(at).type))
    chosen = select(typo, contract)
    assert chosen.left_out.future == 1
    assert chosen.window.end == select(table, contract).window.end


def test_an_outcome_that_lies_in_the_future_is_not_known_yet(contract: FeatureContract) -> None:
    table = funnel(14)
    now = datetime(2024, 12, 1, tzinfo=UTC)
    chosen = select_leads(table, contract, OPTIONS, threads=1, now=now)
    assert pc.max(chosen.leads.table["outcome_known_at"]).as_py() <= now
    assert chosen.left_out.future == int((table["created_at"].to_numpy() > np.datetime64("2024-12-01")).sum())
    assert select(table, contract, as_of=now).leads.ticks.tolist() == chosen.leads.ticks.tolist()


def test_a_table_of_the_future_alone_is_refused(contract: FeatureContract) -> None:
    with pytest.raises(RefusedError, match=r"no lead up to 2021-01-01 \(9,000 are later\)"):
        select(funnel(14), contract, as_of=datetime(2021, 1, 1, tzinfo=UTC))


def test_open_leads_without_a_time_are_left_out_and_counted(contract: FeatureContract) -> None:
    table = funnel(14)
    open_row = int(np.flatnonzero(np.isnan(labels(contract, table)))[0])
    created = table["created_at"].to_pylist()
    created[open_row] = None
    at = table.column_names.index("created_at")
    chosen = select(
        table.set_column(at, "created_at", pa.array(created, table.schema.field(at).type)), contract
    )
    assert chosen.left_out.untimed == 1


def test_stages_that_count_as_lost_though_nobody_listed_them_are_told(contract: FeatureContract) -> None:
    table = funnel(14)
    words = {1.0: "Won", 0.0: "Lost"}
    stages = [words.get(label, "Open") for label in labels(contract, table).tolist()]
    target = msgspec.structs.replace(contract.target, positive="Won", open_values=("Open",))
    funnelled = msgspec.structs.replace(contract, target=target)

    def told() -> tuple[str, ...]:
        at = table.column_names.index(target.column)
        return select(table.set_column(at, target.column, pa.array(stages)), funnelled).unlisted

    assert told() == ()
    lost = [row for row, stage in enumerate(stages) if stage == "Lost"]
    for row in lost[:7]:
        stages[row] = "Closed Won"
    for row in lost[7:9]:
        stages[row] = "Negotiation (stalled)"
    won, still_open = told()
    assert won.startswith('"Closed Won" (7 rows) counts as not converted')
    assert still_open.startswith('"Negotiation (stalled)" (2 rows) counts as not converted')


def test_repeated_and_contradictory_ids_are_counted(contract: FeatureContract) -> None:
    table = funnel(14, rows=3000)
    at, target = table.column_names.index("lead_id"), table.column_names.index("converted")
    ids, won = table["lead_id"].to_pylist(), table["converted"].to_pylist()
    ids[10], won[9], won[10] = ids[9], 1, 0
    ids[20], won[19], won[20] = ids[19], 0, 0
    table = table.set_column(at, "lead_id", pa.array(ids)).set_column(
        target, "converted", pa.array(won, pa.int8())
    )
    chosen = select(table, contract, months=40)
    assert (chosen.left_out.repeated, chosen.left_out.contradictory) == (2, 1)


def test_recent_leads_are_younger_than_the_window_and_weighted(contract: FeatureContract) -> None:
    chosen = select(funnel(60), contract, delay_aware=True)
    recent = chosen.recent
    assert recent is not None
    assert recent.ticks.min() > chosen.leads.ticks.max()
    assert recent.weights.max() <= 4.0 + 1e-9
    lost = ~recent.converted
    assert recent.weights[lost].mean() > recent.weights[~lost].mean() >= 1.0
    assert select(funnel(60), contract).recent is None


def test_where_training_and_truth_part_it_is_said(contract: FeatureContract) -> None:
    table = funnel(180)
    chosen = select(table, contract, min_completeness=0.6)
    rate = window_rate("training", chosen.leads.converted, chosen.leads.weights)
    said = rate_warnings(
        (rate,), chosen.delay, unknown=chosen.window.unknown, labelled=len(chosen.leads.converted)
    )
    assert any("with the leads that are still open it is" in sentence for sentence in said)
    undated = msgspec.structs.replace(
        contract, target=msgspec.structs.replace(contract.target, known_at=None)
    )
    blind = select(table, undated, min_completeness=0.6)
    rate = window_rate("training", blind.leads.converted, blind.leads.weights)
    said = rate_warnings(
        (rate,), blind.delay, unknown=blind.window.unknown, labelled=len(blind.leads.converted)
    )
    assert any("the true conversion rate is somewhere between" in sentence for sentence in said)
