"""A controller in 150 lines.

For every ConfigMap labelled `toy=request` one Job, then the Job's name in its annotation.

Started as `python controller.py MODE`. `right` is how it should be; every other mode has
one mistake that operators in the field had (see docs and lessons: exists()-then-create(),
names by chance, a failed read taken as empty, …).
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from typing import Any

import yaml

MODE = sys.argv[1]
NAMESPACE = os.environ["TOY_NAMESPACE"]
RESYNC_SECONDS = 0.4
TIMEOUT_SECONDS = 1.5
CONFIG = yaml.safe_load(open(os.environ["KUBECONFIG"]).read())  # noqa: PTH123, SIM115
SERVER, TOKEN = CONFIG["clusters"][0]["cluster"]["server"], CONFIG["users"][0]["user"]["token"]
REQUESTS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
Object = dict[str, Any]


class RefusedError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def note(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def call(method: str, path: str, body: Object | None = None, media: str = "application/json") -> Object:
    request = urllib.request.Request(
        f"{SERVER}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": media},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        raise RefusedError(error.code) from error


def job(name: dict[str, str], request: Object) -> Object:
    pod = {"restartPolicy": "Never", "containers": [{"name": "train", "image": "none"}]}
    labels = {"toy-request": request["metadata"]["name"]}
    return {"metadata": {**name, "labels": labels}, "spec": {"template": {"spec": pod}}}


def mark(request: Object, name: str) -> None:
    patch = {"metadata": {"annotations": {"toy/job": name}}}
    call("PATCH", f"{REQUESTS}/{request['metadata']['name']}", patch, "application/merge-patch+json")


def children(request: Object) -> list[Object]:
    selector = f"toy-request%3D{request['metadata']['name']}"
    return call("GET", f"{JOBS}?labelSelector={selector}")["items"]


def reconcile(seen: Object) -> None:
    # What was seen is only a hint; what is decided upon is read now.
    request = call("GET", f"{REQUESTS}/{seen['metadata']['name']}")
    if request["metadata"].get("annotations", {}).get("toy/job"):
        return
    name = f"toy-{request['metadata']['uid'][:8]}"
    match MODE:
        case "random-names":
            name = call("POST", JOBS, job({"generateName": "toy-"}, request))["metadata"]["name"]
        case "exists-then-create":
            found = children(request)
            if found:
                name = found[0]["metadata"]["name"]
            else:
                name = f"toy-{uuid.uuid4().hex[:8]}"
                call("POST", JOBS, job({"name": name}, request))
        case "mark-then-act":
            mark(request, name)
            call("POST", JOBS, job({"name": name}, request))
            return
        case "conflict-is-fatal":
            call("POST", JOBS, job({"name": name}, request))
        case _:
            try:
                call("POST", JOBS, job({"name": name}, request))
            except RefusedError as refused:
                if refused.status != 409:
                    raise
                # Taken: by us before a crash, or by a server that only says so. Only a read can tell.
                call("GET", f"{JOBS}/{name}")
    mark(request, name)


def tidy(requests: list[Object]) -> None:
    """Delete Jobs whose request is gone."""
    known = {request["metadata"]["name"] for request in requests}
    for child in call("GET", JOBS)["items"]:
        owner = child["metadata"]["labels"]["toy-request"]
        if owner not in known and (MODE in {"tidies-by-a-list", "failed-read-is-empty"} or is_gone(owner)):
            call("DELETE", f"{JOBS}/{child['metadata']['name']}")


def is_gone(name: str) -> bool:
    """A list may be older than the Job it is held against; the server's 404 for the name itself is not."""
    try:
        call("GET", f"{REQUESTS}/{name}")
    except RefusedError as refused:
        if refused.status == 404:
            return True
        raise
    return False


def attempt(request: Object) -> None:
    try:
        reconcile(request)
    except (RefusedError, OSError) as error:
        if MODE == "conflict-is-fatal" and isinstance(error, RefusedError) and error.status == 409:
            patch = {"metadata": {"annotations": {"toy/job": "failed"}}}
            call("PATCH", f"{REQUESTS}/{request['metadata']['name']}", patch, "application/merge-patch+json")
        note(f"will try again: {error!r}")


def watch(changed: queue.Queue[Object]) -> None:
    """Hints that something changed; whatever they miss, the next full read finds."""
    since = ""
    while True:
        try:
            if MODE == "events-only":
                # From now on: what happened while nobody watched is nobody's business.
                since = call("GET", f"{REQUESTS}?limit=1")["metadata"]["resourceVersion"]
            request = urllib.request.Request(
                f"{SERVER}{REQUESTS}?watch=1&labelSelector=toy%3Drequest&timeoutSeconds=5&resourceVersion={since}",
                headers={"Authorization": f"Bearer {TOKEN}"},
            )
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:
                for line in reply:
                    event = json.loads(line)
                    if event["type"] in {"ADDED", "MODIFIED"}:
                        since = (
                            event["object"]["metadata"]["resourceVersion"] if MODE == "events-only" else ""
                        )
                        changed.put(event["object"])
        except (OSError, ValueError, RefusedError) as error:
            note(f"watch: {error!r}")
        time.sleep(0.05)


def resync() -> None:
    """Read everything, tidy up, reconcile each."""
    try:
        requests = call("GET", f"{REQUESTS}?labelSelector=toy%3Drequest")["items"]
    except (RefusedError, OSError) as error:
        note(f"list: {error!r}")
        if MODE != "failed-read-is-empty":
            return
        requests = []
    try:
        tidy(requests)
    except (RefusedError, OSError) as error:
        note(f"tidy: {error!r}")
    for request in requests:
        attempt(request)


def main() -> None:
    changed: queue.Queue[Object] = queue.Queue()
    threading.Thread(target=watch, args=(changed,), daemon=True).start()
    due = 0.0
    while True:
        if time.monotonic() >= due:
            resync()
            due = float("inf") if MODE == "events-only" else time.monotonic() + RESYNC_SECONDS
        try:
            attempt(changed.get(timeout=0.1))
        except queue.Empty:
            continue


main()
