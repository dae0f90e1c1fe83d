"""Root file systems from the distribution's packages, where no registry has a base image.

Extracted, not installed.

No root, no chroot and no maintainer scripts: the few things that those would do are done in `bases.py`. The
packages are what apt would install today, security updates included.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tools.cluster.shell import run, succeeds
from tools.images.contents import parse_stanzas
from tools.images.errors import ImageError

Stanza = Mapping[str, str]
MERGED = ("bin", "sbin", "lib", "lib64")


def dependencies(stanza: Stanza) -> Iterator[str]:
    """Names that a package needs to run: of alternatives the first; pure."""
    for field in ("Pre-Depends", "Depends"):
        for clause in stanza.get(field, "").split(","):
            first = clause.split("|")[0].strip()
            if first:
                yield re.split(r"[\s(:]", first, maxsplit=1)[0]


def closure(
    wanted: Sequence[str], without: Sequence[str], describe: Callable[[Sequence[str]], list[dict[str, str]]]
) -> list[dict[str, str]]:
    """Packages that `wanted` need, and theirs, stopping at `without`; in alphabetical order.

    Raises:
        ImageError: A package is not to be had.
    """
    known: dict[str, dict[str, str]] = {}
    frontier = sorted(set(wanted))
    while frontier:
        described = {stanza["Package"]: stanza for stanza in describe(frontier)}
        missing = [name for name in frontier if name not in described]
        if missing:
            raise ImageError(
                f"apt does not know {', '.join(missing)}.",
                hint="Run `apt-get update`; virtual packages belong in `without`.",
            )
        known |= described
        needed = {name for name in frontier for name in dependencies(described[name])}
        frontier = sorted(needed - known.keys() - set(without))
    return [known[name] for name in sorted(known)]


def candidates(names: Sequence[str]) -> list[dict[str, str]]:
    """What apt would install of each name."""
    return parse_stanzas(run(["apt-cache", "show", "--no-all-versions", *names]))


def extract(wanted: Sequence[str], without: Sequence[str], root: Path) -> None:
    """Fetch the packages and unpack them below `root`, with a package database that says what is there."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise ImageError(
            "No image registry answers, and there is no apt to make a base image with.",
            hint="Check Docker's connection to docker.io, or build on a Debian machine.",
        )
    # Stale lists would name packages that the mirror has replaced; who may not renew them uses what is there.
    succeeds(["apt-get", "update", "-qq"], timeout=300)
    packages = closure(wanted, without, candidates)
    _make_merged_root(root)
    with tempfile.TemporaryDirectory(prefix="leadscore-debs-") as scratch:
        run(
            ["apt-get", "download", "-qq", *(f"{each['Package']}={each['Version']}" for each in packages)],
            cwd=Path(scratch), timeout=600, hint="Run `apt-get update`.",
        )  # fmt: skip
        for archive in sorted(Path(scratch).glob("*.deb")):
            pipe = 'dpkg-deb --fsys-tarfile "$1" | tar -C "$0" --keep-directory-symlink --no-same-owner -xp'
            run(["sh", "-c", pipe, root, archive], timeout=120)
    database = root / "var/lib/dpkg/status"
    database.parent.mkdir(parents=True, exist_ok=True)
    database.write_text("\n".join(status_stanza(each) for each in packages))


def status_stanza(stanza: Stanza) -> str:
    """A package's entry in dpkg's database, as scanners read it; pure."""
    fields = ("Package", "Version", "Architecture", "Maintainer", "Source", "Section", "Homepage")
    lines = [f"{field}: {stanza[field]}" for field in fields if field in stanza]
    return "\n".join([lines[0], "Status: install ok installed", *lines[1:], ""])


def _make_merged_root(root: Path) -> None:
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
