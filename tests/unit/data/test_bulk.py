"""Scoring a table from file to file."""

import threading
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from leadscore.contract import Categorical, FeatureContract, Numeric, Target
from leadscore.data.bulk import score_file
from leadscore.data.matrix import encode_table
from leadscore.data.tables import read_table, write_table
from leadscore.errors import TableError
from leadscore.scoring.grades import Grades, score_of

CONTRACT = FeatureContract(
    name="t",
    id="lead_id",
    target=Target(column="converted"),
    features=(
        Numeric(name="visits"),
        Categorical(name="source", categories=("web", "event")),
        Numeric(name="audit_only", input=False),
    ),
)


GRADES = Grades(0.8, 0.5, 0.1)


@dataclass
class HandMadeModel:
    """A model that one can check by hand: visits per hundred, events count double."""

    contract: FeatureContract = CONTRACT
    grades: Grades = GRADES
    threads: set[int] = field(default_factory=set)

    def score_rows(self, matrix: np.ndarray) -> np.ndarray:
        self.threads.add(threading.get_ident())
        return np.minimum(
            np.nan_to_num(matrix[:, 0] / 200.0) * np.where(matrix[:, 1] == 1, 2.0, 1.0), 1.0
        ).astype(float)


@pytest.fixture
def leads() -> pa.Table:
    rng = np.random.default_rng(1)
    rows = 5_000
    return pa.table(
        {
            "extra": rng.normal(size=rows),
            "source": rng.choice(["web", "event", "fax"], rows),
            "lead_id": [f"L{i}" for i in range(rows)],
            "visits": pa.array(rng.integers(0, 150, rows), mask=rng.random(rows) < 0.1),
        }
    )


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("suffix", ["parquet", "csv", "arrow"])
def test_every_lead_is_scored_in_order(tmp_path, leads, suffix, threads):
    source, destination = tmp_path / f"leads.{suffix}", tmp_path / "scores.parquet"
    write_table(leads, source)
    model = HandMadeModel()
    report = score_file(model, source, destination, threads=threads, batch_rows=512)
    scores = read_table(destination)
    expected = model.score_rows(encode_table(CONTRACT, leads))
    assert scores.column_names == ["lead_id", "probability", "score", "grade"]
    assert scores["lead_id"].equals(leads["lead_id"])
    assert np.array_equal(scores["probability"].to_numpy(), expected)
    assert scores["score"].to_pylist() == [score_of(p) for p in expected]
    assert scores["grade"].to_pylist() == [model.grades.grade(p) for p in expected]
    assert report.rows == leads.num_rows
    assert report.rows_per_second > 0


def test_the_report_counts_grades_and_unseen_categories(tmp_path, leads):
    write_table(leads, tmp_path / "leads.parquet")
    report = score_file(
        HandMadeModel(), tmp_path / "leads.parquet", tmp_path / "scores.parquet", batch_rows=700
    )
    grades = read_table(tmp_path / "scores.parquet")["grade"].to_pylist()
    assert {count.grade: count.rows for count in report.grades} == {g: grades.count(g) for g in "ABCD"}
    (unseen,) = report.unseen
    fax = leads["source"].to_pylist().count("fax")
    assert (unseen.column, unseen.rows, unseen.share) == ("source", fax, fax / leads.num_rows)


def test_a_column_that_is_empty_in_all_rows_is_reported(tmp_path, leads):
    position = leads.column_names.index("source")
    for name, words in (("leads.csv", [None, "N/A", ""]), ("leads.parquet", [None, "-", ""])):
        column = pa.array([words[row % 3] for row in range(leads.num_rows)])
        write_table(leads.set_column(position, "source", column), tmp_path / name)
        report = score_file(HandMadeModel(), tmp_path / name, tmp_path / "scores.parquet", batch_rows=700)
        assert (report.empty, report.unseen) == (("source",), ())


def test_numbers_outside_the_range_are_counted_in_the_precision_of_the_model(tmp_path):
    ranged = msgspec.structs.replace(
        CONTRACT, features=(Numeric(name="visits", range=(0.1, 100)), CONTRACT.features[1])
    )
    visits = [0.1, 100.0, 100.5, 0.05, None, 1e300]
    table = pa.table({"lead_id": list("abcdef"), "source": ["web"] * 6, "visits": visits})
    write_table(table, tmp_path / "leads.parquet")
    report = score_file(
        HandMadeModel(ranged), tmp_path / "leads.parquet", tmp_path / "s.parquet", batch_rows=2
    )
    (outside,) = report.out_of_range
    assert (outside.column, outside.rows, outside.share) == ("visits", 3, 0.5)


