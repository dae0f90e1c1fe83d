from __future__ import annotations

import msgspec
import numpy as np
import pytest
from tests.support.artefacts import sample_contract, sample_matrix, sample_profile

from leadscore.errors import ArtefactError
from leadscore.scoring.calibration import Calibration
from leadscore.scoring.profile import ReferenceProfile


@pytest.fixture(scope="module")
def profile() -> ReferenceProfile:
    contract = sample_contract()
    matrix = sample_matrix(contract, 300, seed=3)
    return sample_profile(contract, matrix, Calibration().probabilities(matrix[:, 1] - 5))


def test_a_profile_survives_its_file(profile: ReferenceProfile) -> None:
    assert ReferenceProfile.from_json(profile.to_json()) == profile


def test_a_value_on_an_edge_counts_in_the_bin_above() -> None:
    contract = sample_contract()
    matrix = np.repeat(sample_matrix(contract, 1, seed=1), 10, axis=0)
    matrix[:, 0] = np.arange(10)
    budget = sample_profile(contract, matrix, np.full(10, 0.5)).features[0]
    first_edge = budget.edges[0]
    assert budget.counts[0] == int(np.sum(matrix[:, 0] < first_edge))


def _broken(profile: ReferenceProfile, **changes: object) -> bytes:
    document = msgspec.to_builtins(profile)
    document.update(changes)
    return msgspec.json.encode(document)


def _broken_feature(profile: ReferenceProfile, **changes: object) -> bytes:
    features = msgspec.to_builtins(profile.features)
    features[0].update(changes)
    return _broken(profile, features=features)


@pytest.mark.parametrize(
    "changes",
    [
        {"edges": [3.0, 1.0], "counts": [1, 1, 1], "bin_means": [0, 0, 0], "bin_stds": [0, 0, 0]},
        {"counts": [1]},
        {"bin_means": [0.0]},
        {"missing": -1},
        {"missing": 299},
        {"kind": "boolean"},
        {"kind": "text"},
    ],
)
def test_a_feature_that_contradicts_itself_is_refused(
    profile: ReferenceProfile, changes: dict[str, object]
) -> None:
    with pytest.raises(ArtefactError, match=r"reference\.json"):
        ReferenceProfile.from_json(_broken_feature(profile, **changes))


@pytest.mark.parametrize(
    "changes", [{"rows": 7}, {"quantiles": [0.1]}, {"score_edges": []}, {"score_counts": [1]}, {"more": 1}]
)
def test_a_profile_that_contradicts_itself_is_refused(
    profile: ReferenceProfile, changes: dict[str, object]
) -> None:
    with pytest.raises(ArtefactError, match=r"reference\.json"):
        ReferenceProfile.from_json(_broken(profile, **changes))
