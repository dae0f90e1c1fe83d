"""A controller that keeps its decisions in a database.

For every ConfigMap labelled `toy=request` one claim, then a mark.

Started as `python claimer.py MODE`. `right` claims under a key that stands for the request; every other mode
has one mistake that shows only when the database, or the way to it, fails.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from typing import Any

import psycopg
import yaml

from leadscore.events.patience import ImpatientConnection

MODE = sys.argv[1]
STORE = os.environ["TOY_STORE"]
NAMESPACE = os.environ["TOY_NAMESPACE"]
TIMEOUT_SECONDS = 1.5
CONFIG = yaml.safe_load(open(os.environ["KUBECONFIG"]).read())  # noqa: PTH123, SIM115
SERVER, TOKEN = CONFIG["clusters"][0]["cluster"]["server"], CONFIG["users"][0]["user"]["token"]
REQUESTS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
Object = dict[str, Any]


def call(method: str, path: str, body: Object | None = None) -> Object:
    request = urllib.request.Request(
        f"{SERVER}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/merge-patch+json"},
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:
        return json.load(reply)


def claim(request: Object) -> None:
    uid = request["metadata"]["uid"]
    key = f"claim-{uuid.uuid4()}" if MODE == "random-key" else f"claim-{uid}"
    with ImpatientConnection.connect(STORE, connect_timeout=2) as connection:
        if MODE != "waits-for-ever":
            connection.answer_seconds = TIMEOUT_SECONDS
        connection.execute(
            "INSERT INTO evidence (evidence_id, kind, subject, at, document) VALUES (%s, %s, %s, 0, '{}')"
            " ON CONFLICT DO NOTHING",
            (key, "claim", uid),
        )


def mark(request: Object) -> None:
    patch = {"metadata": {"annotations": {"toy/claimed": "yes"}}}
    call("PATCH", f"{REQUESTS}/{request['metadata']['name']}", patch)


def reconcile(request: Object) -> None:
    if request["metadata"].get("annotations", {}).get("toy/claimed"):
        return
    if MODE == "mark-then-claim":
        mark(request)
        claim(request)
        return
    try:
        claim(request)
    except psycopg.Error:
        if MODE != "error-is-done":  # "it surely arrived"
            raise
    mark(request)


def main() -> None:
    while True:
        try:
            for request in call("GET", f"{REQUESTS}?labelSelector=toy%3Drequest")["items"]:
                reconcile(request)
        except (OSError, psycopg.Error) as error:
            sys.stderr.write(f"will try again: {error!r}\n")
        time.sleep(0.3)


main()
