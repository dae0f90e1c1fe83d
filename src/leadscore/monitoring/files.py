"""Result files that are written whole, and the one that the kubelet has mounted."""

from __future__ import annotations

from pathlib import Path

from leadscore.drift.verdict import DriftVerdict
from leadscore.errors import UnavailableError
from leadscore.files import replace_file


def write_file(path: Path, content: bytes) -> None:
    """Write a result; the reader sees it whole or not at all.

    Raises:
        UnavailableError: It cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            # A termination log may be a device or a bind mount: it cannot be renamed over.
            path.write_bytes(content)
        else:
            replace_file(path, content)
    except OSError as error:
        raise UnavailableError(f"Cannot write {path}: {error.strerror or error}.") from error


def write_termination(path: Path, verdict: DriftVerdict) -> None:
    """Write the verdict where Kubernetes reads it (in place: the kubelet has mounted that very file).

    Raises:
        UnavailableError: It cannot be written.
    """
    try:
        path.write_bytes(verdict.to_termination_message())
    except OSError as error:
        raise UnavailableError(f"Cannot write {path}: {error.strerror or error}.") from error
