"""The confidence sequences of an A/B test as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from leadscore.errors import UnavailableError
from leadscore.release.experiment import Experiment


def draw(found: Experiment, path: Path) -> None:
    """Write a PNG or SVG, by the file's ending.

    Raises:
        UnavailableError: The file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 (half a second)
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(8, 3.2 * len(found.metrics)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = cast("Any", figure.subplots(len(found.metrics), 1, squeeze=False))
    for (axis,), metric in zip(axes, found.metrics, strict=True):
        leads = [evaluation.leads for evaluation in metric.evaluations]
        axis.axhline(0, color="#57606a", linewidth=1)
        if leads:
            low, high = (
                [getattr(evaluation, end) for evaluation in metric.evaluations] for end in ("low", "high")
            )
            axis.fill_between(leads, low, high, step="post", color="#0969da", alpha=0.2)
            axis.step(
                leads, [evaluation.value for evaluation in metric.evaluations], where="post", color="#0969da"
            )
            # The first evaluations are wide beyond meaning: the scale follows the second half.
            reach = max(abs(v) for v in low[len(low) // 2 :] + high[len(high) // 2 :])
            axis.set_ylim(-1.2 * reach, 1.2 * reach)
        else:
            axis.text(0.5, 0.5, "too little seen", transform=axis.transAxes, ha="center")
        axis.set_title(
            f"{metric.name}: {found.model}/{found.b.version} minus {found.model}/{found.a.version}"
        )
        axis.set_xlabel("leads whose exposure is over")
    figure.suptitle(
        f"{found.verdict.replace('_', ' ')} · valid at every evaluation, alpha {found.plan.alpha:g}"
    )
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise UnavailableError(f"Cannot write {path}: {error.strerror or error}.") from error
