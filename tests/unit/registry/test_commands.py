"""`leadscore models` and `leadscore explain` over an embedded registry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from leadscore.cli import explain, models
from leadscore.errors import BadInputError, ConflictError, LeadScoreError, NotFoundError, RefusedError
from leadscore.registry.store import ModelRegistry
from leadscore.scoring.artefact import artefact_digest, verify_artefact
from leadscore.settings import Home

LEAD = '{"lead_id": "L-1", "pricing_visits": 3, "source": "carrier pigeon"}'
COLUMNS = "lead_id,budget,pricing_visits,response_hours,emails_opened,source,country,has_phone,is_urgent"

app = typer.Typer()
app.add_typer(models.app, name="models")
app.command("explain")(explain.explain)


@pytest.fixture
def run(three: ModelRegistry, home: Home, monkeypatch: pytest.MonkeyPatch):
    """Runs a command; returns what it printed on stdout, or raises what it raised."""
    monkeypatch.setenv("LEADSCORE_HOME", str(home.root))

    def call(*arguments: str) -> str:
        result = CliRunner().invoke(app, arguments)
        if isinstance(result.exception, LeadScoreError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return call


def test_list_shows_every_version_as_table_and_json(run) -> None:
    assert all(text in run("models", "list") for text in ("leads/3", "Production", "challenger", "0.8000"))
    told = json.loads(run("models", "list", "leads", "--json"))
    assert [(v["version"], v["stage"]) for v in told] == [(3, "None"), (2, "Staging"), (1, "Production")]


def test_show_tells_origin_metrics_and_decisions(run) -> None:
    told = json.loads(run("models", "show", "leads@champion", "--json"))
    assert told["version"] == 1
    assert told["decisions"][0]["action"] == "promote"
    assert "promote" in run("models", "show", "leads/1")


def test_fetch_prints_the_verified_folder_and_nothing_else(run, home: Home) -> None:
    assert run("models", "fetch", "leads/2") == f"{home.models / 'leads' / '2'}\n"
    told = json.loads(run("models", "fetch", "leads@champion", "--json"))
    assert told["model"] == "leads/1"
    assert told["digest"] == artefact_digest(verify_artefact(Path(told["path"])))
    assert told["size"] > 1000


def test_fetch_into_a_folder_may_be_repeated_but_overwrites_nothing_else(run, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "leads"
    assert run("models", "fetch", "leads/1", "--to", str(folder)) == f"{folder}\n"
    first = artefact_digest(verify_artefact(folder))
    run("models", "fetch", "leads/1", "--to", str(folder))
    with pytest.raises(ConflictError, match="exists already"):
        run("models", "fetch", "leads/2", "--to", str(folder))
    assert artefact_digest(verify_artefact(folder)) == first


def test_fetch_of_a_cached_version_needs_no_registry(
    run, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("models", "fetch", "leads/1")
    monkeypatch.setenv("LEADSCORE_TRACKING_URI", "http://127.0.0.1:9")
    assert run("models", "fetch", "leads/1") == f"{home.models / 'leads' / '1'}\n"


def test_fetch_of_what_is_not_there_is_not_found(run) -> None:
    with pytest.raises(NotFoundError):
        run("models", "fetch", "leads/9")


def test_fetch_replaces_a_damaged_copy_and_refuses_to_hand_one_out(run, home: Home) -> None:
    folder = Path(run("models", "fetch", "leads/1").strip())
    (folder / "metrics.json").write_text("{}")
    assert Path(run("models", "fetch", "leads/1").strip()) == folder
    verify_artefact(folder)


def test_promote_and_rollback_say_what_they_did(run) -> None:
    told = json.loads(
        run("models", "promote", "leads/2", "--reason", "better", "--expect-champion", "1", "--json")
    )
    assert (told["version"], told["from_version"], told["reason"]) == (2, 1, "better")
    assert json.loads(run("models", "rollback", "leads", "--json"))["version"] == 1
    assert "archive" in run("models", "archive", "leads/3")


@pytest.mark.parametrize("arguments", [("promote", "leads/2"), ("rollback", "leads")])
def test_a_new_champion_is_said_to_change_no_running_service_with_the_command_that_does(
    arguments: tuple[str, ...], three: ModelRegistry, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADSCORE_HOME", str(home.root))
    three.promote("leads", 3)
    if arguments[0] == "rollback":
        three.promote("leads", 2)
        three.promote("leads", 1)
    told = CliRunner().invoke(app, ["models", *arguments, "--json"])
    assert told.exit_code == 0
    assert "Running services keep the version" in told.stderr
    assert "leadscore serve --model leads/2" in told.stderr
    assert "--set model.version=2" in told.stderr
    assert json.loads(told.stdout)["version"] == 2


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("models", "promote", "leads/2", "--expect-champion", "3"), ConflictError),
        (("models", "promote", "leads/2", "--expect-champion", "0"), ConflictError),
        (("models", "archive", "leads/1"), RefusedError),
        (("models", "rollback", "leads"), RefusedError),
        (("models", "show", "leads/9"), NotFoundError),
        (("models", "show", "a b"), BadInputError),
        (("explain", "--model", "leads"), BadInputError),
    ],
)
def test_what_cannot_be_done_is_refused(run, arguments: tuple[str, ...], error: type[LeadScoreError]) -> None:
    with pytest.raises(error):
        run(*arguments)


def test_compare_puts_two_versions_side_by_side(run) -> None:
    told = json.loads(run("models", "compare", "leads@champion", "leads/2", "--json"))
    assert told["metrics"][0]["difference"] == pytest.approx(0.01)
    assert "no difference" in run("models", "compare", "leads/1", "leads/2")


def test_a_lead_in_a_file_is_explained_with_its_warnings(run, tmp_path: Path) -> None:
    (tmp_path / "lead.json").write_text(LEAD)
    told = json.loads(run("explain", "--model", "leads", "--lead", str(tmp_path / "lead.json"), "--json"))
    assert told["lead_id"] == "L-1"
    assert told["warnings"][0]["reason"] == "unseen_category"
    assert len(told["reasons"]) <= 5
    assert all(reason["text"].endswith("the score.") for reason in told["reasons"])


def test_a_lead_of_a_table_is_explained_by_both_methods(run, tmp_path: Path) -> None:
    table = tmp_path / "leads.csv"
    table.write_text(f"{COLUMNS}\n6,1,1,1,1,event,FR,false,false\n7,100,3,4,5,referral,DE,true,false\n")
    arguments = ("explain", "--model", "leads/1", "--data", str(table), "--id", "7", "--json")
    shap, lime = json.loads(run(*arguments)), json.loads(run(*arguments, "--method", "lime"))
    assert shap["probability"] == lime["probability"] == pytest.approx(lime["lime"]["probability"])
    assert "reasons" in shap
    with pytest.raises(NotFoundError, match="'8'"):
        run("explain", "--model", "leads/1", "--data", str(table), "--id", "8")
