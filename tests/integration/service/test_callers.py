"""Who called stands in the event store.

By key and by token, from behind a trusted proxy and from anywhere else.
"""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import sqlalchemy as sa
from tests.support.issuer import issuer
from tests.support.waiting import wait_until

from leadscore.identity.apikeys import create_key

JSON = {"content-type": "application/json"}


def callers(home: Path) -> dict[str, tuple[str, str, str]]:
    engine = sa.create_engine(f"sqlite:///{home / 'events.db'}")
    query = "SELECT prediction_id, caller_kind, caller_name, caller_address FROM predictions"
    try:
        with engine.connect() as connection:
            return {row[0]: tuple(row[1:]) for row in connection.execute(sa.text(query))}
    finally:
        engine.dispose()


def test_key_token_and_address_travel_with_the_prediction(serve, tmp_path, lead_body) -> None:
    keys = tmp_path / "keys.yaml"
    secret, _ = create_key(keys, "crm", ["score"])
    with issuer() as idp:
        served = serve(
            LEADSCORE_AUTH="keys",
            LEADSCORE_API_KEYS=str(keys),
            LEADSCORE_OIDC_ISSUER=idp.url,
            LEADSCORE_OIDC_AUDIENCE="leadscore",
            LEADSCORE_TRUSTED_PROXIES="127.0.0.1/32",
        )

        def score(**headers: str) -> httpx.Response:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return httpx.post(f"{served.url}/score-lead", content=lead_body, headers=JSON | named)

        bearer = f"Bearer {idp.token().decode()}"
        wait_until(lambda: score(authorization=bearer).status_code == 200, what="the issuer's keys")
        asked = {
            ("key", "crm", "127.0.0.1"): score(x_api_key=secret),
            ("key", "crm", "198.51.100.7"): score(x_api_key=secret, x_forwarded_for="10.0.0.1, 198.51.100.7"),
            ("oidc", "ada@example.com", "2001:db8::7"): score(
                authorization=bearer, x_forwarded_for="[2001:db8::7]:4711"
            ),
        }
        expected = {reply.json()["prediction_id"]: caller for caller, reply in asked.items()}
        wait_until(lambda: set(expected) <= set(served.stored()), what="shipping")
        found = callers(served.home)
        assert {known: found[known] for known in expected} == expected


def test_each_lead_of_a_batch_and_a_repeated_request_have_the_caller(serve, tmp_path, lead) -> None:
    keys = tmp_path / "keys.yaml"
    secret, _ = create_key(keys, "nightly", ["score"])
    served = serve(LEADSCORE_AUTH="keys", LEADSCORE_API_KEYS=str(keys))
    body = json.dumps({"leads": [lead, lead | {"lead_id": "other"}]})
    headers = JSON | {"x-api-key": secret, "idempotency-key": "once"}
    replies = [httpx.post(f"{served.url}/score-leads", content=body, headers=headers) for _ in range(2)]
    assert {reply.status_code for reply in replies} == {200}
    wait_until(lambda: len(served.stored()) == 2, what="shipping")
    assert set(callers(served.home).values()) == {("key", "nightly", "127.0.0.1")}
