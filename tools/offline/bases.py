"""Small base images from the distribution's packages, where no registry has the public ones."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.shell import run, succeeds
from tools.images.bytecode import compile_folder
from tools.images.paths import cache_root, only_one
from tools.images.roles import Base
from tools.offline import debian

# Needed by scripts that run while packages are installed, or only named so that a system boots.
INSTALLERS = (
    "dpkg",
    "debconf",
    "debconf-2.0",
    "awk",
    "perl",
    "perl-base",
    "openssl",
    "adduser",
    "ucf",
    "init-system-helpers",
)
DOCUMENTATION = (
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/lintian",
    "usr/share/bug",
    "usr/share/doc-base",
)
FILES = "base-files", "base-passwd", "libc-bin", "dash", "coreutils"


@dataclass(frozen=True, slots=True)
class LocalBase:
    """How a base is made here.

    Attributes:
        packages: What is wanted of the distribution.
        finish: What the packages' own scripts would have done.
        without: Dependencies that are left out.
        remove: Globs below the root of what no container of ours uses.
    """

    packages: tuple[str, ...]
    finish: Callable[[Path], None]
    without: tuple[str, ...] = INSTALLERS
    remove: tuple[str, ...] = ()


def _finish_system(root: Path) -> None:
    """Accounts, the library cache, and folders that everybody may write to."""
    for name in ("passwd", "group"):
        shutil.copyfile(root / f"usr/share/base-passwd/{name}.master", root / "etc" / name)
    (root / "tmp").chmod(0o1777)
    (root / "var/tmp").chmod(0o1777)
    run(["ldconfig", "-r", root, "-X"])
    shutil.rmtree(root / "var/cache/ldconfig", ignore_errors=True)


def _finish_python(root: Path) -> None:
    _finish_system(root)
    (root / "usr/bin/python").symlink_to("python3")
    authorities = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    (root / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
    (root / "etc/ssl/certs/ca-certificates.crt").write_text("".join(each.read_text() for each in authorities))
    compile_folder(root / "usr/lib/python3.11", "/usr/lib/python3.11")


def _finish_busybox(root: Path) -> None:
    for name in ("sh", "cp", "ls", "cat", "mkdir", "sha256sum"):
        (root / "usr/bin" / name).symlink_to("busybox")
    for name in ("tmp", "etc"):
        (root / name).mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")


def _finish_postgresql(root: Path) -> None:
    _finish_system(root)
    # The loader's interface to LLVM, which is left out: PostgreSQL then answers that JIT is not to be had.
    shutil.rmtree(root / "usr/lib/postgresql/15/lib/bitcode", ignore_errors=True)


LOCAL = {
    Base.PYTHON: LocalBase(
        (*FILES, "ca-certificates", "netbase", "tzdata", "python3", "libstdc++6"),
        remove=("usr/lib/*/gconv", "usr/share/i18n", "usr/lib/python3.11/lib2to3", "usr/share/zoneinfo/right",
            "usr/share/zoneinfo/posix"),
        finish=_finish_python,
    ),
    # BusyBox is under the GPL: its notice and the licence's text (of base-files) stay.
    Base.BUSYBOX: LocalBase(
        ("busybox-static", "base-files"),
        remove=("usr/share/initramfs-tools", "usr/share/base-files", "usr/share/dict", "var/backups",
            "var/mail"),
        finish=_finish_busybox,
    ),
    Base.POSTGRESQL: LocalBase(
        (*FILES, "tzdata", "sed", "libnss-wrapper", "postgresql-15"),
        without=(*INSTALLERS, "libllvm14", "postgresql-common", "postgresql-client-common", "ssl-cert"),
        remove=("usr/lib/*/gconv", "usr/share/i18n", "usr/lib/postgresql/15/lib/llvmjit*",
            "usr/share/doc/postgresql*"),
        finish=_finish_postgresql,
    ),
}  # fmt: skip


def local_key(base: Base) -> str:
    """What a local base depends on: its recipe, not what the mirror has today; 12 hex digits."""
    digest = hashlib.sha256(base.name.encode())
    for module in (Path(__file__), Path(debian.__file__)):
        digest.update(module.read_bytes())
    return digest.hexdigest()[:12]


def local_reference(base: Base) -> str:
    """Name of the base as it is made here; pure."""
    return f"localhost/leadscore/base-{base.name.lower()}:{local_key(base)}"


def ensure_local(base: Base) -> str:
    """The reference of a base made here, which Docker has afterwards."""
    wanted = local_reference(base)
    with only_one(f"base-{base.name.lower()}"):
        if not succeeds(["docker", "image", "inspect", wanted]):
            _import(_archive(base), wanted)
    return wanted


def _import(archive: Path, wanted: str) -> None:
    run(
        [
            *("docker", "import", "--change", "ENV LANG=C.UTF-8", "--change"),
            *("ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", archive, wanted),
        ],
        timeout=300,
    )
    repository = wanted.rsplit(":", 1)[0]
    for earlier in run(["docker", "images", "--format", "{{.Repository}}:{{.Tag}}", repository]).split():
        if earlier != wanted:
            # Layers that an image still uses stay.
            succeeds(["docker", "image", "rm", earlier])


def _archive(base: Base) -> Path:
    target = cache_root() / "bases" / f"{base.name.lower()}-{local_key(base)}.tar"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    recipe = LOCAL[base]
    with tempfile.TemporaryDirectory(prefix=".base-", dir=target.parent) as scratch:
        root = Path(scratch) / "root"
        debian.extract(recipe.packages, recipe.without, root)
        recipe.finish(root)
        _remove(root, (*DOCUMENTATION, *recipe.remove))
        partial = Path(scratch) / "base.tar"
        run(
            [
                "tar",
                "-C",
                root,
                "--sort=name",
                "--owner=0",
                "--group=0",
                "--numeric-owner",
                "-cf",
                partial,
                ".",
            ]
        )
        for earlier in target.parent.glob(f"{base.name.lower()}-*.tar"):
            earlier.unlink()
        partial.rename(target)
    return target


def _remove(root: Path, patterns: Sequence[str]) -> None:
    for pattern in patterns:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    for path in (root / "usr/share/doc").glob("*/*"):
        # Licences stay.
        if path.name != "copyright":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
