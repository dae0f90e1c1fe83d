"""A kubeconfig for a CI job: `python -m tools.deploy.access [kubeconfig | token]`.

Two ways, and the first that is set up is taken:

- OpenID Connect (`KUBE_SERVER`, `KUBE_CA`, `KUBE_AUDIENCE`): the API server trusts the identity of the CI job
  itself (Kubernetes' structured authentication, manifests/ci/authentication.yaml), so nothing long-lived is
  stored. Its tokens live for minutes and a canary for longer, so kubectl asks for a new one by itself: this
  module is its credential plugin (client.authentication.k8s.io/v1).
- `KUBECONFIG_CONTENT`: a kubeconfig kept as a secret of the environment.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from leadscore.errors import BadInputError, LeadScoreError, UnavailableError

ROOT = Path(__file__).parents[2]


def kubeconfig(environ: Mapping[str, str], python: str = sys.executable) -> str:
    """The kubeconfig that the environment's variables ask for, as text.

    Raises:
        BadInputError: Neither way is set up, or only half of one.
    """
    server, authority = environ.get("KUBE_SERVER", ""), environ.get("KUBE_CA", "")
    if not server:
        content = environ.get("KUBECONFIG_CONTENT", "")
        if content:
            return content
        raise BadInputError(
            "This job has no way into the cluster.",
            hint=(
                "Set the environment's variables KUBE_SERVER and KUBE_CA, or its secret "
                "KUBECONFIG (docs/ci-cd.md)."
            ),
        )
    if not authority:
        raise BadInputError(
            "KUBE_SERVER is set and KUBE_CA is not.", hint="KUBE_CA is the cluster's CA, base64."
        )
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": python,
        "args": ["-m", "tools.deploy.access", "token"],
        "env": [
            {"name": "PYTHONPATH", "value": str(ROOT)},
            {"name": "KUBE_AUDIENCE", "value": environ.get("KUBE_AUDIENCE") or server},
        ],
        "interactiveMode": "Never",
    }
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "c", "cluster": {"server": server, "certificate-authority-data": authority}}
            ],
            "users": [{"name": "u", "user": {"exec": plugin}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "c",
        }
    )


def credential(token: str) -> dict[str, Any]:
    """The ExecCredential of a JSON Web Token, with the expiry that the token itself states.

    Raises:
        UnavailableError: It is not a token.
    """
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        expires = datetime.fromtimestamp(claims["exp"], UTC)
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error) as error:
        raise UnavailableError("What the CI gave as an identity token is none.") from error
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": token, "expirationTimestamp": f"{expires:%Y-%m-%dT%H:%M:%SZ}"},
    }


def identity_token(environ: Mapping[str, str], audience: str) -> str:
    """Ask the CI for this job's identity token.

    Raises:
        UnavailableError: The job may not have one, or the CI did not answer.
    """
    address, bearer = (
        environ.get("ACTIONS_ID_TOKEN_REQUEST_URL"),
        environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
    )
    if not address or not bearer:
        raise UnavailableError(
            "This job may not ask for an identity token.", hint="Give it `permissions: {id-token: write}`."
        )
    request = urllib.request.Request(
        f"{address}&{urllib.parse.urlencode({'audience': audience})}",
        headers={"Authorization": f"bearer {bearer}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return str(json.load(reply)["value"])
    except (urllib.error.URLError, TimeoutError, json.JSONDecodeError, KeyError) as error:
        raise UnavailableError(f"The CI gave no identity token: {error}") from error


def write(environ: Mapping[str, str]) -> Path:
    """Write the kubeconfig where only this user reads it, and tell later steps (`GITHUB_ENV`) where it is."""
    path = Path(environ.get("RUNNER_TEMP") or ".") / "kubeconfig"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(kubeconfig(environ))
    if environ.get("GITHUB_ENV"):
        with Path(environ["GITHUB_ENV"]).open("a") as file:
            file.write(f"KUBECONFIG={path.absolute()}\n")
    return path


def main(arguments: list[str]) -> int:
    """Write the kubeconfig, or (called by kubectl) print a credential."""
    try:
        if arguments == ["token"]:
            token = identity_token(os.environ, os.environ.get("KUBE_AUDIENCE", ""))
            json.dump(credential(token), sys.stdout)
        else:
            print(write(os.environ), file=sys.stderr)
    except LeadScoreError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
