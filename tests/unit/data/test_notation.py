"""Parts of a table that write their numbers differently are not read as if they did not."""

from pathlib import Path

import numpy as np
import pytest

from leadscore.contract import ColumnFormat, FeatureContract, Numeric, Target
from leadscore.data.bulk import score_file
from leadscore.data.matrix import encode_table, values
from leadscore.data.tables import read_table
from leadscore.errors import TableError
from leadscore.scoring.grades import Grades

CONTRACT = FeatureContract(
    name="deals",
    id="lead_id",
    target=Target(column="won", positive="yes"),
    value="revenue",
    features=(Numeric(name="amount"),),
)


class Scorer:
    contract = CONTRACT
    grades = Grades(a=0.75, b=0.5, c=0.25)

    def score_rows(self, matrix: np.ndarray) -> np.ndarray:
        return np.full(len(matrix), 0.5)


def folder(path: Path, *files: list[str]) -> Path:
    """A folder of CSV files, each with those amounts."""
    for number, amounts in enumerate(files):
        rows = [f"{number}-{row},{text},{text},no" for row, text in enumerate(amounts)]
        (path / f"{number}.csv").write_text("\n".join(["lead_id,amount,revenue,won", *rows]) + "\n")
    return path


EUROS, DOLLARS = ["€5", "€7", "8"], ["$5", "6"]
DECIMALS = [f"{n}.{n % 90 + 10}" for n in range(1, 200)]
GROUPED = ["1.234", "29.118", "625", "7.350"]


@pytest.mark.parametrize(
    ("first", "second", "says"), [(EUROS, DOLLARS, "one currency"), (["5 %"], ["5"], "percent")]
)
def test_two_currencies_in_two_files_are_refused(tmp_path, first, second, says):
    source = folder(tmp_path, first, second)
    with pytest.raises(TableError, match=says):
        score_file(Scorer(), source, tmp_path / "scores.parquet")
    assert not (tmp_path / "scores.parquet").exists()
    for read in (encode_table, values):
        with pytest.raises(TableError, match=says):
            read(CONTRACT, read_table(source))


def test_two_currencies_far_apart_in_one_file_are_refused(tmp_path):
    source = folder(tmp_path, ["€5"] * 40_000 + ["$5"]) / "0.csv"
    with pytest.raises(TableError, match="one currency"):
        score_file(Scorer(), source, tmp_path / "scores.parquet", batch_rows=1_000)


def test_a_file_of_grouped_thousands_among_files_of_decimals_is_refused(tmp_path):
    source = folder(tmp_path, DECIMALS, GROUPED)
    with pytest.raises(TableError, match="three digits stand behind each decimal mark"):
        score_file(Scorer(), source, tmp_path / "scores.parquet")
    for read in (encode_table, values):
        with pytest.raises(TableError, match="three digits"):
            read(CONTRACT, read_table(source))


def test_a_contract_that_says_what_the_dot_means_is_obeyed(tmp_path):
    decided = FeatureContract(
        name="deals", id="lead_id", target=CONTRACT.target, features=CONTRACT.features,
        formats={"amount": ColumnFormat(decimal=".")},
    )  # fmt: skip
    matrix = encode_table(decided, read_table(folder(tmp_path, DECIMALS, GROUPED)))
    assert matrix[-1, 0] == pytest.approx(7.35)


def test_decimals_that_happen_to_have_three_digits_in_a_small_file_are_read(tmp_path):
    rng = np.random.default_rng(1)
    # One in four has three digits: a file of six in a row comes about by chance.
    several = [
        [f"{rng.integers(1, 900)}.{'1' * (1 + int(d))}" for d in rng.integers(0, 4, 300)] for _ in range(3)
    ]
    assert len(encode_table(CONTRACT, read_table(folder(tmp_path, *several, GROUPED)))) == 904


def test_whole_numbers_beside_decimals_are_no_question(tmp_path):
    assert len(encode_table(CONTRACT, read_table(folder(tmp_path, DECIMALS, ["1000", "2"])))) == 201
