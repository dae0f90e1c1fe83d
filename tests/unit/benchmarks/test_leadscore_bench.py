import json

import numpy as np
import pytest
import typer
from tests.support.artefacts import build_artefact
from typer.testing import CliRunner

from leadscore.cli.bench import bench, bench_leads, table_leads
from leadscore.contract.request import LeadDecoder
from leadscore.errors import NotFoundError
from leadscore.scoring.model import ScoringModel

app = typer.Typer()
app.command()(bench)


@pytest.fixture(scope="module")
def artefact(tmp_path_factory):
    return build_artefact(tmp_path_factory.mktemp("model") / "artefact")


def test_leads_are_drawn_from_the_models_own_profile_and_are_valid(artefact):
    model = ScoringModel.load(artefact, backend="numpy")
    decoder = LeadDecoder(model.contract)

    matrix = bench_leads(model.contract, model.profile, 200, seed=1)
    decoded = [decoder.decode(json.dumps(lead).encode()) for lead in table_leads(model.contract, matrix)]

    assert all(lead.warnings == () for lead in decoded)
    for column, feature in enumerate(model.profile.features):
        present = matrix[~np.isnan(matrix[:, column]), column]
        if feature.kind == "numeric":
            assert present.min() >= feature.minimum
            assert present.max() <= feature.maximum
        assert (len(present) < 200) == (feature.missing > 0 and not model.contract.inputs[column].required)


def test_the_same_seed_draws_the_same_leads(artefact):
    model = ScoringModel.load(artefact, backend="numpy")

    first, again = (bench_leads(model.contract, model.profile, 50, seed=3) for _ in range(2))

    np.testing.assert_array_equal(first, again)


def test_an_artefact_folder_is_measured_and_every_figure_is_a_number(artefact):
    result = CliRunner().invoke(
        app, ["--model", str(artefact), "--rows", "100", "--backend", "numpy", "--json"]
    )

    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures["backend"] == "numpy"
    assert figures["inputs"] == 8
    assert all(figures[name] > 0 for name in figures if name.endswith(("_us", "per_second")))


def test_people_get_a_table(artefact):
    result = CliRunner().invoke(app, ["--model", str(artefact), "--rows", "100"])

    assert "exact reasons" in result.stdout


def test_without_a_registered_model_the_error_says_what_to_give(monkeypatch, tmp_path):
    monkeypatch.setenv("LEADSCORE_HOME", str(tmp_path))

    result = CliRunner().invoke(app, [])

    assert isinstance(result.exception, NotFoundError)
    assert "--model" in result.exception.hint
