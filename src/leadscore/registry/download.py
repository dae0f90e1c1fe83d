"""Fetching an artefact from a store that is not trusted.

The manifest first, then what it lists, each up to its size.

MLflow's clients write a file as long as its server goes on sending. They are given a pipe instead, and its
reader stops at the size in the manifest, and at a deadline.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from leadscore.errors import ArtefactError, UnavailableError
from leadscore.scoring.artefact import MANIFEST, MAX_MANIFEST_BYTES, artefact_digest, read_manifest

Get = Callable[[str, str], object]
"""Fetches one file of the artefact, by name, into a path."""

_CHUNK: Final = 1024 * 1024
_SECONDS: Final = 120.0
_SLOWEST_BYTES_PER_SECOND: Final = 128 * 1024
_OBJECT_STORES: Final = frozenset(("s3", "gs", "wasb", "wasbs", "abfs", "abfss", "dbfs", "hdfs", "r2", "b2"))


def check_source(source: str, location: str, tracking_uri: str) -> None:
    """Refuse a source that is not where this registry keeps its artefacts.

    Args:
        source: Of the model version, as the registry says.
        location: Where the registry's experiment keeps its artefacts.
        tracking_uri: The registry.

    Raises:
        ArtefactError: The source lies elsewhere, or has a scheme that no registry of ours uses.
    """
    root, place, server = urlsplit(location), urlsplit(source), urlsplit(tracking_uri)
    scheme = place.scheme or "file"
    inside = (
        scheme == (root.scheme or "file")
        and place.netloc == root.netloc
        and unquote(place.path).startswith(unquote(root.path).rstrip("/") + "/")
        and ".." not in unquote(place.path).split("/")
        and not (place.query or place.fragment)
    )
    known = scheme in _OBJECT_STORES or scheme in ("file", "mlflow-artifacts")
    if not inside or not (known or (scheme in ("http", "https") and place.netloc == server.netloc)):
        raise ArtefactError(
            f"The registry's model lies in a place of scheme {scheme[:20]!r} that is not where this "
            "registry keeps its artefacts.",
            hint="Publish it with `leadscore train`. If somebody changed the registry, do not serve from it.",
        )


def fetch_artefact(get: Get, target: Path, ref: str, digest: str) -> None:
    """Fetch an artefact into the empty folder `target`; what came is still to be verified.

    Args:
        get: Fetches one file.
        target: Where to.
        ref: What messages call the model.
        digest: Artefact digest that the registry recorded at publication.

    Raises:
        ArtefactError: The manifest is not the one that was published, or a file is longer than it says.
        UnavailableError: The store sends nothing, or far too slowly.
    """
    _receive(get, MANIFEST, target / MANIFEST, MAX_MANIFEST_BYTES)
    manifest = read_manifest(target)
    found = artefact_digest(manifest)
    if found != digest:
        raise ArtefactError(
            f"{MANIFEST} of {ref} is not the one that was published: digest {found[:12]}…,"
            f" recorded {digest[:12]}….",
            hint="The registry's artefact was changed. Do not serve it; roll back or train again.",
        )
    for name, entry in manifest.files.items():
        _receive(get, name, target / name, entry.size)


def _receive(get: Get, name: str, path: Path, limit: int) -> None:
    """Fetch one file of at most `limit` bytes."""
    reader, writer = os.pipe()
    failures: list[Exception] = []

    def send() -> None:
        try:
            get(name, f"/dev/fd/{writer}")
        except Exception as error:  # noqa: BLE001 - handed over to the thread that waits
            failures.append(error)
        finally:
            os.close(writer)

    # A daemon: one that never ends must not keep the process; it gets a broken pipe as soon as it sends
    # again.
    sender = threading.Thread(target=send, name=f"fetch {name}", daemon=True)
    sender.start()
    try:
        _copy(reader, name, path, limit)
    finally:
        os.close(reader)
    sender.join()
    if failures:
        raise failures[0]


def _copy(reader: int, name: str, path: Path, limit: int) -> None:
    deadline = time.monotonic() + _SECONDS + limit / _SLOWEST_BYTES_PER_SECOND
    size = 0
    with path.open("xb") as file:
        while True:
            ready, _, _ = select.select([reader], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise UnavailableError(
                    f"The registry's store did not send {name} in time.",
                    hint="Check the store and the network.",
                )
            chunk = os.read(reader, _CHUNK)
            if not chunk:
                return
            size += len(chunk)
            if size > limit:
                raise ArtefactError(
                    f"The registry's store sends more of {name} than the {limit} bytes that it may have.",
                    hint="The registry's artefact was changed. Do not serve it; roll back or train again.",
                )
            file.write(chunk)
