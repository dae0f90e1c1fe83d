"""A database that takes connections and says nothing: every page says so, and nothing is made up."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support import console
from tests.support.console import OURS, Visitor

from leadscore.console.app import Console
from leadscore.console.pages import ACTIONS, PAGES


# A page that is asked for nothing reads nothing.
@pytest.mark.parametrize("path", [f"{page.path}?id=L-1" for page in PAGES])
def test_a_page_over_a_silent_database_is_unknown(path: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        made = console.settings(tmp_path, page_seconds=0.5)
        url = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/events"
        shown = Console(replace(made, home=replace(made.home, events_url=url)), PAGES, ACTIONS)
        person = Visitor(shown.flask.test_client())
        person.sign_in(console.key(tmp_path, "view"))
        body = {
            "output": "..content.children...served.data..", "changedPropIds": ["url.href"],
            "outputs": [{"id": "content", "property": "children"}, {"id": "served", "property": "data"}],
            "inputs": [
                {"id": "url", "property": "href", "value": f"http://localhost{path}"},
                {"id": "tick", "property": "data", "value": 0},
            ],
        }  # fmt: skip
        headers = OURS | {"X-CSRFToken": person.token()}
        reply = person.client.post("/_dash-update-component", json=body, headers=headers)
    said = json.dumps(reply.json)
    assert reply.json["response"]["served"]["data"]["fresh"] is False
    # Releases waits for the registry, too, and cannot say which of them it is.
    named = "The registry of models or the event store" if path.startswith("/releases") else "The event store"
    assert f"{named} has not answered within 0.5 s." in said
    assert "Nothing is known yet." in said
    assert "tile" not in said
