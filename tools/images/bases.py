"""What images start from.

Public images where a registry answers, else small ones made here (`tools.offline.bases`).
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.cluster.shell import run
from tools.images.errors import ImageError
from tools.images.roles import Base
from tools.offline.bases import ensure_local, local_reference


def reference(base: Base, *, registry: bool) -> str:
    """The image to start from; pure.

    Args:
        base: Which.
        registry: Whether public images can be pulled.
    """
    if registry and base.value:
        return base.value
    return local_reference(base)


def ensure(base: Base, *, registry: bool) -> str:
    """The reference of a base that Docker has: of a public image by its digest, because a tag can move."""
    wanted = reference(base, registry=registry)
    if wanted != base.value:
        return ensure_local(base)
    run(
        ["docker", "pull", "--quiet", wanted], timeout=1800, hint="Check Docker's connection to the registry."
    )
    digests = run(["docker", "image", "inspect", "--format", '{{join .RepoDigests "\\n"}}', wanted])
    return by_digest(wanted, digests.split())


def by_digest(wanted: str, known: Sequence[str]) -> str:
    """The tag's image as `name:tag@sha256:…`; pure.

    Args:
        wanted: Name with tag.
        known: Names with digests that Docker has of it.

    Raises:
        ImageError: None of them is of that name.
    """
    name = wanted.rsplit(":", 1)[0]
    short = name.removeprefix("docker.io/").removeprefix("library/")
    for each in known:
        repository, _, digest = each.partition("@")
        if repository in (name, short) and digest.startswith("sha256:"):
            return f"{wanted}@{digest}"
    raise ImageError(f"Docker has {wanted} without a digest.", hint="Pull it from a registry.")
