from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from leadscore.cli.contract import app
from leadscore.contract import load_contract
from leadscore.errors import ConflictError, ContractError, ExitCode, TableError

TABLE = "id,at,source,budget,y\n" + "".join(
    f"L{i},2026-0{i % 9 + 1}-01,{'web' if i % 3 else 'fair'},{i % 40},{int(i % 7 == 0)}\n" for i in range(100)
)


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "leads.csv"
    path.write_text(TABLE)
    return path


@pytest.fixture
def contract(csv: Path) -> Path:
    path = csv.with_name("contract.yaml")
    assert run("infer", csv, "--target", "y", "--id", "id", "--time", "at", "-o", path)[0] == ExitCode.OK
    return path


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def test_infer_writes_a_contract_named_after_the_file(contract: Path) -> None:
    found = load_contract(contract)
    assert (found.name, found.id, found.time, found.target.column) == ("leads", "id", "at", "y")
    assert [f.name for f in found.features] == ["source", "budget"]


def test_infer_prints_nothing_but_the_contract_without_a_file(csv: Path, contract: Path) -> None:
    _, printed = run("infer", csv, "--target", "y", "--id", "id", "--time", "at")
    assert printed == contract.read_text()


def test_infer_prints_one_json_document(csv: Path) -> None:
    _, printed = run("infer", csv, "--target", "y", "--id", "id", "--json")
    document = json.loads(printed)
    assert set(document) == {"contract", "findings", "columns"}
    assert ("at", "time") in {(f["column"], f["kind"]) for f in document["findings"]}


def test_infer_does_not_overwrite_unless_told(csv: Path, contract: Path) -> None:
    arguments = ["infer", csv, "--target", "y", "--id", "id", "-o", contract]
    with pytest.raises(ConflictError):
        run(*arguments)
    assert run(*arguments, "--force")[0] == ExitCode.OK
    assert load_contract(contract).time is None


def test_check_of_the_same_table_is_ok(csv: Path, contract: Path) -> None:
    code, printed = run("check", csv, "-c", contract, "--json")
    assert code == ExitCode.OK
    assert json.loads(printed) == {"status": "ok", "rows": 100, "issues": []}


def test_check_with_errors_exits_with_bad_input(csv: Path, contract: Path) -> None:
    csv.write_text(TABLE.replace("budget", "size"))
    assert run("check", csv, "-c", contract)[0] == ExitCode.BAD_INPUT


def test_check_with_warnings_exits_with_ok(csv: Path, contract: Path) -> None:
    csv.write_text(TABLE.replace("fair", "radio"))
    code, printed = run("check", csv, "-c", contract, "--json")
    assert (code, json.loads(printed)["status"]) == (ExitCode.OK, "warnings")


def test_diff_says_compatible_or_breaking(contract: Path) -> None:
    wider = contract.with_name("wider.yaml")
    wider.write_text(contract.read_text().replace("range: [0, 43]", "range: [0, 100]"))
    stricter = contract.with_name("stricter.yaml")
    stricter.write_text(contract.read_text().replace("- name: budget", "- name: budget\n  required: true"))
    assert run("diff", contract, wider)[0] == ExitCode.OK
    code, printed = run("diff", contract, stricter, "--json")
    document = json.loads(printed)
    assert (code, document["compatible"]) == (ExitCode.REFUSED, False)
    assert [c["place"] for c in document["changes"]] == ["budget"]


def test_schema_prints_the_format_or_a_lead(contract: Path) -> None:
    assert json.loads(run("schema")[1])["title"] == "LeadScore feature contract"
    assert json.loads(run("schema", "--lead", contract)[1])["required"] == ["id"]


def test_bad_names_are_errors_with_a_hint(csv: Path, tmp_path: Path) -> None:
    with pytest.raises(TableError, match="'z'"):
        run("infer", csv, "--target", "z", "--id", "id")
    with pytest.raises(ContractError):
        run("check", csv, "-c", tmp_path / "none.yaml")
