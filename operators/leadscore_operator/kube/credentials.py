"""How the operator reaches the API server: as the ServiceAccount of its pod, or by a kubeconfig."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import kopf

from leadscore.errors import BadInputError

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Access:
    """Server, TLS and headers; a token in a file is read afresh, because it is rotated."""

    info: kopf.ConnectionInfo
    token_file: Path | None

    @property
    def server(self) -> str:
        """Base URL."""
        return self.info.server.rstrip("/")

    def headers(self) -> dict[str, str]:
        """Authorization, if any."""
        if self.token_file is not None:
            return {"Authorization": f"Bearer {self.token_file.read_text().strip()}"}
        return self.info.as_http_headers()

    def tls(self) -> ssl.SSLContext | bool:
        """What aiohttp takes as `ssl`."""
        return self.info.as_ssl_context() if self.server.startswith("https") else True


def find_access(settings: kopf.OperatorSettings) -> Access:
    """In a pod: its ServiceAccount. Else: the current context of KUBECONFIG.

    Raises:
        BadInputError: Neither is there, or the kubeconfig has no such context.
    """
    if not os.environ.get("KUBECONFIG"):
        account = kopf.login_with_service_account(settings=settings)
        if account is not None:
            return Access(account, _ACCOUNT / "token")
    try:
        info = kopf.login_with_kubeconfig(settings=settings)
    except (kopf.LoginError, KeyError, OSError) as error:
        raise BadInputError(
            f"The kubeconfig cannot be used: {error}.", hint="Check KUBECONFIG and its context."
        ) from error
    if info is None:
        raise BadInputError(
            "No ServiceAccount and no kubeconfig.", hint="Run in a pod, or set KUBECONFIG to a file."
        )
    return Access(info, None)
