"""`leadscore score` with a real model from a real registry."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import typer
from tests.support.artefacts import build_artefact
from typer.testing import CliRunner

from leadscore.cli.score import score
from leadscore.data.synthetic import Scenario, generate, synthetic_contract
from leadscore.data.tables import read_table, write_table
from leadscore.errors import NotFoundError, TableError
from leadscore.registry.store import ModelRegistry
from leadscore.scoring.model import ScoringModel
from leadscore.settings import Home

ROWS = 3_000


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    root = tmp_path_factory.mktemp("home")
    found = Home.from_environment({"LEADSCORE_HOME": str(root)})
    artefact = build_artefact(root / "made", name="leads", contract=synthetic_contract())
    ModelRegistry(found).publish(artefact, "leads", alias="champion")
    return found


@pytest.fixture(scope="module")
def leads(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("leads") / "leads.parquet"
    start = datetime(2026, 1, 1, tzinfo=UTC)
    new = Scenario("new_categories", datetime(2026, 2, 1, tzinfo=UTC))
    write_table(generate(rows=ROWS, seed=1, start=start, months=3, scenarios=[new]), path)
    return path


@pytest.fixture
def call(home, monkeypatch):
    monkeypatch.setenv("LEADSCORE_HOME", str(home.root))
    app = typer.Typer()
    app.command("score")(score)

    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)

    return run


def test_the_file_holds_what_the_service_would_answer(call, home, leads, tmp_path):
    output = tmp_path / "scores.parquet"
    result = call("--data", leads, "--model", "leads@champion", "-o", output, "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert document["rows"] == ROWS
    assert sum(count["rows"] for count in document["grades"]) == ROWS
    assert {column["column"] for column in document["unseen"]} == {"source", "industry", "legal_form"}

    model = ScoringModel.load(ModelRegistry(home).fetch("leads"))
    names = [feature.name for feature in model.contract.inputs]
    scores = read_table(output).to_pylist()
    for lead, stored in zip(read_table(leads).slice(0, 200).to_pylist(), scores[:200], strict=True):
        request = {"lead_id": lead["lead_id"], **{name: lead[name] for name in names}}
        expected = model.score_row(model.decoder.decode(json.dumps(request).encode()).row)
        assert stored["lead_id"] == lead["lead_id"]
        assert stored["probability"] == pytest.approx(expected.probability, abs=1e-7)
        assert stored["grade"] == expected.grade


def test_people_get_a_table_and_a_warning_per_column(call, leads, tmp_path):
    result = call("--data", leads, "--model", "leads", "-o", tmp_path / "scores.parquet")
    assert "rows per second" in result.stdout
    assert "grade A" in result.stdout
    assert "source holds categories the model has not seen" in result.output.replace("\n", " ")


def test_every_format_gives_the_same_scores(call, leads, tmp_path):
    probabilities = []
    for suffix in ("parquet", "csv"):
        source = tmp_path / f"leads.{suffix}"
        write_table(read_table(leads), source)
        call("--data", source, "--model", "leads", "-o", tmp_path / f"{suffix}.scores.parquet")
        probabilities.append(read_table(tmp_path / f"{suffix}.scores.parquet")["probability"].to_numpy())
    assert np.array_equal(*probabilities)


def test_a_wrong_path_or_model_is_said_before_anything_is_written(call, leads, tmp_path):
    with pytest.raises(TableError, match="no table"):
        call("--data", tmp_path / "none.parquet", "--model", "leads", "-o", tmp_path / "s.parquet")
    with pytest.raises(NotFoundError):
        call("--data", leads, "--model", "nobody", "-o", tmp_path / "s.parquet")
    assert list(tmp_path.iterdir()) == []
