"""Old files of the lake go; what a run was made from stays."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from deltalake import DeltaTable, write_deltalake
from tests.support.artefacts import build_artefact, sample_leads

from leadscore.batch.run import BatchRequest, run_batch
from leadscore.batch.upkeep import maintain
from leadscore.events.store import EventStore
from leadscore.lake.table import LakeTable, table_uri
from leadscore.settings import Home


def test_what_a_record_names_stays_readable(tmp_path: Path) -> None:
    home = Home.from_environment({"LEADSCORE_HOME": str(tmp_path / "home")})
    folder, leads = build_artefact(tmp_path / "7"), str(tmp_path / "crm")
    with EventStore(home.events_url) as store:
        assert maintain(store, home.lake, since=0, hours=0) == ()
        for night in range(4):
            write_deltalake(leads, sample_leads(23, seed=3).slice(0, 20 + night), mode="overwrite")
            day = date(2026, 11, 1) + timedelta(days=night)
            run_batch(BatchRequest(date=day, model=str(folder), leads=leads), home, store)
        states = LakeTable(table_uri(home.lake, "lead_states/sample/7"))
        before = [list(states.read(version)) for version in range(3)]
        scores, kept = maintain(store, home.lake, since=0, hours=0)
        assert (scores.table, kept.table, kept.kept_versions) == ("scores", "lead_states/sample/7", 3)
        assert [list(states.read(version)) for version in range(3)] == before
        assert LakeTable(leads).version() == 3
        assert len(DeltaTable(table_uri(home.lake, "scores")).to_pyarrow_table()) == 23
