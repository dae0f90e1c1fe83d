"""A CRM's side of LeadScore, in one file with nothing but Python's standard library.

Score, bulk, outcomes, retries.

Copy it, or read it as the list of what a client has to do:

- one `Idempotency-Key` per thing that happened in the CRM, kept for every attempt: a repeated request is
  answered with the same score and stored once;
- repeat only what may go better the next time (no reply, 408, 429, 5xx), after `Retry-After` or a
  growing pause with jitter, and only so often;
- never repeat what the service has refused (other 4xx): its `code` and `fields` say what to correct;
- send the outcome back with the `prediction_id` that came with the score.

Usage: LEADSCORE_URL=http://127.0.0.1:3000 LEADSCORE_API_KEY=… python3 crm_client.py score lead.json
       python3 crm_client.py bulk leads.json
       python3 crm_client.py outcome L-1001 won --prediction-id 01K… --value 1200
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Json = dict[str, Any]
MAY_GO_BETTER = frozenset({408, 429, 500, 502, 503, 504})
LEADS_PER_REQUEST, OUTCOMES_PER_REQUEST = 10_000, 1_000


class RefusedError(Exception):
    """The service has answered with an error that another attempt cannot change."""

    def __init__(self, status: int, body: Json) -> None:
        error = body.get("error", {})
        self.status = status
        self.code: str = error.get("code", "unknown")
        self.fields: list[Json] = error.get("fields", [])
        self.request_id: str = body.get("request_id", "")
        super().__init__(f"{status} {self.code}: {error.get('message', '')} {error.get('hint', '')}".strip())


class UnreachableError(Exception):
    """No attempt was answered.

    The request may or may not have been carried out: repeat it with the same key.
    """


class LeadScore:
    """A client of one service.

    Args:
        url: Of the ingress or service, such as https://leads.example.com.
        api_key: With the scopes `score` and `outcomes`.
        attempts: Of one request, the first included.
        timeout: Seconds to wait for a reply.
        sleep: Waits between attempts; another function in tests.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        attempts: int = 6,
        timeout: float = 10.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url, self._attempts, self._timeout, self._sleep = url.rstrip("/"), attempts, timeout, sleep
        self._headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}

    def score(self, lead: Json, *, key: str | None = None, reasons: int = 3) -> Json:
        """Score one lead.

        Give `key` if the CRM can be stopped between attempts: a value kept with the event that caused the
        request.
        """
        return self._post(f"/score-lead?reasons={reasons}", lead, key or str(uuid.uuid4()))

    def score_many(self, leads: Iterable[Json], *, key: str | None = None) -> Iterator[Json]:
        """Score any number of leads, in requests of 10,000; the results come in the order of the leads.

        One bad lead refuses its whole request: `RefusedError.fields` names it, as `leads[3].budget`.
        """
        batch_key = key or str(uuid.uuid4())
        for number, batch in enumerate(_batches(leads, LEADS_PER_REQUEST)):
            yield from self._post("/score-leads", {"leads": batch}, f"{batch_key}-{number}")["results"]

    def outcomes(self, outcomes: Iterable[Json]) -> int:
        """Say what became of leads; the same outcome sent twice is stored once.

        Returns how many were accepted.
        """
        accepted = 0
        for batch in _batches(outcomes, OUTCOMES_PER_REQUEST):
            self._post("/outcomes", batch, key=None)
            accepted += len(batch)
        return accepted

    def _post(self, path: str, body: object, key: str | None) -> Json:
        headers = self._headers | ({"Idempotency-Key": key} if key else {})
        data = json.dumps(body).encode()
        last, pause = "", 0.0
        for attempt in range(self._attempts):
            self._sleep(pause)
            pause = min(30.0, 0.25 * 2**attempt) * random.uniform(0.5, 1.5)
            request = urllib.request.Request(self._url + path, data=data, headers=headers, method="POST")
            try:
                with urllib.request.urlopen(request, timeout=self._timeout) as reply:
                    return json.load(reply)
            except urllib.error.HTTPError as error:
                text = error.read()
                last = f"{error.code}"
                if error.code not in MAY_GO_BETTER:
                    raise RefusedError(error.code, _document(text)) from error
                pause = max(pause, _seconds(error.headers.get("Retry-After")))
            except (OSError, http.client.HTTPException) as error:  # no reply, or half of one
                last = f"{type(error).__name__}: {error}"
        raise UnreachableError(f"{self._url}{path} was asked {self._attempts} times; the last time: {last}")


def _batches(items: Iterable[Json], size: int) -> Iterator[list[Json]]:
    batch: list[Json] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _document(text: bytes) -> Json:
    try:
        found = json.loads(text)
    except ValueError:  # something between us and the service has answered
        return {}
    return found if isinstance(found, dict) else {}


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after and retry_after.isdigit() else 0.0


def _read(path: str) -> Any:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        sys.exit(f"{path} cannot be read: {error.strerror}.")
    except ValueError as error:
        sys.exit(f"{path} is not JSON: {error}.")


def _variable(name: str) -> str:
    return os.environ.get(name) or sys.exit(f"Set the variable {name}.")


def main() -> int:
    """The command line of the usage above; prints JSON. 0: done, 1: refused, 2: nobody has answered."""
    parser = argparse.ArgumentParser(description="Score leads, and say what became of them.")
    commands = parser.add_subparsers(dest="command", required=True)
    score = commands.add_parser("score", help="score the lead in a JSON file")
    score.add_argument("file")
    score.add_argument("--key", help="Idempotency-Key; give the same one to repeat the same request")
    bulk = commands.add_parser("bulk", help="score a JSON file with a list of leads")
    bulk.add_argument("file")
    bulk.add_argument("--key", help="begin of the Idempotency-Keys of its requests")
    outcome = commands.add_parser("outcome", help="say that a lead was won or lost")
    outcome.add_argument("lead_id")
    outcome.add_argument("result", choices=["won", "lost"])
    outcome.add_argument("--prediction-id", help="as it came with the score")
    outcome.add_argument("--value", type=float, help="revenue of a won lead")
    outcome.add_argument("--occurred-at", help="when, as 2026-05-04T10:00:00Z; now if left out")
    options = parser.parse_args()
    client = LeadScore(_variable("LEADSCORE_URL"), _variable("LEADSCORE_API_KEY"))
    try:
        if options.command == "score":
            print(json.dumps(client.score(_read(options.file), key=options.key)))
        elif options.command == "bulk":
            for result in client.score_many(_read(options.file), key=options.key):
                print(json.dumps(result))
        else:
            said = {
                "lead_id": options.lead_id,
                "converted": options.result == "won",
                "prediction_id": options.prediction_id,
                "value": options.value,
                "occurred_at": options.occurred_at,
            }
            number = client.outcomes([{name: value for name, value in said.items() if value is not None}])
            print(json.dumps({"accepted": number}))
    except RefusedError as refused:
        print(refused, *(json.dumps(field) for field in refused.fields), sep="\n", file=sys.stderr)
        return 1
    except UnreachableError as unreachable:
        print(unreachable, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
