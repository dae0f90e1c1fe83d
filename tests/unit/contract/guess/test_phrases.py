"""Column names as people say them, and the reasons that come of it."""

from __future__ import annotations

import pytest

from leadscore.contract import Boolean, Categorical, Feature, Numeric
from leadscore.contract.guess.phrases import says_nothing, with_phrase
from leadscore.scoring.sentences import sentences_of


def said(feature: Feature, value: float) -> str:
    return sentences_of(with_phrase(feature)).say(value, "raises")[1]


@pytest.mark.parametrize(
    ("name", "integer", "value", "sentence"),
    [
        ("time_on_our_site", False, 12.0, "Time on our site of 12 raises the score."),
        ("first_response_hours", False, 5.0, "First response of 5 hours raises the score."),
        ("first_response_hours", False, 1.0, "First response of 1 hour raises the score."),
        ("minutes_on_site", False, 12.0, "12 minutes on site raise the score."),
        ("days_since_last_contact", True, 1.0, "1 day since last contact raises the score."),
        ("num_visits", True, 0.0, "No visits raise the score."),
        ("reply_count", True, 1.0, "1 reply raises the score."),
        ("box_count", True, 1.0, "1 box raises the score."),
        ("TotalVisits", True, 3.0, "3 total visits raise the score."),
        ("visits_last_30_days", True, 3.0, "3 visits in the last 30 days raise the score."),
        ("Page Views Per Visit", False, 2.5, "2.5 page views per visit raise the score."),
        ("no_of_employees", True, 3.0, "3 employees raise the score."),
        ("nr_employed", True, 12.0, "12 employed raise the score."),
        ("BounceRates", False, 0.2, "Bounce rate of 0.2 raises the score."),
        ("discount_pct", False, 5.0, "Discount of 5% raises the score."),
        ("budget_eur", False, 5000.0, "Budget of 5,000 EUR raises the score."),
        ("Quote_Age_Days", True, 3.0, "Quote age of 3 days raises the score."),
        ("age", True, 40.0, "Age of 40 years raises the score."),
        ("OperatingSystems", True, 2.0, "Operating system of 2 raises the score."),
    ],
)
def test_a_number_reads_as_people_say_it(name: str, integer: bool, value: float, sentence: str):
    assert said(Numeric(name=name, integer=integer), value) == sentence


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("has_phone", "Having a phone raises the score.", "No phone raises the score."),
        ("HasChildren", "Having children raises the score.", "No children raises the score."),
        ("is_active", "Being active raises the score.", "Not being active raises the score."),
        ("newsletter", "Newsletter (yes) raises the score.", "Newsletter (no) raises the score."),
    ],
)
def test_a_truth_reads_as_people_say_it(name: str, yes: str, no: str):
    assert (said(Boolean(name=name), 1.0), said(Boolean(name=name), 0.0)) == (yes, no)


def test_a_category_reads_as_people_say_it():
    assert (
        said(Categorical(name="utm_source", categories=("web",)), 0.0) == "UTM source “web” raises the score."
    )


@pytest.mark.parametrize(
    "name",
    [
        "pdays",
        "poutcome",
        "emp.var.rate",
        "emp_var_rate",
        "cons_price_idx",
        "cons_conf_idx",
        "euribor3m",
        "nr.employed",
    ],
)
def test_a_name_with_an_abbreviation_stays_in_quotes(name: str):
    assert with_phrase(Numeric(name=name)).description == f"“{name}”"
    assert said(Numeric(name=name), 2.0) == f"“{name}” of 2 raises the score."
    assert said(Categorical(name=name, categories=("x",)), 0.0) == f"“{name}” “x” raises the score."


def test_a_name_in_quotes_keeps_its_signs():
    assert said(Numeric(name="emp. rate (eur)"), 2.0) == "“emp. rate (eur)” of 2 EUR raises the score."


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("sales_agent", "Sales agent"),
        ("q4_revenue", "Q4 revenue"),
        ("Asymmetrique Activity Index", "Asymmetrique activity index"),
        ("How did you hear about X Education", "How did you hear about x education"),
        ("tv_spend_90d", "TV spend 90d"),
        ("page_type_2", "Page type 2"),
        ("straße", "Straße"),
        ("pflichtfeld", "Pflichtfeld"),
        ("schriftlich", "Schriftlich"),
    ],
)
def test_a_name_of_words_becomes_a_phrase_without_a_full_stop(name: str, phrase: str):
    assert with_phrase(Categorical(name=name, categories=("x",))).description == phrase


def test_what_a_person_wrote_is_kept():
    feature = Numeric(name="num_visits", description="Visits in all.", unit="visits")
    assert with_phrase(feature) == feature


def test_names_that_say_nothing_are_known():
    assert all(map(says_nothing, ["Var1", "x3", "col_12", "feature 7", "n"]))
    assert not any(map(says_nothing, ["visits", "q4_revenue", "b2b", "age"]))
