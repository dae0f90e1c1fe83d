"""A built image as an archive whose bytes depend on its content only.

Fixed times, entries in order, no build host in it.

Builders write the time of the build into layers and configuration, so the same Dockerfile gives another
digest every time. The archive is an OCI image layout 1.0.0 (github.com/opencontainers/image-spec) and at once
what `docker load` reads: both indices name the same blobs.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from tools.oci import blob_path, descriptor, digest_of, file_digest

# Made by the builder for the time of a RUN, and not part of what was built.
BUILDERS_OWN = frozenset({".dockerenv", "etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/mtab"})
# In layers, for every file: a cached layer carries the time of some earlier build, which a mere limit would
# let through; and layers that do not depend on the sources' time are shared by roles and versions.
LAYER_TIME = 1_767_225_600  # 2026-01-01
SETTINGS = (
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "Volumes",
)


@dataclass(frozen=True, slots=True)
class Layer:
    """A rewritten layer: its file, digest (`sha256:…`) and size in bytes."""

    path: Path
    digest: str
    size: int


def normalise(saved: Path, target: Path, *, name: str, epoch: int, labels: Mapping[str, str]) -> str:
    """Rewrite what `docker save` wrote.

    Args:
        saved: Its tar file with one image.
        target: Archive to write.
        name: Full reference that the archive gives the image.
        epoch: Time that its configuration carries, seconds.
        labels: Labels added to the image's own.

    Returns:
        The digest of the image's manifest: the same content gives the same one.
    """
    with tarfile.open(saved) as archive, tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        manifest = json.loads(_read(archive, "manifest.json"))[0]
        built = json.loads(_read(archive, manifest["Config"]))
        layers: list[Layer] = []
        for number, member in enumerate(manifest["Layers"]):
            source = archive.extractfile(archive.getmember(member))
            assert source is not None
            layers.append(rewrite_layer(source, Path(scratch) / f"{number}.tar"))
        config = _json(image_config(built, [layer.digest for layer in layers], epoch, labels))
        partial = Path(scratch) / "image.tar"
        digest = _write(partial, name, config, layers, epoch)
        partial.rename(target)
    return digest


def rewrite_layer(source: IO[bytes], target: Path) -> Layer:
    """Rewrite one layer."""
    with tempfile.SpooledTemporaryFile(max_size=1 << 26, dir=target.parent) as copied:
        shutil.copyfileobj(source, copied, 1 << 20)
        copied.seek(0)
        with (
            tarfile.open(fileobj=copied) as layer,
            tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as out,
        ):
            members = sorted(
                (member for member in layer if not is_builders_own(member.name)),
                # A hard link must come after the file that it names.
                key=lambda member: (member.islnk(), member.name),
            )
            for member in members:
                content = layer.extractfile(member) if member.isreg() else None
                out.addfile(normal(member), content)
    return Layer(target, file_digest(target), target.stat().st_size)


def is_builders_own(name: str) -> bool:
    """Whether a path in a layer is the builder's, not the image's; pure."""
    return name.removeprefix("./") in BUILDERS_OWN


def normal(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """An entry without names of the build host's users, extra headers, or a time of its own; pure."""
    info = tarfile.TarInfo(member.name.removeprefix("./"))
    info.type, info.linkname, info.mode = member.type, member.linkname, member.mode
    info.size, info.uid, info.gid = member.size, member.uid, member.gid
    info.devmajor, info.devminor = member.devmajor, member.devminor
    info.mtime = LAYER_TIME
    return info


def image_config(
    built: Mapping[str, Any], layers: list[str], epoch: int, labels: Mapping[str, str]
) -> dict[str, Any]:
    """The image's configuration without what tells one build from another; pure."""
    config = {key: built["config"][key] for key in SETTINGS if built["config"].get(key)}
    config["Labels"] = {**config.get("Labels", {}), **labels}
    history = [
        {
            "created": _time(epoch),
            "created_by": step.get("created_by", ""),
            **({"empty_layer": True} if step.get("empty_layer") else {}),
        }
        for step in built.get("history", [])
    ]
    return {
        "architecture": built["architecture"],
        "os": built["os"],
        "created": _time(epoch),
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": layers},
        "history": history,
    }


def _time(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _write(target: Path, name: str, config: bytes, layers: list[Layer], epoch: int) -> str:
    config_digest = digest_of(config)
    manifest = _json({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", config_digest, len(config)),
        "layers": [
            descriptor("application/vnd.oci.image.layer.v1.tar", layer.digest, layer.size) for layer in layers
        ],
    })  # fmt: skip
    entry: dict[str, Any] = descriptor(
        "application/vnd.oci.image.manifest.v1+json", digest_of(manifest), len(manifest)
    )
    entry["annotations"] = {
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": name.rsplit(":", 1)[1],
    }
    of_docker = [
        {
            "Config": blob_path(config_digest),
            "RepoTags": [name],
            "Layers": [blob_path(each.digest) for each in layers],
        }
    ]
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
        for path, content in (
            ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
            ("index.json", _json({"schemaVersion": 2, "manifests": [entry]})),
            ("manifest.json", _json(of_docker)),
            (blob_path(config_digest), config),
            (blob_path(digest_of(manifest)), manifest),
        ):
            info = tarfile.TarInfo(path)
            info.size, info.mtime = len(content), epoch
            archive.addfile(info, io.BytesIO(content))
        for layer in {each.digest: each for each in layers}.values():
            info = tarfile.TarInfo(blob_path(layer.digest))
            info.size, info.mtime = layer.size, epoch
            with layer.path.open("rb") as content:
                archive.addfile(info, content)
    return digest_of(manifest)


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    content = archive.extractfile(name)
    assert content is not None
    return content.read()


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
