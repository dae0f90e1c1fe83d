"""Operator processes, started with a kubeconfig that leads to the proxy, killed and restarted on demand.

They are started again when they end.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from tests.faults.harness.clock import Clock
from tests.faults.harness.controlplane import OPERATOR
from tests.faults.harness.processes import Child, forked, started

RESYNC_SECONDS = 1.0
LEASE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Program:
    """How an operator is started.

    Attributes:
        command: The process. `{namespace}`, `{client}`, `{folder}` (of the replay), `{resync}` and
            `{lease}` (seconds) and `{clock}` in a word are replaced; the last is a file with the seconds to
            add to the clock, for who reads one. So are the names of the scenario's servers, `{store}` say:
            by the address of the proxy before it.
        environment: Added to this process's; the same words are replaced.
        modules: If the command is `python -m PACKAGE words`, the package and what else it
            imports: it is then forked from a process that has imported them, and a start costs
            milliseconds instead of two seconds of CPU.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    modules: tuple[str, ...] = ()

    @property
    def reads_a_clock_file(self) -> bool:
        """Whether its clock can be moved with its own help."""
        return any("{clock}" in word for word in (*self.command, *self.environment.values()))

    def filled(self, **words: str) -> tuple[list[str], dict[str, str]]:
        """Command and environment for one process."""

        def fill(text: str) -> str:
            for word, value in words.items():
                text = text.replace(f"{{{word}}}", value)
            return text

        return [fill(word) for word in self.command], {k: fill(v) for k, v in self.environment.items()}


class Operators:
    """The processes of one replay, as a kubelet would keep them."""

    def __init__(
        self, program: Program, namespace: str, folder: Path, clock: Clock, patience: float = 1.0
    ) -> None:
        """`patience`: times the operators' intervals, so that on a slow machine they do not only tick."""
        self._intervals = {
            "resync": f"{RESYNC_SECONDS * patience:g}",
            "lease": f"{LEASE_SECONDS * patience:g}",
        }
        self._program, self._namespace, self._folder, self._clock = program, namespace, folder, clock
        self._processes: dict[str, Child] = {}
        self._servers: Mapping[str, Mapping[str, str]] = {}
        self._lock = threading.Lock()
        self.restarts = 0
        self.stopped = False

    def start(
        self, addresses: Mapping[str, str], servers: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        """Start one process per address; `servers`: by name, the addresses of the other proxies."""
        self._servers = servers or {}
        for client, address in addresses.items():
            config = self._folder / f"{client}.kubeconfig"
            config.write_text(yaml.safe_dump(kubeconfig(address, self._namespace)))
            self._spawn(client)

    def revive(self) -> None:
        """Start again what has ended."""
        with self._lock:
            ended = [client for client, process in self._processes.items() if process.has_ended()]
        for client in ended:
            self.restarts += 1
            self._spawn(client)

    def restart(self, client: str) -> None:
        """Start one process again that has ended."""
        self._spawn(client)

    def kill(self, client: str) -> None:
        """SIGKILL a process and wait until it is gone."""
        with self._lock:
            process = self._processes.get(client)
            if process is not None:
                process.kill()

    def terminate(self, client: str) -> None:
        """SIGTERM a process, as a kubelet does."""
        with self._lock:
            self._processes[client].terminate()

    def has_ended(self, client: str) -> bool:
        """Whether a process is gone."""
        with self._lock:
            return self._processes[client].has_ended()

    def stop(self) -> None:
        """End all of them. The scenario is over: how they would say goodbye is no part of it."""
        self.stopped = True
        for client in tuple(self._processes):
            self.kill(client)

    def tail(self) -> str:
        """The last lines of every process's output."""
        logs = sorted(self._folder.glob("*.log"))
        return "\n".join(f"--- {log.stem}\n" + "\n".join(log.read_text().splitlines()[-15:]) for log in logs)

    def _spawn(self, client: str) -> None:
        command, environment = self._program.filled(
            namespace=self._namespace,
            client=client,
            folder=str(self._folder),
            clock=str(self._clock.file),
            **{name: addresses[client] for name, addresses in self._servers.items()},
            **self._intervals,
        )
        full = {
            **os.environ,
            **self._clock.environment(),
            **environment,
            "KUBECONFIG": str(self._folder / f"{client}.kubeconfig"),
        }
        log = self._folder / f"{client}.log"
        if self._program.modules and "LD_PRELOAD" not in full:
            process = forked(self._program.modules, command[command.index("-m") + 2 :], full, log)
        else:
            process = started(command, full, log)
        with self._lock:
            self._processes[client] = process


def kubeconfig(address: str, namespace: str, token: str = OPERATOR) -> dict[str, object]:
    """A kubeconfig of the operator's ServiceAccount."""
    context: dict[str, Sequence[str] | str] = {"cluster": "c", "user": "u", "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": address}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "c", "context": context}],
        "current-context": "c",
    }
