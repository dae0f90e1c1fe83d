"""Deploy, watch, judge, promote: the order of things; what is decided comes from `verdict`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from leadscore.errors import ConflictError, NotFoundError, UnavailableError
from leadscore.settings import Home
from tools.deploy.cluster import Namespace, helm
from tools.deploy.errors import DeploymentFailedError, NeedsPersonError, StillRunningError
from tools.deploy.images import only_images
from tools.deploy.reasons import (
    HASH_LABEL,
    analysis_reasons,
    event_reasons,
    log_reasons,
    pod_reasons,
    ready_pods,
)
from tools.deploy.target import CHART, Target, upgrade_arguments
from tools.deploy.verdict import VERSION_LABEL, State, Verdict, judge

Say = Callable[[str], None]
# Reads that may fail one after the other before the watch gives up: an API server restarts in less.
UNANSWERED_SECONDS = 180.0
# As the chart writes it (templates/_live.tpl).
RENDERED = "leadscore.dev/rendered-version"


def deploy(
    target: Target,
    values: Path,
    version: int | None,
    say: Say,
    *,
    chart: Path = CHART,
    images: Path | None = None,
    interrupt: bool = False,
) -> int:
    """Apply a version; what becomes of it is for `watch`.

    Args:
        target: The environment.
        values: Its values file.
        version: Model version; None keeps the one that has the traffic.
        say: Told what is done.
        chart: Chart folder or package.
        images: Values that name the images; None keeps those of the release.
        interrupt: Replace another version that is on its way.

    Returns:
        The version.

    Raises:
        ConflictError: Another version is on its way, and `interrupt` was not asked for.
        NotFoundError: No version was named, and none is there to keep.
        DeploymentFailedError: Helm refused or failed.
    """
    running = _serving(target)
    chosen = running if version is None else version
    if chosen is None:
        raise NotFoundError(
            f"{target.namespace} serves no version yet: name one.", hint="make deploy ENV=… VERSION=…"
        )
    if not interrupt:
        _check_free(target, chosen, new_software=images is not None)
    say(f"model version {chosen} to release {target.release} in {target.namespace}")
    with TemporaryDirectory() as folder:
        if images is None:
            images = _carried(target, Path(folder))
        for step in steps_to(chosen, *_written(target)):
            helm(upgrade_arguments(target, values, step, chart=chart, images=images))
    return chosen


def steps_to(version: int, live: str, rendered: str) -> list[int]:
    """Return the versions to ask Helm for, one after the other, so that the last one is served.

    Helm sends only what has changed since its own last revision. If that one had this version, too, and the
    operator or an undo has changed it since, Helm is told first what is there.

    Args:
        version: The one that is wanted.
        live: The label in the pod template; "" if there is none.
        rendered: What Helm's last revision had there; "" if it does not say.
    """
    return [int(live), version] if live.isdigit() and live != rendered == str(version) else [version]


def _written(target: Target) -> tuple[str, str]:
    """The version in the workload's pod template, and the one that Helm wrote there last."""
    try:
        workload = Namespace(target.namespace).workload(target.release)
    except NotFoundError:
        return "", ""  # the first deployment
    if workload["kind"] != "Rollout":
        return "", ""  # of Kubernetes' own kinds Helm sends what differs from what is there
    labels = workload["spec"]["template"]["metadata"].get("labels", {})
    return labels.get(VERSION_LABEL, ""), workload["metadata"].get("annotations", {}).get(RENDERED, "")


def _serving(target: Target) -> int | None:
    try:
        return Namespace(target.namespace).serving_version(target.release)
    except NotFoundError:
        return None  # the first deployment


def _carried(target: Target, folder: Path) -> Path | None:
    """The images of the release, so that bringing a model never changes the software."""
    space = ("--namespace", target.namespace)
    releases = json.loads(helm(["list", *space, "--all", "--output", "json"]))
    if target.release not in {release["name"] for release in releases}:
        return None
    values = json.loads(helm(["get", "values", target.release, *space, "--output", "json"])) or {}
    path = folder / "images.yaml"
    path.write_text(yaml.safe_dump(only_images(values)))
    return path


def look(target: Target) -> Verdict:
    """The deployment now."""
    return judge(Namespace(target.namespace).workload(target.release))


def watch(
    target: Target, say: Say, *, seconds: float, wanted: int | None = None, pause: float = 2.0
) -> Verdict:
    """Look until the deployment is healthy.

    Args:
        target: The environment.
        say: Told each change.
        seconds: How long at most; 0 evaluations once.
        wanted: The version it is about; None: whichever the workload says.
        pause: Seconds between two looks.

    Raises:
        DeploymentFailedError: It was sent back, or another version took its place.
        NeedsPersonError: An analysis could not decide, or somebody paused it.
        StillRunningError: It is not done when the time is over.
        UnavailableError: The API server did not answer for minutes.
    """
    deadline = time.monotonic() + seconds
    answered = time.monotonic()
    said = ""
    while True:
        try:
            seen = look(target)
            answered = time.monotonic()
        except UnavailableError:
            # Not knowing is no verdict.
            if time.monotonic() - answered > min(UNANSWERED_SECONDS, max(seconds, 1.0)):
                raise
            time.sleep(pause)
            continue
        if seen.line != said:
            said = seen.line
            say(said)
        if wanted is not None and seen.version != wanted:
            raise DeploymentFailedError(
                f"Version {seen.version} took the place of version {wanted} meanwhile.",
                hint="Somebody else deployed; look at `helm history`.",
            )
        if seen.state is not State.PROGRESSING:
            return _settled(target, seen)
        if time.monotonic() >= deadline:
            raise StillRunningError(
                f"{seen.line}: not done after {seconds / 60:.0f} min.",
                hint="`make deploy-verdict` judges it later.",
            )
        time.sleep(pause)


