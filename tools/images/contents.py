"""What is in an archive, read from the archive itself.

Files with their sizes, Python and distribution packages.
"""

from __future__ import annotations

import email
import json
import re
import tarfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

METADATA = re.compile(r"\.dist-info/METADATA$")
DATABASE = "var/lib/dpkg/status"


@dataclass(frozen=True, slots=True)
class Package:
    """An installed package.

    Attributes:
        kind: `pypi` or `deb`.
        name: As its index has it.
        version: As installed.
        licence: What its metadata says, an SPDX expression or free words; may be empty.
        homepage: Its address; may be empty.
        architecture: Of a distribution's package.
    """

    kind: str
    name: str
    version: str
    licence: str = ""
    homepage: str = ""
    architecture: str = ""


@dataclass(slots=True)
class Contents:
    """An image, opened.

    Attributes:
        layers: Per layer: path → size in bytes; later layers come later.
        packages: What is installed, in alphabetical order.
    """

    layers: list[dict[str, int]] = field(default_factory=list)
    packages: list[Package] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(sum(layer.values()) for layer in self.layers)


def describe(archive: Path) -> Contents:
    """Read an archive of `normalise`."""
    found, packages = Contents(), set[Package]()
    with tarfile.open(archive) as image:
        (manifest,) = json.load(_open(image, "manifest.json"))
        for name in manifest["Layers"]:
            files: dict[str, int] = {}
            with tarfile.open(fileobj=_open(image, name)) as layer:
                for member in layer:
                    files[member.name] = member.size
                    if METADATA.search(member.name):
                        packages.add(python_package(_open(layer, member.name).read().decode()))
                    elif member.name == DATABASE:
                        packages |= set(distribution_packages(_open(layer, member.name).read().decode()))
            found.layers.append(files)
    found.packages = sorted(packages, key=lambda each: (each.kind, each.name.lower(), each.version))
    return found


def compressed_size(archive: Path) -> int:
    """Bytes that a registry would hold: every layer gzipped as `docker push` does it."""
    total = 0
    with tarfile.open(archive) as image:
        (manifest,) = json.load(_open(image, "manifest.json"))
        for name in manifest["Layers"]:
            packer, layer = zlib.compressobj(6, wbits=31), _open(image, name)
            while chunk := layer.read(1 << 20):
                total += len(packer.compress(chunk))
            total += len(packer.flush())
    return total


def python_package(metadata: str) -> Package:
    """A package from the METADATA of its `.dist-info` (core metadata specification, packaging.python.org).

    Pure.
    """
    fields = email.message_from_string(metadata)
    licence = fields.get("License-Expression") or next(
        (
            value.rsplit(" :: ", 1)[1]
            for value in fields.get_all("Classifier", [])
            if value.startswith("License :: ") and not value.endswith(":: OSI Approved")
        ),
        "",
    )
    return Package("pypi", fields["Name"], fields["Version"], licence, fields.get("Home-page", "") or "")


def distribution_packages(status: str) -> list[Package]:
    """The packages of dpkg's database; pure."""
    return [
        Package(
            "deb",
            each["Package"],
            each["Version"],
            "",
            each.get("Homepage", ""),
            each.get("Architecture", ""),
        )
        for each in parse_stanzas(status)
        if each.get("Status", "").endswith(" installed")
    ]


def _open(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    content = archive.extractfile(name)
    assert content is not None
    return content


def parse_stanzas(text: str) -> list[dict[str, str]]:
    """Paragraphs of Debian control data (deb822); continuation lines are kept in their field; pure."""
    found: list[dict[str, str]] = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        fields: dict[str, str] = {}
        name = ""
        for line in paragraph.splitlines():
            if line[:1].isspace():
                fields[name] += "\n" + line
            elif ":" in line:
                name, _, value = line.partition(":")
                fields[name] = value.strip()
        if fields:
            found.append(fields)
    return found
