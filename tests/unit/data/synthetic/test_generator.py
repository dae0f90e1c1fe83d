"""The synthetic CRM: repeatable, hard to the right degree, and late with its outcomes."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import xgboost as xgb

from leadscore.contract import Categorical, Numeric, contract_version, dump_contract, parse_contract
from leadscore.data.matrix import encode_batch, encode_table, labels, matrix_times, values
from leadscore.data.synthetic import generate, simulate, synthetic_contract
from leadscore.errors import BadInputError

START = datetime(2025, 1, 1, tzinfo=UTC)
LATER = datetime(2030, 1, 1, tzinfo=UTC)
CONTRACT = synthetic_contract()


def area_under_curve(score: np.ndarray, label: np.ndarray) -> float:
    ranks = np.empty(len(score))
    ranks[np.argsort(score)] = np.arange(1, len(score) + 1)
    positives = label.sum()
    return (ranks[label == 1].sum() - positives * (positives + 1) / 2) / (
        positives * (len(label) - positives)
    )


@pytest.fixture(scope="module")
def calm():
    return simulate(rows=40_000, seed=11, start=START, months=12, as_of=LATER)


def test_the_same_seed_gives_the_identical_table():
    first, second = (generate(rows=3_000, seed=5, start=START, months=6) for _ in range(2))
    assert first.equals(second)
    assert not first.equals(generate(rows=3_000, seed=6, start=START, months=6))


def test_the_truth_has_the_stated_difficulty():
    sim = simulate(rows=200_000, seed=3, start=START, months=12, as_of=LATER)
    label = labels(CONTRACT, sim.table)
    assert 0.12 <= label.mean() <= 0.15
    # Standard error of an AUC at this size: 0.0013.
    assert area_under_curve(sim.true_probability, label) == pytest.approx(0.875, abs=0.005)


def test_a_well_fitted_model_reaches_the_stated_auc_and_no_more(calm):
    matrix, label = encode_table(CONTRACT, calm.table), labels(CONTRACT, calm.table)
    split = int(0.75 * len(label))
    parameters = {
        "objective": "binary:logistic",
        "max_depth": 4,
        "eta": 0.08,
        "min_child_weight": 10,
        "subsample": 0.8,
        "colsample_bytree": 0.6,
        "nthread": 2,
    }
    booster = xgb.train(parameters, xgb.DMatrix(matrix[:split], label[:split]), 200)
    reached = area_under_curve(booster.predict(xgb.DMatrix(matrix[split:])), label[split:])
    best = area_under_curve(calm.true_probability[split:], label[split:])
    # 30,000 training rows cost about 0.01 against the 100,000 of the documented figure.
    assert 0.85 <= reached <= 0.88
    assert 0.0 < best - reached < 0.018


def test_the_truth_is_calibrated(calm):
    label = labels(CONTRACT, calm.table)
    for part in np.array_split(np.argsort(calm.true_probability), 10):
        expected = calm.true_probability[part].mean()
        error = 4.0 * np.sqrt(expected * (1 - expected) / len(part))
        assert label[part].mean() == pytest.approx(expected, abs=error)


def test_a_linear_model_of_single_features_is_not_the_truth(calm):
    logit = np.log(calm.true_probability / (1 - calm.true_probability))
    matrix = encode_table(CONTRACT, calm.table).astype(float)
    design = np.column_stack([np.ones(len(matrix)), np.nan_to_num(matrix), np.isnan(matrix)])
    fitted, *_ = np.linalg.lstsq(design, logit, rcond=None)
    explained = 1 - np.var(logit - design @ fitted) / np.var(logit)
    assert explained < 0.85


def test_outcomes_take_two_weeks_in_the_median_and_months_in_the_tail(calm):
    known = calm.table["outcome_known_at"].to_numpy() - calm.table["created_at"].to_numpy()
    days = known / np.timedelta64(1, "D")
    assert np.median(days) == pytest.approx(14.0, abs=0.7)
    assert 60 < np.quantile(days, 0.95) < 90
    assert days.max() > 180
    assert days.min() > 0


def test_what_is_not_yet_known_is_empty():
    table = generate(rows=20_000, seed=2, start=START, months=6)
    end = np.datetime64("2025-07-02T15:00", "ms")
    assert pc.max(table["outcome_known_at"]).as_py().replace(tzinfo=None) <= end.item()
    unknown = table["converted"].is_null()
    assert 0.03 < pc.mean(unknown.cast(pa.int8())).as_py() < 0.3
    assert unknown.equals(table["outcome_known_at"].is_null())
    later = generate(rows=20_000, seed=2, start=START, months=6, as_of=LATER)
    known = pc.invert(unknown)
    assert table.filter(known).equals(later.filter(known))
    assert later["converted"].null_count == 0


def test_only_converted_leads_have_revenue_and_larger_companies_bring_more(calm):
    revenue, label = values(CONTRACT, calm.table), labels(CONTRACT, calm.table)
    assert np.array_equal(~np.isnan(revenue), label == 1)
    size = np.array(calm.table["company_size"].to_pylist())
    medians = [np.nanmedian(revenue[size == band]) for band in ("solo", "2-5", "6-20", "21-100")]
    assert medians == sorted(medians)


def test_leads_come_in_office_hours_and_on_weekdays(calm):
    at = matrix_times(CONTRACT, calm.table)
    assert (np.diff(at) >= np.timedelta64(0)).all()
    assert at[0] >= np.datetime64("2025-01-01")
    assert at[-1] <= np.datetime64("2026-01-02")
    hour = at.astype("datetime64[h]").astype(int) % 24
    weekday = (at.astype("datetime64[D]").astype(int) + 3) % 7
    assert ((hour >= 8) & (hour < 18)).mean() > 0.65
    assert (weekday >= 5).mean() < 0.15
    assert calm.table["created_hour"].to_numpy().tolist() == hour.tolist()
    names = np.array(["mon", "tue", "wed", "thu", "fri", "sat", "sun"])
    assert calm.table["created_weekday"].to_pylist() == names[weekday].tolist()


def test_the_contract_describes_the_table(calm):
    assert set(CONTRACT.columns) == set(calm.table.column_names)
    batch = encode_batch(CONTRACT, calm.table)
    assert batch.unseen.sum() == 0
    for position, feature in enumerate(CONTRACT.inputs):
        column = batch.matrix[:, position]
        if isinstance(feature, Numeric):
            assert np.nanmin(column) >= feature.range[0]
            assert np.nanmax(column) <= feature.range[1]
        elif isinstance(feature, Categorical):
            assert len(np.unique(column[~np.isnan(column)])) == len(feature.categories)
    assert contract_version(parse_contract(dump_contract(CONTRACT))) == contract_version(CONTRACT)


def test_gaps_are_frequent_where_they_should_be_and_nowhere_else(calm):
    shares = {name: calm.table[name].null_count / calm.table.num_rows for name in calm.table.column_names}
    assert 0.15 < shares["budget"] < 0.3
    assert 0.3 < shares["reply_hours"] < 0.45
    assert shares["page_views"] == shares["minutes_on_site"] > 0.05
    assert shares["source"] == shares["lead_id"] == shares["created_at"] == 0


def test_features_hang_together(calm):
    table = calm.table.to_pandas()
    assert table["page_views"].corr(table["pricing_visits"], method="spearman") > 0.4
    assert table["budget"].corr(table["expected_revenue"], method="spearman") > 0.3
    assert table.groupby("company_size")["business_email"].mean()["21-100"] > 0.7


def test_gender_is_audited_and_never_an_input():
    assert "contact_gender" in {feature.name for feature in CONTRACT.sensitive}
    assert "contact_gender" not in {feature.name for feature in CONTRACT.inputs}


def test_ids_are_unique_across_blocks():
    table = generate(rows=70_000, seed=1, start=START, months=1)
    assert pc.count_distinct(table["lead_id"]).as_py() == 70_000


@pytest.mark.parametrize("bad", [{"rows": 0}, {"months": 0}, {"months": float("nan")}, {"seed": -1}])
def test_impossible_wishes_are_refused(bad):
    wish = {"rows": 10, "seed": 1, "start": START, "months": 1.0, **bad}
    with pytest.raises(BadInputError, match="Cannot make"):
        generate(**wish)


def test_a_start_without_a_zone_is_utc():
    naive = generate(rows=100, seed=1, start=datetime(2025, 1, 1), months=1)  # noqa: DTZ001
    assert naive.equals(generate(rows=100, seed=1, start=START, months=1))