def test_progress_counts_up_to_all_rows(tmp_path, leads):
    write_table(leads, tmp_path / "leads.parquet")
    seen: list[int] = []
    score_file(
        HandMadeModel(),
        tmp_path / "leads.parquet",
        tmp_path / "s.parquet",
        batch_rows=1_000,
        progress=seen.append,
    )
    assert seen == [1_000, 2_000, 3_000, 4_000, 5_000]


def test_an_empty_table_gives_an_empty_result(tmp_path, leads):
    write_table(leads.slice(0, 0), tmp_path / "leads.parquet")
    report = score_file(HandMadeModel(), tmp_path / "leads.parquet", tmp_path / "s.parquet")
    assert report.rows == 0
    assert report.unseen == ()
    assert read_table(tmp_path / "s.parquet").num_rows == 0


def test_a_bad_value_names_its_row_in_the_whole_table_and_keeps_the_old_result(tmp_path, leads):
    visits = [str(value) for value in range(5_000)]
    visits[4_321] = "many"
    bad = leads.set_column(3, "visits", pa.array(visits))
    write_table(bad, tmp_path / "leads.parquet")
    (tmp_path / "s.parquet").write_text("old")
    with pytest.raises(TableError, match=r"'visits', row 4322 "):
        score_file(HandMadeModel(), tmp_path / "leads.parquet", tmp_path / "s.parquet", batch_rows=512)
    assert (tmp_path / "s.parquet").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["leads.parquet", "s.parquet"]


def test_a_lead_without_id_is_refused_with_its_row(tmp_path, leads):
    ids = [None if i == 3_000 else f"L{i}" for i in range(5_000)]
    write_table(leads.set_column(2, "lead_id", pa.array(ids)), tmp_path / "leads.parquet")
    with pytest.raises(TableError, match="'lead_id', row 3001 "):
        score_file(HandMadeModel(), tmp_path / "leads.parquet", tmp_path / "s.parquet", batch_rows=512)


@pytest.mark.parametrize("word", ["Subtotal", "TOTAL", "Zwischensumme", "Grand Total"])
def test_a_sum_in_place_of_a_lead_is_refused_with_its_row(tmp_path, leads, word):
    ids = [word if i == 3_000 else f"L{i}" for i in range(5_000)]
    write_table(leads.set_column(2, "lead_id", pa.array(ids)), tmp_path / "leads.parquet")
    with pytest.raises(TableError, match=r"'lead_id', row 3001 .* a sum of other rows"):
        score_file(HandMadeModel(), tmp_path / "leads.parquet", tmp_path / "s.parquet", batch_rows=512)


def test_a_missing_column_is_refused(tmp_path, leads):
    write_table(leads.drop(["visits"]), tmp_path / "leads.parquet")
    with pytest.raises(TableError, match="no column 'visits'"):
        score_file(HandMadeModel(), tmp_path / "leads.parquet", tmp_path / "s.parquet")


def test_categories_stored_as_numbers_are_scored(tmp_path):
    contract = FeatureContract(
        name="t",
        id="lead_id",
        target=Target(column="converted"),
        features=(Numeric(name="visits"), Categorical(name="tier", categories=("1", "2"))),
    )
    write_table(pa.table({"lead_id": [1, 2], "visits": [10, 10], "tier": [1, 2]}), tmp_path / "leads.parquet")
    score_file(HandMadeModel(contract), tmp_path / "leads.parquet", tmp_path / "s.parquet")
    assert read_table(tmp_path / "s.parquet")["score"].to_pylist() == [5.0, 10.0]


def test_the_source_is_never_overwritten(tmp_path, leads):
    write_table(leads, tmp_path / "leads.parquet")
    with pytest.raises(TableError, match="table to be scored"):
        score_file(HandMadeModel(), tmp_path / "leads.parquet", tmp_path / "." / "leads.parquet")
    assert read_table(tmp_path / "leads.parquet").equals(leads)


def test_a_destination_that_is_no_parquet_is_refused(tmp_path, leads):
    write_table(leads, tmp_path / "leads.parquet")
    with pytest.raises(TableError, match="written as Parquet"):
        score_file(HandMadeModel(), tmp_path / "leads.parquet", tmp_path / "s.csv")


def test_batches_are_scored_by_other_threads_than_the_caller(tmp_path, leads):
    write_table(leads, tmp_path / "leads.parquet")
    model = HandMadeModel()
    score_file(model, tmp_path / "leads.parquet", tmp_path / "s.parquet", threads=2, batch_rows=100)
    assert model.threads
    assert threading.get_ident() not in model.threads
