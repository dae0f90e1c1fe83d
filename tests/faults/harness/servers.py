"""The servers that an operator talks to, as the proxies in front of them see them."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tests.faults.harness.calls import Call

# Names of the servers beside the API server; they end the signatures of their calls.
STORE, REGISTRY = "store", "registry"


class Upstream(Protocol):
    """A server that speaks HTTP, and how its calls are read (`ControlPlane`, `HttpServer`)."""

    @property
    def address(self) -> str:
        """URL without a path."""
        ...

    def tls(self) -> ssl.SSLContext | None:
        """What is trusted; None: no TLS."""
        ...

    def understand(self, method: str, path: str, query: Mapping[str, str]) -> Call:
        """The call that a request is."""
        ...

    def question(self, path: str, query: Mapping[str, str]) -> tuple[str, ...]:
        """What a read asks for: the same for two reads whose answers may be confused."""
        ...

    def refusal(self, status: int, verb: str) -> dict[str, object]:
        """The body of an error as this server words it."""
        ...


@dataclass(frozen=True, slots=True)
class HttpServer:
    """MLflow's REST interface, or one that is alike: `/api/2.0/mlflow/THINGS/VERB`.

    Attributes:
        name: For signatures: `get model-versions.registry`.
        address: URL without a path.
    """

    name: str
    address: str

    def tls(self) -> None:
        """None is spoken."""
        return

    def understand(self, method: str, path: str, query: Mapping[str, str]) -> Call:  # noqa: ARG002
        """The last two parts of the path are what it is about and what is done."""
        parts = [part for part in path.split("/") if part]
        if len(parts) < 2:
            return Call("other", self.name, path)
        return Call(parts[-1], self.name, parts[-2], name=query.get("name", ""))

    def question(self, path: str, query: Mapping[str, str]) -> tuple[str, ...]:
        """Everything that it asks."""
        return (path, *(f"{name}={value}" for name, value in sorted(query.items())))

    def refusal(self, status: int, verb: str) -> dict[str, object]:
        """As MLflow words errors."""
        return {
            "error_code": _MLFLOW.get(status, "INTERNAL_ERROR"),
            "message": f"injected at {verb}: {status}",
        }


# https://mlflow.org/docs/latest/rest-api.html, mlflow/exceptions.py.
_MLFLOW = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
}


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """A PostgreSQL server on loopback that asks for no password and speaks no TLS."""

    name: str
    port: int


Server = HttpServer | DatabaseServer
