"""A small synthetic CRM and one trained model that several tests look at."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from leadscore.contract import FeatureContract, dump_contract, parse_contract
from leadscore.data.synthetic import generate, synthetic_contract
from leadscore.training.options import TrainOptions
from leadscore.training.pipeline import TrainedModel, train

OPTIONS = TrainOptions(name="crm", min_records=1000, trials=2, folds=2, threads=2, min_group=50)


@pytest.fixture(scope="session")
def contract() -> FeatureContract:
    """As a user has it: read from YAML."""
    return parse_contract(dump_contract(synthetic_contract()))


@pytest.fixture(scope="session")
def leads() -> pa.Table:
    return generate(rows=5000, seed=11, start=datetime(2026, 1, 1, tzinfo=UTC), months=5, scenarios=())


@pytest.fixture(scope="session")
def options() -> TrainOptions:
    return OPTIONS


@pytest.fixture(scope="session")
def trained(
    leads: pa.Table, contract: FeatureContract, tmp_path_factory: pytest.TempPathFactory
) -> TrainedModel:
    out: Path = tmp_path_factory.mktemp("trained") / "artefact"
    return train(leads, contract, OPTIONS, out=out)
