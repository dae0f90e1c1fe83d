"""Webhook endpoints: added, rotated, switched on and off by people, switched off by a receiver that says 410.

Their secrets are not stored anywhere: each is derived (HMAC-SHA256) from a key that a file holds, the name of
the endpoint and the number of its rotation. Who can read the event store, or a backup of it, can sign
nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec
import sqlalchemy as sa

from leadscore.crm.choose import Subscriber
from leadscore.crm.cursors import read_cursor, set_cursor
from leadscore.crm.signing import write_secret
from leadscore.crm.tables import CRM_REVISION, crm_cursors, crm_endpoints, crm_states
from leadscore.crm.targets import CRM_CHANNEL
from leadscore.crm.updates import UPDATE_FIELDS
from leadscore.errors import BadInputError, ConflictError, NotFoundError, UnavailableError
from leadscore.events.records import Evidence, new_id
from leadscore.events.store import EventStore
from leadscore.files import read_file
from leadscore.identity.caller import Caller
from leadscore.outbox.tables import SECOND_US, outbox
from leadscore.settings import Home

KEY_VARIABLE: Final = "LEADSCORE_CRM_KEY"
ENDPOINT_KIND: Final = "crm-endpoint"
# How long the secret before a rotation goes on signing.
OVERLAP_SECONDS: Final = 86_400.0
_KEY_BYTES: Final = 32
_MOST_KEY_BYTES: Final = 4_096
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
_LONGEST_URL: Final = 2_000
# Of a removed endpoint, in place of a cursor: how many secrets its name has had.
_SECRETS: Final = "secrets"

EndpointState = Literal["on", "disabled"]


class WebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where changed scores are posted.

    Attributes:
        name: Of the endpoint; no other target has it.
        url: https, or http within a network that is listed.
        model: Whose scores; empty: of the only model that there is.
        state: `disabled`: nothing is sent, and what changes is kept for later.
        reason: Why it is disabled; empty if it is not.
        key_mark: Which key its secrets are derived from.
        generation: Number of its secret, from 1.
        rotated_at: When it got this secret, if it had another before (microseconds since the epoch).
        failures: Attempts that failed since the last that was accepted.
        failing_since: When the first of them was; None: the last one was accepted.
        created_at: When it was added.
    """

    name: str
    url: str
    model: str
    state: EndpointState
    reason: str
    key_mark: str
    generation: int
    rotated_at: int | None
    failures: int
    failing_since: int | None
    created_at: int

    @property
    def channel(self) -> str:
        """Of its messages in the outbox."""
        return CRM_CHANNEL + self.name

    @property
    def gone(self) -> bool:
        """Whether its receiver said so, and no person has decided anything since."""
        return self.state == "disabled" and self.failing_since is not None

    @property
    def subscriber(self) -> Subscriber:
        """As the choice of scores sees it: it is told everything."""
        return Subscriber(
            name=self.name, channel=self.channel, model=self.model, told=UPDATE_FIELDS, mapping={}
        )


@dataclass(frozen=True, slots=True)
class SecretKey:
    """The key that secrets are derived from.

    Attributes:
        key: It.
    """

    key: bytes

    @property
    def mark(self) -> str:
        """Which key it is, without saying it."""
        return hashlib.sha256(b"leadscore/crm/mark/" + self.key).hexdigest()[:16]

    def secret(self, endpoint: str, generation: int) -> bytes:
        """The secret of an endpoint."""
        said = f"leadscore/crm/webhook/{endpoint}/{generation}"
        return hmac.new(self.key, said.encode(), hashlib.sha256).digest()

    def signing(self, endpoint: WebhookEndpoint, now: int) -> list[bytes]:
        """Secrets that sign now, the newest first."""
        found = [self.secret(endpoint.name, endpoint.generation)]
        if endpoint.rotated_at is not None and now < endpoint.rotated_at + OVERLAP_SECONDS * SECOND_US:
            found.append(self.secret(endpoint.name, endpoint.generation - 1))
        return found


