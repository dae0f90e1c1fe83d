"""Images of a release as Helm values: pushed by digest, and carried over from what runs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import yaml

from leadscore.documents import read_yaml
from leadscore.errors import BadInputError, LeadScoreError, UnavailableError

LOCAL = "localhost/"
_DIGEST = re.compile(r"digest: (sha256:[0-9a-f]{64})")
Values = dict[str, Any]


def is_image(key: str, value: object) -> bool:
    """Whether a value of the chart names an image."""
    return (key == "image" or key.endswith("Image")) and isinstance(value, dict) and "repository" in value


def only_images(values: Values) -> Values:
    """Of a release's values those that name images, whatever they are below."""
    found: Values = {}
    for key, value in values.items():
        if is_image(key, value):
            found[key] = value
        elif isinstance(value, dict) and (below := only_images(value)):
            found[key] = below
    return found


def pushed(values: Values, registry: str, push: Callable[[str, str], str]) -> Values:
    """The same values with every local image pushed and named by digest.

    Args:
        values: As `python -m tools.images values` prints them.
        registry: Host and path before the image's own name.
        push: Pushes a local reference as another and returns its digest.
    """
    found: Values = {}
    for key, value in only_images(values).items():
        if not is_image(key, value):
            found[key] = pushed(value, registry, push)
        elif str(value["repository"]).startswith(LOCAL):
            name = f"{registry.rstrip('/')}/{value['repository'].removeprefix(LOCAL)}"
            digest = push(f"{value['repository']}:{value['tag']}", f"{name}:{value['tag']}")
            found[key] = {"repository": name, "digest": digest}
    return found


def docker_push(local: str, remote: str) -> str:
    """Push with the Docker client, whose login is the caller's; returns the digest that the registry gave.

    Raises:
        UnavailableError: Docker or the registry refused.
    """
    said = ""
    for command in (["docker", "tag", local, remote], ["docker", "push", remote]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
        said = done.stdout
        if done.returncode != 0:
            raise UnavailableError(f"{' '.join(command[:2])} {local}: {done.stderr.strip()}")
    match = _DIGEST.search(said)
    if match is None:
        raise UnavailableError(f"{remote} was pushed, but its digest was not told.")
    return match[1]


def main(arguments: list[str]) -> int:
    """`python -m tools.deploy.images REGISTRY OUTPUT < VALUES`.

    Push, and write the values of the pushed images.
    """
    try:
        if len(arguments) != 2 or not arguments[0]:
            raise BadInputError("Where to push?", hint="make images-push REGISTRY=host/path")
        values = cast("Values", read_yaml(sys.stdin.buffer.read(), "The standard input") or {})
        output = Path(arguments[1])
        output.parent.mkdir(parents=True, exist_ok=True)
        named = pushed(values, arguments[0], docker_push)
        if not named:
            raise BadInputError("There is no local image to push.", hint="`make images` builds them.")
        output.write_text(yaml.safe_dump(named, sort_keys=True))
    except LeadScoreError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    print(output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
