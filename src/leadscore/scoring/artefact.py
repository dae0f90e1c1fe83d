"""The model artefact: one flat folder, every file in its manifest by digest, no pickle anywhere.

Format 1. Readers verify an artefact first; writers use `writing_artefact`, so that a folder with its name is
complete or absent.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from leadscore.contract import contract_version, parse_contract
from leadscore.documents import DECODE_ERRORS, MAX_BYTES, decode_json
from leadscore.errors import ArtefactError, ConflictError, UnavailableError
from leadscore.files import temporary_folder

FORMAT = 1
MANIFEST = "manifest.json"
CONTRACT = "contract.yaml"
CALIBRATION = "calibration.json"
GRADES_FILE = "grades.json"
REFERENCE = "reference.json"
REFERENCE_SAMPLE = "reference_sample.arrow"
REFERENCE_OUTCOMES = "reference_outcomes.arrow"
GOLDEN = "golden.json"
METRICS = "metrics.json"
CARD = "MODEL_CARD.md"
CARD_CURVES = "card-curves.png"
CARD_DRIVERS = "card-drivers.png"
MODEL_FILES: Mapping[str, str] = {"xgboost": "model.ubj", "lightgbm": "model.txt"}

_MIB = 1024 * 1024
MAX_MANIFEST_BYTES = _MIB
# A document takes many times its size as objects, so its bound is smaller than that of trees and tables.
_LIMITS = {"json": 32 * _MIB, "yaml": MAX_BYTES, "md": 16 * _MIB}
MAX_FILE_BYTES = 512 * _MIB
MAX_BYTES_IN_ALL = 1024 * _MIB

_REQUIRED = (CONTRACT, CALIBRATION, GRADES_FILE, REFERENCE, GOLDEN)
# Suffixes of formats that have strict readers, and of the card's plots, which no scorer
# opens; whatever else a folder holds is not ours.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}\.(ubj|txt|yaml|json|arrow|md|png)")
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# Pickle protocols 2-5, and the archives that joblib, torch and numpy hide pickles in.
_FORBIDDEN_STARTS = (*(bytes((0x80, protocol)) for protocol in range(2, 6)), b"PK\x03\x04", b"\x1f\x8b")
_CHUNK = 1024 * 1024
TEMPORARY = ".artefact-"

Algorithm = Literal["xgboost", "lightgbm"]


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of the artefact: SHA-256 as 64 hex digits and size in bytes."""

    sha256: str
    size: int


class DataSnapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table that the model was trained on.

    Attributes:
        rows: Rows used.
        start: First lead's time (ISO 8601); None if the contract has no time column.
        end: Last lead's time.
        digest: SHA-256 (hex) over the rows used.
    """

    rows: int
    start: str | None = None
    end: str | None = None
    digest: str


class ArtefactManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the folder holds and where it came from (`manifest.json`)."""

    format: int
    name: str
    algorithm: Algorithm
    created_at: datetime
    contract_version: str
    files: dict[str, FileEntry]
    data: DataSnapshot
    code_revision: str
    seed: int
    libraries: dict[str, str]

    @property
    def model_file(self) -> str:
        """Name of the file with the trees."""
        return MODEL_FILES[self.algorithm]

    @property
    def size(self) -> int:
        """Bytes of all files together, the manifest not counted."""
        return sum(entry.size for entry in self.files.values())


def artefact_digest(manifest: ArtefactManifest) -> str:
    """SHA-256 (64 hex digits) over the canonical manifest, hence over every byte of the artefact."""
    return hashlib.sha256(msgspec.json.encode(manifest, order="sorted")).hexdigest()