def read_key(home: Home, environ: Mapping[str, str] = os.environ, *, make: bool = False) -> SecretKey:
    """Read the key: of the file that `LEADSCORE_CRM_KEY` names, or of `crm.key` in the home.

    Args:
        home: Where the embedded one is.
        environ: The environment.
        make: Whether to make the embedded one if there is none; a file that is named must be there.

    Raises:
        UnavailableError: It cannot be read, or holds too little.
    """
    named = environ.get(KEY_VARIABLE)
    path = Path(named) if named else home.root / "crm.key"
    if make and not named:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
        except FileExistsError:
            pass
    try:
        key = read_file(path, _MOST_KEY_BYTES)
    except OSError as error:
        raise UnavailableError(
            f"The key of webhook secrets cannot be read: {path.name}: {error.strerror}.",
            hint=f"{KEY_VARIABLE} names a file of at least {_KEY_BYTES} random bytes.",
        ) from error
    if len(key) < _KEY_BYTES:
        raise UnavailableError(
            f"The key of webhook secrets, {path.name}, has {len(key)} bytes; {_KEY_BYTES} are needed.",
            hint="Such as: head -c 32 /dev/urandom > crm.key",
        )
    return SecretKey(key)


def read_endpoints(connection: sa.Connection) -> tuple[WebhookEndpoint, ...]:
    """All endpoints, by name."""
    query = sa.select(crm_endpoints).order_by(crm_endpoints.c.name)
    return tuple(_endpoint(row) for row in connection.execute(query))


def find_endpoint(connection: sa.Connection, name: str) -> WebhookEndpoint:
    """One endpoint.

    Raises:
        NotFoundError: There is none of that name.
    """
    row = connection.execute(sa.select(crm_endpoints).where(crm_endpoints.c.name == name)).first()
    if row is None:
        raise NotFoundError(
            f"There is no webhook endpoint {name[:60]!r}.", hint="See: leadscore crm endpoints list."
        )
    return _endpoint(row)


def _endpoint(row: sa.Row[tuple[object, ...]]) -> WebhookEndpoint:
    return msgspec.convert(row, type=WebhookEndpoint, from_attributes=True)


def add_endpoint(
    store: EventStore,
    key: SecretKey,
    name: str,
    url: str,
    caller: Caller,
    now: int,
    *,
    model: str = "",
    taken: Callable[[str], bool] = lambda _: False,
) -> tuple[WebhookEndpoint, str]:
    """Add an endpoint; returns it and its secret. It is told of every lead once, then of changes.

    Args:
        store: Where it is kept.
        key: What its secret is derived from.
        name: Small letters, digits and hyphens.
        url: https, or http.
        caller: Who asks; on record.
        now: Microseconds since the epoch.
        model: Whose scores; empty: of the only model that there is.
        taken: Whether another target has a name.

    Raises:
        BadInputError: Name or URL are none.
        ConflictError: The name is taken.
    """
    if not _NAME.fullmatch(name):
        raise BadInputError(
            f"{name[:60]!r} is no name of an endpoint.", hint="Small letters, digits and hyphens, at most 40."
        )
    check_url(url)
    if taken(name):
        raise ConflictError(f"A target {name} is in the file of targets.", hint="Choose another name.")
    store.require_revision(CRM_REVISION)
    # A name that was there before continues its secrets, so that an old one is never valid again.
    with store.writing() as connection:
        if connection.execute(sa.select(crm_endpoints.c.name).where(crm_endpoints.c.name == name)).first():
            raise ConflictError(
                f"There is an endpoint {name} already.", hint="Remove it first, or rotate it."
            )
        generation = 1 + _generations(connection, name)
        row = WebhookEndpoint(
            name=name, url=url, model=model, state="on", reason="", key_mark=key.mark, generation=generation,
            rotated_at=None, failures=0, failing_since=None, created_at=now,
        )  # fmt: skip
        connection.execute(sa.insert(crm_endpoints).values(**msgspec.structs.asdict(row)))
    _record(store, row, "added", caller, now)
    return row, write_secret(key.secret(name, generation))


def check_url(url: str) -> None:
    """Refuse what is no address of a webhook.

    Raises:
        BadInputError: Why.
    """
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, known = urlsplit(""), False
    if not known or not url.isascii() or len(url) > _LONGEST_URL or any(c.isspace() for c in url):
        raise BadInputError("That is no address of a webhook.", hint="Such as https://crm.example.com/hooks.")
    if parts.username or parts.password:
        raise BadInputError(
            "The address has a user or password in it.", hint="Receivers verify the signature instead."
        )


