"""`helm test`: the service is ready, refuses a caller without a key, and scores its documented lead.

    python score.py URL keys|off

The key is LEADSCORE_API_KEY; without one (the chart knows only digests) the refusal is all that can be tried.
"""

import json
import os
import sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen


def ask(url: str, body: object = None, key: str = "") -> tuple[int, object]:
    """Status and JSON of a GET, or of a POST if there is a body."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(url, data=data, headers=headers), timeout=10) as reply:
            return reply.status, json.load(reply)
    except HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")


def test(url: str, auth: str, key: str) -> str:
    """What was found in order; SystemExit with a sentence at the first thing that is not."""

    def expect(status: int, path: str, body: object = None, key: str = "") -> dict:
        found, reply = ask(url + path, body, key)
        if found != status:
            raise SystemExit(f"{path} answered {found}, not {status}: {reply}")
        return reply if isinstance(reply, dict) else {}

    expect(200, "/readyz")
    content = expect(200, "/openapi.json")["paths"]["/score-lead"]["post"]["requestBody"]["content"]
    lead = content["application/json"]["example"]
    if auth == "keys":
        expect(401, "/score-lead", lead)
        if not key:
            return "ready; no key, no score (apiKeys.clientSecret names one to score with)"
    reply = expect(200, "/score-lead", lead, key)
    if not 0 <= reply["score"] <= 100 or reply["lead_id"] not in lead.values():
        raise SystemExit(f"/score-lead answered {reply}")
    return (
        f"ready; {reply['model_name']}/{reply['model_version']} scored {reply['lead_id']}: "
        f"{reply['score']} ({reply['grade']})"
    )


if __name__ == "__main__":
    print(test(sys.argv[1], sys.argv[2], os.environ.get("LEADSCORE_API_KEY", "")))
