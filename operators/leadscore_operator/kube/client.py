"""Calls to the API server. Unknown is not empty: an answer that did not come is an error, never a result."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, cast

import aiohttp
import msgspec

from leadscore.documents import DECODE_ERRORS
from leadscore_operator.errors import AlreadyExistsError, KubeConflictError, KubeError, KubeRefusedError
from leadscore_operator.kube.credentials import Access
from leadscore_operator.kube.resources import Manifest, Resource

_SECONDS: Final = 10.0
_PAGE: Final = 500
_MERGE: Final = "application/merge-patch+json"


class Kube:
    """Reads and writes in one namespace.

    Args:
        access: Where and as whom.
        namespace: The only one that is touched.
        allowed: Asked before each write; raises if this process may not write (any more).

    Every method raises KubeError when the answer is not known (timeout, broken connection, 429, 5xx: the write may or
    may not have happened), and KubeRefusedError when the server says no for good.
    """

    def __init__(self, access: Access, namespace: str, *, allowed: Callable[[], None] = lambda: None) -> None:
        self.namespace = namespace
        self._access = access
        self._allowed = allowed
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._access.tls(), limit=16)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=_SECONDS, sock_connect=_SECONDS / 2)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def guarded(self, allowed: Callable[[], None]) -> Kube:
        """The same connection, with another question before each write."""
        other = Kube(self._access, self.namespace, allowed=allowed)
        other._session = self._session
        return other

    def may_write(self) -> None:
        """Raise unless this process may write (for writes elsewhere that belong to a step)."""
        self._allowed()

    async def get(self, resource: Resource, name: str) -> Manifest | None:
        """The object; None only if the server says that there is none."""
        return await self._call("GET", resource.path(self.namespace, name), missing=True)

    async def list(self, resource: Resource, *, labels: str = "") -> list[Manifest]:
        """All objects, or those with these labels, read from a quorum and in pages."""
        found: list[Manifest] = []
        query = {"limit": str(_PAGE), **({"labelSelector": labels} if labels else {})}
        while True:
            page = await self._call("GET", resource.path(self.namespace), query=query)
            if page is None or not isinstance(page.get("items"), list):
                raise KubeError(f"The list of {resource.plural} is not one.")
            found += cast("list[Manifest]", page["items"])
            rest = page.get("metadata", {}).get("continue")
            if not rest:
                return found
            query = {**query, "continue": rest}

    async def create(self, resource: Resource, body: Manifest) -> Manifest:
        """Create; AlreadyExistsError if the name is taken."""
        full = {"apiVersion": resource.api, "kind": resource.kind, **body}
        return await self._write("POST", resource.path(self.namespace), full)

    async def patch(self, resource: Resource, name: str, patch: Manifest) -> Manifest:
        """Merge-patch; KubeConflictError if the patch names a resourceVersion and the object has another."""
        return await self._write("PATCH", resource.path(self.namespace, name), patch, media=_MERGE)

    async def put_status(self, resource: Resource, body: Manifest) -> Manifest:
        """Replace the status of exactly this version of the object (KubeConflictError if it has changed)."""
        path = resource.path(self.namespace, body["metadata"]["name"], "status")
        return await self._write("PUT", path, body)

    async def put(self, resource: Resource, body: Manifest) -> Manifest:
        """Replace exactly this version of the object (KubeConflictError if it has changed)."""
        return await self._write("PUT", resource.path(self.namespace, body["metadata"]["name"]), body)

    async def delete(self, resource: Resource, name: str, uid: str) -> None:
        """Delete this very object and, in the background, its children; one that is gone is deleted."""
        self._allowed()
        options = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        await self._call("DELETE", resource.path(self.namespace, name), body=options, missing=True)

    async def _write(
        self, method: str, path: str, body: Manifest, *, media: str = "application/json"
    ) -> Manifest:
        self._allowed()
        answer = await self._call(method, path, body=body, media=media)
        if answer is None:
            raise KubeError(f"{method} {path} was answered with nothing.")
        return answer

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Manifest | None = None,
        media: str = "application/json",
        missing: bool = False,
    ) -> Manifest | None:
        if self._session is None:
            raise KubeError("The client is closed.")
        try:
            async with self._session.request(
                method,
                self._access.server + path,
                params=query,
                data=None if body is None else msgspec.json.encode(body),
                headers={**self._access.headers(), "Content-Type": media},
            ) as response:
                data = await response.read()
                status, wait = response.status, response.headers.get("Retry-After")
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise KubeError(f"{method} {path} had no answer: {type(error).__name__} {error}.") from error
        if status == 404 and missing:
            return None
        return _answer(method, path, status, data, wait)


def _answer(method: str, path: str, status: int, data: bytes, wait: str | None) -> Manifest:
    try:
        document = msgspec.json.decode(data, type=dict)
    except DECODE_ERRORS as error:
        raise KubeError(f"{method} {path} gave {status} and no JSON object.") from error
    if 200 <= status < 300:
        return document
    message = f"{method} {path}: {status} {document.get('reason', '')}: {document.get('message', '')}"
    if status == 409:
        exists = document.get("reason") == "AlreadyExists"
        raise AlreadyExistsError(message) if exists else KubeConflictError(message)
    if status in {400, 403, 404, 405, 422}:
        raise KubeRefusedError(message)
    seconds = float(wait) if wait is not None and wait.isdigit() else None
    raise KubeError(message, retry_after=seconds)
