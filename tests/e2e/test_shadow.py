"""A shadow gets a copy of the traffic; its answers reach nobody, its predictions are kept apart."""

from __future__ import annotations

import pytest
from tests.e2e.scenario.given import Given

pytestmark = pytest.mark.e2e


def test_a_shadow_scores_what_callers_send_and_answers_nobody(given: Given) -> None:
    (
        given.stable(1)
        .load(bulk_share=0)
        .when.shadowed(version=3, percent=50)
        .time_passes(requests=300)
        .then.no_request_failed()
        .only(1)
        .shadow_got(share=0.5)
        .shadow_predictions_are_stored(version=3)
        .stored_is_acknowledged()
        .when.chart_changed({"shadow": {"enabled": False}})
        .then.shadow_is_gone()
    )
