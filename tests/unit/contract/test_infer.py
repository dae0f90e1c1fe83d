from __future__ import annotations

import unicodedata
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadscore.contract import Boolean, Categorical, ColumnFormat, Numeric
from leadscore.contract.check import check_table
from leadscore.contract.infer import Inference, infer_contract
from leadscore.contract.propose import MAX_CATEGORIES
from leadscore.contract.ranges import widen
from leadscore.errors import ContractError, TableError

ROWS = 200
RANDOM = np.random.default_rng(7)
BASE: dict[str, object] = {
    "id": [f"L-{i}" for i in range(ROWS)],
    "y": RANDOM.integers(0, 2, ROWS),
    "budget": RANDOM.normal(100.0, 20.0, ROWS),
}
BANK = Path("../shared/data/bank_marketing_2008_2010.csv")
needs_bank = pytest.mark.skipif(not BANK.exists(), reason="the data is not the project's to give")


def infer(time: str | None = None, positive: str | None = None, **columns: object) -> Inference:
    return infer_contract(
        pa.table(BASE | columns), target="y", id="id", time=time, positive=positive, name="crm"
    )


def findings(inference: Inference) -> set[tuple[str, str]]:
    return {(f.column, f.kind) for f in inference.findings}


def names(inference: Inference) -> list[str]:
    return [f.name for f in inference.contract.features]


def cycle(*values: object) -> list[object]:
    return [values[i % len(values)] for i in range(ROWS)]


# --- types --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (cycle(True, False, None), Boolean),
        (cycle(1, 0, 0), Numeric),
        (cycle("yes", "no", "no"), Categorical),
        (cycle("true", "false", "false"), Boolean),
        (cycle("true", "false", "unknown"), Categorical),
        (cycle(1.5, None, 2.5), Numeric),
        (cycle(Decimal("1.50"), Decimal("2.25"), None), Numeric),
        (pa.array(cycle("a", "b", None)).dictionary_encode(), Categorical),
        (pa.array(cycle("a", "b", None), pa.large_string()), Categorical),
        (pa.array(cycle("a", "b", None), pa.string_view()), Categorical),
        (pa.array(cycle(1.5, None, 2.5), pa.float32()), Numeric),
    ],
)
def test_the_type_is_what_requests_will_hold(values: object, kind: type) -> None:
    assert isinstance(infer(x=values).contract.feature("x"), kind)


def test_integers_are_marked() -> None:
    contract = infer(whole=cycle(3, 5, None), real=cycle(3.0, 5.0, 7.5)).contract
    assert [contract.feature(n).integer for n in ("whole", "real")] == [True, False]


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (("12", "-3.5", "1e3", None), ColumnFormat()),
        (("1.234,50", "12", "-"), ColumnFormat(decimal=",", thousands=".")),
        (("$1,234.50", "$7.00", "N/A"), ColumnFormat(thousands=",")),
        (("12,5", "3"), ColumnFormat(decimal=",")),
        (("45 %", "7 %"), ColumnFormat()),
        (("1 234", "7"), ColumnFormat(thousands=" ")),
        ((*map(str, range(20)), "unknown"), ColumnFormat(missing=("unknown",))),
    ],
)
def test_numbers_stored_as_text_are_numeric_and_the_contract_says_how_to_read_them(
    values: tuple[str | None, ...], form: ColumnFormat
) -> None:
    inference = infer(x=cycle(*values))
    assert isinstance(inference.contract.feature("x"), Numeric)
    assert inference.contract.format_of("x") == form
    assert (("x", "number_format") in findings(inference)) == (form != ColumnFormat() or "45 %" in values)


def test_numbers_that_may_be_read_in_two_ways_are_a_question_with_both_lines() -> None:
    inference = infer(x=cycle("1,234", "56,789", "625"))
    found = next(f for f in inference.findings if f.column == "x")
    assert "134 rows" in found.reason
    assert 'formats: {x: {thousands: ","}}' in found.action
    assert 'formats: {x: {decimal: ","}}' in found.action


