"""What every OCI image layout needs (github.com/opencontainers/image-spec).

Digests, where blobs lie, descriptors.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any


def digest_of(content: bytes) -> str:
    """The digest of some bytes, `sha256:…`; pure."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def file_digest(path: Path) -> str:
    """The digest of a file, `sha256:…`."""
    with path.open("rb") as content:
        return "sha256:" + hashlib.file_digest(content, "sha256").hexdigest()


def blob_path(digest: str) -> str:
    """Where a layout keeps the blob of that digest; pure."""
    return "blobs/sha256/" + digest.removeprefix("sha256:")


def descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    """How one document of a layout names a blob: its type, digest and size in bytes; pure."""
    return {"mediaType": media_type, "digest": digest, "size": size}
