"""The way to one CRM: its address, its token, and how a request ends.

Credentials are files of a folder, one for each value, read anew for each request: whoever replaces them,
as a mounted Secret does, has them in use at once. A token is kept in memory only.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from leadscore.crm.vendors.mapping import check_address
from leadscore.crm.vendors.protocol import CrmVendor, VendorReply, VendorRequest
from leadscore.crm.vendors.values import members, read_amount, shown, text_of
from leadscore.errors import UnavailableError
from leadscore.files import read_file
from leadscore.outbox.attempts import SendResult
from leadscore.outbox.http import HttpConnections

SECONDS: Final = 40.0
_MOST_BYTES: Final = 32_000_000
_CREDENTIAL: Final = 64 * 1024
# A token is renewed a little before its end: it has to last for the request.
_SPARED_SECONDS: Final = 60.0
_USUAL_SECONDS: Final = 1_800.0


class CrmUnreachableError(UnavailableError):
    """No answer came from a CRM.

    Args:
        message: What happened.
        uncertain: Whether it may have done what it was asked.
    """

    code = "crm_unreachable"

    def __init__(self, message: str, *, uncertain: bool) -> None:
        super().__init__(message, hint="It is tried again; see the CRM's status page and the network.")
        self.uncertain = uncertain


class CrmCredentialsError(UnavailableError):
    """A CRM's credentials are missing, refused or revoked."""

    code = "crm_credentials"


class VendorLink:
    """Sends requests of one target with its token.

    Args:
        vendor: Knows how a token is asked for.
        address: Of the CRM.
        folder: Of the credentials.
        clock: Seconds since the epoch.
        seconds: How long a request may take.
    """

    def __init__(
        self,
        vendor: CrmVendor,
        address: str,
        folder: Path,
        *,
        clock: Callable[[], float] = time.time,
        seconds: float = SECONDS,
    ) -> None:
        self.vendor = vendor
        self._address = check_address(address)
        self._folder = folder
        self._clock = clock
        self._seconds = seconds
        self._lock = threading.Lock()
        self._token = ""
        self._mark = b""
        self._ends = 0.0

    def send(self, request: VendorRequest) -> VendorReply:
        """Send a request; one whose token is refused is sent once more, with a new token.

        Raises:
            CrmCredentialsError: There are no credentials, or the CRM refuses them or their token.
            CrmUnreachableError: There was no answer.
            BadInputError: A value of the credentials is missing.
        """
        token = self._current()
        reply = self._exchange(request, token)
        if reply.status != 401:
            return reply
        again = self._current(refused=token)
        if again != token:
            reply = self._exchange(request, again)
        if reply.status == 401:
            raise CrmCredentialsError(
                "The CRM refuses the token, also a new one: it was revoked, or the integration switched off.",
                hint=f"Renew the credentials in {self._folder}; they are read anew for each request.",
            )
        return reply

    def _current(self, *, refused: str = "") -> str:
        with self._lock:
            credentials = self._credentials()
            mark = hashlib.sha256(msgspec.json.encode(credentials, order="sorted")).digest()
            now = self._clock()
            if mark != self._mark or now >= self._ends or self._token in {"", refused}:
                self._token, self._ends = self._granted(credentials, now)
                self._mark = mark
            return self._token

    def _credentials(self) -> dict[str, str]:
        try:
            names = sorted(path for path in self._folder.iterdir() if not path.name.startswith("."))
            return {
                path.name: read_file(path, _CREDENTIAL).decode("utf-8", "replace").strip() for path in names
            }
        except OSError as error:
            raise CrmCredentialsError(
                f"The credentials in {self._folder} cannot be read: {error.strerror or error}.",
                hint="`credentials` of the target names a folder with one file for each value.",
            ) from error

    def _granted(self, credentials: Mapping[str, str], now: float) -> tuple[str, float]:
        asked = self.vendor.token_request(credentials)
        if isinstance(asked, str):
            return asked, math.inf
        reply = self._exchange(asked, "")
        document = members(reply.document)
        token = text_of(document.get("access_token"))
        if reply.status == 200 and token:
            lasts = read_amount(document.get("expires_in")) or _USUAL_SECONDS
            return token, now + max(lasts - _SPARED_SECONDS, 1.0)
        if reply.status == 429 or reply.status >= 500:
            why = f"The CRM gives no token just now (HTTP {reply.status})."
            raise CrmUnreachableError(why, uncertain=False)
        said = shown(text_of(document.get("error")) or "it does not say why")
        raise CrmCredentialsError(
            f"The CRM gives no token for the credentials in {self._folder} (HTTP {reply.status}: {said}).",
            hint="Correct or renew them; they are read anew for each request.",
        )

    def _exchange(self, request: VendorRequest, token: str) -> VendorReply:
        # A whole URL is only that of tokens, which comes from the credentials.
        whole = "://" in request.path and not token
        url = check_address(request.path) if whole else f"{self._address}{request.path}"
        headers = {**request.headers, **({"Authorization": f"Bearer {token}"} if token else {})}
        with HttpConnections() as connections:
            found = connections.exchange(
                request.method,
                url,
                body=request.body,
                headers=headers,
                seconds=self._seconds,
                most_bytes=_MOST_BYTES,
            )
        if isinstance(found, SendResult):
            why = f"The CRM gave no answer: {found.detail}."
            raise CrmUnreachableError(why, uncertain=found.outcome == "uncertain" and bool(token))
        return VendorReply(found.status, found.headers, found.body, self._clock())