def test_amounts_in_two_currencies_are_left_out() -> None:
    inference = infer(x=cycle("$5", "5 €", "7 €"))
    assert "x" not in names(inference)
    assert ("x", "number_format") in findings(inference)


def test_numbers_as_text_are_never_taken_for_ids() -> None:
    inference = infer(x=[f"{1000.5 + 7 * i:,.2f}" for i in range(ROWS)])
    assert isinstance(inference.contract.feature("x"), Numeric)


def test_codes_with_leading_zeros_are_categories() -> None:
    inference = infer(x=cycle("01067", "80331", "04109"), zip=cycle(1067, 80331))
    assert inference.contract.feature("x").categories == ("01067", "80331", "04109")
    assert {("x", "code"), ("zip", "code")} <= findings(inference)


def test_the_unit_of_an_amount_is_its_currency() -> None:
    features = infer(x=cycle("5 €", "7 €"), y_hours=cycle(1.5, 2.5)).contract
    assert [features.feature(n).unit for n in ("x", "y_hours")] == ["EUR", "hours"]


def test_the_currency_of_revenue_is_what_is_said() -> None:
    table = pa.table(BASE | {"paid": cycle(1.5, None)})
    asked = {"target": "y", "id": "id", "name": "crm"}
    assert infer_contract(table, **asked, value="paid", currency="CHF").contract.currency == "CHF"
    assert infer_contract(table, **asked, value="paid").contract.currency is None
    with pytest.raises(ContractError, match="no code of ISO 4217"):
        infer_contract(table, **asked, value="paid", currency="francs")
    with pytest.raises(ContractError, match="no `value` column"):
        infer_contract(table, **asked, currency="CHF")


def test_no_feature_is_required() -> None:
    assert not any(f.required for f in infer().contract.features)


# --- ranges and categories ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "integer", "expected"),
    [
        (17, 98, True, (8, 107)),
        (0, 999, True, (0, 1100)),
        (1, 56, True, (0, 62)),
        (-3.4, 1.4, False, (-3.9, 1.9)),
        (-50.8, -26.9, False, (-54, -24)),
        (0.02, 0.7, False, (0.0, 1.0)),
        (-9.0, -1.0, False, (-9.8, -0.2)),
        (-9.0, -0.1, False, (-9.9, 0.0)),
        (5.0, 5.0, False, (5.0, 5.0)),
    ],
)
def test_ranges_are_a_tenth_wider_and_round(
    low: float, high: float, integer: bool, expected: tuple[float, float]
) -> None:
    assert widen(low, high, integer=integer) == expected


@given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300), st.booleans())
def test_ranges_hold_what_was_observed_and_keep_its_sign(a: float, b: float, integer: bool) -> None:
    low, high = min(a, b), max(a, b)
    wide_low, wide_high = widen(low, high, integer=integer)
    assert wide_low <= low <= high <= wide_high
    assert wide_low >= 0 or low < 0
    assert wide_high <= 0 or high > 0


def test_categories_come_by_frequency_with_counts() -> None:
    inference = infer(x=["b"] * 120 + ["a"] * 70 + [None] * 10)
    assert inference.contract.feature("x").categories == ("b", "a")
    summary = next(c for c in inference.columns if c.column == "x")
    assert summary.categories == (("b", 120), ("a", 70))
    assert summary.missing == 0.05


def test_rare_categories_beyond_the_cap_are_left_to_unseen() -> None:
    common = [f"c{i % MAX_CATEGORIES}" for i in range(ROWS - 10)]
    inference = infer(x=common + [f"rare {i}" for i in range(10)])
    assert len(inference.contract.feature("x").categories) == MAX_CATEGORIES
    assert ("x", "rare_categories") in findings(inference)


def test_text_of_too_many_values_is_left_out() -> None:
    inference = infer(x=[f"free text {i % 120}" for i in range(ROWS)])
    assert "x" not in names(inference)
    assert ("x", "many_categories") in findings(inference)


