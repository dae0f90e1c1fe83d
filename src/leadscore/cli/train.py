"""`leadscore train`: from a table of leads to a published model with its evidence."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.progress import Progress as RichBar
from rich.progress import TaskID

from leadscore.cli.moments import parse_moment, parse_span
from leadscore.cli.options import AcceptSuspicion, DelayAware, JsonOption, MinCompleteness
from leadscore.cli.output import emit, notes, progress_bar, table
from leadscore.errors import BadInputError, NotFoundError, RefusedError, UnavailableError
from leadscore.files import temporary_folder
from leadscore.settings import Home

if TYPE_CHECKING:
    import pyarrow as pa

    from leadscore.training.evidence import TrainingEvidence
    from leadscore.training.nomination import Nomination
    from leadscore.training.progress import TrialReport
    from leadscore.training.verdict import GateVerdict


def train(
    contract: Annotated[Path, typer.Option("--contract", help="Contract of the leads (YAML).")],
    name: Annotated[str, typer.Option("--name", help="Model name in the registry.")],
    data: Annotated[
        str | None,
        typer.Option("--data", help="Labelled leads: CSV, Parquet, Arrow, or a Delta table's folder or URL."),
    ] = None,
    data_version: Annotated[
        int | None, typer.Option(min=0, help="Version of that Delta table; the newest if left out.")
    ] = None,
    data_of: Annotated[
        str | None,
        typer.Option(
            metavar="NAME/7",
            help="Instead: the very rows that this version was trained on; others are refused.",
        ),
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Tuning trials in all; a killed run goes on.")] = 50,
    months: Annotated[int, typer.Option(min=1, help="Latest months of labelled leads to use.")] = 6,
    min_records: Annotated[int, typer.Option(min=50, help="Labelled leads needed.")] = 10_000,
    folds: Annotated[int, typer.Option(min=1, help="Time-ordered cross-validation folds.")] = 5,
    gap: Annotated[
        str, typer.Option("--gap", help="Time between training and validation leads (7d; 0d: none).")
    ] = "7d",
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    capacity: Annotated[
        float, typer.Option(min=0.001, max=0.9, help="Share of leads that sales can work on first.")
    ] = 0.10,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            help=(
                "Train as if it were the end of that day (or month: 2008-10); default now. Later leads "
                "are left out and counted."
            ),
        ),
    ] = None,
    min_completeness: MinCompleteness = 0.8,
    delay_aware: DelayAware = False,
    accept_suspicion: AcceptSuspicion = None,
    no_time: Annotated[
        bool, typer.Option("--no-time", help="The contract has no time column: row order is time.")
    ] = False,
    cost: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Decide by cost: of working a lead in vain, and of leaving one out that converts."),
    ] = None,
    algorithm: Annotated[
        Literal["both", "xgboost", "lightgbm"], typer.Option(help="Which tree library may win.")
    ] = "both",
    time_budget: Annotated[
        float | None, typer.Option(min=1, help="Seconds after which no new trial starts.")
    ] = None,
    promote: Annotated[
        bool | None,
        typer.Option(
            "--promote/--no-promote",
            help=(
                "Make it champion if it passes the gate, or is the first (default: only "
                "a first one that passes)."
            ),
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tune, fit, calibrate, measure, publish and judge a model."""
    from leadscore.contract import load_contract
    from leadscore.events.records import now_us
    from leadscore.events.store import EventStore
    from leadscore.registry.store import ModelRegistry
    from leadscore.registry.versions import check_name
    from leadscore.training.data_versions import TrainingData, record_training_data
    from leadscore.training.nomination import nominate
    from leadscore.training.options import Costs, TrainOptions
    from leadscore.training.pipeline import train as run

    moment = None if as_of is None else parse_moment(as_of, "--as-of", last=True)
    home = Home.from_environment()
    leads = load_contract(contract)
    options = TrainOptions(
        name=check_name(name),
        months=months,
        min_records=min_records,
        as_of=moment,
        no_time=no_time,
        min_completeness=min_completeness,
        delay_aware=delay_aware,
        accept_suspicion=accept_suspicion,
        trials=trials,
        folds=folds,
        gap_days=parse_span(gap, "--gap", zero=True) / timedelta(days=1),
        seed=seed,
        algorithms=("xgboost", "lightgbm") if algorithm == "both" else (algorithm,),
        capacity=capacity,
        costs=None if cost is None else Costs(*cost),
        study_storage=home.studies,
        time_budget=time_budget,
    )
    rows, pinned, expected = _read(home, data, data_version, data_of)
    with _scratch(home.root) as scratch:
        with progress_bar() as bar:
            trained = run(
                rows,
                leads,
                options,
                out=scratch / "artefact",
                progress=_Bar(bar, trials),
                expected=expected,
            )
        with EventStore(home.events_url) as store:
            result = nominate(ModelRegistry(home), store, trained, promote=promote)
            if pinned is not None:
                used = TrainingData(table=pinned[0], version=pinned[1], digest=trained.manifest.data.digest)
                record_training_data(store, result.version.ref, used, now_us())
        document = {
            "model": result.version.ref,
            "champion": result.promoted,
            "digest": result.version.digest,
            "verdict": result.verdict,
            "evidence": trained.evidence,
        }
        emit(document, _view(trained.evidence, result), as_json=as_json)
    if not as_json:
        _next_steps(result)


