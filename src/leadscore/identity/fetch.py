"""Fetch the small documents of an OIDC issuer: bounded in time and size, no redirects."""

from __future__ import annotations

import http.client
import urllib.request
from typing import Final

from leadscore.errors import UnavailableError

_SECONDS: Final = 5.0
_BYTES: Final = 512 * 1024


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """An issuer is asked at the address that was configured, and nowhere else."""

    def redirect_request(self, *args: object, **kwargs: object) -> None:  # type: ignore[override]
        """Follow nothing."""


def fetch_json(url: str) -> bytes:
    """Return what is at an http or https URL.

    Raises:
        UnavailableError: It cannot be had, or is longer than 512 KiB.
    """
    if not url.startswith(("https://", "http://")):
        raise UnavailableError(f"{url[:200]!r} is no http URL.")
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=_SECONDS) as reply:
            document: bytes = reply.read(_BYTES + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UnavailableError(
            f"{url} cannot be read: {type(error).__name__}: {error}"[:500] + ".",
            hint="Check the issuer's address, the network policy and the certificate authorities.",
        ) from error
    if len(document) > _BYTES:
        raise UnavailableError(f"{url} is longer than {_BYTES} bytes.", hint="That is no set of keys.")
    return document
