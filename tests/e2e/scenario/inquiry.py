"""Asks at once, when a request has failed, what the ingress and the pods know of it.

A minute later the pod may be gone.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from tests.e2e.scenario.kube import Kube, Object, mebibytes, restarts
from tests.e2e.scenario.tally import Sent
from tools.cluster.errors import ClusterError

# A fault that fails everything explains itself with the first few.
_MOST = 5
_SINCE = "--since=90s"


class Inquiry:
    """Takes failed requests from the load's thread, and asks about them in its own until it is closed."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._asked: queue.Queue[Sent | None] = queue.Queue(_MOST)
        self._parts: list[str] = []
        self._thread: threading.Thread | None = None

    def about(self, failure: Sent) -> None:
        """Ask about a failed request soon; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="inquiry", daemon=True)
            self._thread.start()
        try:
            self._asked.put_nowait(failure)
        except queue.Full:
            # The first few are being asked about.
            return

    def report(self) -> str:
        """End, and return what was found."""
        if self._thread is not None:
            self._asked.put(None)
            self._thread.join(120)
        return "\n".join(self._parts) or "no request failed"

    def _run(self) -> None:
        while (failure := self._asked.get()) is not None:
            if len(self._parts) < _MOST:
                self._parts.append(self._one(failure))

    def _one(self, failure: Sent) -> str:
        request_id = failure.about.split(" ", 1)[0]
        pods = self._pods("--namespace", self._kube.namespace)
        ingress = self._pods("--all-namespaces", "--selector=app.kubernetes.io/name=traefik")
        parts = [f"{failure.status} {failure.problem}: {failure.about}"]
        parts += [f"  {_state(pod)} {self._memory(pod)}" for pod in (*ingress, *pods)]
        for pod in (*ingress, *pods):
            parts += self._lines(pod, request_id)
        if any("] cannot be read" in line for line in parts):
            parts.append("  Not known whether it was read: a log is missing.")
        elif not any(request_id in line for line in parts[1:]):
            parts.append(
                "  Neither the ingress nor a pod has a line about it: its connection was "
                "closed before it was read."
            )
        return "\n".join(parts)

    def _pods(self, *options: str) -> list[Object]:
        try:
            return self._kube.cluster_list("pods", *options)
        except ClusterError as error:
            self._parts.append(f"pods cannot be read ({options}): {error.message}")
            return []

    def _memory(self, pod: Object) -> str:
        meta = pod["metadata"]
        path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        return _attempt(lambda: f"{mebibytes(self._kube.raw(path)):.0f} MiB")

    def _lines(self, pod: Object, request_id: str) -> list[str]:
        meta = pod["metadata"]
        where = (meta["name"], f"--namespace={meta['namespace']}", "--all-containers", _SINCE)
        log = _attempt(lambda: self._kube.cluster.run("logs", *where))
        if log.startswith("cannot be read"):
            return [f"  [{meta['name']}] {log}"]
        return [f"  [{meta['name']}] {line}" for line in log.splitlines() if request_id in line]


def _state(pod: Object) -> str:
    """Name, phase, restarts, and how a container ended before: `OOMKilled` is what one looks for."""
    meta, status = pod["metadata"], pod.get("status", {})
    ended = [
        f"{name['name']} ended before: {last.get('reason')} (exit code {last.get('exitCode')}, "
        f"{last.get('finishedAt')})"
        for name in status.get("containerStatuses", [])
        if (last := name.get("lastState", {}).get("terminated")) is not None
    ]
    going = f", told to stop at {meta['deletionTimestamp']}" if "deletionTimestamp" in meta else ""
    said = (
        f"{meta['name']}: {status.get('phase')}{going}, "
        f"{restarts(pod) if 'containerStatuses' in status else 0} restarts"
    )
    return "; ".join([said, *ended])


def _attempt(read: Callable[[], str]) -> str:
    try:
        return read()
    except ClusterError as error:
        return f"cannot be read: {error.message}"
