"""`leadscore bench`: how fast one model is on this machine, inside one process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from leadscore.cli.options import JsonOption
from leadscore.cli.output import emit, notes, table
from leadscore.errors import NotFoundError
from leadscore.settings import Home

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from leadscore.contract import FeatureContract
    from leadscore.scoring.model import ScoringModel
    from leadscore.scoring.profile import FeatureProfile, ReferenceProfile

_LEADS = 1000
_BATCHES = 9


@dataclass(frozen=True, slots=True)
class BenchResult:
    """What was measured.

    Attributes:
        model: Name in the manifest.
        algorithm: Library that trained it.
        inputs: Features.
        backend: Evaluator: `native` or `numpy`.
        decode_us: JSON bytes to an encoded row, µs per lead.
        predict_us: Encoded row to the trees' margin.
        calibrate_us: Margin to probability.
        score_us: All of it and the grade, from JSON bytes.
        explain_us: Exact Shapley values and the sentences of the three largest.
        bulk_rows_per_second: Encoded rows to probabilities, a whole matrix at once.
        threads: Of the bulk figure.
    """

    model: str
    algorithm: str
    inputs: int
    backend: str
    decode_us: float
    predict_us: float
    calibrate_us: float
    score_us: float
    explain_us: float
    bulk_rows_per_second: float
    threads: int


def bench(
    model: Annotated[
        str | None,
        typer.Option(
            help="NAME@champion, NAME/7, or an artefact folder. Default: the only registered model."
        ),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, max=10_000_000, help="Leads in the bulk figure.")] = 100_000,
    threads: Annotated[int, typer.Option(min=1, max=1024, help="Threads of the bulk figure.")] = 1,
    backend: Annotated[Literal["auto", "native", "numpy"], typer.Option(help="Evaluator.")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure how fast one model scores and explains here, in one process.

    The leads are like those it was trained on.
    """
    from leadscore.scoring.model import ScoringModel

    folder = _folder(model)
    notes.print(f"measuring {folder.name}: about ten seconds", highlight=False)
    scoring = ScoringModel.load(folder, backend=backend, threads=threads)
    figures = measure_scoring(scoring, rows=rows, threads=threads)
    lines = (
        ("JSON lead → encoded row", f"{figures.decode_us:,.1f} µs"),
        ("row → margin", f"{figures.predict_us:,.1f} µs"),
        ("margin → probability", f"{figures.calibrate_us:,.2f} µs"),
        ("JSON lead → score and grade", f"{figures.score_us:,.1f} µs"),
        ("row → exact reasons", f"{figures.explain_us:,.0f} µs"),
        (f"bulk, {threads} thread(s)", f"{figures.bulk_rows_per_second:,.0f} rows/s"),
    )
    title = f"{figures.model} · {figures.algorithm} · {figures.inputs} features · {figures.backend} kernel"
    emit(figures, table(title, ("step", "figure"), lines, right=("figure",)), as_json=as_json)


def measure_scoring(model: ScoringModel, *, rows: int, threads: int) -> BenchResult:
    """Measure a loaded model on seeded leads drawn from its own reference profile (median of batches)."""
    import msgspec
    import numpy as np

    matrix = bench_leads(model.contract, model.profile, _LEADS, seed=0)
    bodies = [msgspec.json.encode(lead) for lead in table_leads(model.contract, matrix)]
    margins = model.kernel.margins(matrix).tolist()
    bulk = np.resize(matrix, (rows, matrix.shape[1]))
    decode = model.decoder.decode
    return BenchResult(
        model=model.manifest.name,
        algorithm=model.manifest.algorithm,
        inputs=len(model.contract.inputs),
        backend=model.kernel.backend,
        decode_us=_microseconds(lambda i: decode(bodies[i])),
        predict_us=_microseconds(lambda i: model.kernel.margin(matrix[i])),
        calibrate_us=_microseconds(lambda i: model.calibration.probability(margins[i])),
        score_us=_microseconds(lambda i: model.score_row(decode(bodies[i]).row)),
        explain_us=_microseconds(lambda i: model.explain_row(matrix[i], 3), calls=100),
        bulk_rows_per_second=rows / (_microseconds(lambda _: model.score_rows(bulk), calls=1) / 1e6),
        threads=threads,
    )


