"""Endpoints as people keep them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.integration.crm.conftest import WHO
from tests.support.scored_leads import no_models, score_leads

from leadscore.crm.choose import choose_scores
from leadscore.crm.chores import CrmMonitor
from leadscore.crm.endpoints import (
    ENDPOINT_KIND,
    SecretKey,
    add_endpoint,
    find_endpoint,
    read_endpoints,
    read_key,
    remove_endpoint,
    rotate_secret,
    set_endpoint_state,
)
from leadscore.crm.status import read_target_statuses
from leadscore.crm.sync import read_subscribers
from leadscore.crm.tables import crm_endpoints, crm_states
from leadscore.crm.targets import CrmTarget, CrmTargets
from leadscore.errors import BadInputError, ConflictError, NotFoundError, UnavailableError
from leadscore.events.store import EventStore
from leadscore.outbox.tables import outbox
from leadscore.settings import Home

URL = "https://crm.example.com/hooks?x=1"


def test_an_endpoint_is_added_rotated_switched_and_removed_on_record(
    store: EventStore, key: SecretKey
) -> None:
    added, secret = add_endpoint(store, key, "one", URL, WHO, 10)
    assert secret.startswith("whsec_")
    rotated, other = rotate_secret(store, key, "one", WHO, 20)
    assert other != secret
    assert (added.generation, rotated.generation, rotated.rotated_at) == (1, 2, 20)
    assert set_endpoint_state(store, "one", "disabled", WHO, 30, reason="Moving.").reason == "Moving."
    assert set_endpoint_state(store, "one", "on", WHO, 40).state == "on"
    score_leads(store, [("a", 0.1, 10)])
    choose_scores(store, rotated.subscriber, no_models, lambda: 50)
    remove_endpoint(store, "one", WHO, 60)
    records = store.evidence(kind=ENDPOINT_KIND, subject="crm/one")
    assert [r.caller.name for r in records if r.caller] == ["ada"] * 5
    assert not any(secret in r.document or "hooks" in r.document for r in records)
    with store.reading() as connection:
        assert read_endpoints(connection) == ()
        for table in (outbox, crm_states):
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 0


def test_a_target_of_the_file_that_is_named_like_an_endpoint_is_told_nothing_and_says_so(
    store: EventStore, key: SecretKey
) -> None:
    add_endpoint(store, key, "one", URL, WHO, 10)
    targets = CrmTargets(targets=(CrmTarget(name="one", kind="table"), CrmTarget(name="two", kind="table")))
    score_leads(store, [("a", 0.1, 10)])
    with store.reading() as connection:
        subscribers = read_subscribers(connection, targets)
    assert [each.channel for each in subscribers] == ["crm-table:two", "crm:one"]
    for each in subscribers:
        choose_scores(store, each, no_models, lambda: 50)
    with store.reading() as connection:
        found = {(s.name, s.kind): s for s in read_target_statuses(connection, targets, 50)}
    assert {name: status.state for name, status in found.items()} == {
        ("one", "table"): "disabled", ("one", "webhook"): "on", ("two", "table"): "on",
    }  # fmt: skip
    assert "another one in the file" in found["one", "table"].reason
    assert {name: status.backlog.waiting for name, status in found.items() if status.state == "on"} == {
        ("one", "webhook"): 1, ("two", "table"): 1,
    }  # fmt: skip


def test_an_endpoint_of_a_model_without_scores_says_why_it_is_told_nothing(
    store: EventStore, key: SecretKey
) -> None:
    add_endpoint(store, key, "one", URL, WHO, 10, model="nobody")

    def reason() -> str:
        with store.reading() as connection:
            (found,) = read_target_statuses(connection, CrmTargets(), 50)
        return found.reason

    score_leads(store, [("a", 0.1, 10)])
    assert reason() == "No lead has a score of the model nobody yet."
    score_leads(store, [("a", 0.1, 20)], model_name="nobody")
    assert reason() == ""


def test_a_monitor_does_not_start_with_networks_that_are_none(store: EventStore, tmp_path: Path) -> None:
    home = Home.from_environment({"LEADSCORE_HOME": str(tmp_path)})
    with pytest.raises(BadInputError, match=r"10\.20\.0\.0/33"):
        CrmMonitor(store, home, no_models, {"LEADSCORE_WEBHOOK_NETWORKS": "10.20.0.0/33"})


def test_a_secret_is_stored_nowhere_and_a_name_never_gets_an_old_one_again(
    store: EventStore, key: SecretKey
) -> None:
    _, first = add_endpoint(store, key, "one", URL, WHO, 10)
    with store.reading() as connection:
        row = connection.execute(sa.select(crm_endpoints)).one()
    assert not any(first in str(value) for value in row)
    remove_endpoint(store, "one", WHO, 20)
    _, second = add_endpoint(store, key, "one", URL, WHO, 30)
    assert second != first


@pytest.mark.parametrize(
    "address",
    ["crm.example.com", "ftp://crm.example.com", "https://", "https://u:p@crm.example.com", "https://a b/",
     "https://[::1", "https://crm.example.com:0/", "https://ü.example/", "https://x/" + "y" * 3_000],
)  # fmt: skip
def test_what_is_no_address_is_refused(store: EventStore, key: SecretKey, address: str) -> None:
    with pytest.raises(BadInputError):
        add_endpoint(store, key, "one", address, WHO, 10)


def test_names_are_unique_and_plain(store: EventStore, key: SecretKey) -> None:
    add_endpoint(store, key, "one", URL, WHO, 10)
    with pytest.raises(ConflictError, match="already"):
        add_endpoint(store, key, "one", URL, WHO, 10)
    with pytest.raises(ConflictError, match="file of targets"):
        add_endpoint(store, key, "sf", URL, WHO, 10, taken=lambda name: name == "sf")
    for name in ("", "One", "a/b", "a" * 41):
        with pytest.raises(BadInputError):
            add_endpoint(store, key, name, URL, WHO, 10)
    for act in (
        find_missing,
        lambda s: rotate_secret(s, key, "two", WHO, 1),
        lambda s: remove_endpoint(s, "two", WHO, 1),
    ):
        with pytest.raises(NotFoundError, match="two"):
            act(store)


def find_missing(store: EventStore) -> None:
    with store.reading() as connection:
        find_endpoint(connection, "two")


def test_the_key_is_made_once_for_its_owner_only(home: Home, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot be read"):
        read_key(home, {})
    made = read_key(home, {}, make=True)
    assert read_key(home, {}, make=True) == read_key(home, {}) == made
    assert stat.S_IMODE((home.root / "crm.key").stat().st_mode) == 0o600
    short = tmp_path / "short"
    short.write_bytes(b"x")
    with pytest.raises(UnavailableError, match="32 are needed"):
        read_key(home, {"LEADSCORE_CRM_KEY": str(short)}, make=True)