# --- what is left out ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([None] * ROWS, "empty"),
        (pa.array([None] * ROWS, pa.float64()), "empty"),
        (["same"] * ROWS, "constant"),
        ([3] * ROWS, "constant"),
        ([f"key {i}" for i in range(ROWS)], "id_like"),
        (list(range(1000, 1000 + ROWS)), "id_like"),
        (cycle(date(2026, 1, 1), date(2026, 2, 1)), "time"),
        (cycle("2026-01", "2026-02"), "time"),
        (cycle(datetime(2026, 1, 1), datetime(2026, 1, 2)), "time"),  # noqa: DTZ001
        (cycle([1], [2]), "unsupported_type"),
    ],
)
def test_columns_that_are_no_features_are_left_out_and_told(values: object, kind: str) -> None:
    inference = infer(x=values)
    assert "x" not in names(inference)
    assert ("x", kind) in findings(inference)
    assert next(c.role for c in inference.columns if c.column == "x") == "left out"


@pytest.mark.parametrize("name", ["score", "leads", 'quo"te', "tab\there"])
def test_names_that_the_api_cannot_use_are_left_out(name: str) -> None:
    inference = infer(**{name: cycle(1, 2)})
    assert name not in names(inference)
    assert (name, "name") in findings(inference)


@pytest.mark.parametrize("shape", ["copy", "text", "noisy", "when_missing", "not_monotone"])
def test_a_column_that_tells_the_outcome_is_a_leak(shape: str) -> None:
    y = np.asarray(BASE["y"])
    noise = RANDOM.normal(0.0, 0.01, ROWS)
    leak: object = {
        "copy": y * 10,
        "text": [("won" if hit else "lost") for hit in y],
        "noisy": y + noise,
        "when_missing": [float(i) if hit else None for i, hit in enumerate(y)],
        "not_monotone": np.where(y == 1, RANDOM.choice([-5.0, 5.0], ROWS), 0.0) + noise,
    }[shape]
    inference = infer(x=leak)
    assert "x" not in names(inference)
    assert ("x", "leak") in findings(inference)


def test_chance_is_no_leak_even_with_many_categories() -> None:
    inference = infer(x=[f"c{i}" for i in RANDOM.integers(0, 45, ROWS)], z=RANDOM.normal(size=ROWS))
    assert {"x", "z"} <= set(names(inference))


def test_a_time_after_the_lead_is_a_leak() -> None:
    inference = infer(
        time="at",
        at=cycle(date(2026, 1, 1), date(2026, 1, 2)),
        closed=cycle("2026-02-01", "2026-03-01", None),
    )
    assert ("closed", "leak") in findings(inference)


# --- what is marked -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["age", "Gender", "maritalStatus", "contact_gender", "date-of-birth", "race"]
)
def test_protected_attributes_are_marked_sensitive(name: str) -> None:
    inference = infer(**{name: cycle(1, 2, 3)})
    assert inference.contract.feature(name).sensitive
    assert (name, "sensitive") in findings(inference)


@pytest.mark.parametrize(
    "name", ["customer_age", "AgeGroup", "age_of_founder", "sexual_orientation", "health"]
)
def test_people_s_attributes_are_marked_beside_other_words(name: str) -> None:
    assert infer(**{name: cycle(1, 2, 3)}).contract.feature(name).sensitive


@pytest.mark.parametrize(
    "name", ["Quote_Age_Days", "vehicle_age", "AgeOfAccount", "health_score", "credit_union"]
)
def test_the_age_and_health_of_things_are_not(name: str) -> None:
    assert not infer(**{name: cycle(1, 2, 3)}).contract.feature(name).sensitive


@pytest.mark.parametrize("name", ["page_views", "company_age", "usage", "stage", "trace", "agents"])
def test_other_names_are_not(name: str) -> None:
    assert not infer(**{name: cycle(1, 2, 3)}).contract.feature(name).sensitive


def test_a_number_that_seems_to_mean_unknown_is_told() -> None:
    assert ("x", "sentinel") in findings(infer(x=cycle(1, 2, 3, 999)))
    assert ("x", "sentinel") not in findings(infer(x=cycle(1, 400, 800, 999)))