def rotate_secret(
    store: EventStore, key: SecretKey, name: str, caller: Caller, now: int
) -> tuple[WebhookEndpoint, str]:
    """Give an endpoint a new secret; the one before goes on signing for a day. Returns the new one.

    Raises:
        NotFoundError: There is none of that name.
    """
    found = _change(
        store, name, lambda e: {"generation": e.generation + 1, "rotated_at": now, "key_mark": key.mark}
    )
    _record(store, found, "rotated", caller, now)
    return found, write_secret(key.secret(name, found.generation))


def set_endpoint_state(
    store: EventStore, name: str, state: EndpointState, caller: Caller, now: int, *, reason: str = ""
) -> WebhookEndpoint:
    """Switch an endpoint on or off; what waited meanwhile is sent afterwards.

    Raises:
        NotFoundError: There is none of that name.
    """
    found = _change(
        store, name, lambda _: {"state": state, "reason": reason, "failures": 0, "failing_since": None}
    )
    _record(store, found, "enabled" if state == "on" else "disabled", caller, now)
    return found


def remove_endpoint(store: EventStore, name: str, caller: Caller, now: int) -> None:
    """Remove an endpoint with what waits for it.

    Raises:
        NotFoundError: There is none of that name.
    """
    with store.writing() as connection:
        found = find_endpoint(connection, name)
        connection.execute(sa.delete(crm_endpoints).where(crm_endpoints.c.name == name))
        connection.execute(sa.delete(outbox).where(outbox.c.channel == found.channel))
        connection.execute(sa.delete(crm_states).where(crm_states.c.target == name))
        ours = sa.and_(crm_cursors.c.target == name, crm_cursors.c.what != _SECRETS)
        connection.execute(sa.delete(crm_cursors).where(ours))
        _keep_generation(connection, found, now)
    _record(store, found, "removed", caller, now)


def _change(
    store: EventStore, name: str, values: Callable[[WebhookEndpoint], dict[str, object]]
) -> WebhookEndpoint:
    with store.writing() as connection:
        changed = values(find_endpoint(connection, name))
        connection.execute(sa.update(crm_endpoints).where(crm_endpoints.c.name == name).values(**changed))
        return find_endpoint(connection, name)


def _generations(connection: sa.Connection, name: str) -> int:
    return int(read_cursor(connection, name, _SECRETS) or 0)


def _keep_generation(connection: sa.Connection, found: WebhookEndpoint, now: int) -> None:
    set_cursor(connection, found.name, _SECRETS, str(found.generation), now)


def _record(store: EventStore, found: WebhookEndpoint, what: str, caller: Caller, now: int) -> None:
    """On record, without the address's path: it may hold what only the receiver should know."""
    parts = urlsplit(found.url)
    said = {"what": what, "endpoint": found.name, "host": parts.netloc, "reason": found.reason}
    document = msgspec.json.encode(said).decode()
    store.record(Evidence(new_id(), ENDPOINT_KIND, f"crm/{found.name}", now, document, caller=caller))


def note_attempts(
    connection: sa.Connection, name: str, accepted: Sequence[bool], *, gone: bool, now: int
) -> int:
    """Keep how attempts ended, in their order; returns how many have failed since the last that was accepted.

    Args:
        connection: Of a transaction that writes.
        name: Of the endpoint.
        accepted: Of each attempt, whether it was.
        gone: Whether the receiver said that it is gone: the endpoint is disabled.
        now: Microseconds since the epoch.
    """
    c = crm_endpoints.c
    row = connection.execute(sa.select(c.failures, c.failing_since).where(c.name == name)).first()
    if row is None:
        return 0
    failures, since = row.failures, row.failing_since
    for each in accepted:
        failures, since = (0, None) if each else (failures + 1, since or now)
    values: dict[str, object] = {"failures": failures, "failing_since": since}
    if gone:
        values |= {"state": "disabled", "reason": "The receiver says that it is gone (HTTP 410)."}
    if gone or failures != row.failures:
        connection.execute(sa.update(crm_endpoints).where(c.name == name).values(**values))
    return failures
