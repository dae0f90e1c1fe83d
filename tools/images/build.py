"""From a role to its archive: content decides the tag, so what has not changed is not made again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from leadscore import __version__
from tools.cluster.shell import run, succeeds
from tools.images import bases, code, contents, notices, packages, sbom
from tools.images.built import Built
from tools.images.context import write_context
from tools.images.errors import ImageError
from tools.images.normalise import normalise
from tools.images.paths import KEPT, RECIPE_MODULES, ROOT, cache_root, keep_newest, only_one
from tools.images.roles import MODEL, Code, Role

REGISTRY = "localhost/leadscore"
# They are small, and each is another version.
MODELS_KEPT = 50
SECONDS = 1800

OnStep = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What an image is made of, before it is made.

    Attributes:
        role: Which.
        base: Reference of what it starts from.
        requirements: Pinned packages with hashes.
        environment: The same of the packages that have a folder of their own; empty without any.
        epoch: Latest time in it, seconds.
        key: Digest of everything that decides about the content; 12 hex digits.
        reference: Full name with tag.
    """

    role: Role
    base: str
    requirements: str
    environment: str
    epoch: int
    key: str
    reference: str

    @property
    def archive(self) -> Path:
        """Where its archive is, or will be."""
        return cache_root() / "archives" / f"{self.role.name}-{self.key}.tar"


def plan(role: Role, *, registry: bool, prefix: str = REGISTRY, tag: str = "") -> Plan:
    """Read what decides about an image.

    Args:
        role: Which.
        registry: Whether public images can be pulled.
        prefix: What the image's name begins with.
        tag: Its tag; by default the version and the key.
    """
    base = bases.reference(role.base, registry=registry)
    requirements = packages.requirements(role) if role.extras or role.groups else ""
    environment = packages.environment_requirements(role)
    epoch = code.source_epoch([*code.sources(role), str(role.folder)])
    digest = hashlib.sha256()
    for part in (repr(role), base, requirements, environment, str(epoch), prefix, tag):
        digest.update(part.encode() + b"\0")
    for path in (*_recipe(role), *(ROOT / each for each in code.source_files(code.sources(role)))):
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    key = digest.hexdigest()[:12]
    reference = f"{prefix}/{role.repository}:{tag or f'{__version__}-{key}'}"
    return Plan(role, base, requirements, environment, epoch, key, reference)


def _recipe(role: Role) -> list[Path]:
    modules = [Path(__file__).with_name(name) for name in RECIPE_MODULES]
    return [*modules, *sorted(path for path in role.folder.rglob("*") if path.is_file())]


def find(planned: Plan) -> Built | None:
    """The image, if it is in the cache."""
    note = planned.archive.with_suffix(".json")
    if not (note.exists() and planned.archive.exists()):
        return None
    return Built(**json.loads(note.read_text()))


def newest(role: Role, prefix: str = REGISTRY) -> Built | None:
    """The last image of a role in the cache, whatever its sources are now."""
    notes = [
        note
        for note in (cache_root() / "archives").glob(f"{role.name}-*.json")
        if not note.name.endswith(".cdx.json") and note.with_suffix(".tar").exists()
    ]
    for note in sorted(notes, key=lambda each: each.with_suffix(".tar").stat().st_mtime, reverse=True):
        built = Built(**json.loads(note.read_text()))
        if built.repository == f"{prefix}/{role.repository}":
            return built
    return None


def cached_references() -> set[str]:
    """The images whose archives are in the cache."""
    notes = (cache_root() / "archives").glob("*.json")
    return {
        json.loads(note.read_text())["reference"] for note in notes if not note.name.endswith(".cdx.json")
    }


def build(planned: Plan, *, registry: bool, on_step: OnStep, fresh: bool = False) -> Built:
    """The image of a plan; made if it is not in the cache, or if `fresh` (archive and layers made anew)."""
    role = planned.role
    with only_one(role.name):
        found = find(planned)
        if found is not None and not fresh:
            os.utime(planned.archive)
            return found
        on_step("base")
        # By digest in the image and its bill; the key names the tag, so that looking something up pulls
        # nothing.
        planned = replace(planned, base=bases.ensure(role.base, registry=registry))
        with tempfile.TemporaryDirectory(prefix=f"leadscore-{role.name}-") as scratch:
            parts = context_parts(planned, Path(scratch), on_step)
            return assemble(planned, parts, on_step, registry=registry, fresh=fresh)


def context_parts(planned: Plan, scratch: Path, on_step: OnStep) -> list[tuple[Path, str]]:
    """What the Dockerfile copies, as (source, name in the context)."""
    role = planned.role
    parts = [(path, path.name) for path in sorted(role.folder.iterdir())]
    if planned.requirements:
        on_step("packages")
        prepared = packages.prepare(role.name, planned.requirements, role.commands)
        notice = notices.notices(prepared, packages.INSIDE)
        if planned.environment:
            inside = packages.environment_inside(role)
            other = packages.prepare(role.environment, planned.environment, (), inside)
            notice += notices.notices(other, inside)
            parts.append((other, f"{role.environment}-packages"))
        (scratch / notices.FILE).write_text(notice, encoding="utf-8")
        parts += [
            (prepared, "packages"),
            (scratch / notices.FILE, notices.FILE),
            (ROOT / "LICENSE", "LICENSE"),
        ]
    if role.code is not Code.NONE:
        on_step("code")
        code.prepare(
            role, planned.reference.rsplit(":", 1)[1].replace(".", "-"), planned.epoch, scratch / "app"
        )
        parts.append((scratch / "app", "app"))
    return parts


