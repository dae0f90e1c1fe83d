"""`leadscore data` as a person or a script calls it."""

import json

import pytest
from typer.testing import CliRunner

from leadscore.cli.data import app
from leadscore.contract import contract_version, load_contract
from leadscore.data.synthetic import SCENARIOS, synthetic_contract
from leadscore.data.tables import read_table
from leadscore.errors import BadInputError, TableError

runner = CliRunner()


def call(*arguments):
    return runner.invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.mark.parametrize("name", ["leads.parquet", "leads.csv"])
def test_generate_writes_the_table_and_its_contract(tmp_path, name):
    contract = tmp_path / "contract.yaml"
    result = call("generate", "--rows", 500, "--months", 3, "-o", tmp_path / name, "--contract-out", contract)
    assert result.exit_code == 0
    assert "500" in result.stdout
    assert read_table(tmp_path / name).num_rows == 500
    assert contract_version(load_contract(contract)) == contract_version(synthetic_contract())


def test_generate_prints_one_json_document_for_machines(tmp_path):
    output = tmp_path / "leads.parquet"
    result = call(
        "generate", "--rows", 400, "--start", "2026-01-01", "--months", 4, "-o", output, "--json",
        "--scenario", "missingness@2026-02-01:0.5", "--scenario", "pipeline_bug",
    )  # fmt: skip
    document = json.loads(result.stdout)
    assert document["rows"] == 400
    assert document["path"] == str(output)
    assert [scenario["name"] for scenario in document["scenarios"]] == ["missingness", "pipeline_bug"]
    assert document["scenarios"][0]["magnitude"] == 0.5
    # Without a date: the middle of the period.
    assert document["scenarios"][1]["at"].startswith("2026-03-02")


def test_the_same_seed_writes_the_same_file(tmp_path):
    for name in ("a.parquet", "b.parquet"):
        call("generate", "--rows", 300, "--seed", 7, "-o", tmp_path / name)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_an_unknown_scenario_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(BadInputError, match="no scenario 'storm'") as caught:
        call("generate", "--scenario", "storm", "-o", tmp_path / "t.parquet")
    assert "concept_drift" in caught.value.hint


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(TableError, match="format"):
        call("generate", "--rows", 10, "-o", tmp_path / "t.xlsx")


def test_scenarios_are_listed():
    assert json.loads(call("scenarios", "--json").stdout) == SCENARIOS
    assert all(name in call("scenarios").stdout for name in SCENARIOS)
