"""The pod that people type `leadscore …` in (manifests/examples/toolbox.yaml), and what they ask it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.e2e.story.examples import example
from tests.e2e.story.kube import Object
from tests.e2e.story.release import Release

POD = "toolbox"


@dataclass(frozen=True, slots=True)
class Toolbox:
    """`kubectl exec toolbox -- leadscore …`."""

    release: Release

    def start(self) -> None:
        """Create the pod from the sample, with the image of this release."""
        (pod,) = example("toolbox")
        image = self.release.images["jobsImage"]
        pod["spec"]["containers"][0]["image"] = f"{image['repository']}:{image['tag']}"
        self.release.kube.run("create", "--filename=-", stdin=json.dumps(pod))
        self.release.kube.run("wait", f"pod/{POD}", "--for=condition=Ready", "--timeout=120s", timeout=130)

    def leadscore(self, *words: str, stdin: str | None = None, timeout: float = 180) -> str:
        """What a command says, given this to read; ClusterError if it fails."""
        exec_ = ("exec", POD) if stdin is None else ("exec", "--stdin", POD)
        return self.release.kube.run(*exec_, "--", "leadscore", *words, stdin=stdin, timeout=timeout)

    def versions(self, model: str) -> dict[int, dict[str, Any]]:
        """What `leadscore models list` says, by version."""
        found = json.loads(self.leadscore("models", "list", model, "--json"))
        return {version["version"]: version for version in found}

    def champion(self, model: str) -> int:
        """Version that the alias `champion` names."""
        (number,) = (v for v, found in self.versions(model).items() if "champion" in found["aliases"])
        return number

    def records(self, ref: str) -> list[Object]:
        """What is on record about a version, newest first."""
        return json.loads(self.leadscore("release", "show", ref, "--json"))
