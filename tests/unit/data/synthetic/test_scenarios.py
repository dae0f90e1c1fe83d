"""Scenarios change what they say, from when they say, and nothing else."""

from datetime import UTC, datetime

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadscore.data.matrix import encode_batch, labels
from leadscore.data.synthetic import SCENARIOS, Scenario, parse_scenario, simulate, synthetic_contract
from leadscore.errors import BadInputError

START = datetime(2025, 1, 1, tzinfo=UTC)
AT = datetime(2025, 7, 1, tzinfo=UTC)
LATER = datetime(2030, 1, 1, tzinfo=UTC)
CONTRACT = synthetic_contract()
LABELS = {"converted", "outcome_known_at", "revenue"}


def world(*scenarios, rows=30_000, seed=4):
    return simulate(rows=rows, seed=seed, start=START, months=12, as_of=LATER, scenarios=scenarios)


@pytest.fixture(scope="module")
def calm():
    return world()


@pytest.fixture(scope="module")
def first(calm):
    return int((calm.table["created_at"].to_numpy() >= np.datetime64("2025-07-01")).argmax())


def changed_columns(calm, other, first) -> set[str]:
    left, right = calm.table.slice(first), other.table.slice(first)
    return {name for name in left.column_names if not left[name].equals(right[name])}


@settings(max_examples=25, deadline=None)
@given(
    scenarios=st.lists(
        st.builds(
            Scenario,
            name=st.sampled_from(sorted(SCENARIOS)),
            at=st.sampled_from([AT, datetime(2025, 9, 1, 12, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)]),
            magnitude=st.floats(0, 3),
            ramp_days=st.sampled_from([0.0, 30.0]),
        ),
        max_size=4,
    )
)
def test_no_combination_changes_the_rows_before_its_date(calm, scenarios):
    other = world(*scenarios, rows=3_000)
    plain = world(rows=3_000)
    count = int((plain.table["created_at"].to_numpy() < np.datetime64("2025-07-01")).sum())
    assert other.table.slice(0, count).equals(plain.table.slice(0, count))
    assert np.array_equal(other.true_probability[:count], plain.true_probability[:count])
    assert other.table["created_at"].equals(plain.table["created_at"])


@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - {"no_drift"}))
def test_magnitude_zero_and_a_date_after_the_end_are_calm(calm, name):
    assert world(Scenario(name, AT, 0.0)).table.equals(calm.table)
    assert world(Scenario(name, LATER)).table.equals(calm.table)


def test_calm_is_calm(calm):
    assert world(Scenario("no_drift", AT)).table.equals(calm.table)


@pytest.mark.parametrize(
    ("name", "touched"),
    [
        ("missingness", {"budget", "urgency", "reply_hours", "email_opens"}),
        ("pipeline_bug", {"budget", "minutes_on_site"}),
        ("concept_drift", LABELS),
        ("seasonal_cycle", {"urgency", *LABELS}),
    ],
)
def test_a_scenario_touches_its_columns_only(calm, first, name, touched):
    assert changed_columns(calm, world(Scenario(name, AT)), first) == touched


def test_the_pipeline_bug_sends_cents_and_loses_minutes(calm, first):
    other = world(Scenario("pipeline_bug", AT))
    before, after = (w.table["budget"].slice(first).drop_null().to_numpy() for w in (calm, other))
    assert np.array_equal(after, before * 100)
    assert other.table["minutes_on_site"].slice(first).null_count == other.table.num_rows - first


def test_half_a_pipeline_bug_hits_half_of_the_rows(calm, first):
    other = world(Scenario("pipeline_bug", AT, 0.5))
    before, after = (w.table["budget"].slice(first).drop_null().to_numpy() for w in (calm, other))
    assert (after != before).mean() == pytest.approx(0.5, abs=0.03)


def test_missingness_only_takes_away(calm, first):
    other = world(Scenario("missingness", AT))
    left, right = calm.table.slice(first), other.table.slice(first)
    for name in ("budget", "urgency", "reply_hours", "email_opens"):
        assert right[name].null_count > left[name].null_count + 0.2 * len(left)
        kept = right[name].is_valid()
        assert left[name].filter(kept).equals(right[name].filter(kept))