def bench_leads(
    contract: FeatureContract, profile: ReferenceProfile, count: int, *, seed: int
) -> npt.NDArray[np.float32]:
    """Encoded leads, float32 (count, inputs), each column drawn from its own histogram.

    Required ones never missing.
    """
    import numpy as np

    source = np.random.default_rng(seed)
    columns = [_draw(feature, count, source) for feature in profile.features]
    matrix = np.stack(columns, axis=1).astype(np.float32)
    for column, feature in enumerate(contract.inputs):
        if feature.required:
            matrix[np.isnan(matrix[:, column]), column] = 0.0
    return matrix


def table_leads(contract: FeatureContract, matrix: npt.NDArray[np.float32]) -> list[dict[str, object]]:
    """The rows as JSON leads: what a client would have sent."""
    from leadscore.contract import Boolean, Categorical, Numeric

    leads: list[dict[str, object]] = []
    for number, row in enumerate(matrix.tolist()):
        lead: dict[str, object] = {contract.id: f"bench-{number}"}
        for feature, value in zip(contract.inputs, row, strict=True):
            if value != value:  # noqa: PLR0124  (missing)
                continue
            match feature:
                case Categorical():
                    lead[feature.name] = feature.categories[int(value)]
                case Boolean():
                    lead[feature.name] = bool(value)
                case Numeric():
                    lead[feature.name] = round(value) if feature.integer else round(value, 4)
        for feature in contract.features:
            if feature.required and not feature.input:
                lead[feature.name] = _placeholder(feature)
        leads.append(lead)
    return leads


def _placeholder(feature: object) -> str | float | bool:
    """A value for a required feature that the model never sees."""
    from leadscore.contract import Boolean, Categorical

    if isinstance(feature, Categorical):
        return feature.categories[0]
    return True if isinstance(feature, Boolean) else 0


def _draw(feature: FeatureProfile, count: int, source: np.random.Generator) -> npt.NDArray[np.float64]:
    import numpy as np

    # Unseen categories are missing to the model; so is an empty histogram.
    seen = np.array(
        feature.counts[:-1] if feature.kind == "categorical" else feature.counts, dtype=np.float64
    )
    if seen.sum() == 0:
        return np.full(count, np.nan)
    bins = source.choice(len(seen), size=count, p=seen / seen.sum())
    values = bins.astype(np.float64)
    if feature.kind == "numeric":
        means, deviations = np.array(feature.bin_means), np.array(feature.bin_stds)
        values = means[bins] + deviations[bins] * source.standard_normal(count)
        values = np.clip(values, feature.minimum, feature.maximum)
    share = 1.0 - sum(feature.counts) / max(sum(feature.counts) + feature.missing, 1)
    values[source.random(count) < share] = np.nan
    return values


def _microseconds(call: Callable[[int], object], *, calls: int = _LEADS) -> float:
    """Median over batches of the mean time of a call, µs; the first batch warms up and does not count."""
    means: list[float] = []
    for _ in range(_BATCHES + 1):
        started = time.perf_counter()
        for i in range(calls):
            call(i)
        means.append((time.perf_counter() - started) / calls * 1e6)
    return median(means[1:])


def _folder(ref: str | None) -> Path:
    """The verified artefact folder that the reference names."""
    if ref is not None and (Path(ref) / "manifest.json").is_file():
        return Path(ref)
    from leadscore.registry.store import ModelRegistry

    registry = ModelRegistry(Home.from_environment())
    if ref is None:
        names = list(registry.names())
        if len(names) != 1:
            raise NotFoundError(
                f"There are {len(names)} registered models.", hint="Say which one with --model NAME@champion."
            )
        ref = names[0]
    return registry.fetch(ref)
