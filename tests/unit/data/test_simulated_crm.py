"""A CRM that is not there sends leads to a service that is, and says later what became of them."""

from __future__ import annotations

import itertools
import json
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from leadscore.data.simulated_crm import SimulatedCrm, simulated_leads
from leadscore.data.synthetic import synthetic_contract
from leadscore.errors import BadInputError

NOW = datetime(2026, 11, 29, 14, 3, tzinfo=UTC)


class Service:
    """What was sent, in order; `status` is what it answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any, str]] = []
        self.status = 200


@pytest.fixture
def service() -> Iterator[tuple[Service, str]]:
    made = Service()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.asked.append((self.path, body, self.headers["Authorization"]))
            text = b"{}"
            self.send_response(made.status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def send(url: str, times: int, *, day_seconds: float = 1e-6) -> None:
    left = itertools.count(times, -1)
    crm = SimulatedCrm(url, "lsk_x", rate=2.0, day_seconds=day_seconds, clock=lambda: NOW)
    crm.run(simulated_leads(3, NOW), lambda _: next(left) > 0)


def test_leads_fit_the_contract_and_have_ids_of_their_own() -> None:
    leads = list(itertools.islice(simulated_leads(3, NOW), 2_500))
    fields = {feature.name for feature in synthetic_contract().features} | {"lead_id", "created_at"}
    assert all(set(lead.body) <= fields for lead in leads)
    assert len({lead.body["lead_id"] for lead in leads}) == len(leads)
    assert {lead.converted for lead in leads} == {True, False}
    assert all(lead.days >= 0 for lead in leads)


def test_a_lead_is_scored_and_its_outcome_told_when_it_is_due(service: tuple[Service, str]) -> None:
    made, url = service
    send(url, 30)
    scored = [body for path, body, _ in made.asked if path.startswith("/score-lead")]
    told = [one for path, body, _ in made.asked if path == "/outcomes" for one in body]
    assert len(scored) == 30
    assert {one["lead_id"] for one in told} <= {body["lead_id"] for body in scored}
    assert len(told) >= 20
    assert {key for _, _, key in made.asked} == {"Bearer lsk_x"}


def test_some_leads_are_scored_again_after_somebody_has_worked_on_them(service: tuple[Service, str]) -> None:
    made, url = service
    send(url, 120, day_seconds=1e6)
    ids = [body["lead_id"] for path, body, _ in made.asked if path.startswith("/score-lead")]
    assert 0 < len(ids) - len(set(ids)) < 60


def test_a_service_that_refuses_is_said_once_and_tried_again(
    service: tuple[Service, str], caplog: pytest.LogCaptureFixture
) -> None:
    made, url = service
    made.status = 503
    with caplog.at_level(logging.WARNING, logger="leadscore.data.simulated_crm"):
        send(url, 10)
    assert len(made.asked) == 10
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("url", "rate", "day"), [("https://x", 1, 1), ("x", 1, 1), ("http://x", 0, 1),
    ("http://x", 101, 1), ("http://x", 1, 0)]
)  # fmt: skip
def test_what_cannot_be_sent_to_is_said(url: str, rate: float, day: float) -> None:
    with pytest.raises(BadInputError):
        SimulatedCrm(url, "k", rate=rate, day_seconds=day)
