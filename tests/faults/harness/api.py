"""The API server as the test's own hand: as administrator, past the proxy."""

from __future__ import annotations

from typing import Any

import httpx
from tests.faults.harness.controlplane import ADMIN, ControlPlane

Object = dict[str, Any]
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


class Api:
    """Objects by path, such as `apis/batch/v1/namespaces/x/jobs`."""

    def __init__(self, plane: ControlPlane, token: str = ADMIN) -> None:
        self.address = plane.address
        self._client = httpx.Client(
            base_url=plane.address,
            verify=plane.tls(),
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def get(self, path: str) -> Object:
        """One object, or a list object."""
        return self._json(self._client.get(path))

    def items(self, path: str) -> list[Object]:
        """The objects of a collection, by name."""
        return sorted(self.get(path)["items"], key=lambda item: str(item["metadata"]["name"]))

    def create(self, path: str, body: Object) -> Object:
        """Make an object; a missing right or a taken name is an AssertionError."""
        return self._json(self._client.post(path, json=body))

    def apply(self, path: str, body: Object) -> Object:
        """Server-side apply."""
        parameters = {"fieldManager": "faults", "force": "true"}
        reply = self._client.patch(path, params=parameters, json=body, headers={"Content-Type": APPLY})
        return self._json(reply)

    def merge(self, path: str, body: Object) -> Object:
        """A JSON merge patch."""
        return self._json(self._client.patch(path, json=body, headers={"Content-Type": MERGE}))

    def delete(self, path: str) -> None:
        """Delete an object at once, leaving its children (there is no garbage collector here)."""
        self._json(self._client.delete(path))

    def status(self, method: str, path: str) -> int:
        """Only the status code: for questions about rights."""
        return self._client.request(method, path, json={} if method == "POST" else None).status_code

    @staticmethod
    def _json(reply: httpx.Response) -> Object:
        assert reply.is_success, f"{reply.request.method} {reply.request.url.path}: {reply.text[:5000]}"
        document: Object = reply.json()
        return document
