"""The caller that a process names for its own actions; nothing proves it."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping

from leadscore.identity.caller import SERVICE_ACCOUNT, SYSTEM, Caller


def process_caller(environ: Mapping[str, str] = os.environ) -> Caller:
    """The Kubernetes service account of the pod (the chart sets it by the downward API), else the login."""
    account = environ.get("LEADSCORE_SERVICE_ACCOUNT", "")
    if account:
        return Caller(SERVICE_ACCOUNT, account)
    return Caller(SYSTEM, f"login {login_name()}")


def login_name() -> str:
    """The login name of the process's user: a claim of this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        return f"uid {os.getuid()}"
