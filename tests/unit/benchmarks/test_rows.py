import numpy as np
import pyarrow as pa
import pytest
from benchmarks.environments import pins
from benchmarks.rows import bank, offline

from leadscore.contract import Categorical, FeatureContract, Numeric, Target


def test_codes_do_not_depend_on_the_order_of_each_row_groups_dictionary():
    column = pa.chunked_array(
        [
            pa.DictionaryArray.from_arrays([0, 1, 0], ["b", "a"]),
            pa.DictionaryArray.from_arrays([0, 1], ["c", "b"]),
        ]
    )

    assert offline._codes(column, ("a", "b", "c")).tolist() == [1, 0, 1, 2, 1]


@pytest.mark.parametrize(("positives", "known"), [(4, False), (5, True), (20, True), (36, False)])
def test_a_month_with_few_of_either_outcome_has_no_auc(positives, known):
    converted = np.arange(40) < positives
    scores = np.linspace(1, 0, 40)

    month = bank._judge("2009-01", np.ones(40, bool), scores, converted, scores)

    assert (month.auc == 1.0) is known
    assert np.isnan(month.auc) is not known
    assert month.leads == 40
    assert month.predicted == pytest.approx(0.5)


def test_the_bank_is_sent_leads_of_the_contract_without_time_and_outcome():
    contract = FeatureContract(
        name="x",
        id="id",
        time="month",
        target=Target(column="won"),
        features=(Numeric(name="age"), Categorical(name="job", categories=("a",))),
    )
    table = pa.table(
        {"won": [1, 0], "month": ["2008-05"] * 2, "job": ["a", None], "age": [30, 40], "id": ["1", "2"]}
    )

    (batch,) = bank._batches(contract, table)

    assert batch == [{"id": "1", "age": 30, "job": "a"}, {"id": "2", "age": 40, "job": None}]


def test_the_contenders_are_pinned():
    assert any(pin.startswith("mlserver==") for pin in pins())
    assert all("==" in pin for pin in pins())
