"""OCI image archives from files, without a builder: one layer, the same bytes every time.

Format: OCI image layout 1.0.0 (github.com/opencontainers/image-spec), as `ctr images import` and
`kind load image-archive` take it.
"""

from __future__ import annotations

import io
import json
import platform
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.oci import blob_path, descriptor, digest_of, file_digest

EPOCH = 1_767_225_600  # 2026-01-01: layers must not carry the time of the build

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Image:
    """What goes into an archive.

    Attributes:
        name: Reference with tag, such as `localhost/traefik:v3.6.12`.
        files: (source on this machine, absolute path in the image) of executables.
        directories: Absolute paths of empty folders; `/tmp` is made world-writable.
        root: A whole root file system to take instead, below which `files` are added.
        entrypoint: Command that the container runs.
        user: Numeric user, or empty for root.
    """

    name: str
    files: Sequence[tuple[Path, str]] = ()
    directories: Sequence[str] = ()
    root: Path | None = None
    entrypoint: Sequence[str] = ()
    user: str = ""


def write_archive(image: Image, target: Path) -> None:
    """Write the image as an OCI layout in a tar file."""
    layer = target.with_suffix(".layer")
    _write_layer(image, layer)
    layer_digest = file_digest(layer)
    config = _json(
        {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {
                "Entrypoint": list(image.entrypoint),
                "User": image.user,
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            },
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", digest_of(config), len(config)),
            "layers": [
                descriptor("application/vnd.oci.image.layer.v1.tar", layer_digest, layer.stat().st_size)
            ],
        }
    )
    entry = descriptor("application/vnd.oci.image.manifest.v1+json", digest_of(manifest), len(manifest))
    entry["annotations"] = {
        "io.containerd.image.name": image.name,
        "org.opencontainers.image.ref.name": image.name.rsplit(":", 1)[1],
    }
    with tarfile.open(target, "w") as archive:
        _add_bytes(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add_bytes(archive, "index.json", _json({"schemaVersion": 2, "manifests": [entry]}))
        for blob in (config, manifest):
            _add_bytes(archive, blob_path(digest_of(blob)), blob)
        archive.add(layer, arcname=blob_path(layer_digest), filter=_same_every_time)
    layer.unlink()


def _write_layer(image: Image, layer: Path) -> None:
    with tarfile.open(layer, "w", format=tarfile.GNU_FORMAT) as archive:
        if image.root is not None:
            for entry in sorted(image.root.iterdir()):
                archive.add(entry, arcname=entry.name, filter=_without_devices)
        for directory in image.directories:
            info = tarfile.TarInfo(directory.strip("/"))
            info.type, info.mode, info.mtime = (
                tarfile.DIRTYPE,
                0o1777 if directory == "/tmp" else 0o755,
                EPOCH,
            )
            archive.addfile(info)
        for source, destination in image.files:
            info = archive.gettarinfo(source.resolve(), arcname=destination.strip("/"))
            info.mode, info.uid, info.gid, info.uname, info.gname, info.mtime = 0o755, 0, 0, "", "", EPOCH
            with source.open("rb") as content:
                archive.addfile(info, content)


def _without_devices(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if info.ischr() or info.isblk() else _same_every_time(info)


def _same_every_time(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.mtime = min(int(info.mtime), EPOCH)
    info.uname = info.gname = ""
    return info


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime = len(content), EPOCH
    archive.addfile(info, io.BytesIO(content))
