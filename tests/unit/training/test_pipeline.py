from __future__ import annotations

import dataclasses
import resource
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from leadscore.contract import FeatureContract
from leadscore.data.matrix import encode_table
from leadscore.errors import BadInputError, ConflictError, RefusedError, UnavailableError
from leadscore.monitoring.model_facts import read_model_facts
from leadscore.scoring import artefact
from leadscore.scoring.model import ScoringModel
from leadscore.training import snapshot
from leadscore.training.evidence import TrainingEvidence
from leadscore.training.options import TrainOptions
from leadscore.training.pipeline import TrainedModel, study_name, train


def outcomes_of(model: TrainedModel) -> pa.Table:
    with pa.OSFile(str(model.directory / artefact.REFERENCE_OUTCOMES), "rb") as source:
        return pa.ipc.open_file(source).read_all()


def test_artefact_verifies_loads_and_scores(trained: TrainedModel) -> None:
    assert artefact.verify_artefact(trained.directory) == trained.manifest
    model = ScoringModel.load(trained.directory)
    probabilities = model.score_rows(encode_table(model.contract, trained.holdout))
    assert probabilities.mean() == pytest.approx(trained.evidence.holdout.mean_probability, abs=1e-6)


def test_the_model_ranks(trained: TrainedModel) -> None:
    assert trained.evidence.metrics.auc.low > 0.7


def test_metrics_file_is_the_evidence_and_the_registry_can_read_it(trained: TrainedModel) -> None:
    data = (trained.directory / artefact.METRICS).read_bytes()
    assert TrainingEvidence.from_json(data) == trained.evidence
    assert set(msgspec.json.decode(data)["metrics"]["auc"]) == {"value", "low", "high"}


def test_windows_follow_each_other_and_labels_were_known(trained: TrainedModel) -> None:
    window = trained.evidence.window
    assert window.start < window.calibration_start < window.holdout_start <= window.end
    assert window.embargoed > 0
    assert window.train > window.holdout > 0
    assert sum(m.labelled for m in window.months) >= window.train + window.calibration + window.holdout


def test_same_data_and_seed_give_a_byte_identical_model(
    leads: pa.Table, contract: FeatureContract, options: TrainOptions, trained: TrainedModel, tmp_path: Path
) -> None:
    shuffled_chunks = pa.concat_tables([leads.slice(0, 1234), leads.slice(1234)])
    again = train(
        shuffled_chunks,
        contract,
        dataclasses.replace(options, threads=1),
        out=tmp_path / "again",
        expected=trained.manifest.data.digest,
    )
    for name in (
        again.manifest.model_file,
        artefact.CALIBRATION,
        artefact.REFERENCE,
        artefact.REFERENCE_SAMPLE,
        artefact.REFERENCE_OUTCOMES,
    ):
        assert (again.directory / name).read_bytes() == (trained.directory / name).read_bytes(), name
    assert again.manifest.data == trained.manifest.data


