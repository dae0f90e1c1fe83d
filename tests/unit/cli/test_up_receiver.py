"""The receiver beside `leadscore up`: its endpoint is made once, and follows where it listens."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadscore.cli.up import _check, _networks, _receiver
from leadscore.crm.endpoints import read_endpoints
from leadscore.events.store import EventStore
from leadscore.settings import Home


def test_a_second_start_has_the_same_secret_and_another_port_another(tmp_path: Path) -> None:
    home = Home.from_environment({"LEADSCORE_HOME": str(tmp_path)})
    first = _receiver(home, "127.0.0.1", 8060)
    assert _receiver(home, "127.0.0.1", 8060) == first
    assert _receiver(home, "127.0.0.1", 8061) != first
    with EventStore(home.events_url) as store, store.reading() as connection:
        (found,) = read_endpoints(connection)
    assert found.url == "http://127.0.0.1:8061/"
    assert _networks("10.0.0.7").split() == ["127.0.0.0/8", "10.0.0.7"]
    assert _networks("localhost").split() == ["127.0.0.0/8"]


def test_a_drift_check_that_cannot_be_made_is_said_and_keeps_nothing_from_starting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _check(Home.from_environment({"LEADSCORE_HOME": str(tmp_path)}), "leads")
    said = " ".join(capsys.readouterr().err.split())
    assert "Drift check of the last week: Cannot read the model leads" in said
