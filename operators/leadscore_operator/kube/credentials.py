"""How the operator reaches the API server: as the ServiceAccount of its pod, or by a kubeconfig."""

from __future__ import annotations

import os

import kopf
import yaml
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config
from kubernetes.aio.config.incluster_config import SERVICE_TOKEN_FILENAME

from leadscore.errors import BadInputError


async def load_configuration() -> Configuration:
    """Return the client's configuration: in a pod its ServiceAccount, else the current context of KUBECONFIG.

    The client reads a ServiceAccount's token anew every minute, because it is rotated.

    Raises:
        BadInputError: Neither is there, or the kubeconfig has no such context.
    """
    found = Configuration()
    # As many calls as workers and resync make at once; a proxy of the environment is not for the API server.
    found.connection_pool_maxsize = 16
    found.client_session_kwargs = {"trust_env": False}
    try:
        if _in_pod():
            load_incluster_config(client_configuration=found)
        else:
            file = os.environ.get("KUBECONFIG")
            await load_kube_config(config_file=file, client_configuration=found, persist_config=False)
    except (ConfigException, OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise BadInputError(
            f"The API server cannot be reached: {error}.",
            hint=(
                "Run in a pod with a ServiceAccount, or set KUBECONFIG to a file whose "
                "current context is right."
            ),
        ) from error
    return found


def log_in_to_watch(settings: kopf.OperatorSettings) -> kopf.ConnectionInfo | None:
    """Return kopf's own connection by the same rule; kopf asks again when the server refuses a token."""
    if _in_pod():
        return kopf.login_with_service_account(settings=settings)
    return kopf.login_with_kubeconfig(settings=settings)


def _in_pod() -> bool:
    return not os.environ.get("KUBECONFIG") and os.path.exists(SERVICE_TOKEN_FILENAME)  # noqa: PTH110 (a constant)