def test_repeated_ids_are_told() -> None:
    assert ("id", "duplicate_ids") in findings(infer(id=cycle("a", "b")))


# --- the target ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        (cycle(0, 1, None), 1),
        (cycle(0.0, 1.0, None), 1),
        (cycle(True, False), True),
        (cycle("no", "yes", "no"), "yes"),
        (cycle("False", "True"), True),
        (cycle("0", "1"), 1),
        (cycle("LOST", "WON"), "WON"),
        (["Closed Won"] * 150 + ["Closed Lost"] * 50, "Closed Won"),
    ],
)
def test_the_positive_value_is_found(values: object, positive: object) -> None:
    inference = infer(y=values)
    assert inference.contract.target.positive == positive
    assert type(inference.contract.target.positive) is type(positive)
    assert ("y", "target") not in findings(inference)


def test_of_two_unknown_values_the_rarer_is_taken_and_told() -> None:
    inference = infer(y=cycle("A", "A", "B"))
    assert inference.contract.target.positive == "B"
    assert ("y", "target") in findings(inference)


def test_the_positive_value_can_be_said() -> None:
    assert infer(y=cycle("a", "b", "c"), positive="b").contract.target.positive == "b"
    assert infer(y=cycle(1, 2, 3), positive="2").contract.target.positive == 2


def test_the_spellings_of_the_positive_value_are_named() -> None:
    inference = infer(y=cycle("Lost", "won", "Won "), positive="Won")
    found = next(f for f in inference.findings if f.kind == "target")
    assert inference.contract.target.positive == "Won"
    assert '"won" (67 rows)' in found.reason
    assert '"Won " (66 rows)' in found.reason


def test_open_deals_are_proposed_as_open_with_the_line_to_write() -> None:
    inference = infer(y=cycle("Won", "Lost", "Engaging", "Prospecting"))
    assert inference.contract.target.open_values == ("Engaging", "Prospecting")
    found = next(f for f in inference.findings if f.kind == "open_values")
    assert '"Engaging" (50 rows)' in found.reason
    assert "open_values: ['Engaging', 'Prospecting']" in found.action


def test_other_numbers_beside_a_positive_count_are_told() -> None:
    assert ("y", "target") in findings(infer(y=cycle(0, 1, 2, 3), positive="1"))


@pytest.mark.parametrize(
    "values", [cycle("a", "b", "c"), cycle(1), [None] * ROWS, [i % 22 for i in range(ROWS)]]
)
def test_a_target_that_tells_nothing_is_refused(values: object) -> None:
    with pytest.raises(TableError):
        infer(y=values)


def test_a_missing_column_is_named_with_the_closest_one() -> None:
    with pytest.raises(TableError) as caught:
        infer_contract(pa.table(BASE), target="y", id="idd", name="crm")
    assert "'idd'" in caught.value.message
    assert "'id'" in caught.value.hint


def test_a_table_without_features_is_refused() -> None:
    with pytest.raises(TableError):
        infer(budget=[1.0] * ROWS)


# --- times --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "written"),
    [
        (("12/31/2025", "01/02/2026"), "%m/%d/%Y"),
        (("31.12.2025 09:30", "01.02.2026 10:00"), "%d.%m.%Y %H:%M"),
        (("1/31/2026 1:30 PM", "2/1/2026 9:00 AM"), "%m/%d/%Y %I:%M %p"),
        (("46027.5", "46028"), "excel"),
        (("1767225600123", "1767312000000"), "epoch_ms"),
        ((1767225600, 1767312000), "epoch_s"),
    ],
)
def test_the_lead_time_s_format_is_written_into_the_contract(texts: tuple[object, ...], written: str) -> None:
    inference = infer(time="at", at=cycle(*texts))
    assert inference.contract.format_of("at").time_format == written
    assert ("at", "time_format") in findings(inference)


