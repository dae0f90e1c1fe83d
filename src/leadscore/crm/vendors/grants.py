"""What OAuth asks for: the request for a token, from the files of a target's credentials."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from leadscore.crm.vendors.protocol import VendorRequest
from leadscore.errors import BadInputError


def client_credentials(path: str, credentials: Mapping[str, str], **more: str) -> VendorRequest:
    """A token by OAuth's client credentials (RFC 6749, 4.4), at the target or at `token_url`.

    Raises:
        BadInputError: The id or the secret is missing.
    """
    form = {"grant_type": "client_credentials", **more}
    for name in ("client_id", "client_secret"):
        form[name] = required(credentials, name)
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    return VendorRequest("POST", credentials.get("token_url") or path, urlencode(form).encode(), headers)


def required(credentials: Mapping[str, str], name: str) -> str:
    """A value of the credentials.

    Raises:
        BadInputError: It is missing.
    """
    value = credentials.get(name, "")
    if not value:
        raise BadInputError(
            f"The credentials have no `{name}`.",
            hint="Put it into a file of that name in the target's folder.",
        )
    return value
