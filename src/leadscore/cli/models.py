"""`leadscore models`: what is published, which one serves, and changing that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leadscore.cli.options import AcceptSuspicion, EventsUrl
from leadscore.cli.output import emit, notes, table
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.registry.metrics import ModelMetric
    from leadscore.registry.store import ModelRegistry
    from leadscore.registry.versions import ModelVersion, VersionDecision

app = typer.Typer(help="Look at published models; fetch, promote, roll back, archive.", no_args_is_help=True)

TableOrJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept with the version for good.")]
Pinned = Annotated[str, typer.Argument(help="NAME/VERSION, such as leads/7; NAME@alias works too.")]

# The figures that fit a line; `show` has all of them.
_HEADLINE = ("auc", "average_precision", "lift", "ece")


@app.command("list")
def list_models(
    name: Annotated[str | None, typer.Argument(help="Only this model.")] = None, as_json: TableOrJson = False
) -> None:
    """List models and their versions, newest first."""
    registry = _registry()
    names = [name] if name is not None else registry.names()
    versions = [version for known in names for version in registry.versions(known)]
    columns = ("model", "stage", "aliases", "created (UTC)", *_HEADLINE, "digest")
    rows = [
        (
            version.ref,
            None if version.stage == "None" else version.stage,
            ", ".join(version.aliases) or None,
            f"{version.created_at:%Y-%m-%d %H:%M}",
            *(_figure(version.metrics.get(metric)) for metric in _HEADLINE),
            version.digest[:12],
        )
        for version in versions
    ]
    emit(versions, table("Models", columns, rows, right=_HEADLINE), as_json=as_json)


@app.command()
def show(model: Pinned, as_json: TableOrJson = False) -> None:
    """Show one version: where it comes from, its metrics, who decided what about it."""
    from rich.console import Group

    version = _registry().resolve(model)
    facts = table("", ("what", "value"), _facts(version))
    facts.title = version.ref
    metrics = table(
        "Metrics on the held-out window",
        ("metric", "value", "low", "high"),
        [(name, _figure(m), _figure_end(m.low), _figure_end(m.high)) for name, m in version.metrics.items()],
        right=("value", "low", "high"),
    )
    decisions = table(
        "Decisions",
        ("when (UTC)", "what", "by", "instead of", "why"),
        [_decision_row(decision) for decision in version.decisions],
    )
    emit(version, Group(facts, metrics, decisions), as_json=as_json)


@app.command()
def compare(
    a: Pinned,
    b: Pinned,
    as_json: TableOrJson = False,
) -> None:
    """Compare two versions of one model: metrics side by side, contracts, sizes."""
    from rich.console import Group

    from leadscore.errors import BadInputError

    registry = _registry()
    left, right = registry.resolve(a), registry.resolve(b)
    if left.name != right.name:
        raise BadInputError(
            f"{left.ref} and {right.ref} are different models.", hint="Compare versions of one model."
        )
    found = registry.compare(left.name, left.version, right.version)
    metrics = table(
        f"{left.ref} against {right.ref}",
        ("metric", left.ref, "interval", right.ref, "interval ", "difference"),
        [
            (
                pair.name,
                _figure(pair.a),
                _interval(pair.a),
                _figure(pair.b),
                _interval(pair.b),
                None if pair.difference is None else f"{pair.difference:+.4f}",
            )
            for pair in found.metrics
        ],
        right=(left.ref, right.ref, "difference"),
    )
    changes = table(
        "Contract",
        ("where", "what", "breaks", "why"),
        [(c.place, c.what, ", ".join(c.breaks) or "nobody", c.why) for c in found.contract.changes]
        or [(None, "no difference", "nobody", "")],
    )
    sizes = table(
        "Artefact",
        ("model", "algorithm", "size", "trained on rows"),
        [
            (
                f"{found.name}/{side.version}",
                side.manifest.algorithm,
                _bytes(side.size),
                f"{side.manifest.data.rows:,}",
            )
            for side in (found.a, found.b)
        ],
        right=("size", "trained on rows"),
    )
    emit(found, Group(metrics, changes, sizes), as_json=as_json)


@app.command()
def fetch(
    model: Pinned,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", help="Also copy it into this folder, which is new, empty, or this version's copy."
        ),
    ] = None,
    as_json: TableOrJson = False,
) -> None:
    """Download a version, verify every file, keep it in the cache; prints the folder.

    A version in the cache is verified again, and needs no registry.
    """
    from leadscore.scoring.artefact import artefact_digest, verify_artefact

    registry = _registry()
    with notes.status(f"Fetching {model} …"):
        cached = registry.fetch(model)
        folder = cached if to is None else _copied(cached, to)
        manifest = verify_artefact(folder)
    ref = f"{cached.parent.name}/{cached.name}"
    document = {
        "model": ref,
        "path": str(folder),
        "digest": artefact_digest(manifest),
        "files": len(manifest.files),
        "size": manifest.size,
    }
    notes.print(
        f"{ref}: {len(manifest.files)} files, {_bytes(manifest.size)}, each as published "
        f"(digest {artefact_digest(manifest)[:12]}).",
        highlight=False,
        soft_wrap=True,
    )
    if as_json:
        emit(document, "", as_json=True)
    else:
        # Bare and unwrapped, for `DIR=$(leadscore models fetch …)`.
        typer.echo(folder)


@app.command()
def promote(
    model: Pinned,
    reason: ReasonOption = "",
    expect: Annotated[
        int | None,
        typer.Option("--expect-champion", help="Refuse if the champion is another version (0: none yet)."),
    ] = None,
    accept_suspicion: AcceptSuspicion = None,
    as_json: TableOrJson = False,
) -> None:
    """Make a version the champion; the old champion becomes `previous`.

    Running services keep their version.
    """
    from msgspec import UNSET

    from leadscore.training.doubts import answer_for

    registry = _registry()
    version = registry.resolve(model)
    word = answer_for(registry.fetch(version.ref), accept_suspicion)
    if word:
        reason = f"{reason}{'; ' if reason else ''}suspicion of a leak accepted by {word}"
    expected = UNSET if expect is None else (expect or None)
    decision = registry.promote(version.name, version.version, reason=reason, expected_champion=expected)
    _print_decision(decision, as_json=as_json)
    _say_who_serves(decision)


@app.command()
def nominate(model: Pinned, reason: ReasonOption = "", as_json: TableOrJson = False) -> None:
    """Make a version the challenger."""
    registry = _registry()
    version = registry.resolve(model)
    _print_decision(registry.nominate(version.name, version.version, reason=reason), as_json=as_json)


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(help="Model, such as leads.")],
    reason: ReasonOption = "",
    as_json: TableOrJson = False,
) -> None:
    """Return to the champion before this one; again: further back. Running services keep their version."""
    decision = _registry().rollback(name, reason=reason)
    _print_decision(decision, as_json=as_json)
    _say_who_serves(decision)


@app.command()
def archive(model: Pinned, reason: ReasonOption = "", as_json: TableOrJson = False) -> None:
    """Retire a version for good."""
    registry = _registry()
    version = registry.resolve(model)
    decision = registry.archive(version.name, version.version, reason=reason)
    _print_decision(decision, as_json=as_json)


def _copied(cached: Path, to: Path) -> Path:
    """A copy of a cached artefact at `to`; one that is there already and verifies is left alone."""
    import shutil

    from leadscore.errors import ArtefactError
    from leadscore.scoring.artefact import artefact_digest, read_manifest, verify_artefact, writing_artefact

    try:
        if artefact_digest(verify_artefact(to)) == artefact_digest(read_manifest(cached)):
            return to
    except ArtefactError:
        pass  # another thing or nothing: the writer below refuses what is not empty
    with writing_artefact(to) as temporary:
        shutil.copytree(cached, temporary, dirs_exist_ok=True)
    return to


@app.command("metrics")
def metrics(
    events_url: EventsUrl = None,
    lake: Annotated[
        str | None,
        typer.Option("--lake", envvar="LEADSCORE_LAKE", show_envvar=True, help="Root of the lake."),
    ] = None,
    as_json: TableOrJson = False,
) -> None:
    """Append today's figures of each version at work to the lake's table model_metrics; once a day (UTC)."""
    from datetime import UTC, datetime

    from leadscore.events.store import EventStore
    from leadscore.monitoring.model_facts import find_model_facts
    from leadscore.monitoring.model_metrics import publish_model_metrics
    from leadscore.monitoring.rollups.cells import VersionCells

    home, registry = Home.from_environment(), _registry()
    cells = VersionCells(lambda name, version: find_model_facts(registry, name, version))
    with EventStore(events_url or home.events_url) as store:
        done = publish_model_metrics(store, lake or home.lake, cells.facts, datetime.now(UTC))
    said = "were written before" if done.repeated else "are written"
    emit(done, f"Today's figures {said} (version {done.version} of model_metrics).", as_json=as_json)


def _registry() -> ModelRegistry:
    from leadscore.registry.store import ModelRegistry

    return ModelRegistry(Home.from_environment())


def _print_decision(decision: VersionDecision, *, as_json: bool) -> None:
    columns = ("when (UTC)", "what", "by", "instead of", "why")
    title = f"{decision.name}/{decision.version}"
    emit(decision, table(title, columns, [_decision_row(decision)]), as_json=as_json)


def _say_who_serves(decision: VersionDecision) -> None:
    """Say how traffic follows, as an alias alone moves none."""
    ref = f"{decision.name}/{decision.version}"
    for line in (
        (
            f"Running services keep the version that they started with; {ref} is champion in the "
            "registry alone. To serve it:"
        ),
        f"  on this machine, after stopping it: leadscore serve --model {ref}",
        (
            "  in a cluster: helm upgrade RELEASE charts/lead-scoring --reuse-values --set "
            f"model.version={decision.version}"
        ),
    ):
        notes.print(line, highlight=False, soft_wrap=True, markup=False)


def _decision_row(decision: VersionDecision) -> tuple[object, ...]:
    instead = None if decision.from_version is None else f"{decision.name}/{decision.from_version}"
    return f"{decision.at:%Y-%m-%d %H:%M:%S}", decision.action, decision.by, instead, decision.reason


def _facts(version: ModelVersion) -> list[tuple[str, object]]:
    return [
        ("stage", version.stage),
        ("aliases", ", ".join(version.aliases) or None),
        ("created (UTC)", f"{version.created_at:%Y-%m-%d %H:%M:%S}"),
        ("published by", version.tags.get("published_by")),
        ("algorithm", version.algorithm),
        ("contract", version.contract_version),
        ("code", version.tags.get("code_revision")),
        ("data", version.tags.get("data_digest")),
        ("digest", version.digest),
        ("size", _bytes(int(version.tags.get("size", "0")))),
    ]


def _figure(metric: ModelMetric | None) -> str | None:
    return None if metric is None else f"{metric.value:.4f}"


def _figure_end(end: float | None) -> str | None:
    return None if end is None else f"{end:.4f}"


def _interval(metric: ModelMetric | None) -> str | None:
    if metric is None or metric.low is None or metric.high is None:
        return None
    return f"{metric.low:.4f} to {metric.high:.4f}"


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"