def test_the_artefact_tells_how_long_the_reference_waited_for_its_outcomes(
    leads: pa.Table, trained: TrainedModel
) -> None:
    told = outcomes_of(trained)
    # Fewer rows than the sample may have: all of the newest whole weeks, in order of time, the hold-out last.
    held = told.slice(told.num_rows - trained.holdout.num_rows)
    created, known = (trained.holdout.column(n).to_numpy() for n in ("created_at", "outcome_known_at"))
    day = np.timedelta64(1, "D")
    assert held.column("days").to_numpy() == pytest.approx((known - created) / day)
    newest = max(np.nanmax(leads.column(n).to_numpy()) for n in ("created_at", "outcome_known_at"))
    assert held.column("age").to_numpy() == pytest.approx((newest - created) / day)
    window, ages = trained.evidence.window, told.column("age").to_numpy()
    unseen = np.datetime64(window.end.rstrip("Z")) - np.datetime64(window.calibration_start.rstrip("Z"))
    assert ages[0] - ages[-1] == pytest.approx(7 * (unseen / day // 7), abs=1)
    assert trained.holdout.num_rows < told.num_rows < window.calibration + window.holdout


def test_the_reference_counts_unlisted_categories_apart_from_missing_values(
    leads: pa.Table, contract: FeatureContract, options: TrainOptions, tmp_path: Path
) -> None:
    """The matrix has NaN for both; later windows can tell them apart, so the reference must."""
    rare = leads.column("industry").to_pylist()
    texts = [None if i % 7 == 0 else "Zeppelin yards" if i % 5 == 0 else text for i, text in enumerate(rare)]
    table = leads.set_column(leads.schema.get_field_index("industry"), "industry", pa.array(texts))
    made = train(table, contract, dataclasses.replace(options, trials=1), out=tmp_path / "a")
    profile = ScoringModel.load(made.directory).profile
    industry = next(f for f in profile.features if f.name == "industry")
    assert industry.counts[-1] / profile.rows == pytest.approx(6 / 35, rel=0.2)
    assert industry.missing / profile.rows == pytest.approx(1 / 7, rel=0.2)


def test_as_of_hides_later_leads_and_later_labels(
    leads: pa.Table, contract: FeatureContract, options: TrainOptions, tmp_path: Path
) -> None:
    moment = datetime(2026, 4, 15, tzinfo=UTC)
    past = train(leads, contract, dataclasses.replace(options, as_of=moment), out=tmp_path / "past")
    assert past.evidence.window.end < "2026-04-15"
    known = pc.max(past.holdout.column("outcome_known_at")).as_py()
    assert known <= moment
    # Nor is a lead older than it was then.
    told = outcomes_of(past)
    assert pc.all(pc.less_equal(told.column("days"), told.column("age"))).as_py()
    assert pc.max(told.column("age")).as_py() < (moment - datetime(2026, 1, 1, tzinfo=UTC)).days


def test_rows_that_are_not_those_of_an_earlier_training_are_refused(
    leads: pa.Table, contract: FeatureContract, options: TrainOptions, trained: TrainedModel, tmp_path: Path
) -> None:
    known = trained.manifest.data.digest
    with pytest.raises(RefusedError, match=f"not the rows of that training.* those were {known[:12]}"):
        train(leads.slice(1), contract, options, out=tmp_path / "x", expected=known)
    assert not (tmp_path / "x").exists()


def test_too_few_leads_are_refused(leads: pa.Table, contract: FeatureContract, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="needs 10,000 labelled leads"):
        train(leads, contract, TrainOptions(name="crm"), out=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_contract_without_time_needs_no_time_said(
    leads: pa.Table, contract: FeatureContract, options: TrainOptions, tmp_path: Path
) -> None:
    timeless = msgspec.structs.replace(contract, time=None)
    with pytest.raises(BadInputError, match="no time column"):
        train(leads, timeless, options, out=tmp_path / "x")
    with pytest.raises(BadInputError, match="--no-time was said"):
        train(leads, contract, dataclasses.replace(options, no_time=True), out=tmp_path / "x")
    done = train(
        leads.slice(0, 2000),
        timeless,
        dataclasses.replace(options, no_time=True, trials=1),
        out=tmp_path / "x",
    )
    assert done.evidence.window.start is None
    # Without times nobody knows how long anything took.
    assert artefact.REFERENCE_OUTCOMES not in done.manifest.files
    assert "row order stood for time" in (done.directory / artefact.CARD).read_text()


def test_a_target_with_one_outcome_is_refused(
    leads: pa.Table, contract: FeatureContract, options: TrainOptions, tmp_path: Path
) -> None:
    column = leads.column("converted")
    zeros = pc.if_else(pc.is_null(column), column, pc.cast(pa.scalar(0), column.type))
    flat = leads.set_column(leads.column_names.index("converted"), "converted", zeros)
    with pytest.raises(RefusedError, match="0 converted"):
        train(flat, contract, options, out=tmp_path / "x")


def test_a_refusal_for_want_of_conversions_tells_of_outcomes_that_nobody_listed(
    leads: pa.Table, contract: FeatureContract, options: TrainOptions, tmp_path: Path
) -> None:
    column = leads.column("converted")
    stages = pc.if_else(pc.equal(pc.cast(column, pa.int64()), 1), "Closed Won", "Lost")
    staged = leads.set_column(leads.column_names.index("converted"), "converted", stages)
    target = msgspec.structs.replace(contract.target, positive="Won")
    with pytest.raises(RefusedError, match="0 converted") as caught:
        train(staged, msgspec.structs.replace(contract, target=target), options, out=tmp_path / "x")
    assert '"Closed Won"' in (caught.value.hint or "")


def test_an_existing_folder_is_refused_before_the_work(
    leads: pa.Table, contract: FeatureContract, options: TrainOptions, tmp_path: Path
) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "file").write_text("mine")
    with pytest.raises(ConflictError):
        train(leads, contract, options, out=tmp_path / "x")
    assert (tmp_path / "x" / "file").read_text() == "mine"


def test_an_unwritable_place_is_refused_before_the_work(
    leads: pa.Table, contract: FeatureContract, options: TrainOptions, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UnavailableError, match="Cannot write"):
        train(leads, contract, options, out=tmp_path / "file" / "x")


def test_card_is_written_from_the_evidence(trained: TrainedModel) -> None:
    card = (trained.directory / artefact.CARD).read_text()
    assert f"{trained.evidence.metrics.auc.value:.3f}" in card
    assert "contact_gender" in card
    assert "## Limits" in card
    assert trained.manifest.data.digest in card


def test_fairness_covers_every_sensitive_attribute(trained: TrainedModel, contract: FeatureContract) -> None:
    assert [f.attribute for f in trained.evidence.fairness] == [f.name for f in contract.sensitive]


def test_study_is_the_same_for_more_trials_and_another_for_other_data(contract: FeatureContract) -> None:
    options = TrainOptions(name="crm")
    name = study_name("abc", contract, options)
    assert name == study_name("abc", contract, dataclasses.replace(options, trials=99, threads=7))
    assert name != study_name("abd", contract, options)
    assert name != study_name("abc", contract, dataclasses.replace(options, seed=1))


@pytest.mark.parametrize(
    "change",
    [
        {"months": 0},
        {"trials": 0},
        {"capacity": 1.0},
        {"calibration": 0.5, "holdout": 0.5},
        {"algorithms": ()},
        {"gap_days": -1},
    ],
)
def test_options_that_make_no_sense_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadInputError):
        TrainOptions(name="crm", **change)


def test_digest_depends_on_values_not_on_how_they_are_stored() -> None:
    plain = pa.table(
        {
            "n": pa.array([1, None, 3], pa.int32()),
            "t": ["a", None, "bc"],
            "w": [datetime(2026, 1, 1, tzinfo=UTC)] * 3,
        }
    )
    other = pa.table(
        {
            "n": pa.chunked_array([pa.array([1], pa.int64()), pa.array([None, 3], pa.int64())]),
            "t": pa.array(["a", None, "bc"]).dictionary_encode(),
            "w": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * 3, pa.timestamp("ms", "UTC")),
        }
    )
    assert snapshot.table_digest(plain) == snapshot.table_digest(other)