def _read(
    home: Home, data: str | None, version: int | None, of: str | None
) -> tuple[pa.Table, tuple[str, int] | None, str | None]:
    """The leads, which version of which Delta table they are, and the digest that is to be trained on."""
    import pyarrow as pa

    from leadscore.data.tables import read_table, table_format
    from leadscore.events.store import EventStore
    from leadscore.lake.table import LakeTable, locate
    from leadscore.training.data_versions import training_data_of

    if (data is None) == (of is None) or (of is not None and version is not None):
        raise BadInputError(
            "Name the leads once.", hint="--data TABLE [--data-version 12], or --data-of NAME/7."
        )
    expected: str | None = None
    if of is not None:
        with EventStore(home.events_url) as store:
            known = training_data_of(store, of)
        data, version, expected = known.table, known.version, known.digest
    assert data is not None  # noqa: S101 - one of the two is given
    if "://" not in data and table_format(Path(data)) != "delta":
        if version is not None:
            raise BadInputError(
                f"{data} is no Delta table, so it has no versions.", hint="Leave out --data-version."
            )
        return read_table(data), None, None
    table = LakeTable(locate(data))
    if version is None:
        version = table.version()
        if version is None:
            raise NotFoundError(f"There is no Delta table {data}.", hint="Check the address.")
    batches = list(table.read(version))
    if not batches:
        raise RefusedError(f"Version {version} of {data} has no rows.", hint="Name another version or table.")
    return pa.Table.from_batches(batches), (table.uri, version), expected


@contextmanager
def _scratch(root: Path) -> Generator[Path]:
    """A folder for the artefact until it is published.

    A run that fails after tuning is repeated from its study in no time, so nothing of it needs to be kept.
    """
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(temporary_folder(root, ".training-"))
        except OSError as error:
            raise UnavailableError(
                f"Cannot write to {root}: {error.strerror or error}.",
                hint="Set LEADSCORE_HOME to a folder that can be written.",
            ) from error
        yield folder


class _Bar:
    """Training progress on the common bar."""

    def __init__(self, bar: RichBar, trials: int) -> None:
        self._bar = bar
        self._trials = trials
        self._task: TaskID | None = None

    def stage(self, sentence: str) -> None:
        if self._task is not None:
            done = self._bar.tasks[self._task].total or 1
            self._bar.update(self._task, total=done, completed=done)
        total = self._trials if sentence == "Tuning" else None
        self._task = self._bar.add_task(sentence, total=total)

    def trial(self, report: TrialReport) -> None:
        if self._task is None:
            return
        best = (
            "" if report.best_auc is None else f" · best AUC {report.best_auc:.4f} ({report.best_algorithm})"
        )
        pruned = f" · {report.pruned} pruned" if report.pruned else ""
        self._bar.update(
            self._task,
            completed=report.finished,
            total=max(report.total, report.finished),
            description=f"Tuning{best}{pruned}",
        )


def _view(evidence: TrainingEvidence, result: Nomination) -> RenderableType:
    from leadscore.training.card import limits_of_use, named_figures

    figures = table(
        f"{result.version.ref} on {evidence.holdout.rows:,} held-out leads "
        f"({evidence.holdout.positives:,} converted)",
        ("figure", "value", "95 % interval"),
        [(name, f"{e.value:.4f}", f"{e.low:.4f} to {e.high:.4f}") for name, e in named_figures(evidence)],
        right=("value", "95 % interval"),
    )
    remarks = escape("\n".join(f"  {sentence}" for sentence in limits_of_use(evidence)[1:]))
    return (
        Group(figures, remarks, gate_view(result.verdict))
        if remarks
        else Group(figures, gate_view(result.verdict))
    )


def gate_view(verdict: GateVerdict) -> RenderableType:
    """The gate's checks as a table, its conclusion and remarks below."""
    checks = table(
        "Gate",
        ("check", "passed", "champion", "challenger", "why"),
        [
            (c.name, "yes" if c.passed else "NO", _figure(c.champion), _figure(c.challenger), c.why)
            for c in verdict.checks
        ],
        right=("champion", "challenger"),
    )
    return Group(checks, verdict.summary, *verdict.notes)


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:,.4g}"


def _next_steps(result: Nomination) -> None:
    if not result.promoted:
        notes.print(f"{result.version.ref} is challenger; the champion is unchanged.", highlight=False)
    notes.print(next_step(result), highlight=False, markup=False)


def next_step(result: Nomination) -> str:
    """What a person types next; pure."""
    name, ref = result.version.name, result.version.ref
    if result.verdict.suspected:
        return (
            "A leak is suspected. Next: leave the column out of the contract, say `known_before: true` for "
            f'it, or leadscore models promote {ref} --accept-suspicion "NAME: reason"'
        )
    if result.promoted:
        return f"{ref} is champion. Next: leadscore serve --model {name}@champion --port 3000"
    if result.verdict.passed or result.champion is None:
        return f"Next: leadscore models promote {ref} --reason '…'"
    return f"Next: leadscore models compare {result.champion.ref} {ref}"
