"""Into the cluster that `make cluster-up` made (a kind node's containerd), or into Docker."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from tools.cluster import kind
from tools.cluster.shell import run, succeeds
from tools.images.built import Built
from tools.images.errors import ImageError
from tools.images.paths import only_one

CTR = ("ctr", "--namespace=k8s.io", "images")


def cluster_runs() -> bool:
    """Whether the node of the local cluster is there to be loaded into."""
    return succeeds(["docker", "exec", kind.NODE, "true"])


def parse_images(listing: str) -> dict[str, str]:
    """Reference → digest, from what `ctr images ls` prints; pure."""
    rows = [line.split() for line in listing.splitlines()[1:]]
    return {row[0]: row[2] for row in rows if len(row) > 2}


def loaded() -> dict[str, str]:
    """What the node has: reference → digest."""
    return parse_images(run(["docker", "exec", kind.NODE, *CTR, "ls"]))


def load(built: Built, present: Mapping[str, str]) -> bool:
    """Load an image into the node, under its tag and under its digest; whether there was anything to do."""
    if present.get(built.reference) == built.digest:
        return False
    # containerd refuses a second import of the same content while the first one runs.
    with only_one("node"):
        if loaded().get(built.reference) == built.digest:
            return False
        _feed(
            ["docker", "exec", "--interactive", kind.NODE, *CTR, "import", "--all-platforms", "-"],
            built.archive,
        )
        by_digest = f"{built.repository}@{built.digest}"
        run(["docker", "exec", kind.NODE, *CTR, "tag", "--force", built.reference, by_digest])
    return True


def unneeded(
    present: Mapping[str, str], used: Collection[str], kept: Collection[str], prefix: str
) -> list[str]:
    """References below `prefix` that no container uses and that are not kept, but for models; pure.

    Args:
        present: What the node has, reference → digest.
        used: References that containers were made from.
        kept: References whose archives are in the cache.
        prefix: What the project's image names begin with.
    """
    digests = {present[each] for each in (*used, *kept) if each in present}
    return [
        each
        for each, digest in sorted(present.items())
        if each.startswith(f"{prefix}/") and not each.startswith(f"{prefix}/model-") and digest not in digests
    ]


def used_by_containers() -> set[str]:
    """References that the node's containers were made from, stopped ones included."""
    listing = run(["docker", "exec", kind.NODE, "ctr", "--namespace=k8s.io", "containers", "ls"])
    return {line.split()[1] for line in listing.splitlines()[1:] if len(line.split()) > 1}


def remove(references: Sequence[str]) -> None:
    """Take images from the node; the last one waits until their content is gone."""
    if references:
        run(["docker", "exec", kind.NODE, *CTR, "rm", "--sync", *references], timeout=300)


def load_into_docker(built: Built) -> None:
    """Load an image into the Docker daemon of this machine."""
    run(["docker", "load", "--quiet", "--input", built.archive], timeout=600)


def _feed(command: list[str], archive: str) -> None:
    with Path(archive).open("rb") as content:
        done = subprocess.run(
            command, stdin=content, capture_output=True, text=True, check=False, timeout=900
        )
    if done.returncode != 0:
        last = "\n".join(done.stderr.strip().splitlines()[-6:])
        raise ImageError(
            f"Loading {archive} into the node failed:\n{last}",
            hint="Is the cluster up? `make cluster-status`",
        )