def test_a_lead_time_that_can_be_read_in_two_ways_is_asked_at_once() -> None:
    inference = infer(time="at", at=cycle("01/02/2026", "03/04/2026"))
    found = next(f for f in inference.findings if f.column == "at")
    assert not inference.contract.formats
    assert 'formats: {at: {format: "%d/%m/%Y"}}' in found.action
    assert 'formats: {at: {format: "%m/%d/%Y"}}' in found.action


@pytest.mark.parametrize("values", [cycle("soon", "later"), cycle(1, 2), cycle("2026-01-01", "2026-13-01")])
def test_a_lead_time_that_cannot_be_read_is_told_at_once(values: list[object]) -> None:
    assert ("at", "time_format") in findings(infer(time="at", at=values))


def test_iso_times_need_no_word() -> None:
    assert ("at", "time_format") not in findings(
        infer(time="at", at=cycle("2026-01-01", "2026-01-02T09:30:00.123456789Z"))
    )


def test_a_date_in_its_own_format_after_the_lead_is_a_leak() -> None:
    inference = infer(
        time="at", at=cycle("01/31/2026", "02/01/2026"), closed=cycle("03/31/2026", "04/30/2026", None)
    )
    assert ("closed", "leak") in findings(inference)


@pytest.mark.parametrize(
    ("epoch", "per_day", "whole"),
    [(date(1899, 12, 30), 1, True), (date(1899, 12, 30), 1, False), (date(1970, 1, 1), 86_400, True)],
)
def test_dates_counted_as_numbers_after_the_lead_are_a_leak_whatever_the_column_is_called(
    epoch: date, per_day: int, whole: bool
) -> None:
    created = [date(2026, 1, 1 + i % 28) for i in range(ROWS)]
    counted = [
        ((day - epoch).days + 30 + i % 50 + (0 if whole else 0.25)) * per_day for i, day in enumerate(created)
    ]
    for values in (counted, list(map(str, counted))):
        inference = infer(time="at", at=pa.array(created), signature=values)
        assert ("signature", "leak") in findings(inference)
        assert "signature" not in names(inference)


def test_dates_counted_as_numbers_before_the_lead_are_left_out_as_times() -> None:
    created = [date(2026, 1, 1 + i % 28) for i in range(ROWS)]
    counted = [(day - date(1899, 12, 30)).days - 3 - i % 400 for i, day in enumerate(created)]
    assert ("since", "time") in findings(infer(time="at", at=pa.array(created), since=counted))


def test_amounts_of_the_size_of_a_spreadsheets_days_are_amounts() -> None:
    created = [date(2026, 1, 1 + i % 28) for i in range(ROWS)]
    amounts = RANDOM.integers(21_000, 79_000, ROWS).tolist()
    assert "amount" in names(infer(time="at", at=pa.array(created), amount=amounts))


# --- what people should look at -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "bounds"),
    [
        (["1", "2", "3", "4", "> 30"], "> 30"),
        (["1", "2", "3", "10+"], "10+"),
        (["<5", "6", "7", "8", "9"], "<5"),
        (["5,000", "10,000", "20,000", "50,000 or more"], "50,000 or more"),
        (["1", "2", "3", "5-10"], "5-10"),
    ],
)
def test_a_count_with_bounds_in_some_rows_is_told(texts: list[str], bounds: str) -> None:
    inference = infer(employees=cycle(*texts))
    (finding,) = [f for f in inference.findings if f.column == "employees" and f.kind == "number_format"]
    assert bounds in finding.reason
    assert "categories" in finding.action


def test_a_count_with_bounds_and_too_many_numbers_is_told_too() -> None:
    texts = [str(i) if i % 10 else "500+" for i in range(ROWS)]
    assert ("employees", "number_format") in findings(infer(employees=texts))


@pytest.mark.parametrize(
    "texts", [["1-5", "6-10", "11+"], ["a", "1", "2", "3"], ["v1", "v2"], ["1", "2", "3"]]
)
def test_ranges_words_and_numbers_are_not_told_of_as_bounds(texts: list[str]) -> None:
    assert ("employees", "number_format") not in findings(infer(employees=cycle(*texts)))