def test_new_categories_are_not_in_the_contract(calm, first):
    other = world(Scenario("new_categories", AT))
    names = [feature.name for feature in CONTRACT.inputs]
    unseen = dict(
        zip(names, encode_batch(CONTRACT, other.table).unseen / (len(other.table) - first), strict=True)
    )
    assert {name for name, share in unseen.items() if share} == {"source", "industry", "legal_form"}
    assert unseen["source"] == pytest.approx(0.21, abs=0.03)


def test_covariate_shift_moves_the_mix_and_keeps_the_reasons(calm, first):
    other = world(Scenario("covariate_shift", AT))
    left, right = (w.table["source"].slice(first).to_pylist() for w in (calm, other))
    assert right.count("social") > 1.5 * left.count("social")
    same = np.array([a == b for a, b in zip(calm.table.to_pylist(), other.table.to_pylist(), strict=True)])
    assert same[first:].mean() > 0.3
    assert np.array_equal(calm.true_probability[same], other.true_probability[same])


def test_prior_shift_changes_how_many_convert_and_not_what_they_look_like(first):
    calm, other = world(rows=120_000, seed=8), world(Scenario("prior_shift", AT), rows=120_000, seed=8)
    half = int((calm.table["created_at"].to_numpy() >= np.datetime64("2025-07-01")).argmax())
    outcome = [labels(CONTRACT, w.table)[half:] for w in (calm, other)]
    assert outcome[0].mean() == pytest.approx(0.135, abs=0.006)
    assert outcome[1].mean() == pytest.approx(0.072, abs=0.005)
    for name in ("meetings", "page_views"):
        columns = [w.table[name].slice(half).to_numpy().astype(float) for w in (calm, other)]
        for value in (0, 1):
            means = [np.nanmean(c[label == value]) for c, label in zip(columns, outcome, strict=True)]
            assert means[1] == pytest.approx(means[0], rel=0.05)
        # Fewer of those who convert: the mix of all leads does change.
        assert np.nanmean(columns[1]) < np.nanmean(columns[0])


def test_concept_drift_turns_the_meaning_of_a_pricing_visit(calm, first):
    other = world(Scenario("concept_drift", AT))
    visits = calm.table["pricing_visits"].slice(first).to_numpy()
    effects = []
    for sim in (calm, other):
        truth = sim.true_probability[first:]
        effects.append(truth[visits >= 3].mean() / truth[visits == 0].mean())
    assert effects[0] > 2.0
    assert effects[1] < 0.6 * effects[0]


def test_the_season_peaks_in_january_and_is_low_in_july():
    sim = simulate(rows=60_000, seed=3, start=START, months=12, scenarios=[Scenario("seasonal_cycle", START)])
    month = sim.table["created_at"].to_numpy().astype("datetime64[M]").astype(int) % 12
    assert sim.true_probability[month == 0].mean() > 1.3 * sim.true_probability[month == 6].mean()


def test_a_ramp_grows_to_full_strength():
    ramp = Scenario("concept_drift", AT, 2.0, ramp_days=10)
    days = np.array(["2025-06-30", "2025-07-01", "2025-07-06", "2025-07-11", "2026-01-01"], "datetime64[us]")
    assert ramp.strength(days).tolist() == [0.0, 0.0, 1.0, 2.0, 2.0]


def test_scenarios_add_up(calm, first):
    both = world(Scenario("pipeline_bug", AT), Scenario("concept_drift", AT))
    assert changed_columns(calm, both, first) == {"budget", "minutes_on_site", *LABELS}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no_drift", Scenario("no_drift", START)),
        ("missingness@2025-07-01", Scenario("missingness", AT)),
        ("missingness@2025-07-01:0.5", Scenario("missingness", AT, 0.5)),
        ("missingness@2025-07-01:0.5:30", Scenario("missingness", AT, 0.5, 30.0)),
    ],
)
def test_scenarios_are_read_from_text(text, expected):
    assert parse_scenario(text, START) == expected


@pytest.mark.parametrize(
    "text", ["", "storm", "missingness@soon", "missingness@2025-07-01:big", "missingness@2025-07-01:1:2:3",
             "missingness@2025-07-01:nan", "missingness@2025-07-01:-1", "missingness@2025-07-01:1:-5"],
)  # fmt: skip
def test_what_is_no_scenario_is_refused(text):
    with pytest.raises(BadInputError):
        parse_scenario(text, START)


def test_every_scenario_has_one_line():
    assert all(line.endswith(".") and "\n" not in line for line in SCENARIOS.values())
    assert pc.count_distinct(list(SCENARIOS.values())).as_py() == len(SCENARIOS)