def write_manifest(
    directory: Path,
    *,
    name: str,
    algorithm: Algorithm,
    data: DataSnapshot,
    code_revision: str,
    seed: int,
    libraries: Mapping[str, str],
    created_at: datetime | None = None,
) -> ArtefactManifest:
    """Digest every file in `directory` and write `manifest.json`, last of all.

    Raises:
        ArtefactError: A file is missing, or has a name or content that artefacts never have.
        ContractError: `contract.yaml` is not a contract.
    """
    if not _MODEL_NAME.fullmatch(name):
        raise ArtefactError(
            f"Model name {name!r} is not usable.", hint="Letters, digits, '.', '_' and '-', at most 128."
        )
    files = {
        entry: _digest(directory, entry, _limit(entry)) for entry in _listing(directory) if entry != MANIFEST
    }
    manifest = ArtefactManifest(
        format=FORMAT,
        name=name,
        algorithm=algorithm,
        created_at=created_at or datetime.now(UTC),
        contract_version=contract_version(parse_contract((directory / CONTRACT).read_bytes(), CONTRACT))
        if CONTRACT in files
        else "",
        files=files,
        data=data,
        code_revision=code_revision,
        seed=seed,
        libraries=dict(libraries),
    )
    _check_manifest(manifest)
    (directory / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest, order="sorted")))
    return manifest


def read_manifest(directory: Path) -> ArtefactManifest:
    """Read and check `manifest.json` alone.

    ArtefactError if it is missing, malformed or of another format.
    """
    data = _read(directory, MANIFEST, MAX_MANIFEST_BYTES)
    try:
        version = decode_json(data, type=_Versioned).format
        if version != FORMAT:
            raise ArtefactError(
                f"{MANIFEST} in {directory} has format {version!r}; this version reads format {FORMAT}.",
                hint="Upgrade leadscore, or train the model again.",
            )
        manifest = decode_json(data, type=ArtefactManifest)
    except DECODE_ERRORS as error:
        raise ArtefactError(f"{MANIFEST} in {directory} is not a manifest: {error}.") from error
    _check_manifest(manifest)
    return manifest


def verify_artefact(directory: Path) -> ArtefactManifest:
    """Check the whole folder against its manifest.

    Returns:
        The manifest, when every listed file is there as a regular file with its size and digest, and nothing
        else is there.

    Raises:
        ArtefactError: Anything else; the message names the file.
    """
    manifest = read_manifest(directory)
    present = set(_listing(directory)) - {MANIFEST}
    for name in sorted(present - manifest.files.keys()):
        raise ArtefactError(
            f"{name} in {directory} is not in the manifest.", hint="Remove it, or fetch the model again."
        )
    for name, entry in sorted(manifest.files.items()):
        if name not in present:
            raise ArtefactError(f"{name} is missing in {directory}.", hint="Fetch the model again.")
        _compare(directory, name, _digest(directory, name, entry.size), entry)
    return manifest


def read_verified(directory: Path, manifest: ArtefactManifest, name: str) -> bytes:
    """The bytes of one listed file, checked against the manifest as read: no gap between check and use.

    Raises:
        ArtefactError: The file is missing or is not the one that the manifest lists.
    """
    entry = manifest.files[name]
    data = _read(directory, name, entry.size)
    _compare(directory, name, FileEntry(hashlib.sha256(data).hexdigest(), len(data)), entry)
    return data


@contextmanager
def writing_artefact(out: Path) -> Generator[Path]:
    """A temporary folder beside `out` that becomes `out` when the block ends well and verifies.

    Raises:
        ConflictError: `out` exists already and is not an empty folder.
        UnavailableError: The disk is full or the place cannot be written; nothing is left behind.
        ArtefactError: What was written does not verify.
    """
    if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        raise ConflictError(f"{out} exists already.", hint="Choose another folder, or remove it.")
    try:
        with temporary_folder(out.parent, f"{TEMPORARY}{out.name}-") as temporary:
            yield temporary
            verify_artefact(temporary)
            # Temporary folders are for the owner only; the scoring pod may run as another user of the group.
            temporary.chmod(0o755)
            _rename(temporary, out)
    except OSError as error:
        raise UnavailableError(
            f"Cannot write the artefact to {out}: {error.strerror or error}.",
            hint="Check free space and permissions; nothing was left behind.",
        ) from error


