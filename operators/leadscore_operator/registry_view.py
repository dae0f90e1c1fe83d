"""Read the registry over MLflow's REST interface: two calls do not justify its 70 MB client.

Changes of the registry are never made here: they are Jobs of the jobs image, which follow the registry's own
rules. See https://mlflow.org/docs/latest/rest-api.html#get-registeredmodel and #get-modelversion.
"""

from __future__ import annotations

from typing import Any, Final, cast

import aiohttp
import msgspec

from leadscore.documents import DECODE_ERRORS
from leadscore.registry.versions import CHAMPION
from leadscore.release.states import VersionObservation
from leadscore_operator.errors import RegistryUnavailableError

_SECONDS: Final = 10.0


class RegistryView:
    """Reads versions and the champion; RegistryUnavailableError whenever the answer is not known."""

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri.rstrip("/")

    async def version(self, model: str, version: int) -> VersionObservation | None:
        """One version; None only if the registry says that it has none."""
        asked = {"name": model, "version": str(version)}
        found = await self._get("model-versions/get", asked, "model_version")
        return None if found is None else decode_version(found)

    async def champion(self, model: str) -> VersionObservation | None:
        """The champion; None only if the registry says that there is none."""
        found = await self._get("registered-models/get", {"name": model}, "registered_model")
        aliases = [] if found is None else found.get("aliases", [])
        number = next((a["version"] for a in aliases if a["alias"] == CHAMPION), None)
        return None if number is None else await self.version(model, int(number))

    async def _get(self, call: str, query: dict[str, str], wanted: str) -> dict[str, Any] | None:
        url = f"{self._uri}/api/2.0/mlflow/{call}"
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as session,
                session.get(url, params=query) as reply,
            ):
                status, data = reply.status, await reply.read()
            document = msgspec.json.decode(data, type=dict)
        except (TimeoutError, aiohttp.ClientError, OSError, *DECODE_ERRORS) as error:
            raise RegistryUnavailableError(f"The registry at {self._uri} gave no answer: {error}.") from error
        if status == 200 and isinstance(document.get(wanted), dict):
            return cast("dict[str, Any]", document[wanted])
        if document.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise RegistryUnavailableError(f"The registry answered {status}: {document.get('message', '')}.")


def decode_version(found: dict[str, Any]) -> VersionObservation:
    """A version as MLflow has it, in the release machine's words."""
    tags = {tag["key"]: tag["value"] for tag in found.get("tags", [])}
    stage = tags.get("stage", "")
    return VersionObservation(
        version=int(found["version"]),
        digest=tags.get("digest", ""),
        archived=stage == "Archived",
        challenger=stage == "Staging",
    )
