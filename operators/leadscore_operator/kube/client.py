"""Calls to the API server. A missing answer is an error, never an empty result."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, cast

import aiohttp
import msgspec
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException

from leadscore.documents import DECODE_ERRORS
from leadscore_operator.errors import AlreadyExistsError, KubeConflictError, KubeError, KubeRefusedError
from leadscore_operator.kube.resources import MANAGER, Manifest, Resource

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10.0, sock_connect=5.0)
_PAGE: Final = 500
_MERGE: Final = "application/merge-patch+json"
_APPLY: Final = "application/apply-patch+yaml"
# Field manager for server-side apply.
_OWNER: Final = {"fieldManager": MANAGER}


class Kube:
    """Reads and writes in one namespace, through the Kubernetes client's transport.

    Objects are plain JSON: custom resources have no models there, and those of the others are wider than what
    is read here.

    Args:
        configuration: Where and as whom.
        namespace: The only one that is touched.
        allowed: Asked before each write; raises if this process may not write (any more).

    Every method raises KubeError when the answer is not known (timeout, broken connection, 429, 5xx: the
    write may or may not have happened), and KubeRefusedError when the server says no for good.
    """

    def __init__(
        self, configuration: Configuration, namespace: str, *, allowed: Callable[[], None] = lambda: None
    ) -> None:
        self.namespace = namespace
        self._configuration = configuration
        self._allowed = allowed
        self._api: ApiClient | None = None

    async def __aenter__(self) -> Self:
        self._api = ApiClient(self._configuration)
        self._api.user_agent = MANAGER
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._api is not None:
            await self._api.close()

    def guarded(self, allowed: Callable[[], None]) -> Kube:
        """The same connection, with another question before each write."""
        other = Kube(self._configuration, self.namespace, allowed=allowed)
        other._api = self._api
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
        return await self._write("POST", resource.path(self.namespace), resource.full(body))

    async def apply(self, resource: Resource, body: Manifest) -> Manifest:
        """Apply server-side: set what `body` says, and remove what our last apply said and it leaves out.

        Fields of other managers stay.

        A body with a uid is about an object that was read and is ours: values that others have set are
        overwritten. KubeConflictError if that object is gone, or has changed since the resourceVersion
        that the body names. A body without one makes the object, and KubeRefusedError names whose field
        is in the way if there is one already.
        """
        meta = body["metadata"]
        query = {**_OWNER, "force": "true" if "uid" in meta else "false"}
        path = resource.path(self.namespace, meta["name"])
        return await self._write("PATCH", path, resource.full(body), media=_APPLY, query=query)

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
        self,
        method: str,
        path: str,
        body: Manifest,
        *,
        media: str = "application/json",
        query: dict[str, str] = _OWNER,
    ) -> Manifest:
        self._allowed()
        answer = await self._call(method, path, body=body, media=media, query=query)
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
        if self._api is None:
            raise KubeError("The client is closed.")
        try:
            request = await self._api.param_serialize(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params={"Content-Type": media},
                body=body,
                auth_settings=["BearerToken"],
            )
            response = await self._api.call_api(*request, _request_timeout=_TIMEOUT)
            data = await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError, ConfigException) as error:
            raise KubeError(f"{method} {path} had no answer: {type(error).__name__} {error}.") from error
        if response.status == 404 and missing:
            return None
        return _answer(method, path, response.status, data, response.headers.get("Retry-After"))


def _answer(method: str, path: str, status: int, data: bytes, wait: str | None) -> Manifest:
    try:
        document = msgspec.json.decode(data, type=dict)
    except DECODE_ERRORS as error:
        raise KubeError(f"{method} {path} gave {status} and no JSON object.") from error
    if 200 <= status < 300:
        return document
    message = f"{method} {path}: {status} {document.get('reason', '')}: {document.get('message', '')}"
    if status == 409:
        if document.get("reason") == "AlreadyExists":
            raise AlreadyExistsError(message)
        if _is_about_fields(document):
            raise KubeRefusedError(message, hint="Rename or delete the object that is in the way.")
        raise KubeConflictError(message)
    if status in {400, 403, 404, 405, 422}:
        raise KubeRefusedError(message)
    seconds = float(wait) if wait is not None and wait.isdigit() else None
    raise KubeError(message, retry_after=seconds)


def _is_about_fields(status: Manifest) -> bool:
    """Whether an apply was refused because fields are others', and not because the object has changed."""
    causes = (status.get("details") or {}).get("causes") or []
    return any(cause.get("reason") == "FieldManagerConflict" for cause in causes)