def _settled(target: Target, seen: Verdict) -> Verdict:
    if seen.state is State.HEALTHY:
        return seen
    reasons = _reasons(target, seen)
    where = f"--namespace {target.namespace}"
    if seen.state is State.NEEDS_PERSON:
        raise NeedsPersonError(
            f"{seen.line}.",
            reasons=tuple(reasons),
            hint=f"kubectl argo rollouts {where} promote|abort ROLLOUT decides it.",
        )
    raise DeploymentFailedError(
        f"{seen.line}. The version before serves; the registry was not touched.",
        reasons=tuple(reasons),
        hint=f"`helm {where} rollback {target.release}` makes the release say what runs.",
    )


def _reasons(target: Target, seen: Verdict) -> list[str]:
    """What there is to say; a read that fails here is said too, and never hides the verdict."""
    space = Namespace(target.namespace)
    selector = f"{HASH_LABEL}={seen.revision}"

    def warnings() -> list[str]:
        name = space.workload(target.release)["metadata"]["name"]
        ready = ready_pods(space.items("pods", selector))
        return event_reasons(space.items("events"), f"{name}-{seen.revision}", without=ready)

    def errors() -> list[str]:
        pods = space.items("pods", selector)
        ready = ready_pods(pods)
        names = sorted(str(pod["metadata"]["name"]) for pod in pods)
        logs = {name: space.logs(name) for name in names if name not in ready}
        return [line for name, log in logs.items() for line in log_reasons(name, log)]

    lines: list[str] = []
    for read in (
        lambda: analysis_reasons(space.items("analysisruns.argoproj.io", selector), seen.turn),
        lambda: pod_reasons(space.items("pods", selector)),
        errors,
    ):
        lines += _tried(read)
    # Events outlive pods and attempts: they are asked only when nothing nearer speaks.
    return list(dict.fromkeys(lines or _tried(warnings)))


def _tried(read: Callable[[], list[str]]) -> list[str]:
    try:
        return read()
    except (UnavailableError, NotFoundError) as error:
        return [f"(could not be asked: {error})"]


def _check_free(target: Target, version: int, *, new_software: bool) -> None:
    try:
        seen = look(target)
    except NotFoundError:
        return  # the first deployment
    same = seen.version == version and not new_software  # a deployment that was cut off is taken up again
    if seen.state in {State.PROGRESSING, State.NEEDS_PERSON} and not same:
        raise ConflictError(
            f"{seen.line}: it is not done.",
            hint="Wait for its verdict or abort it; INTERRUPT=1 replaces it.",
        )


def promote(target: Target, version: int, say: Say, *, reason: str, by: str | None) -> bool:
    """Make the version the champion; whether that changed anything.

    Call it with a version that `watch` found healthy, never before.
    """
    if not target.model:
        say("no registry is named for this environment: nothing to promote")
        return False
    if target.registry.tracking_uri:
        return _promote(target, version, target.registry.tracking_uri, say, reason=reason, by=by)
    with Namespace(target.namespace).forward(target.registry.service, target.registry.port) as address:
        return _promote(target, version, address, say, reason=reason, by=by)


def _promote(target: Target, version: int, uri: str, say: Say, *, reason: str, by: str | None) -> bool:
    # MLflow takes seconds to import: only now, when there is something to promote.
    from leadscore.registry.store import ModelRegistry  # noqa: PLC0415

    registry = ModelRegistry(replace(Home.from_environment(), tracking_uri=uri))
    try:
        if registry.resolve(f"{target.model}@champion").version == version:
            say(f"{target.model}/{version} is the champion already")
            return False
    except NotFoundError:
        pass  # no champion yet
    registry.promote(target.model, version, reason=reason, by=by)
    say(f"{target.model}/{version} is the champion now")
    return True


def reason_from(environ: Mapping[str, str], environment: str) -> str:
    """Why a version becomes champion, with the run that saw it."""
    text = f"healthy in {environment}"
    if {"GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID"} <= environ.keys():
        run = (
            f"{environ['GITHUB_SERVER_URL']}/{environ['GITHUB_REPOSITORY']}"
            f"/actions/runs/{environ['GITHUB_RUN_ID']}"
        )
        text = f"{text}, {run}"
    return text


def summary(environment: str, outcome: str, reasons: tuple[str, ...] = ()) -> str:
    """Markdown for the run's page."""
    lines = [f"### {environment}: {outcome}", *(f"- {_plain(reason)}" for reason in reasons)]
    return "\n".join(lines) + "\n"


def _plain(text: Any) -> str:
    # Words of a pod end up on a page that renders Markdown and HTML.
    return "`" + str(text).replace("`", "'").replace("\n", " ") + "`"
