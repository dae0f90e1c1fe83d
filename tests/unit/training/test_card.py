"""What a card shows: drivers, curves, months; and that its plots are part of the artefact."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, roc_auc_score
from tests.support.gate import gate_verdict

from leadscore.cli.output import console
from leadscore.cli.train import _view
from leadscore.contract import FeatureContract
from leadscore.data.matrix import encode_table
from leadscore.errors import ArtefactError
from leadscore.registry.versions import ModelVersion
from leadscore.scoring import artefact
from leadscore.scoring.model import ScoringModel
from leadscore.training.card import Origin, limits_of_use, model_card
from leadscore.training.drivers import explain_model
from leadscore.training.nomination import Nomination
from leadscore.training.pipeline import TrainedModel
from leadscore.training.plots import draw_plots, pr_points, roc_points

PNG = b"\x89PNG\r\n\x1a\n"


def test_the_card_names_what_drives_the_model_and_links_its_plots(trained: TrainedModel) -> None:
    card = (trained.directory / artefact.CARD).read_text(encoding="utf-8")
    first = trained.evidence.drivers[0]
    assert f"| `{first.feature}` | {first.mean_abs:.3f} | {first.share:.0%} |" in card
    for name in (artefact.CARD_DRIVERS, artefact.CARD_CURVES):
        assert f"]({name})" in card
        assert (trained.directory / name).read_bytes().startswith(PNG)
    month = trained.evidence.window.months[0]
    assert f"| {month.month} | {month.leads:,} | {month.labelled:,} | {month.rate:.1%} |" in card


def test_the_card_says_which_currency_revenue_is_in(trained: TrainedModel, contract: FeatureContract) -> None:
    manifest = artefact.read_manifest(trained.directory)
    origin = Origin("leads", manifest.algorithm, manifest.data, "r", 1, {})
    revenue = f"{trained.evidence.holdout.revenue:,.0f}"
    said = model_card(origin, msgspec.structs.replace(contract, currency="CHF"), trained.evidence)
    assert f"Together they brought CHF {revenue}." in said
    unsaid = model_card(origin, contract, trained.evidence)
    assert f"Together they brought {revenue} (the contract names no currency)." in unsaid


def test_the_card_and_the_command_tell_of_outcomes_that_nobody_listed(
    trained: TrainedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained.evidence.window.unlisted == ()
    sentence = '"Closed Won [x]" (23 rows) counts as not converted'
    window = msgspec.structs.replace(trained.evidence.window, unlisted=(sentence,))
    evidence = msgspec.structs.replace(trained.evidence, window=window)
    assert f"{sentence}." in limits_of_use(evidence)
    at = datetime(2026, 3, 1, tzinfo=UTC)
    version = ModelVersion("leads", 1, (), "None", "1" * 64, "xgboost", "c1", at, {}, {}, ())
    console.print(_view(evidence, Nomination(version, gate_verdict(passed=True), None, promoted=True)))
    assert f"{sentence}." in capsys.readouterr().out


def test_drivers_are_the_mean_absolute_shapley_values(
    trained: TrainedModel, contract: FeatureContract
) -> None:
    model = ScoringModel.load(trained.directory)
    matrix = encode_table(contract, trained.holdout)
    strength = np.abs(model.kernel.shapley_many(matrix))[:, :-1].mean(axis=0)
    data = (trained.directory / trained.manifest.model_file).read_bytes()
    drivers, shapes = explain_model(data, trained.manifest.algorithm, contract, matrix)
    assert drivers == trained.evidence.drivers
    expected = dict(zip((f.name for f in contract.inputs), strength, strict=True))
    assert len(matrix) <= 1000
    assert {d.feature: d.mean_abs for d in drivers} == pytest.approx(expected)
    assert sum(d.share for d in drivers) == pytest.approx(1)
    assert [s.feature for s in shapes] == [d.feature for d in drivers[: len(shapes)]]


def test_a_changed_plot_is_found(trained: TrainedModel) -> None:
    listed = trained.manifest.files[artefact.CARD_DRIVERS]
    path = trained.directory / artefact.CARD_DRIVERS
    plot = path.read_bytes()
    assert hashlib.sha256(plot).hexdigest() == listed.sha256
    try:
        path.write_bytes(plot[:-1] + b"\0")
        with pytest.raises(ArtefactError, match=artefact.CARD_DRIVERS):
            artefact.verify_artefact(trained.directory)
    finally:
        path.write_bytes(plot)


def test_curves_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    said = rng.integers(0, 40, 3000) / 40
    came = rng.random(3000) < said
    assert auc(*roc_points(came, said)) == pytest.approx(roc_auc_score(came, said))
    recall, precision = pr_points(came, said)
    steps = np.diff(recall, prepend=0)
    assert (steps * precision).sum() == pytest.approx(average_precision_score(came, said))


def test_plots_depend_on_the_figures_alone(trained: TrainedModel) -> None:
    evidence = trained.evidence
    rng = np.random.default_rng(0)
    came, said = rng.random(500) < 0.3, rng.random(500)

    def draw() -> dict[str, bytes]:
        return dict(
            draw_plots(
                evidence.drivers,
                (),
                converted=came,
                probabilities=said,
                bins=evidence.holdout.calibration,
                months=(),
            )
        )

    assert draw() == draw()
