# ruff: noqa: D102 - as in `mlflow_client`
"""MLflow's model registry by its REST API, over HTTP or HTTPS.

See https://mlflow.org/docs/latest/rest-api.html.
"""

from __future__ import annotations

import base64
import http.client
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from leadscore.errors import UnavailableError
from leadscore.registry.light import LightExperiment, LightModel, LightPage, LightVersion

_API: Final = "/api/2.0/mlflow"
_MOST_BYTES: Final = 64 * 2**20
# Worth a second try, as MLflow's client does: every call here may be repeated.
_PASSING: Final = frozenset((408, 429, 500, 502, 503, 504))

Document = Mapping[str, Any]


class RegistryAnswerError(Exception):
    """The server answered with an error.

    Args:
        code: MLflow's error code.
        message: Its sentence.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.error_code = code
        self.message = message


class RestClient:
    """A registry behind a server.

    Args:
        uri: `http://HOST:PORT` or `https://HOST`, with a path where the server is below one.
        environ: MLflow's variables for token, name and password, timeout and repetitions are read, and that
            of requests for the authorities to trust, so that both clients trust the same.
    """

    def __init__(self, uri: str, environ: Mapping[str, str]) -> None:
        self._base = uri.rstrip("/") + _API
        self._seconds = float(environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT") or 5)
        self._attempts = 1 + int(environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES") or 1)
        authorities = environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE")
        self._tls = ssl.create_default_context(cafile=authorities) if uri.startswith("https:") else None
        self._headers = {"Content-Type": "application/json", **_authorization(environ)}

    def search_registered_models(self, *, max_results: int, page_token: str | None) -> LightPage[LightModel]:
        found = self._get("/registered-models/search", max_results=max_results, page_token=page_token)
        models = [_model(each) for each in found.get("registered_models", [])]
        return LightPage(models, found.get("next_page_token") or None)

    def search_model_versions(
        self, filter_string: str, *, max_results: int, page_token: str | None
    ) -> LightPage[LightVersion]:
        found = self._get(
            "/model-versions/search", filter=filter_string, max_results=max_results, page_token=page_token
        )
        versions = [_version(each) for each in found.get("model_versions", [])]
        return LightPage(versions, found.get("next_page_token") or None)

    def get_registered_model(self, name: str) -> LightModel:
        return _model(self._get("/registered-models/get", name=name)["registered_model"])

    def get_model_version(self, name: str, version: str) -> LightVersion:
        return _version(self._get("/model-versions/get", name=name, version=version)["model_version"])

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        self._send("POST", "/registered-models/alias", name=name, alias=alias, version=version)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        self._send("DELETE", "/registered-models/alias", name=name, alias=alias)

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        self._send("POST", "/model-versions/set-tag", name=name, version=version, key=key, value=value)

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        self._send("POST", "/registered-models/set-tag", name=name, key=key, value=value)

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        self._send("DELETE", "/registered-models/delete-tag", name=name, key=key)

    def get_experiment_by_name(self, name: str) -> LightExperiment | None:
        try:
            found = self._get("/experiments/get-by-name", experiment_name=name)["experiment"]
        except RegistryAnswerError as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return LightExperiment(found["experiment_id"], found["artifact_location"])

    def _get(self, path: str, **query: object) -> Document:
        told = urllib.parse.urlencode({name: value for name, value in query.items() if value is not None})
        return self._ask(urllib.request.Request(f"{self._base}{path}?{told}", headers=self._headers))  # noqa: S310 (http, https)

    def _send(self, method: str, path: str, **document: str) -> None:
        self._ask(
            urllib.request.Request(  # noqa: S310 (http, https)
                self._base + path, data=msgspec.json.encode(document), headers=self._headers, method=method
            )
        )

    def _ask(self, request: urllib.request.Request) -> Document:
        """The reply's document.

        Raises:
            RegistryAnswerError: The server refused, or has not what was asked for.
            OSError: It does not answer.
            UnavailableError: What answers is no MLflow server.
        """
        for left in reversed(range(self._attempts)):
            try:
                with urllib.request.urlopen(request, timeout=self._seconds, context=self._tls) as reply:  # noqa: S310 (http, https)
                    return _document(reply)
            except urllib.error.HTTPError as error:
                if left and error.code in _PASSING:
                    continue
                raise _refusal(error) from error
            except (OSError, http.client.HTTPException) as error:
                if left:
                    continue
                # urllib wraps what happened at connecting; a torn reply is no OSError.
                reason = error.reason if isinstance(error, urllib.error.URLError) else error
                raise (reason if isinstance(reason, OSError) else OSError(str(reason))) from error
        raise AssertionError("a last attempt answers or raises")


def _document(reply: Any) -> Document:
    body = reply.read(_MOST_BYTES + 1)
    try:
        found = msgspec.json.decode(body) if len(body) <= _MOST_BYTES else None
    except msgspec.DecodeError:
        found = None
    if not isinstance(found, dict):
        raise UnavailableError(
            "What answers at the tracking URI is no MLflow server: its reply is no JSON document.",
            hint="Check LEADSCORE_TRACKING_URI.",
        )
    return cast("Document", found)


def _refusal(error: urllib.error.HTTPError) -> Exception:
    code = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}.get(error.code, "INTERNAL_ERROR")
    try:
        told = msgspec.json.decode(error.read(_MOST_BYTES))
    except (msgspec.DecodeError, OSError, http.client.HTTPException):
        told = None
    if not isinstance(told, dict):
        return RegistryAnswerError(code, f"the server answered {error.code}.")
    document = cast("Document", told)
    return RegistryAnswerError(
        str(document.get("error_code", code)), str(document.get("message", error.reason))
    )


def _authorization(environ: Mapping[str, str]) -> dict[str, str]:
    """As MLflow's client: a name with its password before a token."""
    name, word = environ.get("MLFLOW_TRACKING_USERNAME"), environ.get("MLFLOW_TRACKING_PASSWORD")
    if name and word:
        return {"Authorization": f"Basic {base64.b64encode(f'{name}:{word}'.encode()).decode()}"}
    token = environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _model(document: Document) -> LightModel:
    return LightModel(
        name=document["name"],
        aliases={each["alias"]: each["version"] for each in document.get("aliases", [])},
        tags=_tags(document),
    )


def _version(document: Document) -> LightVersion:
    return LightVersion(
        version=document["version"],
        tags=_tags(document),
        creation_timestamp=int(document["creation_timestamp"]),
        source=document["source"],
    )


def _tags(document: Document) -> dict[str, str]:
    return {each["key"]: each.get("value", "") for each in document.get("tags", [])}