def assemble(
    planned: Plan,
    parts: Sequence[tuple[Path, str]],
    on_step: OnStep,
    *,
    registry: bool,
    fresh: bool = False,
) -> Built:
    """Let Docker build the context, and normalise what comes out."""
    role, archive = planned.role, planned.archive
    archive.parent.mkdir(parents=True, exist_ok=True)
    raw = f"{REGISTRY}/build-{role.name}:{planned.key}"
    on_step("docker build")
    buildx = registry and has_buildx()
    docker_build(raw, planned.base, parts, planned.epoch, fresh=fresh, buildx=buildx)
    _forget_builds(raw)
    on_step("normalising")
    with tempfile.TemporaryDirectory(prefix=f".{role.name}-", dir=archive.parent) as scratch:
        saved = Path(scratch) / "saved.tar"
        run(["docker", "save", "--output", saved, raw], timeout=SECONDS)
        labels = {"org.opencontainers.image.version": __version__, "dev.leadscore.role": role.name}
        digest = normalise(saved, archive, name=planned.reference, epoch=planned.epoch, labels=labels)
    on_step("bill of materials")
    built = Built(role.name, planned.reference, digest, planned.base, planned.epoch, str(archive))
    bill = sbom.bill_of_materials(built, contents.describe(archive))
    built.bill.write_text(bill)
    archive.with_suffix(".json").write_text(json.dumps(asdict(built), indent=2))
    _forget(role.name, archive, MODELS_KEPT if role is MODEL else KEPT)
    return built


def _forget_builds(newest: str) -> None:
    """Untag earlier builds of the role in Docker: nobody else would, and each may hold a gigabyte."""
    repository = newest.rsplit(":", 1)[0]
    for earlier in run(["docker", "images", "--format", "{{.Repository}}:{{.Tag}}", repository]).split():
        if earlier != newest:
            succeeds(["docker", "image", "rm", earlier])


def has_buildx() -> bool:
    """Whether Docker has its present builder; a distribution's Docker may come without."""
    return succeeds(["docker", "buildx", "version"])


def build_command(name: str, base: str, *, fresh: bool, buildx: bool) -> list[str]:
    """The command that builds a context which it reads from its standard input; pure.

    Args:
        name: Tag that Docker's store has it under afterwards.
        base: Image to start from.
        fresh: Use no layer of an earlier build.
        buildx: Take BuildKit; it fetches bases from a registry, and those made here are not in one.
    """
    tool = ["buildx", "build", "--load", "--provenance=false"] if buildx else ["build", "--force-rm"]
    cache = ["--no-cache"] if fresh else []
    return ["docker", *tool, *cache, "--tag", name, "--build-arg", f"BASE={base}", "-"]


def docker_build(
    name: str,
    base: str,
    parts: Sequence[tuple[Path, str]],
    epoch: int,
    *,
    fresh: bool = False,
    buildx: bool = False,
) -> None:
    """Build a context that is streamed, so that nothing is copied on this side.

    Raises:
        ImageError: With the builder's last lines.
    """
    command = build_command(name, base, fresh=fresh, buildx=buildx)
    # The classic builder needs no registry; what it lacks in reproducibility `normalise` makes up for.
    environment = os.environ if buildx else {**os.environ, "DOCKER_BUILDKIT": "0"}
    with tempfile.TemporaryFile() as log:
        builder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment)
        assert builder.stdin is not None
        broken = False
        try:
            with builder.stdin as stream:
                write_context(parts, epoch, stream)
        except BrokenPipeError:
            broken = True
        code = builder.wait(timeout=SECONDS)
        if code != 0 or broken:
            log.seek(0)
            last = "\n".join(log.read().decode(errors="replace").strip().splitlines()[-12:])
            raise ImageError(f"`{' '.join(command)}` failed with code {code}:\n{last}")


def write_folder(planned: Plan, folder: Path, on_step: OnStep) -> None:
    """Write a role's context into a folder, for whoever builds it with tools of their own."""
    if folder.exists() and any(folder.iterdir()):
        raise ImageError(f"{folder} is not empty.", hint="Name a folder that is new.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="leadscore-context-") as scratch:
        with only_one(planned.role.name):
            parts = context_parts(planned, Path(scratch), on_step)
        for source, name in parts:
            if source.is_dir():
                shutil.copytree(source, folder / name, symlinks=True)
            else:
                shutil.copy2(source, folder / name)


def _forget(role: str, newest: Path, number: int) -> None:
    keep_newest(list(newest.parent.glob(f"{role}-*.tar")), number)
    for note in newest.parent.glob(f"{role}-*.json"):
        name = note.name.removesuffix(".json").removesuffix(".cdx")
        if not note.with_name(f"{name}.tar").exists():
            note.unlink()
