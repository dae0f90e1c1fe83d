"""Schemathesis attacks every described endpoint of a running service.

No 5xx, and every reply as described.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.integration.service.conftest import Served

from leadscore.identity.apikeys import create_key

# The last test judges what the others left in the log of the one service.
pytestmark = pytest.mark.xdist_group("fuzz")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    positive_data_acceptance,
]
PATHS = ["/score-lead", "/score-leads", "/explain-prediction", "/outcomes"]
EXAMPLES = 80


@pytest.fixture(scope="module")
def target(artefact, tmp_path_factory) -> Iterator[tuple[Served, str]]:
    """One service for all attacks, and a key that may do everything."""
    home = tmp_path_factory.mktemp("fuzz") / "home"
    key, _ = create_key(home / "api-keys.yaml", "fuzz", ["score", "explain", "outcomes"])
    environ = {"LEADSCORE_MODEL_DIR": str(artefact), "LEADSCORE_THREADS": "1"}
    served = Served(home, environ, 1, None).start()
    yield served, key
    served.stop()


@pytest.fixture(scope="module")
def schema(target):
    served, _ = target
    document = httpx.get(f"{served.url}/openapi.json").json()
    for operations in document["paths"].values():
        for operation in operations.values():
            # Schemathesis has no Arrow to send;
            # tests/unit/leadscore_service/test_bulk.py damages real streams.
            operation.get("requestBody", {}).get("content", {}).pop(
                "application/vnd.apache.arrow.stream", None
            )
    found = schemathesis.openapi.from_dict(document)
    found.config.update(base_url=served.url)
    # A list that is too long is refused as well as one that is wrong.
    refusing = found.config.checks.negative_data_rejection
    refusing.expected_statuses = [*refusing.expected_statuses, "413"]
    return found


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("path", PATHS)
def test_every_reply_is_as_described(target, schema, path, mode) -> None:
    served, key = target

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=schema[path]["POST"].as_strategy(generation_mode=mode))
    def attack(case) -> None:
        case.headers["Authorization"] = f"Bearer {key}"
        if mode is GenerationMode.POSITIVE and "Idempotency-Key" in case.headers:
            # Generated cases know nothing of each other: a key that comes twice would be refused, rightly.
            case.headers["Idempotency-Key"] = uuid.uuid4().hex
        case.call_and_validate(checks=CHECKS)

    before = served.metric("leadscore_http_requests_total")
    attack()
    assert served.metric("leadscore_http_requests_total") - before >= EXAMPLES / 2


@pytest.mark.parametrize("path", ["/readyz", "/livez", "/"])
def test_system_endpoints_are_as_described(schema, path) -> None:
    schema[path]["GET"].Case().call_and_validate(checks=CHECKS[:4])


def test_nothing_so_far_was_a_defect(target) -> None:
    served, _ = target
    assert served.metric('leadscore_http_requests_total{endpoint="/score-lead"') > 0
    log = served.log.read_text()
    assert "internal error" not in log
    assert '"status":500' not in log
