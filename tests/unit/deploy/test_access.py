"""A CI job's way into the cluster: no secret where an identity does, nothing readable by others."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from tools.deploy.access import credential, identity_token, kubeconfig, write

from leadscore.errors import BadInputError, UnavailableError

OIDC = {"KUBE_SERVER": "https://k8s.example.com", "KUBE_CA": "Q0E="}


def token(**claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"h.{body}.s"


def test_an_identity_goes_before_a_stored_secret() -> None:
    config = yaml.safe_load(kubeconfig({**OIDC, "KUBECONFIG_CONTENT": "secret"}, python="py"))
    plugin = config["users"][0]["user"]["exec"]
    assert plugin["command"] == "py"
    assert {"name": "KUBE_AUDIENCE", "value": "https://k8s.example.com"} in plugin["env"]
    assert config["clusters"][0]["cluster"]["certificate-authority-data"] == "Q0E="


def test_a_stored_kubeconfig_is_used_as_it_is() -> None:
    assert kubeconfig({"KUBECONFIG_CONTENT": "kind: Config"}) == "kind: Config"


@pytest.mark.parametrize("environ", [{}, {"KUBE_SERVER": "https://x"}])
def test_half_a_way_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(BadInputError):
        kubeconfig(environ)


def test_a_credential_expires_when_its_token_does() -> None:
    status = credential(token(exp=1_800_000_000))["status"]
    assert status["expirationTimestamp"] == "2027-01-15T08:00:00Z"


@pytest.mark.parametrize("text", ["", "a.b", "a.!!.c", token(sub="x")])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(UnavailableError):
        credential(text)


def test_the_file_is_this_users_alone_and_later_steps_know_it(tmp_path: Path) -> None:
    later = tmp_path / "env"
    path = write({**OIDC, "RUNNER_TEMP": str(tmp_path), "GITHUB_ENV": str(later)})
    assert path.stat().st_mode & 0o777 == 0o600
    assert later.read_text() == f"KUBECONFIG={path}\n"


@pytest.fixture
def issuer() -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """What GitHub's runner offers a job: an address that gives an identity token to who has the bearer."""
    asked: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(200 if self.headers["Authorization"] == "bearer b" else 401)
            self.end_headers()
            self.wfile.write(json.dumps({"value": token(exp=1)}).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/token?v=1", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_job_asks_for_a_token_of_the_clusters_audience(
    issuer: tuple[str, list[tuple[str, str | None]]],
) -> None:
    address, asked = issuer
    environ = {"ACTIONS_ID_TOKEN_REQUEST_URL": address, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "b"}
    assert identity_token(environ, "https://k8s") == token(exp=1)
    assert asked == [("/token?v=1&audience=https%3A%2F%2Fk8s", "bearer b")]
    with pytest.raises(UnavailableError, match="401"):
        identity_token({**environ, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "wrong"}, "x")


def test_a_job_without_the_permission_is_told_which() -> None:
    with pytest.raises(UnavailableError, match="id-token: write"):
        identity_token({}, "x")
