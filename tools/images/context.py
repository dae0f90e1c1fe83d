"""A role's build context: what its Dockerfile copies, as one tar stream with the same bytes every time."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO


def write_context(parts: Sequence[tuple[Path, str]], epoch: int, stream: IO[bytes]) -> None:
    """Write folders and files into a tar stream.

    Args:
        parts: (source, name in the context).
        epoch: Time that every entry carries, seconds.
        stream: Where to.
    """
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        for source, name in parts:
            _add(archive, source, name, epoch)


def _add(archive: tarfile.TarFile, source: Path, name: str, epoch: int) -> None:
    info = archive.gettarinfo(source, arcname=name)
    if info.islnk():
        # A second name of the same file: written out, so that the order of reading decides nothing.
        info.type, info.linkname, info.size = tarfile.REGTYPE, "", source.stat().st_size
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = epoch
    # What was kept from its owner's group on this machine must be readable for the image's user.
    info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
    if info.isreg():
        with source.open("rb") as content:
            archive.addfile(info, content)
    else:
        archive.addfile(info, io.BytesIO())
    if info.isdir():
        for entry in sorted(source.iterdir()):
            _add(archive, entry, f"{name}/{entry.name}", epoch)
