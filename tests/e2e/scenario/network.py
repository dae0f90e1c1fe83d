"""Which addresses pods reach, asked of the pods: what NetworkPolicies allow where something enforces them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from tests.e2e.scenario.patience import wait_until
from tests.e2e.scenario.release import Release

_STRANGER: Final = "stranger"
# What a policy does not name is not answered or refused, as its enforcer likes it.
_CONNECT: Final = """
import json, socket
found = []
for place in json.loads({places!r}):
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except (TimeoutError, ConnectionRefusedError):
        continue
    found.append(place)
print(json.dumps(found))
"""


def reached_from(release: Release, component: str, places: Sequence[str]) -> list[str]:
    """Those of the places (`HOST:PORT`) that a pod of a component reaches."""
    pod = release.pods(component)[0]
    container = pod["spec"]["containers"][0]["name"]
    return json.loads(release.kube.python(pod["metadata"]["name"], _code(places), container))


def reached_by_a_stranger(release: Release, places: Sequence[str]) -> list[str]:
    """The same of a pod in the release's namespace that is none of its own."""
    image = release.images["image"]
    reference = f"{image['repository']}:{image['tag']}"
    kube = release.kube
    kube.run(
        "run", _STRANGER, f"--image={reference}", "--image-pull-policy=IfNotPresent", "--restart=Never",
        "--command", "--", "python", "-c", _code(places),
    )  # fmt: skip
    try:
        wait_until(
            lambda: kube.get("pod", _STRANGER)["status"]["phase"] in {"Succeeded", "Failed"},
            seconds=90, what="the stranger's answer",
        )  # fmt: skip
        return json.loads(kube.run("logs", _STRANGER))
    finally:
        kube.run("delete", "pod", _STRANGER, "--wait=false")


def _code(places: Sequence[str]) -> str:
    return _CONNECT.format(places=json.dumps(list(places)))
