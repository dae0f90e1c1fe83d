from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.contract import Boolean, Categorical, Feature, FeatureContract, Numeric, Target
from leadscore.scoring.reasons import Explainer
from leadscore.scoring.sentences import Direction, sentences_of

VISITS = Numeric(
    name="pricing_visits", integer=True, unit="visits", description="Visits to the pricing page."
)
OPENED = Numeric(name="opened", integer=True, description="Number of email opens in the last 30 days.")
BUDGET = Numeric(name="budget", unit="EUR", description="Budget (as the lead stated it).")
SHARE = Numeric(name="open_share", unit="%", description="Share of mails opened")
PLAIN = Numeric(name="response_time", description="")
PHONE = Boolean(name="has_phone", description="Has a phone number")
URGENT = Boolean(name="urgent", description="Is urgent")
WEEKEND = Boolean(name="weekend", description="Created at the weekend")
SOURCE = Categorical(name="source", categories=("website", "referral {x}"), description="Lead source")


@pytest.mark.parametrize(
    ("feature", "value", "direction", "sentence"),
    [
        (VISITS, 3.0, "raises", "3 visits to the pricing page raise the score."),
        (VISITS, 1.0, "raises", "1 visit to the pricing page raises the score."),
        (VISITS, 0.0, "lowers", "No visits to the pricing page lower the score."),
        (VISITS, 1200.0, "lowers", "1,200 visits to the pricing page lower the score."),
        (OPENED, 2.0, "raises", "2 email opens in the last 30 days raise the score."),
        (OPENED, 1.0, "lowers", "1 email open in the last 30 days lowers the score."),
        (BUDGET, 12000.0, "raises", "Budget of 12,000 EUR raises the score."),
        (BUDGET, math.nan, "lowers", "Budget is unknown, which lowers the score."),
        (SHARE, 12.5, "raises", "Share of mails opened of 12.5% raises the score."),
        (PLAIN, 0.25, "lowers", "Response time of 0.25 lowers the score."),
        (PHONE, 0.0, "lowers", "No phone number lowers the score."),
        (PHONE, 1.0, "raises", "Having a phone number raises the score."),
        (PHONE, math.nan, "lowers", "Whether there is a phone number is unknown, which lowers the score."),
        (URGENT, 0.0, "lowers", "Not being urgent lowers the score."),
        (WEEKEND, 1.0, "lowers", "Created at the weekend (yes) lowers the score."),
        (SOURCE, 1.0, "raises", "Lead source “referral {x}” raises the score."),
        (SOURCE, math.nan, "lowers", "Lead source is unknown, which lowers the score."),
        (SOURCE, 7.0, "lowers", "Lead source is unknown, which lowers the score."),
    ],
)
def test_a_salesperson_reads_a_sentence(
    feature: Feature, value: float, direction: Direction, sentence: str
) -> None:
    assert sentences_of(feature).say(value, direction)[1] == sentence


def test_values_come_back_as_the_caller_wrote_them() -> None:
    assert sentences_of(BUDGET).say(float(np.float32(0.1)), "raises")[0] == 0.1
    assert sentences_of(BUDGET).say(math.nan, "raises")[0] is None
    assert sentences_of(PHONE).say(1.0, "raises")[0] is True
    assert sentences_of(SOURCE).say(0.0, "raises")[0] == "website"


@given(st.floats(width=32, allow_nan=True, allow_infinity=False))
def test_any_number_has_a_sentence_without_jargon(value: float) -> None:
    for feature in (VISITS, BUDGET, SHARE, PLAIN):
        text = sentences_of(feature).say(value, "lowers")[1]
        assert text.endswith(" the score.")
        assert not re.search(r"log-?odds|shap|margin|nan", text, re.IGNORECASE)


CONTRACT = FeatureContract(
    name="t", id="id", target=Target(column="y"), features=(VISITS, BUDGET, PHONE, SOURCE)
)
ROW = np.array([3.0, math.nan, 0.0, 1.0], dtype=np.float32)


def test_the_largest_factors_come_first_with_sign_and_share() -> None:
    shapley = np.array([0.5, -2.0, 0.0, 1.5, -0.7])
    reasons = Explainer(CONTRACT).reasons(ROW, shapley, 2)
    assert [(r.feature, r.direction, r.impact) for r in reasons] == [
        ("budget", "lowers", -2.0),
        ("source", "raises", 1.5),
    ]
    assert [r.share for r in reasons] == [0.5, 0.375]


def test_a_feature_without_effect_is_never_a_reason() -> None:
    reasons = Explainer(CONTRACT).reasons(ROW, np.array([0.5, 0.0, 0.0, 0.0, -0.7]), 4)
    assert [r.feature for r in reasons] == ["pricing_visits"]
    assert Explainer(CONTRACT).reasons(ROW, np.zeros(5), 4) == ()


def test_equal_factors_keep_contract_order() -> None:
    reasons = Explainer(CONTRACT).reasons(ROW, np.array([1.0, -1.0, 1.0, 1.0, 0.0]), 3)
    assert [r.feature for r in reasons] == ["pricing_visits", "budget", "has_phone"]


@pytest.mark.parametrize("top", [0, -1])
def test_asking_for_no_reasons_gives_none(top: int) -> None:
    assert Explainer(CONTRACT).reasons(ROW, np.ones(5), top) == ()


@given(st.lists(st.floats(-5, 5), min_size=5, max_size=5))
def test_shares_of_all_reasons_sum_to_one(values: list[float]) -> None:
    reasons = Explainer(CONTRACT).reasons(ROW, np.array(values), 4)
    assert sum(r.share for r in reasons) == pytest.approx(1.0 if reasons else 0.0)
