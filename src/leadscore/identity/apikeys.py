"""API keys: random secrets of which only the SHA-256 digest is kept, in one YAML file that people may read.

A key has 256 random bits, so a plain digest is enough: there is nothing to guess, and no salt or slow hash
would make it harder (NIST SP 800-63B, 5.1.1.2 asks for those where people choose the secret).
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import secrets
import stat
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias, cast, get_args

import msgspec
import yaml

from leadscore.documents import MAX_BYTES, read_yaml
from leadscore.errors import BadInputError, ConflictError, NotFoundError, UnavailableError
from leadscore.files import read_file, replace_file

KeyFileStamp: TypeAlias = tuple[int, ...]
KeyScope = Literal["score", "explain", "outcomes", "metrics", "approve", "view", "admin"]
SCOPES: Final = cast("tuple[KeyScope, ...]", get_args(KeyScope))
APPROVE: Final = "approve"
_PREFIX: Final = "lsk_"
# Shared accounts: an approval needs a person's name.
_NOBODY: Final = frozenset(
    (
        "admin",
        "administrator",
        "anonymous",
        "bot",
        "ci",
        "first",
        "local",
        "nobody",
        "none",
        "root",
        "system",
        "user",
    )
)


class KeyFileError(BadInputError):
    """The file of API keys is not one; the message names the entry."""

    code = "key_file_invalid"


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One key, without its secret.

    Attributes:
        name: Who uses it; unique in the file.
        digest: SHA-256 of the key, hex.
        scopes: What it may do.
        created: When, UTC.
        expires: Refused from then on; None: never.
        approval_key: Public key, hex, that verifies what its holder approves; there is one
            exactly with the scope `approve`.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    digest: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    scopes: tuple[KeyScope, ...]
    created: Annotated[datetime, msgspec.Meta(tz=True)]
    expires: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    approval_key: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")] | None = msgspec.field(
        name="approvalKey", default=None
    )

    def __post_init__(self) -> None:
        """Refuse an entry whose scopes were edited by hand: nothing could verify what its holder says."""
        if (self.approval_key is not None) != (APPROVE in self.scopes):
            raise ValueError("the scope approve and approvalKey belong together: create the key anew")

    def has_expired(self, now: float) -> bool:
        """Whether it is refused, `now` in seconds since the epoch."""
        return self.expires is not None and now >= self.expires.timestamp()


class _KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    api_version: Literal["leadscore.dev/v1"] = msgspec.field(name="apiVersion", default="leadscore.dev/v1")
    kind: Literal["ApiKeys"] = "ApiKeys"
    keys: tuple[ApiKey, ...] = ()


def key_digest(key: bytes) -> bytes:
    """SHA-256 of a presented key."""
    return hashlib.sha256(key).digest()


def parse_keys(text: bytes, origin: str) -> tuple[ApiKey, ...]:
    """Read the file's content; KeyFileError names what is wrong, `origin` where."""
    hint = "See docs/api.md."
    try:
        keys = msgspec.convert(read_yaml(text, origin, KeyFileError, hint=hint), type=_KeyFile).keys
    except msgspec.ValidationError as error:
        raise KeyFileError(f"{origin} is no file of API keys: {error}.", hint=hint) from error
    for what in ("name", "digest"):
        seen = [getattr(key, what) for key in keys]
        if len(set(seen)) != len(seen):
            raise KeyFileError(f"{origin} has two keys with the same {what}.", hint="Remove one.")
    return keys


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """The keys of a file; none if it does not exist.

    Raises:
        KeyFileError: It is no such file.
        UnavailableError: It cannot be read.
    """
    try:
        return parse_keys(read_file(path, MAX_BYTES), path.name)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _unreadable(path, error) from error


