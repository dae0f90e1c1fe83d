"""`python -m tools.images build | model | load | values | context`: what `make images` runs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import yaml
from rich.console import Console

from leadscore.errors import LeadScoreError
from tools.cluster.errors import ClusterError
from tools.cluster.shell import succeeds
from tools.cluster.steps import Steps
from tools.images import build, contents, load, model, report, roles, sbom
from tools.images.built import Built
from tools.images.errors import ImageError
from tools.images.values import helm_values

notes = Console(stderr=True, soft_wrap=True)


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it is done, 1 when something failed."""
    given = _parser().parse_args(words)
    try:
        return int(given.run(given) or 0)
    except (ClusterError, LeadScoreError) as error:
        notes.print(f"[red]error:[/red] {error.message}", highlight=False, markup=True)
        if error.hint:
            notes.print(f"hint: {error.hint}", highlight=False, markup=False)
        return 1
    except KeyboardInterrupt:
        notes.print("Interrupted; run the command again, it takes up what is complete.")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.images", description="The project's images.")
    parser.add_argument("--registry", default=build.REGISTRY, help="what image names begin with")
    parser.add_argument("--tag", default="", help="tag of the images (default: version and content)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function, text in (
        ("build", _build, "build the roles' images, and load them into the local cluster if it runs"),
        ("load", _load, "load what is built into the local cluster, or into Docker"),
        ("values", _values, "print Helm values that name the images"),
        ("report", _report, "say how large the images are and what fills them"),
        ("sbom", _sbom, "check the bills of materials (CycloneDX) and write them into a folder"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("roles", nargs="*", metavar="ROLE", help="default: all that make sense here")
        command.set_defaults(run=function)
        if name == "build":
            command.add_argument("--no-load", action="store_true", help="leave the cluster alone")
            command.add_argument(
                "--fresh", action="store_true", help="build again what is built, without caches"
            )
            command.add_argument("--json", action="store_true", help="one JSON document on standard output")
            command.add_argument("--values", type=Path, help="write Helm values that name these images")
        if name == "load":
            command.add_argument("--docker", action="store_true", help="into Docker instead of the cluster")
        if name == "sbom":
            command.add_argument("--output", type=Path, help="folder (default: only check)")
        if name == "report":
            command.add_argument("--top", type=int, default=12, help="rows per image")
        if name == "values":
            command.add_argument("--digests", action="store_true", help="by digest, too")
    prune = commands.add_parser(
        "prune", help="take images from the cluster that neither a pod uses nor the cache has"
    )
    prune.set_defaults(run=_prune)
    one = commands.add_parser("model", help="make an image of a model's artefact, and load it")
    one.add_argument("artefact", type=Path)
    one.add_argument("--version", type=int, required=True)
    one.add_argument("--name", default="leads")
    one.add_argument("--no-verify", action="store_true", help="take the artefact as it is")
    one.add_argument("--no-load", action="store_true", help="leave the cluster alone")
    one.add_argument("--json", action="store_true", help="one JSON document on standard output")
    one.set_defaults(run=_model)
    folder = commands.add_parser("context", help="write a role's build context into a folder")
    folder.add_argument("role")
    folder.add_argument("folder", type=Path)
    folder.set_defaults(run=_context)
    return parser


def _build(given: argparse.Namespace) -> int:
    _require_docker()
    registry, steps = registry_answers(), Steps(notes)
    planned = _plans(given, registry=registry)
    images = [_build_one(each, registry=registry, fresh=given.fresh, steps=steps) for each in planned]
    _into_cluster(images, steps, wanted=not given.no_load)
    if given.values:
        named = [(each.role, built) for each, built in zip(planned, images, strict=True)]
        given.values.parent.mkdir(parents=True, exist_ok=True)
        given.values.write_text(yaml.safe_dump(helm_values(named), sort_keys=False))
    if given.json:
        _emit([asdict(each) for each in images])
    else:
        for each in images:
            print(f"{each.reference}  {each.digest}")
    return 0


def _build_one(planned: build.Plan, *, registry: bool, fresh: bool, steps: Steps) -> Built:
    with steps.step(f"{planned.role.name} image") as on_step:
        return build.build(planned, registry=registry, on_step=on_step, fresh=fresh)


def _into_cluster(images: Sequence[Built], steps: Steps, *, wanted: bool) -> None:
    if not wanted:
        return
    if not load.cluster_runs():
        notes.print(
            "The local cluster does not run: images stay in the cache (`python -m tools.images load`)."
        )
        return
    with steps.step("into the cluster") as on_step:
        present = load.loaded()
        for each in images:
            on_step(each.reference)
            load.load(each, present)


def _load(given: argparse.Namespace) -> int:
    _require_docker()
    images, steps = [built for _, built in _built(given)], Steps(notes)
    if given.docker:
        with steps.step("into Docker") as on_step:
            for each in images:
                on_step(each.reference)
                load.load_into_docker(each)
        return 0
    if not load.cluster_runs():
        raise ImageError(
            "The local cluster does not run.",
            hint="`make cluster-up`; for another cluster push the images to its registry.",
        )
    _into_cluster(images, steps, wanted=True)
    return 0


def _values(given: argparse.Namespace) -> int:
    yaml.safe_dump(helm_values(_built(given), digests=given.digests), sys.stdout, sort_keys=False)
    return 0


def _report(given: argparse.Namespace) -> int:
    for _, built in _built(given):
        print(report.markdown(built, contents.describe(Path(built.archive)), given.top))
    return 0


def _sbom(given: argparse.Namespace) -> int:
    for role, built in _built(given):
        components = sbom.check(built.bill.read_text())
        target = built.bill
        if given.output:
            given.output.mkdir(parents=True, exist_ok=True)
            target = given.output / f"{role.repository}.cdx.json"
            target.write_text(built.bill.read_text())
        print(f"{role.name}: {components} components, valid CycloneDX {sbom.VERSION}  {target}")
    return 0


def _prune(given: argparse.Namespace) -> int:
    repositories = {f"{given.registry}/{role.repository}" for role in roles.ROLES}
    present = {
        reference: digest
        for reference, digest in load.loaded().items()
        if reference.split("@")[0].rsplit(":", 1)[0] in repositories
        or reference.split("@")[0] in repositories
    }
    removed = load.unneeded(present, load.used_by_containers(), build.cached_references(), given.registry)
    load.remove(removed)
    print(f"{len(removed)} references removed from the node.")
    return 0


def _model(given: argparse.Namespace) -> int:
    _require_docker()
    registry, steps = registry_answers(), Steps(notes)
    planned = model.plan_model(
        given.artefact, given.name, given.version, registry=registry, prefix=given.registry
    )
    with steps.step("model image") as on_step:
        built = model.build_model(
            planned, given.artefact, registry=registry, verify=not given.no_verify, on_step=on_step
        )
    _into_cluster([built], steps, wanted=not given.no_load)
    if given.json:
        _emit(asdict(built))
    else:
        print(f"{built.reference}  {built.digest}")
    return 0


def _context(given: argparse.Namespace) -> int:
    planned = build.plan(
        roles.find(given.role), registry=registry_answers(), prefix=given.registry, tag=given.tag
    )
    with Steps(notes).step(f"context of {given.role}") as on_step:
        build.write_folder(planned, given.folder, on_step)
    return 0


def _plans(given: argparse.Namespace, *, registry: bool) -> list[build.Plan]:
    return [
        build.plan(role, registry=registry, prefix=given.registry, tag=given.tag)
        for role in chosen(given.roles, registry=registry)
    ]


def _built(given: argparse.Namespace) -> list[tuple[roles.Role, Built]]:
    """What is in the cache of the roles that are meant, and whether their sources have changed since."""
    found: list[tuple[roles.Role, Built]] = []
    for planned in _plans(given, registry=registry_answers()):
        built = build.find(planned)
        if built is None:
            built = build.newest(planned.role, given.registry)
            if built is None:
                raise ImageError(f"There is no {planned.role.name} image yet.", hint="Run `make images`.")
            notes.print(
                f"The sources of {planned.role.name} have changed since its image {built.tag} was built."
            )
        found.append((planned.role, built))
    return found


def chosen(names: Sequence[str], *, registry: bool) -> list[roles.Role]:
    """The roles that are meant.

    By default all, but PostgreSQL only where the official image is out of reach.
    """
    if names:
        return [roles.find(name) for name in names]
    return [role for role in roles.ROLES if role.base.value or not registry]


def registry_answers() -> bool:
    """Whether the public base image is here or can be had."""
    image = roles.Base.PYTHON.value
    return succeeds(["docker", "image", "inspect", image]) or succeeds(
        ["docker", "manifest", "inspect", image], timeout=15
    )


def _require_docker() -> None:
    if not succeeds(["docker", "info"]):
        raise ImageError(
            "No Docker daemon answers.", hint="Start Docker, or run `make cluster-up`, which does."
        )


def _emit(document: object) -> None:
    json.dump(document, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    sys.exit(main())
