"""A model that may know the outcome is never made champion by itself."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from tests.support.gate import gate_verdict

from leadscore.contract import FeatureContract, Numeric
from leadscore.contract.leaks import Suspicion
from leadscore.data.matrix import labels
from leadscore.errors import ArtefactError, BadInputError, RefusedError
from leadscore.scoring.artefact import METRICS
from leadscore.scoring.model import ScoringModel
from leadscore.training.doubts import answer_for, check_word, explained_by
from leadscore.training.gate import judge_challenger
from leadscore.training.gate_checks import leaks_check
from leadscore.training.nomination import may_promote
from leadscore.training.options import TrainOptions
from leadscore.training.pipeline import TrainedModel, train
from leadscore.training.verdict import LEAKS

SEEN = Suspicion(column="stage", kind="value", strength="leak", figure=1.0, sentence="It says won.")
AUC = Suspicion(column="", kind="model_auc", strength="suspicion", figure=0.99, sentence="Too good.")


def answered(suspicion: Suspicion) -> Suspicion:
    return msgspec.structs.replace(suspicion, known_before=True)


@pytest.fixture(scope="module")
def leaking(leads: pa.Table, contract: FeatureContract) -> tuple[pa.Table, FeatureContract]:
    """The leads with a column that is filled in after the sale."""
    won = np.nan_to_num(labels(contract, leads)) > 0.5
    noise = np.random.default_rng(0).random(leads.num_rows)
    table = leads.append_column(
        "contract_value", pa.array(np.where(won, 100 + noise, np.nan), from_pandas=True)
    )
    feature = Numeric(name="contract_value")
    return table, msgspec.structs.replace(contract, features=(*contract.features, feature))


@pytest.fixture(scope="module")
def suspected(
    leaking: tuple[pa.Table, FeatureContract], tmp_path_factory: pytest.TempPathFactory
) -> TrainedModel:
    options = TrainOptions(name="crm", min_records=1000, trials=1, folds=2, threads=1, min_group=50)
    return train(*leaking, options, out=tmp_path_factory.mktemp("leaking") / "artefact")


def test_training_says_what_it_suspects_and_the_card_repeats_it(suspected: TrainedModel) -> None:
    found = {(s.column, s.kind) for s in suspected.evidence.suspicions}
    assert ("contract_value", "presence") in found
    assert ("", "model_auc") in found
    card = (suspected.directory / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "`contract_value`: Whether it is filled in tells the outcome" in card
    assert "Nobody has answered for it" in card


def test_the_gate_refuses_it_and_nothing_but_a_word_lets_it_pass(suspected: TrainedModel) -> None:
    model = ScoringModel.load(suspected.directory)
    verdict = judge_challenger(None, model, suspected.holdout, suspicions=suspected.evidence.suspicions)
    assert not verdict.passed
    assert verdict.suspected
    assert "contract_value" in verdict.summary
    for promote in (None, True):
        assert not may_promote(verdict, promote=promote)
    accepted = judge_challenger(None, model, suspected.holdout, accepted="Ada: asked in the form")
    assert accepted.passed
    assert may_promote(accepted, promote=None)
    assert "Ada" in next(c.why for c in accepted.checks if c.name == LEAKS)


def test_the_gate_finds_a_leak_by_itself(suspected: TrainedModel) -> None:
    verdict = judge_challenger(None, ScoringModel.load(suspected.directory), suspected.holdout)
    assert verdict.suspected
    assert {s.column for s in verdict.suspicions} == {"contract_value", ""}


def test_an_honest_model_is_not_suspected(trained: TrainedModel) -> None:
    assert trained.evidence.suspicions == ()
    verdict = judge_challenger(None, ScoringModel.load(trained.directory), trained.holdout)
    assert not verdict.suspected


def test_known_before_in_the_contract_lets_it_pass_and_the_card_says_so(
    leaking: tuple[pa.Table, FeatureContract], tmp_path: Path
) -> None:
    table, contract = leaking
    features = tuple(
        msgspec.structs.replace(f, known_before=True) if f.name == "contract_value" else f
        for f in contract.features
    )
    options = TrainOptions(name="crm", min_records=1000, trials=1, folds=2, threads=1, min_group=50)
    model = train(
        table, msgspec.structs.replace(contract, features=features), options, out=tmp_path / "known"
    )
    verdict = judge_challenger(
        None, ScoringModel.load(model.directory), model.holdout, suspicions=model.evidence.suspicions
    )
    assert verdict.passed
    assert "`known_before: true`" in (model.directory / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_a_word_given_in_training_is_in_evidence_and_card(
    leaking: tuple[pa.Table, FeatureContract], tmp_path: Path
) -> None:
    options = TrainOptions(
        name="crm", min_records=1000, trials=1, folds=2, threads=1, min_group=50,
        accept_suspicion="Ada Lovelace: the form asks for it",
    )  # fmt: skip
    model = train(*leaking, options, out=tmp_path / "accepted")
    assert model.evidence.accepted_suspicion == "Ada Lovelace: the form asks for it"
    assert "Ada Lovelace: the form asks for it" in (model.directory / "MODEL_CARD.md").read_text(
        encoding="utf-8"
    )
    assert answer_for(model.directory, None) is None


def test_a_promotion_needs_a_named_answer(suspected: TrainedModel) -> None:
    with pytest.raises(RefusedError, match="nobody has answered"):
        answer_for(suspected.directory, None)
    with pytest.raises(BadInputError, match="named person"):
        answer_for(suspected.directory, "fine with me")
    assert answer_for(suspected.directory, " Ada :  asked in the form") == "Ada: asked in the form"


def test_evidence_that_cannot_be_read_is_not_taken_as_none(tmp_path: Path) -> None:
    assert answer_for(tmp_path, None) is None
    (tmp_path / METRICS).write_bytes(b"\xff")
    with pytest.raises(ArtefactError):
        answer_for(tmp_path, None)


def test_a_models_figure_is_explained_by_columns_that_all_are_known_before() -> None:
    assert explained_by([answered(SEEN)], [AUC]) == (answered(AUC),)
    assert explained_by([SEEN, answered(SEEN)], [AUC]) == (AUC,)
    assert explained_by([], [AUC]) == (AUC,)


@pytest.mark.parametrize("word", ["", "Ada", "Ada:", ": because", " : "])
def test_a_word_needs_a_name_and_a_reason(word: str) -> None:
    with pytest.raises(BadInputError):
        check_word(word)
    with pytest.raises(BadInputError):
        TrainOptions(name="crm", accept_suspicion=word)


def test_the_check_names_the_columns_and_what_to_do() -> None:
    assert leaks_check((), None).passed
    assert leaks_check([answered(SEEN)], None).passed
    refused = leaks_check([SEEN, answered(AUC)], None)
    assert not refused.passed
    assert "`stage`: It says won." in refused.why
    assert "known_before" in refused.why


def test_a_verdict_without_a_suspicion_decides_as_before() -> None:
    verdict = gate_verdict(passed=True, champion=None)
    assert not verdict.suspected
    assert may_promote(verdict, promote=None)