def key_file_stamp(path: Path) -> KeyFileStamp:
    """What changes when the file does; empty if it does not exist.

    Its content, its rights, or what a link of a Kubernetes Secret points to.

    Raises:
        UnavailableError: It cannot be looked at.
        KeyFileError: It is a folder or a pipe.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise KeyFileError(f"{path} is not a file.", hint="Name a file of API keys.")
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _unreadable(path: Path, error: OSError) -> UnavailableError:
    return UnavailableError(f"{path} cannot be read: {error.strerror}.", hint="Check its owner.")


class KeyFileReader:
    """Reads a key file again only when it has changed: one of thousands of keys takes a second.

    Args:
        path: Key file; one that does not exist has no keys.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[KeyFileStamp, tuple[ApiKey, ...]] | None = None

    def read(self) -> tuple[ApiKey, ...]:
        """The keys as they are now.

        Raises:
            KeyFileError: It is no such file.
            UnavailableError: It cannot be read.
        """
        stamp = key_file_stamp(self.path)
        known = self._read
        if known is None or known[0] != stamp:
            self._read = known = (stamp, read_keys(self.path))
        return known[1]


def find_key(keys: Iterable[ApiKey], secret: bytes) -> ApiKey | None:
    """The entry of a secret; None if there is none. Whether it has expired is for the caller to ask."""
    digest = key_digest(secret).hex()
    return next((key for key in keys if hmac.compare_digest(key.digest, digest)), None)


def create_key(
    path: Path, name: str, scopes: Sequence[KeyScope], *, expires: datetime | None = None
) -> tuple[str, ApiKey]:
    """Add a key to the file (made if need be) and return the secret, which is nowhere else, with its entry.

    Raises:
        ConflictError: The name is taken.
        BadInputError: A name or scope that is none, an expiry in the past, or a key to approve with that is
            nobody's.
    """
    if not scopes:
        raise BadInputError("The key has no scope.", hint=f"Give at least one of: {', '.join(SCOPES)}.")
    now = datetime.now(UTC).replace(microsecond=0)
    if expires is not None and expires <= now:
        raise BadInputError("The key would have expired already.", hint="Give a time in the future.")
    approves = APPROVE in scopes
    if approves and (name.casefold() in _NOBODY or not any(c.isalpha() for c in name)):
        raise BadInputError(
            f"{name[:40]!r} is not a person's name.",
            hint="Who approves is on record for good: name the key after its holder, such as ada.lovelace.",
        )
    secret = _PREFIX + secrets.token_urlsafe(32)
    entry = ApiKey(
        name=name,
        digest=key_digest(secret.encode()).hex(),
        scopes=tuple(dict.fromkeys(scopes)),
        created=now,
        expires=expires,
        approval_key=_approval_key(secret) if approves else None,
    )
    try:
        msgspec.convert(msgspec.to_builtins(entry), type=ApiKey)
    except msgspec.ValidationError as error:
        raise BadInputError(
            f"{name!r} with scopes {', '.join(scopes)} is no key: {error}.",
            hint=f"Names: letters, digits, '.', '_', '-'. Scopes: {', '.join(SCOPES)}.",
        ) from error
    with _locked(path):
        keys = read_keys(path)
        if any(key.name == name for key in keys):
            raise ConflictError(
                f"There is a key {name!r} already.", hint="Revoke it first, or take another name."
            )
        _write(path, (*keys, entry))
    return secret, entry


def _approval_key(secret: str) -> str:
    # Scoring pods read key files and never load the library.
    from leadscore.identity.signing import public_key_of  # noqa: PLC0415

    return public_key_of(secret.encode())


def revoke_key(path: Path, name: str) -> ApiKey:
    """Remove a key from the file; running services notice within seconds. NotFoundError if there is none."""
    with _locked(path):
        keys = read_keys(path)
        for key in keys:
            if key.name == name:
                _write(path, tuple(other for other in keys if other is not key))
                return key
    raise NotFoundError(f"There is no key {name!r} in {path.name}.", hint="See: leadscore keys list.")


def _write(path: Path, keys: tuple[ApiKey, ...]) -> None:
    document: object = msgspec.to_builtins(_KeyFile(keys=keys))
    # A service of another user reads the file: owner and mode stay.
    replace_file(path.resolve(), yaml.safe_dump(document, sort_keys=False).encode(), keep_owner=True)


@contextmanager
def _locked(path: Path) -> Generator[None]:
    """Let two people who change keys at once do so one after the other."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (path.parent / f".{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise UnavailableError(
            f"{path} cannot be written: {error.strerror}.",
            hint="Check its folder; run it as the file's owner.",
        ) from error
