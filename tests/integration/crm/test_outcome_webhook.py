"""Outcomes that a CRM sends, signed: taken once, and nothing that is not signed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadscore.crm.outcome_webhook import SECRETS_VARIABLE, OutcomeReceiver
from leadscore.crm.signing import sign_webhook, write_secret
from leadscore.events.store import EventStore

NOW = 1_800_000_000_000_000
KEY, OTHER = b"k" * 24, b"o" * 24


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore(f"sqlite:///{tmp_path / 'events.db'}") as opened:
        yield opened


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    path = tmp_path / "secrets"
    path.write_text(f"{write_secret(KEY)}\n")
    return path


@pytest.fixture
def receiver(store: EventStore, secrets: Path) -> OutcomeReceiver:
    return OutcomeReceiver(store, {SECRETS_VARIABLE: str(secrets)}, lambda: NOW)


def post(
    receiver: OutcomeReceiver,
    data: object,
    *,
    key: bytes = KEY,
    at: int = NOW // 1_000_000,
    kind: str = "lead.outcome",
    message: str = "msg-1",
) -> tuple[int, str]:
    body = json.dumps({"type": kind, "data": data}).encode()
    headers = {
        "webhook-id": message, "webhook-timestamp": str(at),
        "webhook-signature": sign_webhook([key], message, at, body),
    }  # fmt: skip
    return receiver(body, headers)


def test_an_outcome_is_taken_once_however_often_it_is_sent(
    store: EventStore, receiver: OutcomeReceiver
) -> None:
    told = {"lead_id": "00Q1", "converted": True, "value": 12.5, "occurred_at": "2027-01-10T12:00:00Z"}
    assert post(receiver, told) == (200, "1 new of 1")
    assert post(receiver, [told, {"lead_id": "00Q2", "converted": False}]) == (200, "1 new of 2")
    (known,) = store.outcomes_of("00Q1")
    assert (known.converted, known.value, known.source) == (True, 12.5, "webhook")
    assert known.occurred_at < NOW == known.recorded_at


def test_what_is_won_lost_and_won_again_is_won(store: EventStore, secrets: Path) -> None:
    times = iter(range(NOW, NOW + 100))
    receiver = OutcomeReceiver(store, {SECRETS_VARIABLE: str(secrets)}, lambda: next(times))
    won = {"lead_id": "00Q1", "converted": True, "value": 12.5, "occurred_at": "2027-01-10T12:00:00Z"}
    lost = {"lead_id": "00Q1", "converted": False}
    assert post(receiver, won, message="first") == (200, "1 new of 1")
    assert post(receiver, lost, message="second") == (200, "1 new of 1")
    assert post(receiver, won, message="first") == (200, "0 new of 1"), "the first one again, late"
    assert not store.outcomes_of("00Q1")[0].converted
    assert post(receiver, won, message="third") == (200, "1 new of 1")
    assert post(receiver, won, message="fourth") == (200, "0 new of 1"), "nothing else than what is known"
    assert [each.converted for each in store.outcomes_of("00Q1")] == [True, False, True]


def test_of_several_outcomes_of_a_lead_in_one_message_the_last_counts(
    store: EventStore, receiver: OutcomeReceiver
) -> None:
    for lead in map(str, range(20)):
        told = [{"lead_id": lead, "converted": converted} for converted in (True, False, True, False)]
        assert post(receiver, told, message=lead) == (200, "4 new of 4")
        assert [each.converted for each in store.outcomes_of(lead)] == [False, True, False, True]
        assert store.outcomes_of(lead)[0].recorded_at == NOW
        assert post(receiver, told, message=lead) == (200, "0 new of 4")


def test_a_bad_time_is_named_among_many(store: EventStore, receiver: OutcomeReceiver) -> None:
    told = [
        {"lead_id": "1", "converted": True, "occurred_at": f"{year}-01-01T00:00:00Z"} for year in (2026, 2099)
    ]
    status, text = post(receiver, told)
    assert status == 400
    assert "data[1].occurred_at" in text
    assert store.counts().outcomes == 0


def test_what_is_not_signed_now_with_a_known_secret_is_refused(
    store: EventStore, receiver: OutcomeReceiver, secrets: Path
) -> None:
    told = {"lead_id": "00Q1", "converted": True}
    assert post(receiver, told, key=OTHER)[0] == 401
    assert post(receiver, told, at=NOW // 1_000_000 - 3_600)[0] == 401
    assert receiver(b"{}", {})[0] == 401
    assert store.counts().outcomes == 0
    secrets.write_text(f"{write_secret(KEY)}\n{write_secret(OTHER)}\n")
    assert post(receiver, told, key=OTHER)[0] == 200, "rotated without a restart"
    secrets.unlink()
    assert post(receiver, told)[0] == 401
    assert OutcomeReceiver(store, {}, lambda: NOW)(b"{}", {})[0] == 401


@pytest.mark.parametrize(
    "bad",
    [
        {"lead_id": "", "converted": True},
        {"lead_id": "x"},
        {"lead_id": "x", "converted": "yes"},
        {"lead_id": "x", "converted": True, "value": "much"},
        {"lead_id": "x", "converted": True, "occurred_at": "2027-01-10T12:00:00"},
        {"lead_id": "x", "converted": True, "occurred_at": "2037-01-10T12:00:00Z"},
        {"lead_id": "x", "converted": True, "stage": "won"},
        [{"lead_id": "x", "converted": True}] * 1_001,
        "won",
    ],
)
def test_bad_input_is_said_and_nothing_of_it_is_stored(
    store: EventStore, receiver: OutcomeReceiver, bad: object
) -> None:
    status, said = post(receiver, bad)
    assert status == 400
    assert said.endswith((".", "}"))
    assert store.counts().outcomes == 0


def test_a_message_of_another_kind_is_refused(receiver: OutcomeReceiver) -> None:
    assert post(receiver, {"lead_id": "x", "converted": True}, kind="lead.scored")[0] == 400