@pytest.mark.parametrize(
    ("a", "b"),
    [(["ab", "c"], ["a", "bc"]), ([0, 1], [None, 1]), ([1, 2], [2, 1]), ([1.0, 2.0], [1, 2]), ([""], [None])],
)
def test_digest_tells_different_tables_apart(a: list[object], b: list[object]) -> None:
    assert snapshot.table_digest(pa.table({"x": a})) != snapshot.table_digest(pa.table({"x": b}))


def test_labels_without_a_date_count_as_known(
    leads: pa.Table, contract: FeatureContract, options: TrainOptions, tmp_path: Path
) -> None:
    at = leads.column_names.index("outcome_known_at")
    undated = leads.set_column(at, "outcome_known_at", pa.nulls(leads.num_rows, leads.schema.field(at).type))
    done = train(
        undated.slice(0, 2500),
        contract,
        dataclasses.replace(options, trials=1, gap_days=0),
        out=tmp_path / "x",
    )
    assert done.evidence.window.embargoed == 0


def test_rows_in_any_order_are_put_in_order_of_time(
    leads: pa.Table, contract: FeatureContract, options: TrainOptions, tmp_path: Path
) -> None:
    mixed = leads.take(pa.array(np.random.default_rng(0).permutation(leads.num_rows)))
    done = train(mixed, contract, dataclasses.replace(options, trials=1), out=tmp_path / "x")
    moments = done.holdout.column("created_at").to_pylist()
    assert moments == sorted(moments)
    assert timedelta(0) <= moments[-1] - moments[0] < timedelta(days=60)


def test_a_disk_that_fills_up_leaves_no_half_artefact(
    leads: pa.Table, contract: FeatureContract, options: TrainOptions, tmp_path: Path
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The kernel refuses to let any file grow over the limit, as a full disk would.
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(UnavailableError, match="Cannot write the artefact"):
            train(leads, contract, dataclasses.replace(options, trials=1), out=tmp_path / "x")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_the_monitor_reads_the_same_threshold_and_holdout(trained: TrainedModel) -> None:
    facts = read_model_facts("leads", "1", trained.directory)
    assert facts.threshold == trained.evidence.decision.threshold
    assert facts.holdout is not None
    assert facts.holdout.calibration == trained.evidence.holdout.calibration
    assert facts.metrics["auc"].value == trained.evidence.metrics.auc.value