def _rename(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            raise ConflictError(f"{target} was made by another process meanwhile.") from error
        raise


class _Versioned(msgspec.Struct):
    format: int | str | None = None


def _limit(name: str) -> int:
    """Most bytes that a file of the artefact may have."""
    return _LIMITS.get(name.rpartition(".")[2], MAX_FILE_BYTES)


def _check_manifest(manifest: ArtefactManifest) -> None:
    for name, entry in manifest.files.items():
        if name == MANIFEST or not _NAME.fullmatch(name):
            raise ArtefactError(f"File name {name[:120]!r} in {MANIFEST} is not one an artefact may have.")
        if not 0 <= entry.size <= _limit(name):
            raise ArtefactError(f"{name} is over the limit of {_limit(name)} bytes ({entry.size}).")
    if manifest.size > MAX_BYTES_IN_ALL:
        raise ArtefactError(f"The files that {MANIFEST} lists have {manifest.size} bytes, too many together.")
    # The name goes into every record, and a database refuses control characters.
    if not _MODEL_NAME.fullmatch(manifest.name):
        raise ArtefactError(
            f"{MANIFEST} names a model {manifest.name[:40]!r}, which is no usable name.",
            hint="Letters, digits, '.', '_' and '-', at most 128.",
        )
    data = manifest.data
    texts = (manifest.code_revision, data.start or "", data.end or "", data.digest)
    if not all(text.isprintable() for text in (*texts, *manifest.libraries, *manifest.libraries.values())):
        raise ArtefactError(f"{MANIFEST} holds control characters.")
    if manifest.created_at.tzinfo is None:
        raise ArtefactError(f"{MANIFEST} does not say in which time zone `created_at` is.")
    for name in (*_REQUIRED, manifest.model_file):
        if name not in manifest.files:
            raise ArtefactError(f"{name} is missing: {MANIFEST} does not list it.")


def _listing(directory: Path) -> list[str]:
    """Names in the folder; ArtefactError for anything that is not a plain, usable regular file."""
    try:
        with os.scandir(directory) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        raise ArtefactError(
            f"Cannot read the artefact folder {directory}: {error.strerror}.", hint="Check the path."
        ) from error
    for entry in entries:
        if entry.is_symlink():
            raise ArtefactError(f"{entry.name} in {directory} is a symbolic link.", hint="Copy the file.")
        if not entry.is_file(follow_symlinks=False):
            raise ArtefactError(f"{entry.name} in {directory} is not a regular file.")
        if entry.name != MANIFEST and not _NAME.fullmatch(entry.name):
            raise ArtefactError(f"{entry.name!r} in {directory} has a name that no artefact file has.")
    return [entry.name for entry in entries]


def _open(directory: Path, name: str, limit: int) -> int:
    """A descriptor of a regular file of at most `limit` bytes.

    Never follows a link, never waits on a pipe.
    """
    try:
        descriptor = os.open(directory / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ArtefactError(
            f"{name} in {directory} cannot be opened: {error.strerror}.", hint="Fetch the model again."
        ) from error
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size <= limit:
        return descriptor
    os.close(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ArtefactError(f"{name} in {directory} is not a regular file.")
    raise ArtefactError(f"{name} in {directory} has {status.st_size} bytes, more than the {limit} allowed.")


def _digest(directory: Path, name: str, limit: int) -> FileEntry:
    hasher, size = hashlib.sha256(), 0
    with os.fdopen(_open(directory, name, limit), "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            if size == 0:
                _refuse_pickle(directory, name, chunk)
            hasher.update(chunk)
            size += len(chunk)
    return FileEntry(hasher.hexdigest(), size)


def _read(directory: Path, name: str, limit: int) -> bytes:
    with os.fdopen(_open(directory, name, limit), "rb") as file:
        data = file.read(limit + 1)
    _refuse_pickle(directory, name, data)
    return data


def _refuse_pickle(directory: Path, name: str, start: bytes) -> None:
    if start.startswith(_FORBIDDEN_STARTS):
        raise ArtefactError(f"{name} in {directory} is a pickle or an archive, which artefacts never hold.")


def _compare(directory: Path, name: str, found: FileEntry, listed: FileEntry) -> None:
    if found != listed:
        raise ArtefactError(
            f"{name} in {directory} is not the file that was published: its digest or size differs.",
            hint="It was damaged or changed. Fetch the model again; if that fails too, roll back.",
        )