def test_placeholders_spellings_gaps_and_near_constants_are_told() -> None:
    inference = infer(
        role=cycle("Select", "Buyer", "Owner"),
        source=cycle("Web", "web", "Fair "),
        empty=[None] * 190 + list(range(10)),
        flat=[1] * 199 + [2],
        Var3=cycle(1, 2, 3),
    )
    assert {
        ("role", "placeholder"),
        ("source", "spellings"),
        ("empty", "mostly_missing"),
        ("flat", "nearly_constant"),
        ("Var3", "description"),
    } <= findings(inference)
    assert (
        'formats: {role: {missing: ["Select"]}}'
        in next(f for f in inference.findings if f.column == "role").action
    )


def test_unicode_forms_are_one_category() -> None:
    decomposed = unicodedata.normalize("NFD", "Událost")
    assert len(infer(x=cycle("Událost", decomposed, "Web")).contract.feature("x").categories) == 2


def test_a_column_above_0_85_alone_is_kept_and_questioned() -> None:
    random = np.random.default_rng(3)
    y = random.integers(0, 2, ROWS)
    inference = infer(y=y, x=y + random.normal(0, 0.55, ROWS))
    assert "x" in names(inference)
    found = next(f for f in inference.findings if f.kind == "suspicious")
    assert "known_before: true" in found.action


def test_a_stage_that_means_won_is_named() -> None:
    random = np.random.default_rng(3)
    y = random.integers(0, 2, ROWS)
    stage = np.where(
        (y == 1) & (random.random(ROWS) < 0.6), "Closed", random.choice(["New", "Demo", "Talk"], ROWS)
    )
    found = next(f for f in infer(y=y, stage=stage).findings if f.kind == "leak")
    assert "“Closed”" in found.reason


def test_findings_show_the_shape_of_times_and_amounts_and_not_the_values() -> None:
    inference = infer(time="at", at=cycle("Anna 1", "Berta 2"))
    assert "'aaaa 9'" in next(f for f in inference.findings if f.column == "at").reason


# --- whole tables -------------------------------------------------------------------------------------------

_columns = st.one_of(
    st.lists(st.none() | st.floats(width=32, allow_infinity=False), min_size=30, max_size=30),
    st.lists(st.none() | st.integers(-(2**53), 2**53), min_size=30, max_size=30),
    st.lists(st.none() | st.booleans(), min_size=30, max_size=30),
    st.lists(
        st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=3), min_size=30, max_size=30
    ),
    st.lists(st.sampled_from([None, "1", "2.5", "-3"]), min_size=30, max_size=30),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_columns, min_size=1, max_size=4))
def test_a_table_fits_the_contract_inferred_from_it(columns: list[list[object]]) -> None:
    from leadscore.data.matrix import encode_table

    table = pa.table(
        {"id": range(30), "y": [0, 1] * 15, "always": np.arange(30) % 7}
        | {f"c{i}": values for i, values in enumerate(columns)}
    )
    contract = infer_contract(table, target="y", id="id", name="any").contract
    assert check_table(contract, table).status == "ok"
    assert encode_table(contract, table).shape == (30, len(contract.inputs))


@needs_bank
def test_the_bank_table_needs_no_correction() -> None:
    table = pacsv.read_csv(BANK)
    inference = infer_contract(table, target="converted", id="lead_id", time="contact_month", name="bank")
    texts = table.cast(pa.schema([(name, pa.string()) for name in table.column_names]))
    read_as_text = infer_contract(texts, target="converted", id="lead_id", time="contact_month", name="bank")
    assert (read_as_text.contract, read_as_text.findings) == (inference.contract, inference.findings)
    assert len(inference.contract.inputs) == 17
    assert {f.name for f in inference.contract.sensitive} == {"age", "marital"}
    assert findings(inference) == {
        *((name, "sensitive") for name in ("age", "marital")),
        ("pdays", "sentinel"),
        *((name, "placeholder") for name in ("job", "marital", "education", "default", "housing", "loan")),
    }
    assert check_table(inference.contract, table).status == "ok"
